"""What a notice says beside the sentence of its Event: the numbers, and where to look."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from modelrelease.api import constants, escalation, reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.cluster import api, facts
from modelrelease.core import observation
from modelrelease.notifications import notice as notices
from modelrelease.notifications import routing, settings

OWNER: Final = f"{constants.GROUP}/owner"
RUNBOOK: Final = f"{constants.GROUP}/runbook"
GATES_MAX: Final = 4
_TEXT_MAX: Final = 256


class Notify(Protocol):
    """Tells people of an Event, once it is written."""

    def __call__(
        self,
        release: api.Object,
        event: api.Object,
        run: observation.Run | None,
        status: api_run.RunStatus | None,
    ) -> None: ...


def to(configured: settings.Notifications, tell: Callable[[notices.Notice], None]) -> Notify:
    """Return what turns Events into notices and leaves them."""

    def notify(
        release: api.Object,
        event: api.Object,
        run: observation.Run | None,
        status: api_run.RunStatus | None,
    ) -> None:
        tell(notice(release, event, configured, run, status))

    return notify


class Misnamed(Protocol):
    """Says which targets a release names that the installation does not have for it."""

    def __call__(self, release: api.Object) -> Sequence[str]: ...


def misnamed(configured: settings.Notifications) -> Misnamed:
    """Return who says it, one sentence for each target."""

    def said(release: api.Object) -> Sequence[str]:
        namespace = release["metadata"]["namespace"]
        return routing.misnamed(facts.annotations_of(release), namespace, configured)

    return said


def notice(
    release: api.Object,
    event: api.Object,
    configured: settings.Notifications,
    run: observation.Run | None = None,
    status: api_run.RunStatus | None = None,
) -> notices.Notice:
    """Return what people are told with an Event.

    Parameters
    ----------
    release
        The ModelRelease.
    event
        The Event, which is written once for each transition.
    configured
        The installation's pages.
    run, status
        The run that the transition is of, and what it has become.
    """
    metadata = release["metadata"]
    reason = event["reason"]
    said = facts.annotations_of(release)
    revision = run.spec.revision if run is not None else ""
    promoted = status is not None and status.outcome is api_run.Outcome.PROMOTED
    return notices.Notice(
        key=event["metadata"]["name"],
        namespace=metadata["namespace"],
        release=metadata["name"],
        reason=reason,
        message=event["message"],
        urgency=escalation.of(reason, warning=event["type"] == "Warning"),
        good=promoted,
        labels=facts.labels_of(release),
        targets=routing.named(said),
        run=run.name if run is not None else "",
        revision=revision,
        facts=(*_owner(said), *(_facts(run, status) if run is not None and status is not None else ())),
        links=_links(metadata, reason, configured, run, said),
    )


def _owner(said: Mapping[str, str]) -> tuple[str, ...]:
    owner = said.get(OWNER, "")
    return (f"owner: {owner[:_TEXT_MAX]}",) if owner else ()


def _facts(run: observation.Run, status: api_run.RunStatus) -> tuple[str, ...]:
    """Return the numbers: of a run's beginning there are none, of its end all that decided."""
    spec = run.spec
    stable = f", stable is {spec.stable}" if spec.stable else ""
    version = spec.judging.model.version
    found = [f"revision {spec.revision} (model version {version}), attempt {spec.attempt}{stable}"]
    ended = status.outcome is not None and status.outcome is not api_run.Outcome.PROMOTED
    if not ended:
        return tuple(found)
    met = status.live_since is not None
    found.append(reasons.was_live(spec.revision) if met else reasons.never_live(spec.revision))
    failing = [check for check in status.checks if check.verdict is verdict.Verdict.FAIL]
    for check in failing:
        blamed = check.diagnosis
        told = [f"{blamed.cause} ({blamed.confidence})"] if blamed is not None else []
        told += [_gate(gate) for gate in check.gates if gate.verdict is verdict.Verdict.FAIL][:GATES_MAX]
        found.append(
            f"check {check.name} failed: {'; '.join(told)}" if told else f"check {check.name} failed"
        )
    found += [
        f"objective {slo.name}: {slo.bad} of {slo.requests} bad"
        for slo in status.slos
        if slo.verdict is verdict.Verdict.FAIL
    ]
    return tuple(found)


def _gate(gate: api_run.GateStatus) -> str:
    against = f" against {gate.against}" if gate.against else ""
    return f"{gate.metric} is {gate.observed}, must be {gate.operator} {gate.limit}{against}"


def _links(
    metadata: Mapping[str, Any],
    reason: str,
    configured: settings.Notifications,
    run: observation.Run | None,
    said: Mapping[str, str],
) -> tuple[str, ...]:
    place = {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "reason": reason,
        "run": run.name if run is not None else "",
        "revision": run.spec.revision if run is not None else "",
    }
    found = [f"kubectl mrel explain {place['name']} -n {place['namespace']}"]
    if run is not None:
        found.append(f"kubectl mrel report {run.name} -n {place['namespace']}")
    if configured.runbook:
        found.append(f"what it means: {configured.runbook.format(**place)}")
    if own := said.get(RUNBOOK, ""):
        found.append(f"runbook: {own[:_TEXT_MAX]}")
    if configured.dashboard:
        found.append(f"dashboard: {configured.dashboard.format(**place)}")
    return tuple(found)
