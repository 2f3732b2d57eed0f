"""One run in its surroundings: what the guards of the life ask about, each question answered once."""

import dataclasses
import datetime
import functools
import math

from modelrelease.api import checks as api_checks
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation, planner, pods, portions, revision, target, verdict


@dataclasses.dataclass(frozen=True)
class Situation:
    """The active run, what is observed around it, and a ``now`` that never runs backwards."""

    observed: observation.Observation
    run: observation.Run
    now: datetime.datetime

    @classmethod
    def of(cls, observed: observation.Observation, now: datetime.datetime) -> "Situation | None":
        """Return the situation of the active run, or None when no run is under way."""
        run = target.active_run(observed)
        if run is None:
            return None
        persisted = run.status.updated_time
        return cls(observed, run, now if persisted is None else max(now, persisted))

    @property
    def status(self) -> api_run.RunStatus:
        return self.run.status

    @functools.cached_property
    def judging(self) -> api_run.Judging:
        """What the run is judged by: its snapshot, with the live fields of the present spec."""
        desired = self.observed.release.desired
        snapshot = self.run.spec.judging
        return snapshot if desired is None else revision.with_live_fields(snapshot, desired.judging)

    @property
    def strategy(self) -> api_spec.Strategy:
        return self.judging.strategy

    @property
    def candidate(self) -> str:
        return self.run.spec.revision

    @functools.cached_property
    def stable(self) -> str | None:
        """The revision to return to. A run's own candidate is never it."""
        stable = target.stable_of(self.observed)
        return stable if stable != self.candidate else self.run.spec.stable

    @functools.cached_property
    def candidate_pods(self) -> pods.Standing:
        return self._standing(self.candidate)

    @functools.cached_property
    def stable_pods(self) -> pods.Standing:
        return self._standing(self.stable)

    @functools.cached_property
    def drift(self) -> observation.Problem | None:
        """How a pod of the candidate is not what was checked."""
        known = self.observed.revisions.get(self.candidate)
        return pods.drift(self.status.checked_pods, known.pods if known is not None else ())

    @property
    def warm_pods(self) -> tuple[observation.Pod, ...]:
        """The candidate's pods that are Ready, and have been for as long as they need to warm up."""
        found = self.observed.revisions.get(self.candidate, observation.Revision(self.candidate))
        return pods.warm(found, self.strategy.canary.warmup_seconds, self.now)

    def _standing(self, name: str | None) -> pods.Standing:
        known = self.observed.revisions.get(name or "", observation.Revision(name or ""))
        return pods.classify(known, self.now)

    @property
    def replicas(self) -> int:
        return self.observed.release.replicas

    @property
    def ceiling(self) -> int:
        """Most pods that may be asked for, over all revisions."""
        return self.replicas + self.observed.release.max_surge

    @property
    def floor(self) -> int:
        """Fewest pods that must serve."""
        return max(0, self.replicas - self.observed.release.max_unavailable)

    @property
    def canary_replicas(self) -> int:
        """K: the canary's pods, never more than the release serves with or the budget leaves room for."""
        wanted = min(self.strategy.canary.replicas, max(1, self.replicas))
        if self.stable is None:
            return wanted
        room = self.observed.release.max_surge + self.observed.release.max_unavailable
        return min(wanted, room)

    @functools.cached_property
    def last_step(self) -> int:
        return target.step_count(self.run)

    @property
    def final(self) -> bool:
        """Whether the step is the shift to 100 % or its bake."""
        return self.status.step >= self.last_step

    @functools.cached_property
    def split(self) -> planner.Split:
        """The pods of a step before the last."""
        weight = self.strategy.steps[self.status.step - 1].weight
        return planner.split(weight, self.replicas, self.ceiling, self.floor)

    @property
    def retain_seconds(self) -> int:
        """How long the pods of a failed candidate stay: as declared, or longer when a person asks for it."""
        asked = self.observed.release.override.debug
        seconds = asked.seconds if asked is not None and asked.revision == self.candidate else 0
        return max(seconds, self.strategy.canary.retain_failed_seconds)

    @property
    def hold_seconds(self) -> int:
        """How long the step is watched once it is effective."""
        if not self.final:
            return self.strategy.steps[self.status.step - 1].hold_seconds
        return 0 if self.run.spec.mode is api_run.Mode.RELOAD else self.strategy.bake_seconds

    @functools.cached_property
    def observing(self) -> bool:
        return target.observing(self.observed, self.run)

    @functools.cached_property
    def waived(self) -> frozenset[str]:
        return target.waived(self.observed, self.candidate)

    @property
    def paused(self) -> bool:
        """Whether a person holds the run. A return is never held, and a Reload is one."""
        held = self.observed.release.override.paused is not None
        return held and self.run.spec.mode is not api_run.Mode.RELOAD

    @property
    def required_checks(self) -> tuple[api_checks.Check, ...]:
        """The checks of this run: a return to a promoted revision needs none."""
        if self.run.spec.mode in {api_run.Mode.FAST, api_run.Mode.RELOAD}:
            return ()
        return tuple(self.judging.checks)

    @functools.cached_property
    def latest_checks(self) -> tuple[api_run.CheckStatus, ...]:
        """Every check's status, in the order of the manifest, with what its parts have said by now."""
        known = {status.name: status for status in self.status.checks}
        result = []
        for check in self.required_checks:
            status, tested = known.get(check.name, api_run.CheckStatus(name=check.name)), self.tested(check)
            if status.verdict is None and tested:
                status = verdict.aggregate(
                    status, self.observed.parts, tested, self.now, portions=len(self.portions(check))
                )
            result.append(status)
        return tuple(result)

    def tested(self, check: api_checks.Check) -> frozenset[str]:
        """Return the UIDs of the candidate's pods that a check is about."""
        return portions.asked_pods(check, [pod.uid for pod in self.status.checked_pods])

    def portions(self, check: api_checks.Check) -> range:
        """Return the numbers of the portions that a check is split into."""
        return range(len(portions.portions(self.judging, check)))

    @property
    def judged_slos(self) -> tuple[api_spec.Slo, ...]:
        """The objectives of this run: a Reload has none."""
        if self.run.spec.mode in {api_run.Mode.RELOAD, api_run.Mode.FIRST}:
            return ()
        return tuple(self.judging.slos)

    @property
    def crosses_space(self) -> bool:
        """Whether stable and candidate answer in different vector spaces: never split, never swapped."""
        spaces = [
            self.observed.revisions[name].embedding_space
            for name in (self.stable, self.candidate)
            if name is not None and name in self.observed.revisions
        ]
        return len(set(spaces)) > 1

    def approved(self, stage: api_spec.Approval) -> bool:
        """Return whether the gate at this stage is open. A Reload waits for nobody: it is a return."""
        free = target.forced(self.observed, self.candidate) or self.run.spec.mode is api_run.Mode.RELOAD
        if self.strategy.approval is not stage or free:
            return True
        return any(
            entry.revision == self.candidate and entry.stage == stage.value
            for entry in self.observed.release.override.approvals
        )

    @property
    def approved_infeasible(self) -> bool:
        """Whether a person lets the candidate go on without objectives that can't pass."""
        return any(
            entry.revision == self.candidate and entry.stage is api_spec.Stage.INFEASIBLE
            for entry in self.observed.release.override.approvals
        )

    def pinned_to(self, revision: str | None) -> bool:
        """Return whether the traffic object, as observed, selects this revision alone."""
        traffic = self.observed.traffic
        return traffic.selects is observation.Selects.PINNED and traffic.revision == revision

    @property
    def widened(self) -> bool:
        return self.observed.traffic.selects is observation.Selects.WIDENED

    def elapsed(self) -> float:
        """Return the seconds of the phase's clock that count."""
        clock = self.status.clock
        if clock is None:
            return 0.0
        stopped = float(clock.stopped_seconds)
        if clock.stopped_since is not None:
            stopped += (self.now - clock.stopped_since).total_seconds()
        return max(0.0, (self.now - clock.start_time).total_seconds() - stopped)

    def stopped(self, *, stop: bool) -> api_run.Clock | None:
        """Return the clock stopped or started again; None when it already is, or when there is none."""
        clock = self.status.clock
        if clock is None or stop is (clock.stopped_since is not None):
            return None
        if stop:
            return clock.model_copy(update={"stopped_since": self.now})
        assert clock.stopped_since is not None
        # Rounded up: a hold may last a second longer, never a second less.
        pause = math.ceil((self.now - clock.stopped_since).total_seconds())
        return clock.model_copy(
            update={"stopped_since": None, "stopped_seconds": clock.stopped_seconds + pause}
        )
