"""Results as a person reads them in a terminal, from the results alone."""

import io
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from rich import box, console, padding, table
from rich import text as rich_text

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.report import sides, words

_PIPED_WIDTH: Final = 120
_STRATA_SHOWN: Final = 12
_LABEL_WIDTH: Final = 10
_STYLES: Final = {
    v.Verdict.PASS: "bold green",
    v.Verdict.FAIL: "bold red",
    v.Verdict.INCONCLUSIVE: "bold yellow",
    v.Verdict.NO_DATA: "bold yellow",
    v.Verdict.ERROR: "bold magenta",
}


def show(results: Sequence[schema.CheckResult]) -> None:
    """Print results to standard output, with colours where a person looks."""
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    _print(results, console.Console(width=width, highlight=False, soft_wrap=False))


def text(results: Sequence[schema.CheckResult]) -> str:
    """Return the same as plain text."""
    written = io.StringIO()
    _print(results, console.Console(file=written, width=_PIPED_WIDTH, highlight=False, no_color=True))
    return written.getvalue()


def verdicts(results: Sequence[schema.CheckResult]) -> Iterator[str]:
    """Yield one line for each result: its verdict and why."""
    for one in results:
        yield f"{one.verdict.upper()} {one.check.name} {words.subject(one)}: {v.sentence(one.message)}"


def _print(results: Sequence[schema.CheckResult], to: console.Console) -> None:
    for one in results:
        _print_one(one, to)
    for group in sides.columns(results):
        _print_columns(group, to)


def _print_one(result: schema.CheckResult, to: console.Console) -> None:
    head = rich_text.Text()
    head.append(f"{_sign(result.verdict)} {result.verdict.upper()}", _STYLES[result.verdict])
    head.append(f"  {result.check.name}  {_parties(result)}", "bold")
    head.append(f"  {words.seconds(result):.1f} s, {result.requests.sent} requests", "dim")
    if result.requests.failed:
        head.append(f", {result.requests.failed} failed", "dim")
    to.print(head, soft_wrap=True)
    if result.diagnosis is not None:
        _labelled(to, "CAUSE", [words.cause(result.diagnosis)])
    else:
        _labelled(to, "WHY", [result.message])
    if result.gates:
        to.print(padding.Padding(_gates(result), (0, 0, 0, 2)))
    moved = [stratum for stratum in result.strata if stratum.failed]
    _labelled(to, "WHERE", _folded([f"{s.name} {s.failed}/{s.items}" for s in moved], _STRATA_SHOWN))
    _labelled(to, "WORST", [_row(row) for row in result.worst])
    if result.diagnosis is not None:
        diagnosis = result.diagnosis
        _labelled(to, "EVIDENCE", diagnosis.evidence)
        _labelled(to, "EXCLUDED", [f"{words.spaced(e.cause)}: {e.because}" for e in diagnosis.excluded])
        _labelled(to, "LEFT", _folded([words.spaced(name) for name in diagnosis.left], len(diagnosis.left)))
        _labelled(to, "NEXT", diagnosis.next)
    to.print()


def _gates(result: schema.CheckResult) -> table.Table:
    several = any(gate.operation for gate in result.gates)
    shown = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    shown.add_column("")
    shown.add_column("gate")
    if several:
        shown.add_column("operation")
    shown.add_column("observed", justify="right", no_wrap=True)
    shown.add_column("limit", no_wrap=True)
    shown.add_column("against")
    shown.add_column("n", justify="right")
    shown.add_column("the limit is", style="dim")
    for gate in result.gates:
        cells = [
            rich_text.Text(f"{_sign(gate.verdict)} {gate.verdict}", _STYLES[gate.verdict]),
            rich_text.Text(words.metric(gate.metric)),
            *([rich_text.Text(_plain(gate.operation or "–"))] if several else []),
            rich_text.Text(words.number(gate.observed) + words.between(gate)),
            rich_text.Text(f"{gate.operator} {words.number(gate.limit)}"),
            rich_text.Text("–" if gate.against == "Absolute" else gate.against),
            rich_text.Text(str(gate.samples)),
            rich_text.Text(words.basis(gate.basis)),
        ]
        shown.add_row(*cells)
    return shown


def _print_columns(group: Sequence[schema.CheckResult], to: console.Console) -> None:
    shown = table.Table(
        title=f"{group[0].check.name}: {len(group)} side by side",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
    )
    shown.add_column("")
    for one in group:
        shown.add_column(rich_text.Text(words.subject(one)), justify="right")
    for name, cells in sides.gate_rows(group):
        shown.add_row(rich_text.Text(_plain(name)), *(_cell(gate) for gate in cells))
    causes = [
        rich_text.Text(words.spaced(one.diagnosis.cause) if one.diagnosis is not None else "–")
        for one in group
    ]
    shown.add_row(rich_text.Text("cause"), *causes)
    verdict = [rich_text.Text(one.verdict.value, _STYLES[one.verdict]) for one in group]
    shown.add_row(rich_text.Text("verdict"), *verdict)
    to.print(shown)


def _cell(gate: schema.Gate | None) -> rich_text.Text:
    if gate is None:
        return rich_text.Text("–", "dim")
    return rich_text.Text(f"{words.number(gate.observed)} {_sign(gate.verdict)}", _STYLES[gate.verdict])


def _labelled(to: console.Console, label: str, lines: Sequence[str]) -> None:
    """Print lines beside their label; a long one goes on below itself."""
    indent = " " * (2 + _LABEL_WIDTH)
    for place, line in enumerate(lines):
        head = f"  {label if place == 0 else '':<{_LABEL_WIDTH}}"
        text = textwrap.fill(_plain(line), to.width, initial_indent=head, subsequent_indent=indent)
        shown = rich_text.Text(text)
        shown.stylize("dim", 0, len(head))
        to.print(shown, soft_wrap=True)


def _folded(parts: Sequence[str], most: int) -> list[str]:
    if not parts:
        return []
    more = len(parts) - most
    return [", ".join(parts[:most]) + (f" and {more} more" if more > 0 else "")]


def _row(row: schema.WorstItem) -> str:
    values = ", ".join(f"{words.quantity(name)} {words.number(value)}" for name, value in row.values.items())
    operation = f"{row.operation}: " if row.operation else ""
    return f"{operation}{row.item} ({row.stratum}): {values}"


def _parties(result: schema.CheckResult) -> str:
    at = f" at {_plain(result.subject.pods[0])}" if result.subject.pods else ""
    against = " and ".join(words.party(one) for one in result.references)
    return f"{words.subject(result)}{at}" + (f" against {against}" if against else "")


def _sign(verdict: v.Verdict) -> str:
    return {v.Verdict.PASS: "✓", v.Verdict.FAIL: "✗"}.get(verdict, "?")


def _plain(text: str) -> str:
    """Drop what a terminal would obey; the schema already refuses most of it."""
    return v.sentence(text)
