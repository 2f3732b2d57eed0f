"""A generator whose own files are run by a check: what is broken inside is named before users see it."""

import json
from collections.abc import Iterator

import pytest

from hack.demo import stage
from tests.e2e import claim
from tests.e2e.conftest import Releases
from tests.e2e.release import Release

SAMPLE = "9-inside.yaml"
SECONDS = 300
"""A run imports torch twice, and does it beside everything else on the machine."""
WRITE = """
import json, pathlib, shutil, sys
sys.path.insert(0, "/opt/diffuser")
import diffusers, pipelines
from canary_checks import artifact

root, names = pathlib.Path("/models"), ("first", "scheduler", "decoder")
root.chmod(0o755)
for name in names:
    # An earlier run on this machine has left it.
    shutil.rmtree(root / name, ignore_errors=True)
pipelines.stable_diffusion(root / "first")
shutil.copytree(root / "first", root / "scheduler")
scheduler = diffusers.EulerDiscreteScheduler.from_pretrained(root / "scheduler", subfolder="scheduler")
diffusers.DDIMScheduler.from_config(scheduler.config).save_pretrained(root / "scheduler" / "scheduler")
index = root / "scheduler" / "model_index.json"
index.write_text(index.read_text().replace("EulerDiscreteScheduler", "DDIMScheduler"))
shutil.copytree(root / "first", root / "decoder")
said = root / "decoder" / "vae" / "config.json"
said.write_text(json.dumps(json.loads(said.read_text()) | {"scaling_factor": 0.13025}))
for path in root.rglob("*"):
    path.chmod(0o755 if path.is_dir() else 0o644)
print(json.dumps({name: artifact.read(root / name).digest for name in names}))
"""
"""Pipelines that differ in one value each: the scheduler's class, and how the decoder scales its input."""


@pytest.fixture
def pipelines(on: stage.Stage, releases: Releases) -> Iterator[dict[str, str]]:
    """The digests of the pipelines on the claim, by their folders."""
    with claim.bound(on, releases.namespace, "1Gi"):
        said = claim.run(on, releases.namespace, "writer", WRITE, image="diffuser", seconds=SECONDS)
        yield json.loads(said.splitlines()[-1])


def test_a_pipeline_that_is_broken_inside_is_refused_by_name(
    on: stage.Stage, releases: Releases, pipelines: dict[str, str]
) -> None:
    # Given a generator of which a check has recorded what happens inside.
    release = releases("sketches")
    _take(release, pipelines, "first")
    run = release.commit_run()
    release.wait_done(run, SECONDS)
    stable = release.promoted(run)
    assert release.check_of(run, "inside")["verdict"] == "Pass"
    assert [kept["check"] for kept in release.status_of(run)["recorded"]] == ["inside"]

    # When a release has another scheduler, or decodes latents of another size, then each is told by its name.
    for name, cause in (("scheduler", "SchedulerConfig"), ("decoder", "LatentScale")):
        _take(release, pipelines, name)
        run = release.commit_run()
        status = release.wait_done(run, SECONDS)
        assert (status["outcome"], status["reason"]) == ("RolledBack", "CheckFailed"), status
        assert not status.get("liveTime"), "no user could reach it"
        inside = release.check_of(run, "inside")
        assert inside["verdict"] == "Fail", inside
        assert inside["diagnosis"]["cause"] == cause, inside
        assert cause in release.wait_reason("Stalled", "CheckFailed")
        release.wait("stable to be alone again", 60, lambda: release.settled_on(stable))


def _take(release: Release, digests: dict[str, str], name: str) -> None:
    """Write the sample into the release, with files of the claim, and waits that a test can wait for."""
    spec = release.manifest["spec"] = release.sample(SAMPLE)["spec"]
    spec["model"]["artifact"] = {"uri": f"pvc://{claim.CLAIM}/{name}", "digest": digests[name]}
    spec["strategy"] |= {"drainSeconds": 1, "bakeSeconds": 1, "retryPolicy": {"limit": 0}}
    spec["strategy"]["canary"]["retainFailedSeconds"] = 0
