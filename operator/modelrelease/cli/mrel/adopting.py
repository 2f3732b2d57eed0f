"""``adopt``: a live Deployment and its Service become a release's, without anybody noticing, and go back."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Final

import typer

from modelrelease.api import endpoint
from modelrelease.cli.mrel import options, port, saying, shell

if TYPE_CHECKING:
    from modelrelease.cli.mrel import adopting_plan, adopting_scene

_GITOPS: Final = "kubectl"
"""The manager of what people apply themselves: the manifest is theirs from its first day."""


def adopt(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(metavar="deployment/NAME", help="What serves users now.")],
    *,
    service: Annotated[
        str | None,
        typer.Option(help="The Service that users call; by default the one that selects its pods.",
                     show_default=False),
    ] = None,
    protocol: Annotated[
        endpoint.Protocol | None,
        typer.Option(help="What the server speaks; by default guessed from its image.", show_default=False),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Scale the old Deployment to 0.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Give the Service back to the old pods.")] = False,
    out_of_git: Annotated[
        bool, typer.Option("--out-of-git", help="No tool puts the Service or the Deployment back any more.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; kept with the Service that is offered.", show_default=False)
    ] = "",
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: Annotated[
        options.Form | None,
        typer.Option("--output", "-o", help="Print the manifest for Git and write nothing.",
                     show_default=False),
    ] = None,
) -> int:  # fmt: skip
    """Take over a live Deployment and Service without downtime, step by step; or go back."""
    if finish and undo:
        raise typer.BadParameter("--finish and --undo are opposites: say one of them")
    if output is not None and (finish or undo):
        raise typer.BadParameter("-o prints the manifest: it goes with neither --finish nor --undo")
    why = "" if output is not None else saying.reason_of(reason)
    here = ctx.obj
    assert isinstance(here, shell.Shell)
    cluster = here.connect(options.kubectl(namespace, context, kubeconfig))
    from modelrelease.cli.mrel import adopting_plan, adopting_scene  # noqa: PLC0415 - `--help` plans nothing

    scene = _scene(cluster, adopting_scene.named(target), here)
    said = protocol.value if protocol is not None else None
    scene = dataclasses.replace(scene, chosen=service, protocol=said, out_of_git=out_of_git)
    scene = _with_managers(cluster, scene)
    if output is not None:
        made, notes = adopting_plan.manifest(scene)
        for note in notes:
            here.complain(f"note: {note}")
        here.answer(output.value, made)
        return 0
    if finish or undo:
        step = adopting_plan.STEPS["finish" if finish else "undo"](scene)
    else:
        step = adopting_plan.adopt(scene, why)
    call = saying.Call(here, cluster, target, "", yes, dry_run)
    return _carry_out(call, step)


def _scene(cluster: port.Cluster, name: str, here: shell.Shell) -> "adopting_scene.Scene":
    import concurrent.futures  # noqa: PLC0415 - as above

    from modelrelease.cli.mrel import adopting_scene  # noqa: PLC0415 - as above

    kinds = (port.SERVICES, port.PODS, port.AUTOSCALERS, port.RELEASES)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1 + len(kinds)) as pool:
        found = pool.submit(cluster.get, port.DEPLOYMENTS, name)
        lists = [pool.submit(cluster.select, [kind]) for kind in kinds]
        deployment = found.result()
        services, pods, autoscalers, releases = [part.result() for part in lists]
    return adopting_scene.Scene(deployment, services, pods, autoscalers, releases, here.now())


def _with_managers(cluster: port.Cluster, scene: "adopting_scene.Scene") -> "adopting_scene.Scene":
    """Read the Service by itself: only that shows who manages its fields."""
    from modelrelease.cli.mrel import adopting_scene  # noqa: PLC0415 - as above

    name = adopting_scene.service_of(scene)["metadata"]["name"]
    service = cluster.get(port.SERVICES, name)
    others = [obj for obj in scene.services if obj["metadata"]["name"] != name]
    return dataclasses.replace(scene, services=[service, *others], chosen=name)


def _carry_out(call: saying.Call, step: "adopting_plan.Step") -> int:
    """Show, ask, write: the release first, since a Service that is offered to nobody helps nobody."""
    from modelrelease.cli.mrel import adopting_plan, screen  # noqa: PLC0415 - as above

    here = call.shell
    here.print(screen.Screen((step.says[0], *(screen.indented(text) for text in step.says[1:]))))
    if not step.writes:
        return 0
    for command in adopting_plan.commands(step):
        here.print(screen.Screen((screen.indented(screen.styled(f"= {command}", "dim")),)))
    if not call.dry_run and not saying.agreed(call, ""):
        here.complain("Nothing was written.")
        return saying.ABORTED
    if step.applied is not None:
        call.cluster.apply(step.applied, _GITOPS, dry_run=call.dry_run)
    for patch in step.patches:
        call.cluster.patch(
            patch.kind, patch.name, patch.operations, adopting_plan.MANAGER, dry_run=call.dry_run
        )
    here.write("The API server would take it; nothing was written.\n" if call.dry_run else "Written.\n")
    return 0
