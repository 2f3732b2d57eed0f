"""Asks the installation's Prometheus servers what an SLO of a run says."""

import datetime
import functools
from collections.abc import Callable, Iterable, Sequence

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.controller import comparing, expecting, judging, looking_back
from modelrelease.core import observation
from modelrelease.prometheus import clients, series, slis, sources, targets
from modelrelease.slo import arms, burn, state
from modelrelease.slo import observation as slo_observation


class PrometheusJudge:
    """A :class:`~modelrelease.controller.judging.Judge` over the installation's sources.

    Parameters
    ----------
    known
        The sources.
    monotonic
        A clock in seconds that never runs backwards.
    """

    def __init__(self, known: sources.Sources, monotonic: Callable[[], float]) -> None:
        self._clients = clients.Clients(
            known, monotonic, purpose="prometheus", threads=lambda source: source.concurrency
        )

    def close(self) -> None:
        """Wait for no query."""
        self._clients.close()

    def unknown_source(self, slos: Iterable[api_spec.Slo]) -> observation.Problem | None:
        """Return why an SLO can't be judged in this installation, or None."""
        for slo in slos:
            try:
                self._clients.named(slo.source)
            except sources.UnknownSourceError as error:
                said = reasons.sentence(f"SLO {slo.name}: {error}")
                return observation.Problem(reasons.UNKNOWN_PROMETHEUS_SOURCE, said)
        return None

    async def __call__(
        self, subject: judging.Subject, slo: api_spec.Slo, now: datetime.datetime
    ) -> api_run.SloStatus:
        """Ask about one SLO."""
        problem = self.unknown_source([slo])
        if problem is not None:
            return api_run.SloStatus(
                name=slo.name,
                verdict=verdict.Verdict.ERROR,
                reason=problem.reason,
                message=problem.message,
                observed_time=now,
            )
        objective = series.objective_of(slo)
        observe = functools.partial(
            slis.observe,
            self._clients.named(slo.source),
            series.of(slo, subject.endpoint),
            _path(subject, slo),
            objective,
            namespace=subject.namespace,
        )

        async def of(pods: Sequence[targets.JudgedPod], since: float, until: float) -> comparing.Observed:
            return await observe(pods=pods, live_since=since, now=until, present=now.timestamp())

        if subject.phase is api_run.Phase.CHECKING:
            return await expecting.before_traffic(objective, of, subject, now)
        known = subject.known.get(slo.name)
        step, until = subject.since.timestamp(), now.timestamp()
        begun = known.through if known is not None else (subject.live_since or subject.since).timestamp()
        seen = await observe(
            pods=subject.pods, live_since=min(step, begun), now=until, idle_times=subject.idle_times
        )
        beside: arms.Baseline | slo_observation.SliFailure = arms.Baseline()
        if isinstance(seen, slo_observation.SliObservation):
            if known is None:
                known = state.begin(begun, seen.interval)
            beside = await comparing.baseline(
                of,
                subject.baseline,
                known,
                since=min(step, begun),
                now=until,
                record=subject.phase is api_run.Phase.HOLDING,
            )
            if isinstance(beside, arms.Baseline):
                # What a new operator has to catch up with is folded once, but for the looks that are told.
                told = looking_back.LOOKS_MAX * known.slice_seconds
                known = state.advance(known, seen, beside, objective.budget, until - told)
        judged = burn.judge(
            objective,
            seen,
            until,
            step,
            baseline=beside,
            known=known,
            judged_together=len(subject.slos),
        )
        return api_run.SloStatus(
            name=slo.name,
            verdict=judged.verdict,
            reason=judged.reason,
            message=judged.message,
            requests=judged.total,
            bad=judged.bad,
            observed_time=now,
            state=judged.state,
            looks=looking_back.looks(objective, known, seen, beside, judged.state, until=until),
            feasibility=expecting.feasibility_of(objective, judged, beside, subject, until),
        )


def _path(subject: judging.Subject, slo: api_spec.Slo) -> str:
    """Return the path under which the runtime counts the requests of an SLO's operation."""
    operations = subject.endpoint.all_operations()
    operation = next((op for op in operations if op.name == slo.operation), operations[0])
    return operation.path or operation.usual_path(subject.served_name)
