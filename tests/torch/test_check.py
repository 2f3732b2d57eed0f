"""The whole check, as the command line and the operator ask for it."""

import json
import shutil

import pytest
import safetensors.torch

from canary_checks import entry
from canary_checks.internals import record

QUICK = ("--prompts", "2", "--steps", "2")
SWEEP = ("--sweep", "schedulers=DDIMScheduler,EulerDiscreteScheduler", "--sweep", "guidance=1")


def check(capsys, folder, *options):
    code = entry.main(["check", "internals", str(folder), *map(str, options), "--output", "json"])
    return code, json.loads(capsys.readouterr().out)[0]


@pytest.fixture(scope="module")
def recorded(folders, tmp_path_factory):
    file = tmp_path_factory.mktemp("records") / "stable.safetensors"
    options = (*QUICK, *SWEEP, "--record", str(file))
    assert entry.main(["check", "internals", str(folders["stable-diffusion"]), *options]) == 0
    return file


@pytest.fixture(scope="module")
def broken(folders, tmp_path_factory):
    """A revision whose decoder was saved with its weights scaled."""
    folder = tmp_path_factory.mktemp("broken") / "model"
    shutil.copytree(folders["stable-diffusion"], folder)
    weights = folder / "vae/diffusion_pytorch_model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    tensors["decoder.conv_out.weight"] *= 0.5
    safetensors.torch.save_file(tensors, weights, {"format": "pt"})
    return folder


def test_the_first_release_passes_on_what_needs_no_reference(recorded):
    read = record.load(str(recorded), None)
    assert recorded.stat().st_size <= record.DEFAULT_BYTES
    assert read.header.wanted.steps == 2
    assert len(read.swept) == 2


def test_the_same_files_pass_every_gate(capsys, folders, recorded, tmp_path):
    page = tmp_path / "report.html"
    folder = folders["stable-diffusion"]
    options = ("--reference", str(recorded), "--output", "html", "--output-file", str(page))
    assert entry.main(["check", "internals", str(folder), *QUICK, *SWEEP, *options]) == 0
    text = page.read_text("utf-8")
    assert "Inside the model" in text
    assert "sweep: DDIMScheduler, guidance 1" in text
    assert text.count("data:image/webp") >= 5


def test_a_broken_decoder_fails_at_its_stage_and_is_named(capsys, recorded, broken):
    code, found = check(capsys, broken, *QUICK, "--reference", recorded)
    assert code == 1
    assert found["verdict"] == "Fail"
    failed = {gate["metric"] for gate in found["gates"] if gate["verdict"] == "Fail"}
    assert {"StageDistance", "DecoderPsnrDecibels"} <= failed
    assert "EntropyShiftMax" not in failed
    assert "first stage that breaks: decoder" in found["message"]
    assert found["diagnosis"]["cause"] != "Unknown"
    stages = {one["name"]: one["failed"] for one in found["strata"]}
    assert stages["decoder"] == 2
    assert stages["latents"] == 0


def test_a_scheduler_that_is_configured_otherwise_is_proven_by_the_recorded_one(
    capsys, folders, recorded, tmp_path
):
    folder = tmp_path / "model"
    shutil.copytree(folders["stable-diffusion"], folder)
    config = folder / "scheduler/scheduler_config.json"
    said = json.loads(config.read_text("utf-8"))
    assert said["beta_schedule"] != "linear"
    config.write_text(json.dumps(said | {"beta_schedule": "linear"}), "utf-8")
    code, found = check(capsys, folder, *QUICK, "--reference", recorded)
    assert code == 1
    assert (found["diagnosis"]["cause"], found["diagnosis"]["confidence"]) == ("SchedulerConfig", "Proven")


def test_a_folder_is_compared_with_a_folder(capsys, folders):
    folder = folders["text-encoder"]
    code, found = check(capsys, folder, "--prompts", "3", "--reference", folder)
    assert code == 0
    assert found["references"][0]["revision"] == "reference"
    code, found = check(capsys, folders["language-model"], "--prompts", "3", "--reference", folder)
    assert code == 1
    assert "only one side has" in found["message"]


def test_a_record_of_another_setting_is_refused_before_the_model_runs(capsys, folders, recorded):
    code, found = check(capsys, folders["stable-diffusion"], "--prompts", "2", "--reference", recorded)
    assert code == 3
    assert found["reason"] == "ReferenceMismatch"
    assert "recorded with steps 2, this check has the model's own" in found["message"]


def test_a_deadline_ends_the_model(capsys, folders):
    code, found = check(capsys, folders["stable-diffusion"], "--steps", "200", "--deadline", "1")
    assert code == 3
    assert found["reason"] == "DeadlineExceeded"


def test_a_transformers_model_takes_no_scheduler(capsys, folders):
    code, found = check(capsys, folders["text-encoder"], "--steps", "3")
    assert code == 3
    assert "pipelines of diffusers" in found["message"]
