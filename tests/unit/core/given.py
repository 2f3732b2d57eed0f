"""Builders of observations: a release of two replicas with a stable revision, said in one line each."""

import dataclasses
import datetime
from collections.abc import Sequence

from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.core import observation

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
STABLE, CANDIDATE, OLDER = "r0000000001", "r0000000002", "r0000000003"
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64


def ago(seconds: float) -> datetime.datetime:
    return NOW - datetime.timedelta(seconds=seconds)


def judging(**changes: object) -> api_run.Judging:
    strategy = {
        "steps": [{"weight": 33, "holdSeconds": 60}],
        "bakeSeconds": 30,
        "drainSeconds": 10,
        "canary": {"startupDeadlineSeconds": 100, "capacityDeadlineSeconds": 1000},
    } | dict(changes.pop("strategy", {}))  # type: ignore[call-overload]
    return api_run.Judging.model_validate(
        {
            "model": {"version": "2"},
            "endpoint": {"protocol": "OpenAIEmbeddings"},
            "strategy": strategy,
            "checks": [{"name": "parity", "embeddingParity": {}}],
            "checkTemplate": {},
            "slos": [{"name": "latency", "objective": "95", "latency": {"thresholdMilliseconds": 100}}],
            "enforcement": "Enforce",
            "onInconclusive": "RollBack",
            "onError": "Hold",
        }
        | changes
    )


def pod(revision: str, index: int = 0, **changes: object) -> observation.Pod:
    made = observation.Pod(
        name=f"{revision}-{index}",
        uid=f"uid-{revision}-{index}",
        revision=revision,
        ready=True,
        ip="10.0.0.1",
        port=8000,
        scheduled_time=ago(50),
        ready_time=ago(40),
        containers=(observation.Container("server", ready=True, image_id=f"sha256:{revision}"),),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def revision(
    name: str, ready: int = 0, *, promoted: float | None = None, desired: int | None = None, **changes: object
) -> observation.Revision:
    made = observation.Revision(
        name=name,
        embedding_space="space",
        created_time=ago(10_000),
        promoted_time=None if promoted is None else ago(promoted),
        deployment=observation.Deployment(desired=ready if desired is None else desired),
        pods=tuple(pod(name, index) for index in range(ready)),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def run(
    phase: str, *, mode: str = "Full", step: int = 0, elapsed: float | None = 0, **status: object
) -> observation.Run:
    clock = None if elapsed is None else api_run.Clock(start_time=ago(elapsed))
    tested = [
        api_run.CheckedPod(name=f"{CANDIDATE}-0", uid=f"uid-{CANDIDATE}-0", image_ids=[f"sha256:{CANDIDATE}"])
    ]
    checked = tested if mode == "Full" and phase in {"Checking", "Shifting", "Holding"} else []
    made = api_run.RunStatus(phase=api_run.Phase(phase), step=step, clock=clock, checked_pods=checked)
    return observation.Run(
        name=f"minilm-{CANDIDATE}-1",
        spec=api_run.RunSpec(
            release_name="minilm",
            release_uid="uid",
            revision=CANDIDATE,
            stable=None if mode == "First" else STABLE,
            attempt=1,
            mode=api_run.Mode(mode),
            judging_digest=DIGEST,
            judging=judging(**status.pop("judging", {})),  # type: ignore[arg-type]
        ),
        status=made.model_copy(update=status),
    )


def pinned(name: str) -> observation.Traffic:
    return observation.Traffic(observation.Selects.PINNED, name)


WIDENED = observation.Traffic(observation.Selects.WIDENED)
NOTHING = observation.Traffic(observation.Selects.NOTHING)


def slo(verdict: Verdict, reason: str = "") -> api_run.SloStatus:
    return api_run.SloStatus(
        name="latency", verdict=verdict, reason=reason, message="said so", observed_time=NOW
    )


def part(verdict: Verdict, **changes: object) -> observation.CheckPart:
    made = observation.CheckPart(
        check="parity",
        attempt=1,
        pod_uid=f"uid-{CANDIDATE}-0",
        finished=True,
        verdict=verdict,
        message="said so",
        outputs=api_run.Reference(config_map="outputs", digest=DIGEST),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def observed(
    runs: Sequence[observation.Run] = (),
    *,
    stable: int = 2,
    candidate: int = 0,
    traffic: observation.Traffic | None = None,
    override: dict[str, object] | None = None,
    desired: str | None = CANDIDATE,
    digest: str = DIGEST,
    revisions: Sequence[observation.Revision] = (),
    first: bool = False,
    **changes: object,
) -> observation.Observation:
    known = {} if first else {STABLE: revision(STABLE, stable, promoted=5_000)}
    known[CANDIDATE] = revision(CANDIDATE, candidate)
    known |= {given.name: given for given in revisions}
    release = observation.Release(
        name="minilm",
        uid="uid",
        generation=1,
        replicas=2,
        max_surge=1,
        max_unavailable=0,
        override=api_spec.Override.model_validate(override or {}),
        desired=None if desired is None else observation.Desired(desired, digest, judging(), stored=True),
    )
    seen = observation.Observation(
        release=release,
        revisions=known,
        traffic=traffic or (NOTHING if first else pinned(STABLE)),
        runs=tuple(runs),
    )
    return dataclasses.replace(seen, **changes)  # type: ignore[arg-type]
