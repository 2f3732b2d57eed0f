"""A server with the probe endpoint, released: the next one is held to what it told of itself."""

import json
import pathlib
from typing import Any

import pytest

from hack.demo import kube, stage
from tests.e2e.conftest import Releases
from tests.e2e.release import Release, config_map

SERVER = pathlib.Path(stage.ROOT) / "examples" / "probe-server" / "server.py"
SECRET = {"name": "probe", "key": "token"}
VARIABLE = "MODELRELEASE_PROBE_TOKEN"
CHECKS = [{"name": "contract", "contract": {}}, {"name": "parity", "embeddingParity": {}}]
SECONDS = 180
IMAGES = {"name": "image", "protocol": "OpenAIEmbeddings", "modality": "Image"}
TEXTS = {"name": "text", "protocol": "OpenAIEmbeddings", "modality": "Text"}


def secret(namespace: str) -> kube.Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET["name"], "namespace": namespace},
        "stringData": {SECRET["key"]: "a-token-of-tests"},
    }


@pytest.fixture
def release(on: stage.Stage, releases: Releases) -> Release:
    """A release of the sample server, not applied yet."""
    on.kube.apply(config_map(releases.namespace, "probe-server", {"server.py": SERVER.read_text()}))
    on.kube.apply(secret(releases.namespace))
    made = releases("sample", checks=CHECKS)
    made.pod["volumes"] = [{"name": "server", "configMap": {"name": "probe-server"}}]
    made.container.pop("command")
    made.container.update(
        image=on.images["probe"],
        volumeMounts=[{"name": "server", "mountPath": "/server"}],
        resources={"requests": {"cpu": "50m", "memory": "256Mi"}},
    )
    return made


def serve(
    release: Release, operation: dict[str, Any], pins: dict[str, Any] | None = None, **server: Any
) -> None:
    """Write a server into the manifest, with one setting of it changed, and what is stated of it."""
    release.container["env"] = [
        {"name": VARIABLE, "valueFrom": {"secretKeyRef": SECRET}},
        {"name": "PROBE_SERVER_CONFIG", "value": json.dumps(server)},
    ]
    contract: dict[str, Any] = {"dimensions": 64, "normalized": "Unit"}
    spec = release.manifest["spec"]
    spec["model"] = {"version": "1", "numericClass": "fp32"}
    spec["model"]["contract"] = contract | ({"preprocess": pins} if pins else {})
    spec["endpoint"] = {"operations": [operation], "probe": {"tokenSecret": SECRET}}


def test_channels_in_another_order_are_seen_before_a_vector_is_compared(release: Release) -> None:
    # Given a release that has told what it makes of images.
    serve(release, IMAGES)
    stable = release.promoted(release.commit_run())

    # When red and blue are exchanged.
    serve(release, IMAGES, channel_order="BGR")
    run = release.commit_run()
    status = release.wait_done(run, SECONDS)

    # Then the contract names the field and the cause, and stable serves as before.
    assert (status["outcome"], status["reason"]) == ("RolledBack", "CheckFailed"), status
    contract = release.check_of(run, "contract")
    assert contract["verdict"] == "Fail", contract
    assert contract["diagnosis"]["cause"] == "ChannelOrder", contract
    assert "changed: channelOrder RGB → BGR" in contract["message"]
    release.wait("stable to be alone again", 60, lambda: release.settled_on(stable))


def test_a_change_of_the_tokenizer_is_a_fault_until_it_is_stated(release: Release) -> None:
    # Given a release with a pinned tokenizer.
    serve(release, TEXTS, {"maxLength": 64})
    stable = release.promoted(release.commit_run())

    # When texts are cut earlier, then that is not as pinned.
    serve(release, TEXTS, {"maxLength": 64}, max_length=48)
    run = release.commit_run()
    release.wait_done(run, SECONDS)
    contract = release.check_of(run, "contract")
    assert contract["verdict"] == "Fail", contract
    assert "not as pinned: maxLength 64 → 48" in contract["message"]
    release.wait("stable to be alone again", 60, lambda: release.settled_on(stable))

    # When the new limit is stated, then the contract is kept, and parity alone judges what it does.
    serve(release, TEXTS, {"maxLength": 48}, max_length=48)
    run = release.commit_run()
    release.wait_done(run, SECONDS)
    contract = release.check_of(run, "contract")
    assert contract["verdict"] == "Pass", contract
    assert "changed as expected: maxLength 64 → 48" in contract["message"]
    assert release.check_of(run, "parity")["verdict"] == "Fail"


def test_a_secret_that_is_not_there_is_an_error_in_words(release: Release) -> None:
    serve(release, TEXTS)
    release.manifest["spec"]["endpoint"]["probe"]["tokenSecret"] = {"name": "no-such-secret", "key": "token"}
    run = release.commit_run()

    def said() -> dict[str, Any] | None:
        found = release.check_of(run, "contract")
        return found if found.get("verdict") else None

    contract = release.wait("the contract check to speak", SECONDS, said)
    assert (contract["verdict"], contract["reason"]) == ("Error", "ProbeTokenMissing"), contract
    assert VARIABLE in contract["message"]
