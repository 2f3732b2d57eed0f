"""The first steps of the quickstart, as far as they need no cluster."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from hack import sample
from hack.cluster import steps
from hack.demo import stage
from hack.helm import schema
from hack.images import registry

KUBECONFIG = {
    "apiVersion": "v1", "kind": "Config", "current-context": "here",
    "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    "users": [{"name": "me", "user": {}}],
}  # fmt: skip


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    monkeypatch.setenv("MODELRELEASE_KUBECONFIG", str(path))
    names = ("minilm-cased", "loadgen", "operator", "checks", "checks-torch-cpu")
    found = {name: f"127.0.0.1:5050/modelrelease/{name}@sha256:{'a' * 64}" for name in names}
    monkeypatch.setattr(registry, "references", lambda: found)
    return found


@pytest.mark.parametrize(("name", "image"), [("3-lost-lowercase", "minilm-cased"), ("load", "loadgen")])
def test_a_sample_names_the_image_that_was_built_here(
    name: str, image: str, images: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample.main([name]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert images[image] in yaml.safe_dump(printed)
    assert printed["metadata"]["namespace"] == "demo"


def test_the_values_are_the_charts_and_name_what_was_built_here(
    images: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample.main(["values"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    jsonschema.validate(printed, json.loads(schema.FILE.read_text(encoding="utf-8")))
    said = (printed["image"], printed["checks"]["image"], printed["checks"]["torchImage"])
    built = [images[name] for name in ("operator", "checks", "checks-torch-cpu")]
    assert [f"{one['repository']}@{one['digest']}" for one in said] == built


def test_without_images_one_sentence_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> dict[str, str]:
        raise steps.StepError("no images were built for this cluster", "run `python -m hack.images`")

    monkeypatch.setattr(registry, "references", none)
    assert sample.main(["1-first-release"]) == 1
    assert capsys.readouterr().err == (
        "error: no images were built for this cluster\nwhat to do: run `python -m hack.images`\n"
    )


@pytest.mark.usefixtures("images")
def test_an_operator_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def late(_: stage.Stage) -> None:
        raise stage.Failed("kubectl rollout status: timed out")

    monkeypatch.setattr(stage.Stage, "install", late)
    assert sample.main([]) == 1
    assert capsys.readouterr().err == "error: kubectl rollout status: timed out\n"
