"""``report``: everything about one run as one page, as JSON, or as Markdown for a postmortem."""

import concurrent.futures
import dataclasses
import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from modelrelease.cli.mrel import options, port, shell

if TYPE_CHECKING:
    from modelrelease.report import material, model

_RUN: Final = re.compile(r"^(?P<release>.+)-r[0-9a-f]{6,}-\d+$")


class Form(enum.StrEnum):
    """What is written."""

    HTML = "html"
    JSON = "json"
    MARKDOWN = "md"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What is written, and where to; without a file to standard output."""

    form: Form
    file: Path | None


def report(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="RELEASE|RUN", help="The ModelRelease, or one run of it.", show_default=False),
    ],
    *,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="A run, or the beginning of its revision; by default the latest.",
            show_default=False,
        ),
    ] = None,
    attempt: Annotated[
        int | None, typer.Option(help="Which attempt of it; by default the latest.", min=1)
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="html|json|md|FILE",
            help="What to print, or a file that ends so; by default RUN.html here, and in a pipe the page.",
            show_default=False,
        ),
    ] = None,
    postmortem: Annotated[
        bool, typer.Option("--postmortem", help="The time line and the open questions, as Markdown.")
    ] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> int:
    """Write all that is recorded of a run: one page that needs no network, the same as JSON, or Markdown."""
    here = ctx.obj
    assert isinstance(here, shell.Shell)
    chosen = _target(output, postmortem=postmortem)
    cluster = here.connect(options.kubectl(namespace, context, kubeconfig))
    recorded = _material(cluster, name, run, attempt)
    from modelrelease.report import composing  # noqa: PLC0415 - `--help` writes nothing

    found = composing.report(recorded, here.now())
    text = _rendered(found, chosen or Target(Form.HTML, None), postmortem=postmortem)
    file = chosen.file if chosen is not None else _usual_file(here, found)
    if file is None:
        here.write(text)
        return 0
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise port.Failed(f"{file} can't be written: {error.strerror}") from error
    here.complain(f"{found.attempt.run} is reported in {file}")
    return 0


def _target(output: str | None, *, postmortem: bool) -> Target | None:
    """Return what was asked for; None where nothing was said."""
    if output is None:
        return Target(Form.MARKDOWN, None) if postmortem else None
    plain = output in set(Form)
    suffix = output if plain else Path(output).suffix.removeprefix(".")
    if suffix not in set(Form):
        raise typer.BadParameter(f"{output}: give html, json or md, or a file that ends in one of them")
    if postmortem and suffix != Form.MARKDOWN.value:
        raise typer.BadParameter("a postmortem is Markdown: give md, or a file that ends in .md")
    return Target(Form(suffix), None if plain else Path(output))


def _usual_file(here: shell.Shell, found: "model.Report") -> Path | None:
    return Path(f"{found.attempt.run}.html") if here.out.isatty() else None


def _rendered(found: "model.Report", chosen: Target, *, postmortem: bool) -> str:
    if chosen.form is Form.JSON:
        from modelrelease.report import model  # noqa: PLC0415 - as above

        return model.dump(found) + "\n"
    if chosen.form is Form.MARKDOWN:
        from modelrelease.report import markdown  # noqa: PLC0415 - as above

        return markdown.render(found, postmortem=postmortem)
    from modelrelease.report import html  # noqa: PLC0415 - the template engine is only for pages

    return html.render(found)


# --- Reading ------------------------------------------------------------------------------------------------


def _material(
    cluster: port.Cluster, name: str, which: str | None, attempt: int | None
) -> "material.Material":
    """Read everything that a report is made from; what may not be read is said in it."""
    release, which = _meant(cluster, name, which)
    from modelrelease.cli.mrel import looking  # noqa: PLC0415 - `--help` reads nothing

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        events = pool.submit(cluster.events, release)
        found = looking.Look(cluster, release, [port.RUNS, port.REVISIONS])
        # The models are read while kubectl is on its way.
        from modelrelease.cli.mrel import gathering, objects  # noqa: PLC0415

        read, runs = objects.release(found.release()), objects.runs(found.part(port.RUNS))
        named = next((run for run in runs if run.name == which), None)
        run = named or objects.chosen_run(read, runs, which, attempt)
        return gathering.material(
            read,
            runs,
            run,
            revisions=found.allowed(port.REVISIONS),
            evidence=_allowed(lambda: cluster.select([port.CONFIG_MAPS], gathering.evidence_of(read, run))),
            events=_allowed(events.result),
        )


def _meant(cluster: port.Cluster, name: str, which: str | None) -> tuple[str, str | None]:
    """Return the release, and the run of it where the name is that of a run."""
    if which is None and _RUN.match(name):
        try:
            found = cluster.get(port.RUNS, name)
        except port.NotFound:
            # A release may be called so, too.
            return name, None
        return str(found["spec"]["releaseName"]), name
    return name, which


def _allowed(read: Callable[[], list[port.Object]]) -> list[port.Object] | str:
    """Return the objects, or why they can't be read."""
    try:
        return read()
    except port.Failed as error:
        return str(error)
