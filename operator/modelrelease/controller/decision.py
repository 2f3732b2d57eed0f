"""What a turn would write: pure, so that it can be decided on the caches first and again on a fresh look."""

import dataclasses
import datetime
from collections.abc import Mapping

from modelrelease.api import run as api_run
from modelrelease.cluster import act, api, observe
from modelrelease.controller import checking
from modelrelease.core import lifecycle, observation, planner, recovery, retention, target, traffic
from modelrelease.core import wanted as core_wanted


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """At most one transition; else what the persisted phase wants that is not so yet."""

    transition: api_run.RunStatus | None
    """The active run's next status."""
    next_run: target.NextRun | None
    """A run to create."""
    wanted: core_wanted.Wanted
    traffic_differs: bool
    deployments: tuple[str, ...]
    """Revisions whose Deployment is missing, or was edited by hand."""
    scales: Mapping[str, int]
    """New numbers of pods, by revision."""
    jobs: tuple[core_wanted.CheckJob, ...]
    """Checks that have no Job yet."""
    settled: tuple[api.Object, ...]
    """Jobs of checks that nobody needs any more."""
    doomed: retention.Doomed
    """Revisions and runs to forget."""
    returned: recovery.Settled | None = None
    """The verdict on a return, of a run that is over or about to be."""

    @property
    def writes(self) -> bool:
        """Whether something would be written that must be decided on a fresh look."""
        return (
            self.transition is not None
            or self.returned is not None
            or self.next_run is not None
            or self.traffic_differs
            or bool(self.wanted.marks or self.deployments or self.scales or self.jobs)
            or bool(self.settled or self.doomed.revisions or self.doomed.runs)
        )


def decide(look: observe.Look, observed: observation.Observation, now: datetime.datetime) -> Decision:
    """Decide what a turn writes.

    Parameters
    ----------
    look
        The objects behind the observation.
    observed
        The look's observation, with the newest judgement of its SLOs.
    now
        The API server's time.
    """
    fitting = traffic.wanted_of(observed, now)
    following = target.next_run(observed, now)
    return Decision(
        transition=lifecycle.transition(observed, now),
        next_run=following if isinstance(following, target.NextRun) else None,
        wanted=fitting,
        traffic_differs=not act.traffic_settled(look, fitting.traffic),
        deployments=_deployments(observed, fitting),
        scales=_scales(observed, fitting),
        jobs=checking.missing(look, observed, fitting.jobs),
        settled=checking.settled(look, observed),
        doomed=retention.doomed(observed, target.promotions(observed)),
        returned=recovery.settled(observed, now),
    )


def _deployments(observed: observation.Observation, fitting: core_wanted.Wanted) -> tuple[str, ...]:
    def lacks(revision: observation.Revision) -> bool:
        if revision.deployment is None:
            return fitting.targets.get(revision.name, 0) > 0
        return not revision.deployment.template_matches

    return tuple(sorted(name for name, revision in observed.revisions.items() if lacks(revision)))


def _scales(observed: observation.Observation, fitting: core_wanted.Wanted) -> dict[str, int]:
    release = observed.release
    state = planner.state_of(observed)
    ceiling = release.replicas + release.max_surge
    floor = max(0, release.replicas - release.max_unavailable)
    planned = planner.plan(state, fitting.targets, fitting.order, ceiling, floor)
    return {
        name: replicas
        for name, replicas in planned.items()
        if name in state and replicas != state[name].desired
    }
