"""From parts to verdicts: one check's results from several pods, several checks' verdicts for one run.

Evaluation is total: every combination has a verdict, and only a measured ``Pass`` is one.
"""

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Sequence

from modelrelease.api import checks as api_checks
from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.core import observation

PRECEDENCE = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.PASS)
"""The first one present wins; Inconclusive and NoData have the same weight, the order only makes it total."""


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the verdict that wins, or None of no verdicts: silence is not a Pass."""
    present = set(verdicts)
    return next((verdict for verdict in PRECEDENCE if verdict in present), None)


# --- One check ----------------------------------------------------------------------------------------------


def aggregate(
    status: api_run.CheckStatus,
    parts: Iterable[observation.CheckPart],
    tested: Collection[str],
    now: datetime.datetime,
    *,
    portions: int = 1,
) -> api_run.CheckStatus:
    """Return a check's status with what its parts say by now.

    Parameters
    ----------
    status
        The check's present attempt. One that has spoken stays as it is.
    parts
        What Jobs left; those of other checks, other attempts and pods that were replaced are void.
    tested
        UIDs of the candidate's pods that the check must measure, every one of them.
    now
        The completion time of a check that has just spoken.
    portions
        Into how many Jobs the measurement of each pod is split; every one of them must have spoken.
    """
    if status.verdict is not None or status.skipped or not tested:
        return status
    finished = [
        _trusted(status, part)
        for part in sorted(parts, key=lambda part: (part.pod_uid, part.portion))
        if part.check == status.name
        and part.attempt == status.attempt
        and part.pod_uid in tested
        and part.portion < portions
        and part.finished
    ]
    failed = any(part.verdict is Verdict.FAIL for part in finished)
    # A Fail outweighs whatever the missing parts will say; anything else waits for them.
    wanted = {(pod_uid, portion) for pod_uid in tested for portion in range(portions)}
    if not failed and {(part.pod_uid, part.portion) for part in finished} != wanted:
        return status
    return _spoken(status, finished, now)


def _trusted(status: api_run.CheckStatus, part: observation.CheckPart) -> observation.CheckPart:
    """Return the part, or an Error in place of one that proves nothing."""
    if status.nonce and part.nonce != status.nonce:
        return _error(part, reasons.CHECK_FOREIGN_RESULT, "The result is not the one of this Job.")
    if part.skipped:
        return dataclasses.replace(part, verdict=None)
    if part.verdict is None and part.disrupted:
        return _error(part, reasons.CHECK_DISRUPTED, "The check's pod was evicted before it had finished.")
    if part.verdict is None:
        return _error(
            part, part.reason or reasons.CHECK_NO_RESULT, part.message or "The check ended without a result."
        )
    return part


def _error(part: observation.CheckPart, reason: str, message: str) -> observation.CheckPart:
    return dataclasses.replace(
        part, verdict=Verdict.ERROR, skipped=False, reason=reason, message=message, gates=(), diagnosis=None
    )


def _spoken(
    status: api_run.CheckStatus, parts: Sequence[observation.CheckPart], now: datetime.datetime
) -> api_run.CheckStatus:
    verdict_, leading = _leading(parts)
    return status.model_copy(
        update={
            "verdict": verdict_,
            "skipped": verdict_ is None,
            "reason": reasons.shortened(leading.reason, 64),
            "message": reasons.shortened(leading.message, 512),
            "completion_time": now,
            "diagnosis": leading.diagnosis,
            "gates": list(leading.gates[:8]),
            "strata": sorted({stratum for part in parts for stratum in part.strata})[:16],
            "requests": sum(part.requests for part in parts),
            "evidence": next((p.evidence for p in (leading, *parts) if p.evidence), ""),
        }
    )


def _leading(
    parts: Sequence[observation.CheckPart],
) -> tuple[Verdict | None, observation.CheckPart]:
    """Return the verdict and the part that speaks for it; None when every part was skipped."""
    found = worst(part.verdict for part in parts if part.verdict is not None)
    if found is None:
        return None, parts[0]
    skipped = next((part for part in parts if part.skipped), None)
    if found is Verdict.PASS and skipped is not None:
        message = "Some pods were measured and others were not."
        return Verdict.ERROR, _error(skipped, reasons.CHECK_INCOMPLETE, message)
    return found, next(part for part in parts if part.verdict is found)


# --- All checks, all objectives -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a run may go on, and if not, because of whom."""

    passed: bool
    """Everything that gates has passed, or is excused."""
    pending: bool = False
    """Something that gates has not spoken yet."""
    failed: str | None = None
    """Name of the first check or objective that failed."""
    unresolved: str | None = None
    """Name of the first one that could not be judged, when none failed."""
    verdict: Verdict | None = None
    """The verdict that wins among those that gate."""


def gate(
    required: Sequence[api_checks.Check],
    statuses: Iterable[api_run.CheckStatus],
    *,
    waived: Collection[str] = (),
    observing: bool = False,
    incomparable: bool = False,
) -> GateResult:
    """Return whether the checks let the run go on.

    Parameters
    ----------
    required
        The checks of the run.
    statuses
        What they have said; a check without a status has not spoken.
    waived
        Names that a person let pass.
    observing
        Verdicts are recorded and do not act.
    incomparable
        The first release, and one in another vector space than stable's, have no reference: only then a check
        that was skipped may be passed over.
    """
    known = {status.name: status for status in statuses}
    verdicts: dict[str, Verdict | None] = {}
    for check in required:
        status = known.get(check.name)
        skipped = status is not None and status.skipped and status.verdict is None
        if skipped and incomparable:
            continue
        excused = check.enforcement is api_checks.Enforcement.OBSERVE or check.name in waived or observing
        spoken = status.verdict if status is not None else None
        if skipped:
            spoken = Verdict.ERROR
        # Who is excused still has to speak: what would have happened is recorded.
        verdicts[check.name] = Verdict.PASS if excused and spoken is not None else spoken
    return _result(verdicts)


def gate_slos(
    required: Sequence[api_spec.Slo],
    statuses: Iterable[api_run.SloStatus],
    *,
    waived: Collection[str] = (),
    observing: bool = False,
) -> GateResult:
    """Return whether the objectives let the run go on; one that was not judged has not passed."""
    known = {status.name: status.verdict for status in statuses}
    return _result(
        {
            slo.name: Verdict.PASS if observing or slo.name in waived else known.get(slo.name)
            for slo in required
        }
    )


def _result(verdicts: dict[str, Verdict | None]) -> GateResult:
    spoken = [found for found in verdicts.values() if found is not None]
    winner = worst(spoken)
    first = next((name for name, found in verdicts.items() if found is winner and winner is not None), None)
    pending = len(spoken) < len(verdicts)
    return GateResult(
        passed=not pending and winner in {None, Verdict.PASS},
        pending=pending,
        failed=first if winner is Verdict.FAIL else None,
        unresolved=first if winner not in {None, Verdict.FAIL, Verdict.PASS} else None,
        verdict=winner,
    )
