"""How many pods each revision asks for: never more than the budget, never fewer serving than promised.

The algorithm shrinks first and grows into room that is *observed* to be free, so that it holds whatever the
ReplicaSets, the scheduler and the kubelets are doing meanwhile, and if the operator dies between two writes.
``tests/unit/core/test_planner_exhaustive.py`` tries every interleaving.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from modelrelease.core import observation


@dataclasses.dataclass(frozen=True, slots=True)
class RevisionPods:
    """The pods of one revision, counted from the list of pods, never from a Deployment's status."""

    desired: int = 0
    """``replicas`` of its Deployment."""
    alive: int = 0
    """Neither terminating nor finished."""
    terminating: int = 0
    """Still holding their GPUs."""
    ready: int = 0
    """Alive and Ready."""
    serving: bool = False
    """Whether the traffic object selects the revision now."""

    @property
    def sure(self) -> int:
        """Ready pods that survive the present ``desired``: a ReplicaSet deletes the others first."""
        return min(self.ready, self.desired)

    @property
    def held(self) -> int:
        """Most pods that exist, or that the ReplicaSet may create without asking again."""
        return max(self.desired, self.alive) + self.terminating


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """The pods of both revisions whose ratio is a step's weight."""

    stable: int
    candidate: int
    attained_weight: int
    """Percent of the pods that are the candidate's."""
    rounded: bool
    """The declared weight, a ceiling, can't be kept: this is the smallest attainable share."""


def state_of(observed: observation.Observation) -> dict[str, RevisionPods]:
    """Count the pods of every revision, of failed and retained ones too."""
    traffic = observed.traffic
    return {
        name: _count(
            revision,
            serving=traffic.selects is observation.Selects.WIDENED
            or (traffic.selects is observation.Selects.PINNED and traffic.revision == name),
        )
        for name, revision in observed.revisions.items()
    }


def _count(revision: observation.Revision, *, serving: bool) -> RevisionPods:
    present = [pod for pod in revision.pods if not pod.finished]
    alive = [pod for pod in present if not pod.terminating]
    return RevisionPods(
        desired=revision.deployment.desired if revision.deployment else 0,
        alive=len(alive),
        terminating=len(present) - len(alive),
        ready=sum(pod.ready for pod in alive),
        serving=serving,
    )


def plan(
    state: Mapping[str, RevisionPods],
    targets: Mapping[str, int],
    order: Sequence[str],
    ceiling: int,
    floor: int,
) -> dict[str, int]:
    """Return the new ``desired`` of every revision: one step towards the targets.

    Parameters
    ----------
    state
        What is observed, for every revision that has a Deployment or a pod.
    targets
        Pods wanted in the end; a revision without a target wants none.
    order
        Who keeps and gets pods first; revisions that are not named come last.
    ceiling
        Most pods over all revisions, terminating ones counted.
    floor
        Fewest pods that serve, where the traffic object already finds that many.
    """
    names = _ranked(order, [*targets, *state])
    revisions = {name: state.get(name, RevisionPods()) for name in names}
    new = _shrink(revisions, targets, names, floor)
    # Only what is seen to be gone is room: this turn's shrink may not have been written yet.
    room = ceiling - sum(pods.held for pods in revisions.values())
    for name in names:
        grow = max(0, min(targets.get(name, 0) - revisions[name].desired, room))
        new[name] += grow
        room -= grow
    return new


def _ranked(order: Sequence[str], others: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*order, *sorted(others)]))


def _shrink(
    revisions: Mapping[str, RevisionPods], targets: Mapping[str, int], names: Sequence[str], floor: int
) -> dict[str, int]:
    """Take pods away: those that are not Ready at once, those that serve only as the floor allows."""
    slack = max(0, sum(pods.sure for pods in revisions.values() if pods.serving) - floor)
    new = {}
    for name in reversed(names):
        pods = revisions[name]
        cut = max(0, pods.desired - targets.get(name, 0))
        if pods.serving:
            free = min(cut, pods.desired - pods.sure)
            paid = min(cut - free, slack)
            slack -= paid
            cut = free + paid
        new[name] = pods.desired - cut
    return new


def check_targets(replicas: int, ceiling: int, canary: int) -> tuple[int, int]:
    """Return the pods of stable and candidate while the canary is checked.

    Without surge the canary takes the place of stable pods, as ``maxUnavailable`` allows.
    """
    return max(0, min(replicas, ceiling - canary)), canary


def split(weight: int, replicas: int, ceiling: int, floor: int) -> Split:
    """Return the pods that come nearest to a weight without exceeding it, to the percent.

    Where no split keeps below the weight, the smallest attainable share is returned, and flagged. One replica
    without surge has no split at all: its smallest share is everything.
    """
    pairs = [
        Split(stable, candidate, attained, attained > weight)
        for stable in range(1, replicas + 1)
        for candidate in range(1, min(replicas, ceiling - stable) + 1)
        if stable + candidate >= floor
        for attained in [round(100 * candidate / (stable + candidate))]
    ]
    within = [pair for pair in pairs if not pair.rounded]
    if within:
        return max(within, key=lambda pair: (pair.attained_weight, pair.stable))
    return min(
        pairs, key=lambda pair: (pair.attained_weight, -pair.stable), default=Split(0, 1, 100, rounded=True)
    )
