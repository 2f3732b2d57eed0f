"""With whom a candidate under traffic is compared, and when what that says is recorded."""

from collections.abc import Iterable
from typing import Final

from modelrelease.api import run as api_run
from modelrelease.core import observation
from modelrelease.core.situation import Situation

RECORD_SECONDS: Final = 60
"""The evidence of an objective is recorded so often; what is newer is counted again after a restart."""
PODS_MAX: Final = 64

_UNDER_TRAFFIC: Final = frozenset({api_run.Phase.SHIFTING, api_run.Phase.HOLDING})


def baseline_pods(here: Situation) -> list[str]:
    """Return the names of the designated stable pods: as many as the candidate serves with.

    Those that were designated stay, as long as they exist; the oldest others follow. Nobody is designated
    while stable takes no traffic, as in the bake.
    """
    if here.status.phase not in _UNDER_TRAFFIC or here.stable is None or here.pinned_to(here.candidate):
        return []
    if not here.widened:
        return list(here.status.baseline_pods)
    serving = sum(pod.ready and not pod.terminating for pod in here.observed.revisions[here.candidate].pods)
    stable = here.observed.revisions.get(here.stable, observation.Revision(here.stable))
    present = [pod for pod in stable.pods if not pod.terminating and not pod.finished]
    names = {pod.name for pod in present}
    kept = [name for name in here.status.baseline_pods if name in names]
    others = sorted(
        (pod.scheduled_time or here.now, pod.name) for pod in present if pod.ready and pod.name not in kept
    )
    # A pod of the candidate that is not Ready for a moment changes nothing: arms may differ, and are weighed.
    return [*kept, *(name for _, name in others)][: min(max(serving, len(kept)), PODS_MAX)]


def record_due(fresh: Iterable[api_run.SloStatus], known: Iterable[api_run.SloStatus]) -> bool:
    """Return whether an objective has evidence that must be written down now."""
    before = {slo.name: slo.state for slo in known}
    for slo in fresh:
        recorded = before.get(slo.name)
        if slo.state is None:
            continue
        if recorded is None or slo.state.through - recorded.through >= RECORD_SECONDS:
            return True
        if slo.state.recorded is not None and recorded.recorded is None:
            return True
    return False
