"""What can't be acted on says so and what to change; users and other releases notice nothing."""

import pathlib

import pytest

from hack.demo import kube
from tests.e2e.conftest import Releases
from tests.e2e.operator_pod import OperatorPod, image_running
from tests.e2e.release import RUN_SECONDS, service

LIAR = pathlib.Path(__file__).with_name("lying_check.py")
LIES = ("rubbish", "nothing", "too-much", "old-nonce", "killed")


def test_what_cannot_be_acted_on_stalls_with_a_reason_and_nobody_else_notices(releases: Releases) -> None:
    # Given stable releases, and a neighbour.
    config, refused, exposed, unknown = (
        releases(name) for name in ("no-config-map", "refused-template", "exposed", "unknown-source")
    )
    neighbour = releases("neighbour")
    stable = releases.all_stable()

    # When each is edited in a way that can't be acted on.
    absent = {"configMapKeyRef": {"name": "absent", "key": "any"}}
    config.container["env"].append({"name": "PROMPT", "valueFrom": absent})
    refused.container["volumeMounts"].append({"name": "nowhere", "mountPath": "/nowhere"})
    exposed.kube.apply(service(exposed.namespace, "legacy", {"app": "exposed"}))
    exposed.serve("second")
    unknown.serve("second")
    slo = {"name": "availability", "objective": "99", "source": "nowhere", "availability": {}}
    unknown.commit(slos=[slo])
    for release in (config, refused, exposed):
        release.commit()

    # Then each says why, in a condition and an Event.
    for release, reason, names in (
        (config, "ConfigMapNotFound", "absent"),
        (refused, "InvalidTemplate", "nowhere"),
        (exposed, "CanaryExposed", "legacy"),
        (unknown, "UnknownPrometheusSource", "nowhere"),
    ):
        message = release.wait_reason("Stalled", reason, 60)
        assert names in message
        assert release.wait("its Event", 10, lambda r=release, e=reason: r.events(e)) == [message]
        assert release.condition("Ready")["reason"] == "ServingStable"
        assert release.answers() == "first"
        assert {pod["metadata"]["labels"]["modelrelease.dev/revision"] for pod in release.all_pods()} == {
            stable[release.name]
        }

    # And the neighbour is released meanwhile.
    neighbour.serve("second")
    assert neighbour.promoted(neighbour.commit_run()) != stable["neighbour"]

    # When each is mended, it goes on by itself.
    config.container["env"].pop()
    config.serve("second")
    refused.container["volumeMounts"].pop()
    refused.serve("second")
    runs = {config: config.commit_run(), refused: refused.commit_run(), unknown: unknown.commit_run(slos=[])}
    exposed.kube.delete(f"/api/v1/namespaces/{exposed.namespace}/services/legacy")
    runs[exposed] = next(name for name in exposed.runs() if exposed.revision_of(name) != stable["exposed"])
    for release, run in runs.items():
        release.promoted(run)
        assert release.answers() == "second"


def test_pods_that_are_refused_stall_until_somebody_acts(releases: Releases) -> None:
    # Given stable releases.
    accountless, root = releases("accountless"), releases("root")
    stable = releases.all_stable()

    # When the next pods of one need what does not exist, and a node refuses those of the other.
    accountless.pod["serviceAccountName"] = "absent"
    root.container["securityContext"] = {"runAsUser": 0, "runAsNonRoot": True}
    for release in (accountless, root):
        release.serve("second")
        release.commit()

    # Then each says what to change, and serves on.
    for release, reason, names in (
        (accountless, "ObjectNotFound", "ServiceAccount absent"),
        (root, "PodRejected", "non-root policy"),
    ):
        assert names in release.wait_reason("Stalled", reason, 60)
        assert release.answers() == "first"
        assert release.stable() == stable[release.name]

    # When the account is made, and the manifest corrected, each is released.
    before = set(accountless.runs())
    accountless.kubectl("-n", accountless.namespace, "create", "serviceaccount", "absent")
    del root.container["securityContext"]
    for release, run in ((root, root.commit_run()), (accountless, accountless.new_run(before))):
        release.promoted(run)
        assert release.answers() == "second"


def test_a_template_without_a_port_named_model_is_refused_at_the_door(releases: Releases) -> None:
    release = releases("embedder")
    release.release_first()

    release.container["ports"] = [{"name": "http", "containerPort": 8000}]
    with pytest.raises(kube.Unreachable, match=r"ports: \[\{name: model, containerPort: 8000\}\]"):
        release.commit()

    assert release.answers() == "first"
    assert not release.condition("Stalled")


@pytest.mark.alone
def test_a_check_that_cannot_be_believed_is_an_error_and_never_a_pass(
    releases: Releases, operator: OperatorPod
) -> None:
    # Given a stable release for each lie, released by honest checks.
    liars = [releases(lie) for lie in LIES]
    little = {"maxRequestsPerSecond": 1000, "resources": {"limits": {"memory": "192Mi"}}}
    liars[LIES.index("killed")].manifest["spec"]["checkTemplate"] = little
    stable = releases.all_stable()

    with operator.checking_with(image_running(releases.on.images["checks"], LIAR)):
        # When the check of the next revision says what can't be believed.
        runs = {}
        for release in liars:
            release.serve("second")
            runs[release.name] = release.commit_run()

        said = {}
        # Then it has measured nothing, and the run is held: neither promoted nor blamed.
        for release in liars:
            run = runs[release.name]
            check = release.wait(
                "a verdict", RUN_SECONDS, lambda r=release, n=run: _spoken(r.check_of(n, "contract"))
            )
            assert (check["verdict"], check["reason"]) == ("Error", "CheckNoResult"), release.name
            said[release.name] = check["message"]
            status = release.status_of(run)
            assert (status["phase"], status.get("outcome")) == ("Checking", None)
            assert not status.get("failed")
            assert release.answers() == "first"
            assert release.stable() == stable[release.name]
        assert "not JSON" in said["rubbish"]
        assert "no result" in said["nothing"]
        assert "more than" in said["too-much"]
        assert "nonce of another attempt" in said["old-nonce"]
        assert "killed for its memory" in said["killed"]

    # When checks are honest again, the next attempt promotes.
    for release in liars:
        release.promoted(runs[release.name])
        assert release.check_of(runs[release.name], "contract")["attempt"] > 1
        assert release.answers() == "second"


def _spoken(check: kube.Object) -> kube.Object | None:
    return check if check.get("verdict") else None
