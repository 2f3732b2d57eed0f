"""The verbs that only look: status, list, history, explain, diff, lint."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from modelrelease.cli.mrel import clock, options, port, shell

if TYPE_CHECKING:
    from canary_checks import result
    from modelrelease.cli.mrel import looking

STOPPED: Final = 1
"""Exit code of ``status --wait`` as of ``kubectl rollout status``, and of ``lint`` for a wrong manifest."""


def _shell(context: typer.Context) -> shell.Shell:
    found = context.obj
    assert isinstance(found, shell.Shell)
    return found


# --- status -------------------------------------------------------------------------------------------------


def status(
    ctx: typer.Context,
    name: options.Name,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay and show every change.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it is released (exit code 0) or stopped (1).")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Of --wait, in seconds; 0 waits for ever.", min=0)] = 0,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """Tell what is served, what is tried, how far it is and what can be done."""
    here, cluster = _shell(ctx), _shell(ctx).connect(options.kubectl(namespace, context, kubeconfig))
    from modelrelease.cli.mrel import looking  # noqa: PLC0415 - `--help` looks at nothing

    found = looking.Look(cluster, name, [port.RUNS, port.PODS], operator=True)
    # The models are read while kubectl is on its way.
    from modelrelease.cli.mrel import objects, standing, standing_screen  # noqa: PLC0415 - see above

    release = found.release()
    pods = found.allowed(port.PODS)
    if wait or watch:
        parts = {port.RUNS: found.part(port.RUNS), **({port.PODS: pods} if pods is not None else {})}
        limit = timeout if wait else 0
        return _follow(here, cluster, found, parts, timeout=limit, output=output, wait=wait)
    view = standing.standing(
        objects.release(release),
        objects.runs(found.part(port.RUNS)),
        objects.pods(pods) if pods is not None else None,
        here.now(),
        operator_down_seconds=found.operator_down_seconds(here.now()),
    )
    if output is not None:
        here.answer(output.value, dataclasses.asdict(view))
    else:
        here.print(standing_screen.show(view, here.now()))
    return 0


def _follow(
    here: shell.Shell,
    cluster: port.Cluster,
    look: "looking.Look",
    parts: Mapping[str, Sequence[port.Object]],
    *,
    timeout: float,
    output: options.Form | None,
    wait: bool,
) -> int:
    """Show every change; with ``wait`` until the release is there, or will not be."""
    from modelrelease.cli.mrel import drawing, objects, standing, watching  # noqa: PLC0415 - as above

    began, release = clock.monotonic(), look.release()
    name = release["metadata"]["name"]
    try:
        with drawing.canvas(here, output.value if output is not None else "") as canvas:
            for known in watching.follow(cluster, release, parts, objects.selector(name)):
                read = objects.release(known.release)
                if known.deleted:
                    here.complain(f"error: {name} was deleted")
                    return STOPPED
                pods = objects.pods(known.objects(port.PODS)) if port.PODS in parts else None
                runs = objects.runs(known.objects(port.RUNS))
                down = look.operator_down_seconds(here.now())
                view = standing.standing(read, runs, pods, here.now(), operator_down_seconds=down)
                canvas.draw(view, here.now(), known.lost)
                reached = standing.awaited(read)
                if wait and reached is not standing.Waits.GOES_ON:
                    return 0 if reached is standing.Waits.RELEASED else STOPPED
                if timeout and clock.monotonic() - began > timeout:
                    here.complain(f"error: {name} was not released within {timeout:g} s")
                    return STOPPED
    finally:
        cluster.close()
    return 0


# --- list, history ------------------------------------------------------------------------------------------


def list_(
    ctx: typer.Context,
    *,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of every namespace.")] = False,
    selector: Annotated[str, typer.Option("--selector", "-l", help="Labels, such as team=search.")] = "",
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """List releases; ! marks one that a person has overridden, … one whose operator is behind."""
    here, cluster = _shell(ctx), _shell(ctx).connect(options.kubectl(namespace, context, kubeconfig))
    from modelrelease.cli.mrel import listing, objects  # noqa: PLC0415 - `--help` reads nothing

    found = [
        listing.line(objects.release(obj))
        for obj in cluster.select([port.RELEASES], selector, everywhere=everywhere)
    ]
    if output is not None:
        here.answer(output.value, [dataclasses.asdict(one) for one in found])
    else:
        here.print(listing.show(found, here.now(), everywhere=everywhere, width=here.width))
    return 0


def history(
    ctx: typer.Context,
    name: options.Name,
    *,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """Tell every attempt that is remembered, how it ended and why."""
    here, cluster = _shell(ctx), _shell(ctx).connect(options.kubectl(namespace, context, kubeconfig))
    from modelrelease.cli.mrel import looking  # noqa: PLC0415 - `--help` reads nothing

    found = looking.Look(cluster, name, [port.RUNS])
    from modelrelease.cli.mrel import listing, objects  # noqa: PLC0415 - while kubectl is on its way

    attempts = listing.attempts(objects.release(found.release()), objects.runs(found.part(port.RUNS)))
    if output is not None:
        here.answer(output.value, [dataclasses.asdict(one) for one in attempts])
    else:
        here.print(listing.show_attempts(attempts, here.now(), width=here.width))
    return 0


# --- explain, diff ------------------------------------------------------------------------------------------


def explain(
    ctx: typer.Context,
    name: options.Name,
    revision: options.Revision = None,
    *,
    attempt: Annotated[int | None, typer.Option(help="Which attempt; by default the latest.", min=1)] = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """Tell why a run ended so: WHY, CHANGED, EVIDENCE, EXCLUDED, LEFT, NEXT."""
    here, cluster = _shell(ctx), _shell(ctx).connect(options.kubectl(namespace, context, kubeconfig))
    from modelrelease.cli.mrel import looking, pages  # noqa: PLC0415 - `--help` reads nothing

    page = pages.template(here.environ)
    found = looking.Look(cluster, name, [port.RUNS, port.REVISIONS])
    from modelrelease.cli.mrel import explaining, objects  # noqa: PLC0415 - while kubectl is on its way

    release, runs = objects.release(found.release()), objects.runs(found.part(port.RUNS))
    run = objects.chosen_run(release, runs, revision, attempt)
    evidence: dict[str, result.CheckResult | None] = {}
    for check in explaining.deciding(run):
        evidence[check.name] = None
        if check.evidence:
            try:
                evidence[check.name] = explaining.decoded(cluster.get(port.CONFIG_MAPS, check.evidence))
            except port.Failed as error:
                here.complain(f"note: the evidence of {check.name} can't be read: {error}")
    view = explaining.explanation(
        release, run, objects.stored(found.allowed(port.REVISIONS) or ()), runs, evidence, page=page
    )
    if output is not None:
        here.answer(output.value, dataclasses.asdict(view))
    else:
        here.print(explaining.show(view, here.now(), width=here.width))
    return 0


def diff(
    ctx: typer.Context,
    name: options.Name,
    before: Annotated[
        str | None,
        typer.Argument(metavar="[BEFORE]", help="A revision; by default stable.", show_default=False),
    ] = None,
    after: Annotated[
        str | None,
        typer.Argument(metavar="[AFTER]", help="Another; by default the candidate.", show_default=False),
    ] = None,
    *,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", help="Twice: what the release serves in one cluster and in another."),
    ] = None,
    namespace: options.Namespace = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """Tell what two revisions differ in: artifact, image, contract, configuration, environment."""
    here, contexts = _shell(ctx), context or [None]  # type: ignore[list-item]
    if len(contexts) > 2 or (len(contexts) == 2 and (before or after)):  # noqa: PLR2004 - two sides
        raise typer.BadParameter("give one --context and revisions, or --context twice and none")
    from modelrelease.cli.mrel import looking  # noqa: PLC0415 - `--help` reads nothing

    found = [
        looking.Look(
            here.connect(options.kubectl(namespace, one, kubeconfig)), name, [port.RUNS, port.REVISIONS]
        )
        for one in contexts
    ]
    from modelrelease.cli.mrel import difference, objects  # noqa: PLC0415 - while kubectl is on its way

    if len(found) == 1:
        release, stored = objects.release(found[0].release()), objects.stored(found[0].part(port.REVISIONS))
        runs = objects.runs(found[0].part(port.RUNS))
        one, other = objects.chosen_pair(release, stored, before, after)
        sides = [difference.side(one, stored, runs), difference.side(other, stored, runs)]
    else:
        sides = []
        for label, look in zip(contexts, found, strict=True):
            serves = objects.served_by(objects.release(look.release()), str(label))
            stored, runs = objects.stored(look.part(port.REVISIONS)), objects.runs(look.part(port.RUNS))
            sides.append(difference.side(serves, stored, runs, f"{label} {serves}"))
    view = difference.difference(*sides)
    if output is not None:
        here.answer(output.value, dataclasses.asdict(view))
    else:
        here.print(difference.show(view))
    return 0


# --- lint ---------------------------------------------------------------------------------------------------


def lint(
    ctx: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|DIR...", help="Manifests, and folders of them.", show_default=False),
    ],
    *,
    production: Annotated[
        bool,
        typer.Option(
            "--production",
            help="Also ask for owner, runbook, model card, golden set, objectives and pinned images.",
        ),
    ] = False,
    rps: Annotated[
        list[str] | None,
        typer.Option(
            "--rps",
            metavar="[OPERATION=]N",
            help="Requests per second of the release: which faults show, and when a Pass is reached.",
            show_default=False,
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus", metavar="URL", help="Ask it whether objectives find data.", show_default=False
        ),
    ] = None,
    output: options.Output = None,
) -> int:
    """Say, offline, what is refused, what will go wrong, what the operator would do, what a Pass costs."""
    here = _shell(ctx)
    from modelrelease.cli.mrel import feasible, linting  # noqa: PLC0415 - `--help` reads nothing

    without_data = None
    if prometheus is not None:
        from modelrelease.cli.mrel import asking  # noqa: PLC0415 - the client of a server, for who asks one

        server, now = asking.source(prometheus), here.now().timestamp()
        without_data = functools.partial(asking.without_data, server, now)
    asked = linting.Asked(production, feasible.rates(rps or ()), without_data)
    found = [entry for path in linting.files(paths) for entry in linting.linted(path, asked)]
    if not found:
        raise port.Failed("no ModelRelease in there")
    if output is not None:
        here.answer(output.value, [dataclasses.asdict(entry) for entry in found])
    else:
        here.print(linting.show(found))
    return STOPPED if any(entry.wrong for entry in found) else 0
