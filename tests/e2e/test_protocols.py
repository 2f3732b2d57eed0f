"""Model servers that somebody else wrote: Infinity with two towers, MLServer with the open protocol."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hack.demo import kube, stage
from tests.e2e.conftest import Releases
from tests.e2e.release import Release

CLIP, BILINEAR = "6-clip.yaml", "7-clip-bilinear.yaml"
OPENAI = {"protocol": "OpenAIEmbeddings", "model": "clip"}
FAST = "--max-requests-per-second=100"
"""By default stable is asked gently: here nobody else does."""
CHECK_SECONDS = 120

Results = dict[str, dict[str, Any]]


# --- Asked from the host, as a team does on a laptop ------------------------------------------------------


def test_a_server_with_two_towers_is_checked_by_texts_and_by_images(
    on: stage.Stage, releases: Releases, tmp_path: pathlib.Path
) -> None:
    spec = on.sample(CLIP)["spec"]["template"]["spec"]
    operations = [
        {"name": "text", "modality": "Text", **OPENAI},
        {"name": "image", "modality": "Image", "encoding": "Base64", **OPENAI},
    ]

    with _served(on, releases.namespace, "clip", spec, 7997) as url:
        found = _check(tmp_path, url, operations, "--dimensions=128", "--unit")
        # Where the same vectors are asked for in the other encoding, then nothing moves.
        image = [{**operations[1], "encoding": "Float"}]
        again = _check(tmp_path, url, image, "--stable", url, FAST, checks=("parity",))

    assert {name: result["verdict"] for name, result in found.items()} == {
        "contract": "Pass",
        "repeatability": "Pass",
    }
    assert _operations(found["contract"]) == {"text", "image"}
    assert found["contract"]["goldenSet"]["name"] == "ImageV1"
    assert again["parity"]["verdict"] == "Pass", again["parity"]["message"]


def test_a_server_of_the_open_inference_protocol_is_checked_by_texts_and_by_images(
    on: stage.Stage, releases: Releases, tmp_path: pathlib.Path
) -> None:
    def operation(model: str, **fields: Any) -> dict[str, Any]:
        modality = "Image" if model == "image" else "Text"
        return {
            "name": model,
            "protocol": "OpenInferenceV2",
            "model": model,
            "modality": modality,
            **fields,
        }

    with _served(on, releases.namespace, "mlserver", _mlserver(on), 8080) as url:
        towers = [operation("text"), operation("image")]
        full = _check(tmp_path, url, towers, "--dimensions=64", "--unit")
        half = _check(
            tmp_path,
            url,
            [operation("text-fp16", datatype="FP16")],
            "--dimensions=64",
            "--unit",
            "--numeric-class=fp16",
            golden_set="builtin:TextV1",
        )
        # The server knows no binary tensors: that is an error in words, never vectors of something else.
        binary = _check(tmp_path, url, [operation("text", binary=True)], checks=("contract",))

    for results in (full, half):
        for name, result in results.items():
            assert result["verdict"] == "Pass", (name, result["message"])
    assert _operations(full["contract"]) == {"text", "image"}
    assert binary["contract"]["verdict"] == "Error"
    assert binary["contract"]["message"]


def _operations(result: Mapping[str, Any]) -> set[str]:
    return {gate["operation"] for gate in result["gates"]}


def _check(
    folder: pathlib.Path,
    url: str,
    operations: list[dict[str, Any]],
    *options: str,
    checks: tuple[str, ...] = ("contract", "repeatability"),
    golden_set: str = "builtin:ImageV1",
) -> Results:
    """Run the command line against a server, and return its results by the name of the check."""
    file = folder / "operations.json"
    file.write_text(json.dumps(operations))
    asked = [*("check", *checks, "--candidate", url, "--operations", str(file), "--output", "json")]
    done = subprocess.run(
        [sys.executable, "-m", "canary_checks", *asked, "--golden-set", golden_set, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=stage.PATIENCE * CHECK_SECONDS,
        cwd=stage.ROOT,
    )
    assert done.stdout, done.stderr
    return {result["check"]["name"]: result for result in json.loads(done.stdout)}


@contextlib.contextmanager
def _served(on: stage.Stage, namespace: str, name: str, spec: Mapping[str, Any], port: int) -> Iterator[str]:
    """Run a pod, and give the URL on this machine at which it is reached."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": dict(spec),
    }
    on.kube.apply(pod)
    on.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=280s")
    command = [on.kubectl_program, "--kubeconfig", str(on.kube.kubeconfig), "-n", namespace]
    forward = subprocess.Popen(
        [*command, "port-forward", f"pod/{name}", f":{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert forward.stdout is not None
        said = forward.stdout.readline()
        local = re.search(r"127\.0\.0\.1:([0-9]+)", said)
        assert local, said
        yield f"http://127.0.0.1:{local[1]}"
    finally:
        forward.terminate()
        forward.wait(10)
        on.kube.delete(kube.path_of(pod))


def _mlserver(on: stage.Stage) -> dict[str, Any]:
    """A pod like that of the sample, with the other server in it."""
    spec: dict[str, Any] = on.sample(CLIP)["spec"]["template"]["spec"]
    (server,) = spec["containers"]
    server |= {"image": on.images["mlserver"], "ports": [{"name": "model", "containerPort": 8080}]}
    for probe in ("startupProbe", "readinessProbe"):
        server[probe]["httpGet"]["path"] = "/v2/health/ready"
    return spec


# --- Released by the operator --------------------------------------------------------------------------


def test_another_resize_filter_is_named_and_returned_before_any_user_meets_it(
    on: stage.Stage, releases: Releases
) -> None:
    # Given a model of two towers, released with the default checks.
    release = releases("clip")
    _take(release, CLIP)
    run = release.commit_run()
    stable = release.promoted(run)
    said = {check["name"]: check.get("verdict") for check in release.status_of(run)["checks"]}
    assert said["contract"] == said["repeatability"] == "Pass", said

    # When its images are resized with another filter, by one number in a file of the model.
    _take(release, BILINEAR)
    run = release.commit_run()
    status = release.wait_done(run, 180)

    # Then the cause is named, it has met no user, and stable serves as before.
    assert (status["outcome"], status["reason"]) == ("RolledBack", "CheckFailed"), status
    assert not status.get("liveTime")
    parity = release.check_of(run, "parity")
    assert parity["verdict"] == "Fail"
    assert parity["diagnosis"]["cause"] == "ResizeFilter", parity
    assert release.check_of(run, "contract")["verdict"] == "Pass"
    release.wait("stable to be alone again", 60, lambda: release.settled_on(stable))


def _take(release: Release, sample: str) -> None:
    """Write what a sample says into the release, with waits that a test can wait for."""
    spec = release.manifest["spec"] = release.sample(sample)["spec"]
    spec["strategy"] |= {"drainSeconds": 1, "bakeSeconds": 1}
    spec["strategy"]["canary"]["retainFailedSeconds"] = 1
