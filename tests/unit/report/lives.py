"""What is left of short lives: the real operator, the real rule of SLOs, a real check; all of it seeded."""

import asyncio
import dataclasses
import datetime
import functools
import json
import random
from typing import Any
from unittest import mock

from canary_checks import result, runner
from canary_checks import vocabulary as v
from hack.faults import serving
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.controller import judging, looking_back
from modelrelease.prometheus import series
from modelrelease.slo import arms, burn, observation, state
from tests.simulation import oracle, people, plots, probes, script, virtual, world
from tests.unit.canary_checks import test_faults_short
from tests.unit.cli.mrel import recorded

KINDS = ("ModelRelease", "ModelReleaseRun", "ControllerRevision", "ConfigMap", "Event")
PER_POINT, SECONDS = 100, 5
"""Requests between two scrapes, and how far those are apart."""
BASE: dict[str, Any] = {"steps": [[25, 60], [50, 60]], "bake": 120, "replicas": 4}


class Counting:
    """Judges what is counted by the real rule; the simulation's Prometheus says only how bad it is."""

    def __init__(self, inner: oracle.Oracle, *, drift: bool) -> None:
        self._inner, self._drift = inner, drift

    def unknown_source(self, asked: Any) -> Any:
        return self._inner.unknown_source(asked)

    async def __call__(
        self, subject: judging.Subject, slo: api_spec.Slo, now: datetime.datetime
    ) -> api_run.SloStatus:
        said = await self._inner(subject, slo, now)
        if subject.phase is api_run.Phase.CHECKING or subject.live_since is None:
            return said
        bad = (said.verdict.value == "Fail") if not subject.recovering else self._drift
        objective, until = series.objective_of(slo), now.timestamp()
        known, step = subject.known.get(slo.name), subject.since.timestamp()
        seen = counted(f"{subject.run} {subject.recovering}", subject.live_since.timestamp(), until, bad=bad)
        stable = counted(f"{subject.run} stable", subject.live_since.timestamp(), until, bad=False)
        beside = arms.Baseline(stable) if subject.baseline else arms.Baseline()
        known = known or state.begin(subject.live_since.timestamp(), seen.interval)
        judged = burn.judge(
            objective,
            seen,
            until,
            step,
            baseline=beside,
            known=known,
            judged_together=len(subject.slos),
        )
        return said.model_copy(
            update={
                "verdict": judged.verdict,
                "reason": judged.reason,
                "message": judged.message,
                "requests": judged.total,
                "bad": judged.bad,
                "state": judged.state,
                "looks": looking_back.looks(objective, known, seen, beside, judged.state, until=until),
            }
        )


def counted(seed: str, since: float, until: float, *, bad: bool) -> observation.SliObservation:
    """Return what Prometheus would have counted; what was counted once stays so."""
    chance, points, total = random.Random(seed), [], observation.Events()
    for number in range(1, int((until - since) // SECONDS) + 1):
        ratio = 0.12 if bad and number > 2 else 0.002
        wrong = sum(chance.random() < ratio for _ in range(PER_POINT))
        total = total + observation.Events(PER_POINT, wrong, wrong)
        points.append(observation.Point(since + number * SECONDS, total))
    return observation.SliObservation(since, tuple(points), interval=float(SECONDS))


@functools.cache
def parity() -> result.CheckResult:
    """Return what the real check finds of a tokenizer that keeps capitals."""
    bench = test_faults_short.measuring.Bench({"builtin": "TextV1"}, v.Modality.TEXT)
    known = bench._known(test_faults_short.right)
    model = test_faults_short.Recorded("tokenizer: lower-casing off")
    with serving.serving(model.embed, "toy") as url:
        return asyncio.run(runner.run(bench._request(url, v.NumericClass.FP32), [known])).result


def _probed(original: Any, request: Any, now: datetime.datetime, verdict: str) -> dict[str, Any]:
    said = original(request, now, verdict)
    if verdict != "Fail":
        return dict(said)
    real = json.loads(result.dump(parity()))
    ours = ("schema", "check", "run", "attempt", "nonce", "podUID", "shard", "subject", "timings", "verdict")
    real.pop("evidence", None)
    return real | {key: said[key] for key in ours}


@dataclasses.dataclass(frozen=True)
class Left:
    """The cluster at the end of a life."""

    now: datetime.datetime
    objects: list[dict[str, Any]]

    @property
    def cluster(self) -> recorded.Recorded:
        return recorded.Recorded(json.loads(json.dumps(self.objects)))

    def run(self) -> dict[str, Any]:
        return [obj for obj in self.objects if obj["kind"] == "ModelReleaseRun"][-1]


LIVES: dict[str, tuple[script.Life, bool]] = {
    "promoted": (
        plots.life(
            (60.0, "commit", {"behaviour": "good", "number": 1}),
            (100.0, "approve", {"stage": "BeforeFull"}),
            seconds=600,
            approval="BeforeFull",
            **BASE,
        ),
        False,
    ),
    "parity": (plots.life((60.0, "commit", {"behaviour": "casing", "number": 1}), **BASE), False),
    "recovered": (plots.life((60.0, "commit", {"behaviour": "burn", "number": 1}), **BASE), False),
    "drift": (plots.life((60.0, "commit", {"behaviour": "burn", "number": 1}), **BASE), True),
    "rejected": (
        plots.life(
            (60.0, "commit", {"behaviour": "good", "number": 1}),
            (140.0, "reject", {"who": "candidate"}),
            **BASE,
        ),
        False,
    ),
}


@functools.cache
def left(name: str) -> Left:
    """Live a life and return what is left of it."""
    life, drift = LIVES[name]
    if name == "parity":
        parity()

    async def main() -> Left:
        lived_in = world.World(life)
        lived_in.oracle = Counting(lived_in.oracle, drift=drift)  # type: ignore[assignment]
        lived = await lived_in.live()
        assert not lived.problem, lived.problem
        objects = [
            obj | {"kind": kind} for kind in KINDS for obj in lived_in.server.select(kind, people.NAMESPACE)
        ]
        return Left(lived_in.server.now(), json.loads(json.dumps(objects)))

    with (
        mock.patch.object(probes, "_result", functools.partial(_probed, probes._result)),
        mock.patch.object(world, "CALM_SECONDS", 700.0),
        mock.patch.object(world, "IDLE_SECONDS", 1.0),
    ):
        return virtual.run(main())
