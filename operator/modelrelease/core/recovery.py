"""Whether a return has cured what it was for: stable is judged once more by the objective that has failed.

Rolling back does not cure a drift of inputs, nor a broken dependency. This says so, and decides nothing: no
traffic, no run and no later turn waits for it.
"""

import dataclasses
import datetime
from typing import Final

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.core import observation, target
from modelrelease.core.situation import Situation

Phase = api_run.Phase
Verdict = api_run.RecoveryVerdict

WINDOW_SECONDS: Final = 600
"""What has not been seen by then stays undecided."""
SETTLE_SECONDS: Final = 60
"""So long stable is judged at least: it may still work off what piled up, and a drift may come in waves."""
PODS_MAX: Final = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Settled:
    """The verdict on a return."""

    run: observation.Run
    """Before it."""
    status: api_run.RunStatus
    recovery: api_run.Recovery


def begun(here: Situation) -> api_run.Recovery | None:
    """Return what a return that an objective has caused will be judged by; None for any other.

    Parameters
    ----------
    here
        All traffic is seen to be back.
    """
    status = here.status
    caused = status.failed and status.reason == reasons.SLO_FAILED and status.live_since is not None
    if not caused or here.stable is None or here.stable not in here.observed.revisions:
        return None
    serving = sorted(
        (pod.name not in status.baseline_pods, pod.name)
        for pod in here.observed.revisions[here.stable].pods
        if pod.ready and not pod.terminating
    )
    return api_run.Recovery(since=here.now, pods=[name for _, name in serving][:PODS_MAX])


def open_in(observed: observation.Observation) -> observation.Run | None:
    """Return the run whose return is still to be judged: only the newest, for a later one mixes traffic."""
    run = observed.runs[-1] if observed.runs else None
    if run is None or run.status.phase not in {Phase.RETURNING, Phase.DONE}:
        return None
    recovery = run.status.recovery
    return run if recovery is not None and recovery.verdict is None else None


def failed_objectives(run: observation.Run) -> tuple[str, ...]:
    """Return the names of the objectives that the candidate has failed."""
    return tuple(slo.name for slo in run.status.slos if slo.verdict is verdict.Verdict.FAIL)


def deadline(recovery: api_run.Recovery) -> datetime.datetime:
    """Return until when a verdict is waited for."""
    return recovery.since + datetime.timedelta(seconds=WINDOW_SECONDS)


def settled(observed: observation.Observation, now: datetime.datetime) -> Settled | None:
    """Return the verdict on the newest return, once there is one.

    Parameters
    ----------
    observed
        One consistent look at the release, with what was judged of stable.
    now
        The API server's time.
    """
    run = open_in(observed)
    if run is None or run.status.recovery is None:
        return None
    begun_, moment = run.status.recovery, max(now, run.status.updated_time or now)
    seconds = max(0, int((moment - begun_.since).total_seconds()))
    found = _verdict(observed, run, seconds)
    if found is None:
        return None
    said, message = found
    recovery = begun_.model_copy(
        update={"verdict": said, "seconds": seconds, "message": reasons.shortened(message, 512)}
    )
    return Settled(run, run.status.model_copy(update={"recovery": recovery}), recovery)


def _verdict(
    observed: observation.Observation, run: observation.Run, seconds: int
) -> tuple[api_run.RecoveryVerdict, str] | None:
    judged = {slo.name: slo for slo in observed.recovery}
    asked = failed_objectives(run)
    stable = target.stable_of(observed) or run.spec.stable or ""
    if seconds < SETTLE_SECONDS:
        return None
    failing = next((judged[name] for name in asked if _says(judged, name, verdict.Verdict.FAIL)), None)
    if failing is not None:
        return Verdict.NOT_FIXED_BY_RETURN, reasons.not_fixed(stable, failing.name, failing.message)
    if asked and all(_says(judged, name, verdict.Verdict.PASS) for name in asked):
        return Verdict.RECOVERED, reasons.recovered(stable, list(asked), seconds)
    if seconds < WINDOW_SECONDS:
        return None
    last = next((judged[name].message for name in asked if name in judged), "nothing was seen of it")
    return Verdict.UNDECIDED, reasons.recovery_undecided(stable, WINDOW_SECONDS, last)


def _says(judged: dict[str, api_run.SloStatus], name: str, said: verdict.Verdict) -> bool:
    return name in judged and judged[name].verdict is said
