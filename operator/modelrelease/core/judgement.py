"""What a run's checks and SLOs have said so far, and whether that is enough, too little or too late."""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence

from modelrelease.api import checks as api_checks
from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import attempts, chronicle, comparison, infeasible, observation, portions, references
from modelrelease.core import verdict as core_verdict
from modelrelease.core.situation import Situation

Verdict = verdict.Verdict

RETRY_SECONDS_MIN = 5.0
RETRY_SECONDS_MAX = 300.0
"""A check that measured nothing runs again after 5 s, doubled each time, at most 5 minutes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Expired:
    """A deadline that has passed, and the end it leads to."""

    outcome: api_run.Outcome
    problem: observation.Problem


def record(here: Situation) -> api_run.RunStatus | None:
    """Return the status with what is new: finished checks, changed SLO verdicts, pods that took traffic."""
    update: dict[str, object] = {}
    if here.status.phase is api_run.Phase.CHECKING:
        checks = here.latest_checks
        if _spoken(checks) != _spoken(here.status.checks):
            update["checks"] = list(checks)
            update |= _recorded(here)
    slos = latest_slos(here)
    if here.status.phase is api_run.Phase.CHECKING and _costs(slos) != _costs(here.status.slos):
        update["slos"] = slos
    holding = here.status.phase is api_run.Phase.HOLDING
    if holding and (
        _words(slos) != _words(here.status.slos) or comparison.record_due(slos, here.status.slos)
    ):
        update["slos"] = slos
    live = _live_pods(here)
    if live != here.status.live_pods:
        update["live_pods"] = live
    beside = comparison.baseline_pods(here) if here.judged_slos else []
    if beside != here.status.baseline_pods:
        update["baseline_pods"] = beside
    return here.status.model_copy(update=update) if update else None


def _recorded(here: Situation) -> dict[str, object]:
    """Return what checks have recorded by now: of each check and shard one, from whichever pod."""
    found = {(known.check, known.portion): known for known in here.status.recorded}
    for part in sorted(here.observed.parts, key=lambda part: (part.pod_uid, part.portion)):
        if part.outputs is not None:
            # An older operator's Job does not note whose they are.
            own = {"check": part.check, "portion": part.portion}
            found[part.check, part.portion] = part.outputs.model_copy(update=own)
    if not found:
        return {}
    recorded = [found[key] for key in sorted(found)]
    return {"outputs": here.status.outputs or recorded[0], "recorded": recorded}


def _spoken(checks: Iterable[api_run.CheckStatus]) -> list[api_run.CheckStatus]:
    return [check for check in checks if check.verdict is not None or check.skipped]


def _words(slos: Iterable[api_run.SloStatus]) -> dict[str, tuple[str, str]]:
    return {slo.name: (slo.verdict, slo.reason) for slo in slos}


def _costs(slos: Iterable[api_run.SloStatus]) -> dict[str, bool]:
    """Return which objectives can pass in time, of those of which it is known."""
    return {slo.name: slo.feasibility.reachable for slo in slos if slo.feasibility is not None}


def _live_pods(here: Situation) -> list[str]:
    """Names of the candidate's pods that users can reach, the earlier ones kept."""
    traffic = here.observed.traffic
    known = list(here.status.live_pods)
    reached = here.widened or (
        traffic.selects is observation.Selects.PINNED and traffic.revision == here.candidate
    )
    if here.status.phase not in {api_run.Phase.SHIFTING, api_run.Phase.HOLDING} or not reached:
        return known
    ready = sorted(pod.name for pod in here.observed.revisions[here.candidate].pods if pod.ready)
    return (known + [name for name in ready if name not in known])[:64]


# --- Checks -------------------------------------------------------------------------------------------------


def pods_replaced(here: Situation) -> bool:
    """Return whether a tested pod is gone or no longer Ready: its results are void."""
    ready = {pod.uid for pod in here.observed.revisions[here.candidate].pods if pod.ready}
    return any(pod.uid not in ready for pod in here.status.checked_pods)


def voided(here: Situation) -> list[api_run.CheckStatus]:
    """Return every check's status for a new set of pods: nothing said, a later attempt."""
    return [
        api_run.CheckStatus(name=status.name, attempt=status.attempt + 1) for status in here.status.checks
    ]


def retried(here: Situation) -> list[api_run.CheckStatus] | None:
    """Return the statuses with the next attempt of a check that measured nothing, when it is due."""
    for index, status in enumerate(here.status.checks):
        if not unfinished(here, status) or (due := retry_time(status)) is None or here.now < due:
            continue
        again = attempts.following(status)
        return [*here.status.checks[:index], again, *here.status.checks[index + 1 :]]
    return None


def unfinished(here: Situation, status: api_run.CheckStatus) -> bool:
    """Return whether a check must speak again: it measured nothing, or what it recorded is lost.

    One that is only reported has said what there is to report; asked again, it would run beside the next.
    """
    if here.observing or status.name in here.waived or (status.verdict is None and not status.skipped):
        return False
    if status.verdict not in {None, Verdict.PASS, Verdict.FAIL} and _decides(here, status):
        return not _exhausted(here, status)
    return status.verdict is not Verdict.FAIL and status.name in _unstored(here)


def _decides(here: Situation, status: api_run.CheckStatus) -> bool:
    return any(check.name == status.name and _gates(here, check) for check in here.required_checks)


def _exhausted(here: Situation, status: api_run.CheckStatus) -> bool:
    return any(c.name == status.name and attempts.exhausted(c, status) for c in here.required_checks)


def retry_time(status: api_run.CheckStatus) -> datetime.datetime | None:
    """Return when a check that measured nothing may run again."""
    if status.completion_time is None:
        return None
    seconds = min(RETRY_SECONDS_MAX, RETRY_SECONDS_MIN * 2.0 ** min(status.attempt - 1, 10))
    return status.completion_time + datetime.timedelta(seconds=seconds)


def next_check(here: Situation) -> api_run.CheckStatus | None:
    """Return the check whose Job must run now: one at a time, and none after one that holds the run."""
    required = {check.name: check for check in here.required_checks}
    for status in here.latest_checks:
        if status.verdict is None and not status.skipped:
            return status
        if not _gate(here, [required[status.name]]).passed:
            return None
    return None


def next_portion(here: Situation, status: api_run.CheckStatus, pod_uid: str) -> int | None:
    """Return the portion that a pod is to be asked next: one at a time for each pod."""
    check = next(check for check in here.required_checks if check.name == status.name)
    asked = {
        part.portion: part.finished
        for part in here.observed.parts
        if (part.check, part.attempt, part.pod_uid) == (status.name, status.attempt, pod_uid)
    }
    # A person may have deleted the Job of an earlier one: it is asked again after the one that runs.
    running = next((index for index in here.portions(check) if asked.get(index) is False), None)
    if running is not None:
        return running
    return next((index for index in here.portions(check) if index not in asked), None)


def asks_stable(here: Situation, name: str) -> bool:
    """Return whether a check asks live stable too, because nothing that fits was recorded."""
    check = next(check for check in here.required_checks if check.name == name)
    return any(
        references.asks_stable(here.observed, here.run, check, index) for index in here.portions(check)
    )


def checks_done(here: Situation) -> bool:
    """Return whether every check has passed, or has spoken and is only reported.

    A first release, or the first of a vector space, may skip what needs a reference, never everything:
    something must have been measured.
    """
    required = here.required_checks
    measured = any(status.verdict is not None for status in here.latest_checks)
    return _gate(here, required).passed and (measured or not required or here.observing)


def _gate(here: Situation, required: Sequence[api_checks.Check]) -> core_verdict.GateResult:
    return core_verdict.gate(
        required,
        here.latest_checks,
        waived=here.waived,
        observing=here.observing,
        incomparable=here.run.spec.mode is api_run.Mode.FIRST or here.crosses_space,
    )


def outputs_stored(here: Situation) -> bool:
    """Return whether the references of the next release are durable, where a check records them."""
    return here.observing or not _unstored(here)


def _unstored(here: Situation) -> frozenset[str]:
    """Return the checks whose outputs must be durable and are not, every shard of them.

    Those that are only reported, or waived, hold nothing up while another one records; where there is no
    other, what they have recorded is enough. A record of a measurement is waited for where it gates.
    """
    parity = [check for check in here.required_checks if check.embedding_parity is not None]
    gating = [check for check in parity if _gates(here, check)]
    told = {check.name: portions.told(here.run.spec.judging, check) for check in here.required_checks}
    measured = [
        check
        for check in here.required_checks
        if (check.kind in references.MEASURED or told[check.name]) and _gates(here, check)
    ]
    stored = {(known.check, known.portion) for known in here.status.recorded}
    whole = frozenset(
        check.name
        for check in (*parity, *measured)
        if all((check.name, index) in stored for index in told[check.name] or here.portions(check))
    )
    older = here.status.outputs is not None and not here.status.recorded
    if older:
        return frozenset()
    if not gating and any(check.name in whole for check in parity):
        parity = []
    return frozenset(check.name for check in (*(gating or parity), *measured)) - whole


def _gates(here: Situation, check: api_checks.Check) -> bool:
    return check.enforcement is api_checks.Enforcement.ENFORCE and check.name not in here.waived


# --- SLOs ---------------------------------------------------------------------------------------------------


def latest_slos(here: Situation) -> list[api_run.SloStatus]:
    """Return every objective's last judgement: this turn's, else the persisted one."""
    recorded = {slo.name: slo for slo in here.status.slos}
    fresh = {slo.name: chronicle.with_looks(recorded.get(slo.name), slo) for slo in here.observed.slos}
    checking = here.status.phase is api_run.Phase.CHECKING
    known = {slo.name: slo for slo in here.status.slos if checking or slo.reason != reasons.NOT_LIVE}
    return [
        found for slo in here.judged_slos if (found := fresh.get(slo.name, known.get(slo.name))) is not None
    ]


def slos_pass(here: Situation) -> bool:
    """Return whether every objective passes now. One that was not judged in this turn has not passed."""
    # Only of those that were judged in this turn: one that is not waited for must not have failed.
    fresh = list(here.observed.slos)
    excused = here.waived | infeasible.excused(here, fresh)
    return core_verdict.gate_slos(here.judged_slos, fresh, waived=excused, observing=here.observing).passed


def _silences(slo: api_run.SloStatus) -> bool:
    too_few = slo.verdict is Verdict.NO_DATA and slo.reason == reasons.TOO_FEW_REQUESTS
    return slo.verdict in {Verdict.ERROR, Verdict.NO_DATA} and not too_few


def silent(here: Situation) -> bool:
    """Return whether an objective can't be judged at all, so that the hold's clock must stand still."""
    if here.observing:
        return False
    return any(_silences(slo) for slo in latest_slos(here) if slo.name not in here.waived)


# --- Ends ---------------------------------------------------------------------------------------------------


def failure(here: Situation) -> observation.Problem | None:
    """Return the Fail that ends the run: a check's while Checking, an objective's under traffic."""
    phase = here.status.phase
    if phase is api_run.Phase.CHECKING:
        checks = here.latest_checks
        failed = _gate(here, here.required_checks).failed
        said = next((status.message for status in checks if status.name == failed), "")
        return observation.Problem(reasons.CHECK_FAILED, f"{failed} failed: {said}") if failed else None
    if phase in {api_run.Phase.SHIFTING, api_run.Phase.HOLDING}:
        slos = latest_slos(here)
        failed = core_verdict.gate_slos(here.judged_slos, slos, waived=here.waived).failed
        said = next((slo.message for slo in slos if slo.name == failed), "")
        return observation.Problem(reasons.SLO_FAILED, f"{failed} failed: {said}") if failed else None
    return None


def expired(here: Situation) -> Expired | None:
    """Return the deadline for evidence that has passed, when its policy is to roll back."""
    if here.observing:
        return None
    overdue = overdue_evidence(here)
    if overdue is None:
        return None
    on_error, on_inconclusive = here.judging.on_error, here.judging.on_inconclusive
    policy = on_error if overdue.reason in _ERROR_REASONS else on_inconclusive
    if overdue.reason == reasons.SLO_INFEASIBLE:
        policy = infeasible.end(here, latest_slos(here))
    if policy is api_spec.Policy.HOLD:
        return None
    return Expired(api_run.Outcome.ROLLED_BACK, overdue)


_ERROR_REASONS = frozenset(
    {reasons.ERROR_DEADLINE, reasons.CHECK_ERROR_DEADLINE, reasons.REFERENCE_NOT_RECORDED}
)


def overdue_evidence(here: Situation) -> observation.Problem | None:
    """Return the deadline for evidence that has passed, whatever its policy: people see it either way."""
    if here.status.phase is api_run.Phase.CHECKING:
        return _overdue_check(here)
    if here.status.phase is api_run.Phase.HOLDING:
        return _overdue_slo(here)
    return None


def _overdue_check(here: Situation) -> observation.Problem | None:
    seconds = here.strategy.deadlines.check_seconds
    gate = _gate(here, here.required_checks)
    last = next((s for s in here.latest_checks if s.name == gate.unresolved and _exhausted(here, s)), None)
    if last is not None:
        return observation.Problem(
            reasons.CHECK_DEADLINE,
            f"{last.name} could not decide in {attempts.LOOKS} attempts, "
            f"it said {last.verdict}: {last.message}",
        )
    if here.elapsed() < seconds or (gate.passed and outputs_stored(here)):
        return None
    if gate.passed:
        return observation.Problem(
            reasons.REFERENCE_NOT_RECORDED, f"The candidate's outputs could not be stored within {seconds} s."
        )
    unresolved = next((s for s in here.latest_checks if s.name == gate.unresolved), None)
    if unresolved is None:
        return observation.Problem(reasons.CHECK_DEADLINE, f"Not every check has spoken within {seconds} s.")
    reason = reasons.CHECK_ERROR_DEADLINE if unresolved.verdict is Verdict.ERROR else reasons.CHECK_DEADLINE
    return observation.Problem(
        reason,
        f"{unresolved.name} did not pass within {seconds} s, "
        f"it said {unresolved.verdict}: {unresolved.message}",
    )


def _overdue_slo(here: Situation) -> observation.Problem | None:
    deadlines = here.strategy.deadlines
    for slo in latest_slos(here):
        decided = slo.verdict in {Verdict.PASS, Verdict.FAIL}
        if decided or slo.name in here.waived or infeasible.infeasible(here, slo):
            continue
        if _silences(slo):
            since = here.status.silent_since or here.now
            waited = (here.now - since).total_seconds()
        else:
            waited = here.elapsed() - here.hold_seconds
        limit, reason = {
            Verdict.ERROR: (deadlines.error_seconds, reasons.ERROR_DEADLINE),
            Verdict.NO_DATA: (deadlines.no_data_seconds, reasons.NO_DATA_DEADLINE),
        }.get(slo.verdict, (deadlines.inconclusive_seconds, reasons.INCONCLUSIVE_DEADLINE))
        if waited >= limit:
            return observation.Problem(reason, f"{slo.name} is {slo.verdict} for {limit} s: {slo.message}")
    return infeasible.problem(here, latest_slos(here))
