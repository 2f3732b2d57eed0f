"""Which revisions users reach now, in pods and in words."""

from modelrelease.api import reasons
from modelrelease.core import observation, target


def told(observed: observation.Observation) -> str:
    """Tell which revision users reach."""
    traffic, ready = observed.traffic, ready_pods(observed)
    if traffic.selects is observation.Selects.OFFERED:
        stable = observed.revisions.get(target.stable_of(observed) or "")
        there = sum(pod.ready for pod in stable.pods) if stable is not None else 0
        return reasons.adopting(observed.release.name, there, observed.release.replicas)
    if not ready:
        return "Nothing serves: no pod that users could reach is Ready."
    if traffic.selects is observation.Selects.PINNED:
        return reasons.serves(traffic.revision)
    return f"Revisions {' and '.join(sorted(ready))} serve."


def ready_pods(observed: observation.Observation) -> dict[str, int]:
    """Return the Ready pods that the traffic object selects, by revision; only revisions with some."""
    traffic = observed.traffic
    if traffic.selects is observation.Selects.PINNED:
        names = [traffic.revision] if traffic.revision in observed.revisions else []
    else:
        names = list(observed.revisions) if traffic.selects is observation.Selects.WIDENED else []
    counts = {name: sum(pod.ready for pod in observed.revisions[name].pods) for name in names}
    return {name: count for name, count in counts.items() if count}
