"""A canary that never becomes Ready: each time for its own reason, and users notice nothing."""

import pytest

from hack.demo import kube, stage
from tests.e2e.conftest import Releases
from tests.e2e.release import RUN_SECONDS

GPU = "nvidia.com/mig-1g.10gb"
"""No other test takes slices of this kind, so that others can run beside the one that takes all of them."""


def test_a_canary_that_never_becomes_ready_is_returned_for_its_own_reason(releases: Releases) -> None:
    no_retry = {"retryPolicy": {"limit": 0}, "canary": {"startupDeadlineSeconds": 10}}
    crashing = releases("crashing", strategy=no_retry | {"canary": {"startupDeadlineSeconds": 300}})
    missing = releases("missing", strategy=no_retry)
    loading = releases("loading", strategy=no_retry)
    cases = {"CrashLoop": crashing, "ImageNotFound": missing, "StartupDeadline": loading}
    stable = releases.all_stable()

    crashing.serve("second", CRASH="3")
    missing.container["image"] = missing.container["image"].partition("@")[0] + ":never-pushed"
    loading.serve("second", GATED="ready")
    runs = {reason: release.commit_run() for reason, release in cases.items()}

    for reason, release in cases.items():
        status = release.wait_done(runs[reason], RUN_SECONDS)
        assert (status["outcome"], status["reason"]) == ("RolledBack", reason)
        assert not status.get("failed"), "what never ran is no Fail to be remembered"
        assert not status.get("liveTime"), "no user could reach it"
        message = release.wait_reason("Stalled", reason)
        assert "spec.override.retry" in message
        assert release.events(reason)
        release.wait("stable to be alone again", 60, lambda r=release: r.settled_on(stable[r.name]))
        assert release.answers() == "first"
    assert "exit code 3" in crashing.condition("Stalled")["message"]
    assert "never-pushed" in missing.condition("Stalled")["message"]


def test_a_canary_without_a_gpu_waits_and_makes_room_for_stable(
    releases: Releases, gpus: list[kube.Object]
) -> None:
    # Given: stable has two of the node's four, somebody else the others.
    release = releases("embedder", replicas=2, strategy={"approval": "BeforeFull"})
    release.container["resources"]["limits"] = {GPU: 1}
    stable = release.release_first()

    # When a new revision comes, it waits, and it is nobody's fault.
    release.serve("second")
    run = release.commit_run()
    candidate = release.revision_of(run)
    message = release.wait_reason("Reconciling", "WaitingForCapacity")
    assert GPU in message
    assert release.status_of(run)["phase"] == "Starting"
    assert release.ready(stable) == 2

    # Given a GPU, it is checked.
    release.kube.delete(kube.path_of(gpus[0]))
    release.wait_reason("Paused", "AwaitingApproval")
    assert release.ready(candidate) == 1

    # When stable needs that GPU, the canary yields it.
    release.commit(replicas=3)
    release.wait("stable to have its third pod", 150, lambda: release.ready(stable) == 3)
    assert release.ready(candidate) == 0
    assert release.status_of(run)["phase"] == "Starting"
    assert "outcome" not in release.status_of(run)

    # When there is room again, the same run goes on.
    release.kube.delete(kube.path_of(gpus[1]))
    release.wait_reason("Paused", "AwaitingApproval")
    release.override(approvals=[{"revision": candidate, "stage": "BeforeFull", "reason": "it waited enough"}])
    assert release.promoted(run) == candidate
    assert release.answers() == "second"


@pytest.fixture
def gpus(on: stage.Stage, releases: Releases) -> list[kube.Object]:
    """Two pods of somebody else, each with a GPU."""
    pods = [_holder(releases.namespace, f"holder-{number}", on.images["checks"]) for number in (1, 2)]
    for pod in pods:
        on.kube.apply(pod)
    for pod in pods:
        on.wait("the holder to run", 60, lambda p=pod: _phase(on, p) == "Running")
    return pods


def _holder(namespace: str, name: str, image: str) -> kube.Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "holder",
                    "image": image,
                    "command": ["python", "-c", "import signal; signal.pause()"],
                    "resources": {"limits": {GPU: 1}},
                }
            ],
        },
    }


def _phase(on: stage.Stage, pod: kube.Object) -> str:
    found = on.kube.get(kube.path_of(pod)) or {}
    return str(found.get("status", {}).get("phase", ""))
