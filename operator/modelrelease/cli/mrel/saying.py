"""The verbs of people on call: each is one field of ``spec.override``, shown before it is written."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from modelrelease.cli.mrel import completing, options, port, shell

if TYPE_CHECKING:
    from modelrelease.cli.mrel import override, plan

_TRIES: Final = 4
"""Of writing, when somebody else writes at the same time."""
ABORTED: Final = 1

Planner = Callable[["plan.Known"], "plan.Plan"]


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """How a verb was called."""

    shell: shell.Shell
    cluster: port.Cluster
    name: str
    form: str
    yes: bool
    dry_run: bool


def _call(
    ctx: typer.Context,
    name: str,
    where: tuple[str | None, str | None, str | None],
    output: options.Form | None,
    *,
    yes: bool,
    dry_run: bool,
) -> Call:
    here = ctx.obj
    assert isinstance(here, shell.Shell)
    cluster = here.connect(options.kubectl(*where))
    return Call(here, cluster, name, output.value if output is not None else "", yes, dry_run)


def carry_out(call: Call, planner: Planner) -> int:
    """Plan, show, ask, write.

    Returns
    -------
    0, or 1 when the person thought better of it.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        It makes no sense now, may not be done, or is refused by the API server, in its words.
    """
    from modelrelease.cli.mrel import override, plan  # noqa: PLC0415 - `--help` says nothing to anybody

    obj, known, silent = _known(call)
    planned = planner(known)
    written = override.write(obj, planned.edits)
    told = plan.show(planned, written, known.release.namespace, known.release.name)
    if call.form:
        call.shell.err.write(told.text(call.shell.width))
    else:
        call.shell.print(told)
    if not call.dry_run and not agreed(call, planned.type_to_go_on):
        call.shell.complain("Nothing was written.")
        return ABORTED
    result = _write(call, obj, written, planned.edits)
    if call.form:
        done = {"dryRun": call.dry_run, "override": (result.get("spec") or {}).get("override") or {}}
        call.shell.answer(call.form, done)
    else:
        verb = "The API server would take it; nothing was written." if call.dry_run else _written(known)
        call.shell.write(f"{verb}\n")
    if silent:
        call.shell.complain(_silence(known, silent))
    return 0


def _silence(known: "plan.Known", seconds: float) -> str:
    from modelrelease.cli.mrel import words  # noqa: PLC0415 - as above

    release = known.release
    return (
        f"note: the operator has not answered for {words.duration(seconds)}: nothing comes of this before it "
        f"is back. Serving is not affected; kubectl mrel status {release.name} -n {release.namespace} shows "
        "the two commands that give users stable back by hand."
    )


def _written(known: "plan.Known") -> str:
    return f"Written. Watch it: kubectl mrel status {known.release.name} -n {known.release.namespace} -w"


def _known(call: Call) -> tuple[port.Object, "plan.Known", float]:
    """Return the release, all that is known of it, and for how long the operator has been silent."""
    from modelrelease.cli.mrel import looking  # noqa: PLC0415 - as above

    found = looking.Look(call.cluster, call.name, [port.RUNS, port.REVISIONS], operator=True)
    from modelrelease.cli.mrel import objects, plan  # noqa: PLC0415 - while kubectl is on its way

    obj = found.release()
    stored = objects.stored(found.allowed(port.REVISIONS) or ())
    known = plan.Known(objects.release(obj), objects.runs(found.part(port.RUNS)), stored)
    now = call.shell.now()
    silent = max(known.release.silent_for(now), found.operator_down_seconds(now))
    return obj, known, silent if silent > objects.SILENT_SECONDS else 0.0


def agreed(call: Call, word: str) -> bool:
    """Ask once; without anybody to ask, refuse rather than guess."""
    if call.yes:
        return True
    here = call.shell
    if not here.interactive:
        raise port.Failed(
            "nobody can be asked here, because this is no terminal: add --yes, or --dry-run to look"
        )
    question = f"Type the revision to go on ({word}): " if word else "Go on? [y/N] "
    here.err.write(question)
    here.err.flush()
    answer = here.inp.readline().strip()
    return answer == word if word else answer.lower() in {"y", "yes"}


def _write(
    call: Call, obj: port.Object, written: "override.Written", edits: Sequence["override.Edit"]
) -> port.Object:
    from modelrelease.cli.mrel import override  # noqa: PLC0415 - as above

    for attempt in range(_TRIES):
        try:
            if written.applied is not None:
                return call.cluster.apply(written.applied, override.MANAGER, dry_run=call.dry_run)
            return call.cluster.patch(
                port.RELEASES, call.name, written.operations, override.MANAGER, dry_run=call.dry_run
            )
        except port.Conflict:
            if attempt == _TRIES - 1:
                raise
            # The operator writes its status all the time; what a person wrote meanwhile is kept.
            obj = call.cluster.get(port.RELEASES, call.name)
            written = override.write(obj, edits)
    raise AssertionError("the last attempt raises")


# --- The verbs ----------------------------------------------------------------------------------------------


def _plain(verb: str, doc: str) -> Callable[..., int]:
    """Return the command of a verb about a revision, which is by default the candidate."""

    def command(
        ctx: typer.Context,
        name: options.Name,
        revision: options.Revision = None,
        *,
        reason: options.Reason,
        yes: options.Yes = False,
        dry_run: options.DryRun = False,
        namespace: options.Namespace = None,
        context: options.Context = None,
        kubeconfig: options.Kubeconfig = None,
        output: options.Output = None,
    ) -> int:
        from modelrelease.cli.mrel import plan  # noqa: PLC0415 - as above

        call = _call(ctx, name, (namespace, context, kubeconfig), output, yes=yes, dry_run=dry_run)
        why = reason_of(reason)
        return carry_out(call, lambda known: getattr(plan, verb)(known, revision, why))

    command.__doc__ = doc
    return command


def _whole(verb: str, doc: str) -> Callable[..., int]:
    """Return the command of a verb about the release as a whole."""

    def command(
        ctx: typer.Context,
        name: options.Name,
        *,
        reason: options.Reason,
        yes: options.Yes = False,
        dry_run: options.DryRun = False,
        namespace: options.Namespace = None,
        context: options.Context = None,
        kubeconfig: options.Kubeconfig = None,
        output: options.Output = None,
    ) -> int:
        from modelrelease.cli.mrel import plan  # noqa: PLC0415 - as above

        call = _call(ctx, name, (namespace, context, kubeconfig), output, yes=yes, dry_run=dry_run)
        why = reason_of(reason)
        return carry_out(call, lambda known: getattr(plan, verb)(known, why))

    command.__doc__ = doc
    return command


def approve(
    ctx: typer.Context,
    name: options.Name,
    revision: options.Revision = None,
    *,
    reason: options.Reason,
    stage: Annotated[
        str | None,
        typer.Option(
            help="BeforeTraffic, BeforeFull or Infeasible; by default what is asked for.", show_default=False
        ),
    ] = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """Let the candidate pass the gate at which it waits for a person."""
    from modelrelease.cli.mrel import plan  # noqa: PLC0415 - as above

    call = _call(ctx, name, (namespace, context, kubeconfig), output, yes=yes, dry_run=dry_run)
    why = reason_of(reason)
    return carry_out(call, lambda known: plan.approve(known, revision, stage, why))


def pin(
    ctx: typer.Context,
    name: options.Name,
    revision: Annotated[
        str,
        typer.Argument(
            metavar="REVISION",
            help="The revision, or the beginning of its name.",
            autocompletion=completing.revisions,
        ),
    ],
    *,
    reason: options.Reason,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """Serve a revision, whatever Git says, until it is unpinned."""
    from modelrelease.cli.mrel import plan  # noqa: PLC0415 - as above

    call = _call(ctx, name, (namespace, context, kubeconfig), output, yes=yes, dry_run=dry_run)
    why = reason_of(reason)
    return carry_out(call, lambda known: plan.pin(known, revision, why))


def debug(
    ctx: typer.Context,
    name: options.Name,
    revision: options.Revision = None,
    *,
    reason: options.Reason,
    seconds: Annotated[int, typer.Option("--seconds", help="How long it stays.", min=60, max=86_400)] = 3600,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    output: options.Output = None,
) -> int:
    """Keep the canary for a look, should its run fail."""
    from modelrelease.cli.mrel import plan  # noqa: PLC0415 - as above

    call = _call(ctx, name, (namespace, context, kubeconfig), output, yes=yes, dry_run=dry_run)
    why = reason_of(reason)
    return carry_out(call, lambda known: plan.debug(known, revision, seconds, why))


def reason_of(text: str) -> str:
    """Return a reason as one line.

    Raises
    ------
    typer.BadParameter
        It is empty, or longer than the API takes.
    """
    found = " ".join(text.split())
    if not found:
        raise typer.BadParameter("--reason must say why, such as the incident")
    if len(found) > 512:  # noqa: PLR2004 - the API's bound of a reason
        raise typer.BadParameter("--reason must have at most 512 characters")
    return found


reject = _plain("reject", "Never serve a revision: the candidate, or the one that is named.")
unreject = _plain("unreject", "Take back a rejection: the revision may be tried again.")
retry = _plain("retry", "Try the candidate once more, although it failed.")
force = _plain("force", "Promote a revision, whatever its verdicts say.")
rollback = _whole("rollback", "Take back what users get now, and serve what was promoted before it.")
cancel = _whole("cancel", "End the run that is under way, without rejecting its revision.")
pause = _whole("pause", "Hold every step forward; a return to stable is never held.")
resume = _whole("resume", "Go on after a pause.")
unpin = _whole("unpin", "Serve what Git says again.")
