"""Short constructors of what the core observes, for the tests of this folder."""

import datetime
from typing import Any

from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as api_endpoint
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation

T0 = datetime.datetime(2026, 11, 2, 8, 0, tzinfo=datetime.UTC)
STABLE, CANDIDATE, OLDER = "r1111111111", "r2222222222", "r0000000000"
DIGEST, OTHER_DIGEST = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def at(seconds: float) -> datetime.datetime:
    return T0 + datetime.timedelta(seconds=seconds)


def pod(name: str = "p1", revision: str = CANDIDATE, *, ready: bool = True, **fields: Any) -> observation.Pod:
    fields.setdefault("scheduled_time", T0)
    fields.setdefault("uid", f"uid-{name}")
    if ready:
        fields.setdefault("ready_time", T0)
    return observation.Pod(name=name, revision=revision, ready=ready, **fields)


def revision(
    name: str,
    pods: int | tuple[observation.Pod, ...] = 0,
    desired: int | None = None,
    **fields: Any,
) -> observation.Revision:
    """Return a revision with so many Ready pods, or with these."""
    if isinstance(pods, int):
        pods = tuple(pod(f"{name}-{n}", name) for n in range(pods))
    fields.setdefault("deployment", observation.Deployment(len(pods) if desired is None else desired))
    fields.setdefault("model_version", f"v-{name[:3]}")
    return observation.Revision(name, pods=pods, **fields)


def judging(**fields: Any) -> api_run.Judging:
    values: dict[str, Any] = {
        "model": api_spec.Model(version="2"),
        "endpoint": api_endpoint.Endpoint(),
        "strategy": api_spec.Strategy(steps=[api_spec.Step(weight=25)]),
        "checks": [
            api_checks.Check(name="contract", contract=api_checks.ContractCheck()),
            api_checks.Check(name="parity", embedding_parity=api_checks.EmbeddingParity()),
        ],
        "check_template": api_checks.CheckTemplate(),
        "slos": [],
        "enforcement": api_checks.Enforcement.ENFORCE,
        "on_inconclusive": api_spec.Policy.ROLL_BACK,
        "on_error": api_spec.Policy.HOLD,
    }
    return api_run.Judging(**{**values, **fields})


def run(
    candidate: str = CANDIDATE,
    attempt: int = 1,
    *,
    digest: str = DIGEST,
    mode: api_run.Mode = api_run.Mode.FULL,
    judged_by: api_run.Judging | None = None,
    **status: Any,
) -> observation.Run:
    return observation.Run(
        name=f"embedder-{candidate}-{attempt}",
        spec=api_run.RunSpec(
            release_name="embedder",
            release_uid="uid",
            revision=candidate,
            stable=STABLE if candidate != STABLE else None,
            attempt=attempt,
            mode=mode,
            judging_digest=digest,
            judging=judged_by or judging(),
        ),
        status=api_run.RunStatus(**status),
    )


def ended(
    candidate: str = CANDIDATE,
    attempt: int = 1,
    *,
    outcome: api_run.Outcome = api_run.Outcome.ROLLED_BACK,
    done: float = 0,
    **fields: Any,
) -> observation.Run:
    return run(
        candidate,
        attempt,
        phase=api_run.Phase.DONE,
        outcome=outcome,
        completion_time=at(done),
        **fields,
    )


def release(desired: str | None = CANDIDATE, **fields: Any) -> observation.Release:
    values: dict[str, Any] = {
        "name": "embedder",
        "uid": "uid",
        "generation": 3,
        "replicas": 4,
        "max_surge": 1,
        "max_unavailable": 0,
        "override": api_spec.Override(),
        "desired": observation.Desired(desired, DIGEST, judging(), stored=True) if desired else None,
    }
    return observation.Release(**{**values, **fields})


def pinned(to: str = STABLE) -> observation.Traffic:
    return observation.Traffic(observation.Selects.PINNED, to)


WIDENED = observation.Traffic(observation.Selects.WIDENED)


def observed(
    *revisions: observation.Revision,
    runs: tuple[observation.Run, ...] = (),
    traffic: observation.Traffic | None = None,
    desired: str | None = CANDIDATE,
    **fields: Any,
) -> observation.Observation:
    fields.setdefault("release", release(desired))
    return observation.Observation(
        revisions={revision.name: revision for revision in revisions},
        traffic=traffic or pinned(),
        runs=runs,
        **fields,
    )
