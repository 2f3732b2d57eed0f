"""``modelrelease simulate slo``: what a rule would decide, before anybody's users find out."""

import decimal
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import console as consoles
from rich import progress, text
from rich import table as tables

from modelrelease.slo import feasibility, objectives
from slo_simulation import cells, chart, rule, table, traffic, verdicts

USAGE: Final = 64
BAR: Final = 40

app = typer.Typer(help="Simulate decisions before they are made.", no_args_is_help=True)


@app.callback()
def simulate() -> None:
    """Simulate decisions before they are made."""


@app.command()
def slo(
    *,
    rate: Annotated[float, typer.Option(min=0.001, max=10_000, help="Requests per second of the candidate.")],
    objective: Annotated[str, typer.Option(help="Percent of good requests that is asked for.")] = "99.9",
    fault: Annotated[
        float,
        typer.Option(min=0, max=100, help="Percent of bad requests of the candidate when it is broken."),
    ] = 1.0,
    normal: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="Percent of bad requests of stable; by default the budget."),
    ] = None,
    family: Annotated[
        traffic.Family, typer.Option(help="How load and errors behave in time.")
    ] = traffic.Family.STEADY,
    minutes: Annotated[int, typer.Option(min=1, max=240, help="Until the deadline.")] = 30,
    hold_seconds: Annotated[int, typer.Option(min=0, max=14_400, help="Of the step.")] = 600,
    minimum_requests: Annotated[int, typer.Option(min=20, max=1_000_000)] = 200,
    bake: Annotated[bool, typer.Option("--bake", help="As in the bake: no stable pods beside it.")] = False,
    runs: Annotated[int, typer.Option(min=10, max=100_000)] = 2_000,
    seed: Annotated[int, typer.Option(min=0)] = table.SEED,
    plot: Annotated[Path | None, typer.Option(help="Write the verdicts as a picture, .svg.")] = None,
) -> None:
    """Simulate how an SLO judges a healthy and a broken candidate, beside Flagger's and Argo's rules.

    Exit codes: 0, 64 usage.
    """
    screen = consoles.Console()
    try:
        asked = objectives.Objective(
            "slo", objectives.Kind.AVAILABILITY, decimal.Decimal(objective), minimum_requests=minimum_requests
        )
    except (ValueError, decimal.InvalidOperation) as error:
        sys.stderr.write(f"usage: --objective {objective}: {error}\n")
        raise typer.Exit(USAGE) from error
    good = asked.budget if normal is None else normal / 100
    scenarios = [
        cells.Cell(traffic.Scenario(family, rate, good, ratio, minutes * 60), hold_seconds)
        for ratio in (good, fault / 100)
    ]
    judging = (rule.R2(asked, hold_seconds, live=not bake), *table.rules(asked)[1:])
    with progress.Progress(console=consoles.Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=len(scenarios))
        rows = table.measure(
            scenarios,
            judging,
            null_runs=runs,
            runs=runs,
            seed=seed,
            progress=lambda: bar.advance(task),
        )
    for title, row in zip(("healthy", "broken"), rows, strict=True):
        screen.print(_table(f"{title}: {row.cell.scenario.candidate_ratio:.3g} bad", judging, row))
    said = feasibility.assess(asked, rate, good, deadline_seconds=minutes * 60.0)
    screen.print(text.Text(f"{feasibility.told(asked, said)}."))
    if plot is not None:
        plot.write_text(chart.svg(rows, judging), encoding="utf-8")
        screen.print(text.Text(f"The picture is in {plot}."))


def _table(title: str, judging: tuple[table.Rule, ...], row: table.Row) -> tables.Table:
    made = tables.Table(title=title, title_justify="left")
    for head in ("rule", "rolled back", "after (median)", "promoted", "held", "verdicts"):
        made.add_column(head, justify="left" if head in {"rule", "verdicts"} else "right", no_wrap=True)
    for judge, mix in zip(judging, row.mixes, strict=True):
        made.add_row(
            judge.name,
            f"{mix.failed / mix.runs:.1%}",
            f"{mix.fail_seconds:.0f} s" if mix.fail_seconds is not None else "–",
            f"{mix.passed / mix.runs:.1%}",
            f"{mix.undecided / mix.runs:.1%}",
            _bar(mix),
        )
    return made


def _bar(mix: verdicts.Mix) -> text.Text:
    """Return the mix of verdicts as a bar that can be read without colours."""
    failed, passed = (round(BAR * part / mix.runs) for part in (mix.failed, mix.passed))
    passed = min(passed, BAR - failed)
    bar = text.Text()
    bar.append("█" * failed, style="red")
    bar.append("▒" * passed, style="green")
    bar.append("·" * (BAR - failed - passed), style="yellow")
    return bar
