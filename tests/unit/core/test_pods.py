"""Who is to blame, what is waited for, and what was tested."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import reasons
from modelrelease.core import observation, pods
from tests.unit.core import build

Container = observation.Container
NOW = build.at(1000)


def standing(*found: observation.Pod, desired: int | None = None, **deployment: object) -> pods.Standing:
    wanted = observation.Deployment(len(found) if desired is None else desired, **deployment)  # type: ignore[arg-type]
    return pods.classify(build.revision(build.CANDIDATE, found, deployment=wanted), NOW)


def loading(container: Container, **fields: object) -> observation.Pod:
    return build.pod(ready=False, containers=(container,), **fields)


def unplaced(said: str) -> observation.Pod:
    return build.pod(
        ready=False, scheduled_time=None, unschedulable_since=build.T0, unschedulable_message=said
    )


def waits(reason: str, message: str = "") -> Container:
    return Container("server", waiting_reason=reason, waiting_message=message)


NO_BLAME = [
    ({"desired": 1, "replica_failure": "exceeded quota: gpus"}, (), "QuotaExceeded"),
    ({"desired": 1, "replica_failure": "Internal error: failed calling webhook"}, (), "CanaryStarting"),
    ({}, (build.pod(ready=False, scheduled_time=None, scheduling_gated=True),), "SchedulingGated"),
    (
        {},
        (
            build.pod(
                ready=False,
                scheduled_time=None,
                unschedulable_since=build.T0,
                unschedulable_message="0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
            ),
        ),
        "WaitingForCapacity",
    ),
    (
        {},
        (
            build.pod(
                ready=False,
                scheduled_time=None,
                unschedulable_since=build.T0,
                unschedulable_message="0/3 nodes are available: 3 node(s) had untolerated taint {a: b}.",
            ),
        ),
        "Unschedulable",
    ),
    ({}, (build.pod(ready=False, disrupted=True),), "Disrupted"),
    ({"desired": 1}, (build.pod(ready=True, disrupted=True, terminating=True),), "Disrupted"),
    ({}, (loading(waits("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout")),), "ImageUnavailable"),
    ({}, (loading(waits("ImagePullBackOff", 'Back-off pulling image "x"')),), "ImageUnavailable"),
    (
        {},
        (loading(waits("ErrImagePull", "lookup registry.example: no such host: not found")),),
        "ImageUnavailable",
    ),
    (
        {},
        (
            loading(
                waits(
                    "ErrImagePull",
                    "pull access denied, repository does not exist or may require authorization",
                )
            ),
        ),
        "ImageUnavailable",
    ),
    ({"desired": 2}, (build.pod(),), "CanaryStarting"),
    ({}, (build.pod(ready=False, scheduled_time=None),), "CanaryStarting"),
]


@pytest.mark.parametrize(("deployment", "found", "reason"), NO_BLAME)
def test_what_blames_nobody(deployment: dict[str, object], found: tuple[observation.Pod, ...], reason: str):
    result = standing(*found, **deployment)  # type: ignore[arg-type]
    assert result.blame is None
    assert result.waiting is not None
    assert result.waiting.reason == reason
    assert result.message == result.waiting.message
    assert result.message.endswith((".", "…"))


BLAME = [
    (Container("server", restarts=3, exit_code=1), "CrashLoop"),
    (Container("server", restarts=5, exit_code=137, termination_reason="Error"), "CrashLoop"),
    (Container("server", exit_code=137, termination_reason="OOMKilled"), "OutOfMemory"),
    (waits("ErrImagePull", 'failed to resolve "x:1": x:1: not found'), "ImageNotFound"),
    (waits("ImagePullBackOff", "manifest unknown"), "ImageNotFound"),
    (waits("InvalidImageName", "couldn't parse"), "ImageNotFound"),
]


@pytest.mark.parametrize(("container", "reason"), BLAME)
def test_what_the_revision_did_itself(container: Container, reason: str):
    blame = standing(loading(container)).blame
    assert blame is not None
    assert blame.reason == reason
    assert "server" in blame.message


def test_a_process_that_can_not_be_started_says_why():
    said = 'exec: "serve": executable file not found in $PATH: unknown'
    container = Container(
        "server", restarts=3, exit_code=128, termination_reason="StartError", start_error=said
    )
    blame = standing(loading(container)).blame
    assert blame is not None
    assert blame.message == f"Container server crashed 3 times, at last with exit code 128: {said}."


@pytest.mark.parametrize(
    "container",
    [
        Container("server"),
        Container("server", restarts=2, exit_code=1),
        Container("server", restarts=9, exit_code=0, termination_reason="Completed"),
        Container("server", restarts=9, exit_code=255, termination_reason="Unknown"),
        waits("CrashLoopBackOff", "not found"),
        waits("ContainerCreating"),
    ],
)
def test_what_is_no_crash_loop(container: Container):
    assert standing(loading(container)).blame is None


@pytest.mark.parametrize("gone", [{"disrupted": True}, {"terminating": True}, {"finished": True}])
def test_a_pod_that_goes_blames_nobody(gone: dict[str, bool]):
    assert standing(loading(Container("server", restarts=9, exit_code=1), **gone)).blame is None


def test_a_capacity_reason_never_hides_a_crash():
    waiting = build.pod("p1", ready=False, scheduled_time=None, unschedulable_since=build.T0)
    crashed = build.pod("p2", ready=False, containers=(Container("server", restarts=3, exit_code=1),))
    result = standing(waiting, crashed)
    assert result.blame is not None
    assert result.waiting is not None
    assert result.message == result.blame.message


def test_counts():
    result = standing(
        build.pod("a"),
        build.pod("b", ready=False, scheduled_time=build.at(5)),
        build.pod("c", ready=False, scheduled_time=None),
        build.pod("d", terminating=True, ready=False),
        build.pod("e", finished=True, ready=False),
        desired=3,
    )
    counted = (result.desired, result.alive, result.terminating, result.scheduled, result.ready)
    assert counted == (3, 3, 1, 2, 1)
    assert result.scheduled_time == build.at(5)
    assert result.present


@pytest.mark.parametrize(
    ("found", "desired", "present"),
    [
        ((), 0, False),
        ((), 1, True),
        ((build.pod(terminating=True),), 0, True),
        ((build.pod(finished=True, ready=False),), 0, False),
        ((build.pod(),), 0, True),
    ],
)
def test_present_is_what_may_still_hold_a_place(
    found: tuple[observation.Pod, ...], desired: int, *, present: bool
):
    assert standing(*found, desired=desired).present is present


def test_late_is_the_pod_that_is_late_longest():
    late = build.pod("a", ready=False, scheduled_time=build.at(10))
    later = build.pod("b", ready=False, scheduled_time=build.at(90))
    assert standing(late, later, build.pod("c", scheduled_time=build.T0)).unready_since == build.at(10)


def test_a_pod_that_lost_readiness_is_late_since_then():
    flapping = build.pod(ready=False, scheduled_time=build.T0, unready_time=build.at(500))
    assert standing(flapping).unready_since == build.at(500)


def test_an_evicted_pod_is_not_late():
    assert standing(build.pod(ready=False, disrupted=True)).unready_since is None


def test_a_ready_revision_has_nothing_to_say():
    result = standing(build.pod("a"), build.pod("b"))
    assert (result.blame, result.waiting, result.message) == (None, None, "")


def test_a_loading_pod_says_what_its_container_waits_for():
    result = standing(loading(waits("CreateContainerError", "context deadline exceeded")))
    assert result.waiting is None
    assert result.message == (
        "0 of 1 pod Ready: container server waits: CreateContainerError context deadline exceeded."
    )


DENIED = "pull access denied, repository does not exist or may require authorization"
ABSENT = 'pods "x" is forbidden: error looking up service account shop/gpu: serviceaccount "gpu" not found'
LOST = 'persistentvolumeclaim "models" not found'
REFUSED = [
    ({"desired": 1, "replica_failure": ABSENT}, (), "ObjectNotFound", "ServiceAccount gpu"),
    (
        {},
        (unplaced(LOST),),
        "ObjectNotFound",
        "PersistentVolumeClaim models",
    ),
    (
        {},
        (loading(waits("CreateContainerConfigError", 'secret "token" not found')),),
        "SecretNotFound",
        "container server",
    ),
    (
        {},
        (loading(waits("ErrImagePull", DENIED), pull_secrets=("harbor",)),),
        "ImageUnavailable",
        "imagePullSecrets names (harbor)",
    ),
]


@pytest.mark.parametrize(("deployment", "found", "reason", "said"), REFUSED)
def test_what_no_waiting_cures(
    deployment: dict[str, object], found: tuple[observation.Pod, ...], reason: str, said: str
):
    result = standing(*found, **deployment)  # type: ignore[arg-type]
    assert result.blame is None
    assert result.refused is not None
    assert result.waiting == result.refused, "it is not late to start"
    assert result.refused.reason == reason
    assert said in result.refused.message
    assert result.message == result.refused.message


def test_who_has_all_its_pods_is_refused_nothing():
    result = standing(build.pod(), desired=1, replica_failure=ABSENT)
    assert (result.refused, result.waiting) == (None, None)


def test_a_refusal_is_told_before_a_lack_of_capacity():
    result = standing(unplaced("3 Insufficient nvidia.com/gpu"), desired=2, replica_failure=ABSENT)
    assert result.refused is not None
    assert result.message == result.refused.message


def test_of_nodes_that_do_not_fit_it_is_said_what_to_compare():
    result = standing(
        unplaced("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")
    )
    assert result.refused is None, "an autoscaler may bring a node that fits"
    assert "selector. Compare nodeSelector, affinity and tolerations with" in result.message


@given(st.integers(0, 4), st.integers(0, 200))
def test_yield_after_a_minute(unschedulable: int, waited: int):
    since = build.at(1000 - waited)
    found = [
        build.pod(f"p{n}", ready=False, scheduled_time=None, unschedulable_since=since)
        for n in range(unschedulable)
    ]
    needed = pods.yield_needed(standing(*found), NOW)
    assert needed is (unschedulable > 0 and waited >= 60)


@pytest.mark.parametrize(("waited", "needed"), [(59, False), (60, True)])
def test_yield_at_the_minute(waited: int, *, needed: bool):
    stuck = standing(build.pod(ready=False, scheduled_time=None, unschedulable_since=build.at(1000 - waited)))
    assert pods.yield_needed(stuck, NOW) is needed


def test_who_has_all_its_pods_waits_for_nothing():
    leaving = build.pod("b", ready=False, disrupted=True, terminating=True)
    assert standing(build.pod("a"), leaving, desired=1).waiting is None


def test_it_still_yields_once_the_canary_is_gone():
    stuck = standing(build.pod(ready=False, scheduled_time=None, unschedulable_since=build.T0))
    assert pods.yield_needed(stuck, NOW)


def test_warm_pods():
    revision = build.revision(
        build.CANDIDATE,
        (
            build.pod("b", ready_time=build.at(900)),
            build.pod("a", ready_time=build.at(910)),
            build.pod("c", ready_time=build.at(911)),
            build.pod("d", ready=False),
            build.pod("e", terminating=True),
        ),
    )
    assert [pod.name for pod in pods.warm(revision, 90, NOW)] == ["a", "b"]
    assert [pod.name for pod in pods.warm(revision, 0, NOW)] == ["a", "b", "c"]


# --- Drift --------------------------------------------------------------------------------------------------


def product(
    name: str, image: str = "i@sha256:1", accelerator: str = "H100", **fields: object
) -> observation.Pod:
    return build.pod(
        name, containers=(Container("server", image_id=image),), accelerator=accelerator, **fields
    )


TESTED = [pods.checked(product("tested"))]


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (product("same"), None),
        (product("loading", image="", ready=False), None),
        (product("pending", image="", accelerator="", ready=False, scheduled_time=None), None),
        (product("gone", image="i@sha256:2", terminating=True), None),
        (product("evicted", image="i@sha256:2", finished=True, ready=False), None),
        (product("other", image="i@sha256:2"), reasons.IMAGE_DRIFT),
        (product("elsewhere", accelerator="A100"), reasons.HARDWARE_UNTESTED),
        (product("unknown", accelerator=""), reasons.HARDWARE_UNTESTED),
        (product("both", image="i@sha256:2", accelerator="A100"), reasons.IMAGE_DRIFT),
    ],
)
def test_drift(pod: observation.Pod, reason: str | None):
    found = pods.drift(TESTED, [product("tested"), pod])
    assert (found.reason if found is not None else None) == reason
    assert found is None or pod.name in found.message


def test_without_tested_pods_nothing_drifts():
    assert pods.drift([], [product("other", image="i@sha256:2")]) is None


def test_what_is_recorded_of_a_tested_pod():
    pod = build.pod("p", containers=tuple(Container(c, image_id=f"i@{c}") for c in "bab"), accelerator="H100")
    recorded = pods.checked(pod)
    assert recorded.image_ids == ["i@a", "i@b"]
    assert (recorded.name, recorded.uid, recorded.accelerator) == ("p", "uid-p", "H100")
