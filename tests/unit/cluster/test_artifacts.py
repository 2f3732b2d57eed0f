"""The model's files in a pod: what is rendered, and what is read back from the real verifier's words."""

import pathlib
from typing import Any

import pytest

from canary_checks import artifact as verifier
from modelrelease.api import artifact as artifacts
from modelrelease.cluster import artifacts as cluster_artifacts
from modelrelease.cluster import facts

DIGEST = "sha256:" + "a" * 64
COMMIT = "b" * 40
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "bge"}},
    "spec": {
        "containers": [
            {
                "name": "server",
                "image": "i:1",
                "args": ["--model", "$(MODEL_DIR)"],
                "env": [{"name": "CACHE", "value": "$(MODEL_DIR)/cache"}],
                "ports": [{"name": "model", "containerPort": 8000}],
            },
            {"name": "side", "image": "i:2", "volumeMounts": [{"name": "tmp", "mountPath": "/scratch"}]},
        ],
        "initContainers": [{"name": "prepare", "image": "i:3"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}


def rendered(uri: str, files: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    artifact = artifacts.Artifact.model_validate({"uri": uri, **more})
    pod: dict[str, Any] = cluster_artifacts.rendered(TEMPLATE, artifact, files, "checks:1")["spec"]
    return pod


def test_a_claim_is_mounted_read_only_everywhere_and_verified_first():
    pod = rendered("pvc://models/bge/3", ("tokenizer.json", "config.json"), digest=DIGEST)
    first, prepare = pod["initContainers"]
    assert first["name"] == "modelrelease-artifact"
    assert first["image"] == "checks:1"
    assert first["command"][:5] == ["python", "-m", "canary_checks", "artifact", "verify"]
    assert first["command"][5:] == [
        *("--path", "/models", "--digest", DIGEST, "--files", "tokenizer.json,config.json")
    ]
    mount = {
        "name": "modelrelease-artifact",
        "mountPath": "/models",
        "readOnly": True,
        "subPath": "bge/3",
    }
    server, side = pod["containers"]
    assert first["volumeMounts"] == [mount]
    assert [c["volumeMounts"][-1] for c in (server, side, prepare)] == [mount] * 3
    assert pod["volumes"][-1] == {
        "name": "modelrelease-artifact",
        "persistentVolumeClaim": {"claimName": "models", "readOnly": True},
    }
    assert server["env"] == [
        {"name": "MODEL_DIR", "value": "/models"},
        {"name": "CACHE", "value": "$(MODEL_DIR)/cache"},
    ], "ours first: the user's may refer to it"
    assert "volumeMounts" not in TEMPLATE["spec"]["containers"][0], "the user's template is not changed"


def test_the_whole_claim_and_another_folder():
    pod = rendered("pvc://models", digest=DIGEST, mountPath="/mnt/models")
    assert pod["containers"][0]["volumeMounts"] == [
        {"name": "modelrelease-artifact", "mountPath": "/mnt/models", "readOnly": True}
    ]
    assert pod["containers"][0]["env"][0] == {"name": "MODEL_DIR", "value": "/mnt/models"}
    assert "--files" not in pod["initContainers"][0]["command"]


def test_an_image_is_a_volume_and_verified_only_against_a_digest_of_its_files():
    uri = f"image://registry.example.test/bge@{DIGEST}"
    pod = rendered(uri)
    assert [c["name"] for c in pod["initContainers"]] == ["prepare"]
    assert pod["volumes"][-1]["image"] == {
        "reference": f"registry.example.test/bge@{DIGEST}",
        "pullPolicy": "IfNotPresent",
    }
    assert rendered(uri, digest=DIGEST)["initContainers"][0]["name"] == "modelrelease-artifact"


def test_what_the_server_pulls_is_named_to_it():
    pod = rendered(f"hf://BAAI/bge-m3@{COMMIT}")
    assert pod["volumes"] == TEMPLATE["spec"]["volumes"]
    assert pod["containers"][1]["env"] == [
        {"name": "MODEL_NAME", "value": "BAAI/bge-m3"},
        {"name": "MODEL_REVISION", "value": COMMIT},
    ]
    assert rendered("hf://BAAI/bge-m3")["containers"][1]["env"] == [
        {"name": "MODEL_NAME", "value": "BAAI/bge-m3"}
    ]


def test_a_variable_of_the_users_is_theirs():
    template = {"spec": {"containers": [{"name": "m", "env": [{"name": "MODEL_DIR", "value": "/own"}]}]}}
    artifact = artifacts.Artifact(uri="pvc://models", digest=DIGEST)
    pod = cluster_artifacts.rendered(template, artifact, (), "checks:1")["spec"]
    assert pod["containers"][0]["env"] == [{"name": "MODEL_DIR", "value": "/own"}]


@pytest.mark.parametrize(
    ("pod", "server", "expected"),
    [
        ({}, {}, {"runAsNonRoot": True}),
        ({"runAsUser": 0}, {}, {"runAsNonRoot": False}),
        ({"runAsUser": 1000}, {}, {"runAsNonRoot": True}),
        ({}, {"runAsUser": 7, "runAsGroup": 8}, {"runAsUser": 7, "runAsGroup": 8, "runAsNonRoot": True}),
        ({"runAsUser": 7}, {"runAsUser": 0}, {"runAsUser": 0, "runAsNonRoot": False}),
    ],
)
def test_files_are_read_as_the_server_reads_them(
    pod: dict[str, Any], server: dict[str, Any], expected: dict[str, Any]
):
    container = {"name": "m", "ports": [{"name": "model"}], "securityContext": server}
    template = {"spec": {"securityContext": pod, "containers": [{"name": "side"}, container]}}
    artifact = artifacts.Artifact(uri="pvc://models", digest=DIGEST)
    found = cluster_artifacts.rendered(template, artifact, (), "c")["spec"]["initContainers"][0]
    context = found["securityContext"]
    assert {key: context[key] for key in context if key.startswith("runAs")} == expected
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


# --- What the verifier says ---------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    (folder / "weights.bin").write_bytes(b"w" * 100_000)
    monkeypatch.setenv(verifier.LOG_VARIABLE, str(tmp_path / "log"))
    return folder


def ended(model: pathlib.Path, digest: str, *files: str) -> dict[str, Any]:
    command = ["verify", "--path", str(model), "--digest", digest]
    command += ["--files", ",".join(files)] if files else []
    code = verifier.main(command)
    message = (model.parent / "log").read_text()
    return {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}}


def status(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "modelrelease-artifact", "state": state, "restartCount": 0, **more}


def test_a_match_is_read_with_its_files(model: pathlib.Path):
    digest = verifier.read(model).digest
    found = cluster_artifacts.report_of([status(ended(model, digest, "tokenizer.json"))])
    assert found is not None
    assert (found.matches, found.mismatches, found.digest) == (True, False, digest)
    assert found.files["tokenizer.json"] == "sha256:" + verifier.read(model).files["tokenizer.json"]


def test_a_mismatch_names_the_files(model: pathlib.Path):
    (model / "SHA256SUMS").write_bytes(verifier.manifest(verifier.read(model).files))
    digest = verifier.read(model).digest
    (model / "tokenizer.json").write_text('{"do_lower_case": false}')
    said = ended(model, digest)
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    for found in (
        cluster_artifacts.report_of([status(said)]),
        cluster_artifacts.report_of([status(waiting, lastState=said, restartCount=1)]),
    ):
        assert found is not None
        assert (found.matches, found.mismatches) == (False, True)
        assert "changed: tokenizer.json" in found.message


def test_files_that_can_not_be_read_are_no_mismatch(tmp_path: pathlib.Path, model: pathlib.Path):
    model.rename(tmp_path / "elsewhere")
    found = cluster_artifacts.report_of([status(ended(model, DIGEST))])
    assert found is not None
    assert (found.matches, found.mismatches) == (False, False)
    assert "cannot be read" in found.message


@pytest.mark.parametrize(
    "state",
    [
        {"terminated": {"exitCode": 0, "message": ""}},
        {"terminated": {"exitCode": 1, "message": "rubbish"}},
        {"terminated": {"exitCode": 1, "message": "[]"}},
        {"terminated": {"exitCode": 1, "message": '{"outcome": "Mismatch"}'}},
        {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    ],
)
def test_what_is_not_the_verifiers_proves_nothing(state: dict[str, Any]):
    found = cluster_artifacts.report_of([status(state)])
    assert found is not None
    assert (found.matches, found.mismatches, found.files) == (False, False, {})
    assert found.message


def test_a_pod_without_a_verifier_or_with_one_that_runs_has_read_nothing():
    pod = {"metadata": {"name": "p", "uid": "u"}, "status": {"initContainerStatuses": []}}
    assert facts.pod(pod).artifact is None
    pod["status"] = {"initContainerStatuses": [status({"running": {}})]}
    assert facts.pod(pod).artifact is None
    pod["status"] = {"initContainerStatuses": [status({"terminated": {"exitCode": 3, "message": ""}})]}
    assert facts.pod(pod).artifact is not None
