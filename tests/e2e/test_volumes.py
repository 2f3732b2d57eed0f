"""What is read from volumes: the model's files by its pods, a team's golden set by its checks."""

import itertools
import json
import pathlib
from collections.abc import Iterator

import pytest

from canary_checks import artifact
from canary_checks import vocabulary as v
from canary_checks.golden import files
from hack.demo import stage
from tests.e2e import claim
from tests.e2e.conftest import Releases
from tests.e2e.release import RUN_SECONDS, Release, config_map

WRITE = """
import json, pathlib, sys
pathlib.Path('/models').chmod(0o777)
for name, content in json.loads(sys.argv[1]).items():
    folder = pathlib.Path('/models', name)
    folder.mkdir(exist_ok=True)
    (folder / 'weights.bin').write_text(content)
"""
"""As the job of a training pipeline does; checks may write beside the files."""
WEIGHTS = {"one": "the weights of one", "two": "the weights of two"}
ITEMS = 64
NO_RETRY = {"retryPolicy": {"limit": 0}}


def test_a_model_whose_files_are_other_ones_never_starts_and_stable_serves_on(
    on: stage.Stage, releases: Releases, models: str, tmp_path: pathlib.Path
) -> None:
    # Given a release whose model lies on a claim, pinned by the digest of its files.
    digests = {name: _digest(tmp_path / name, content) for name, content in WEIGHTS.items()}
    release = releases("embedder", strategy=NO_RETRY)
    _take(release, f"pvc://{models}/one", digests["one"])
    run = release.commit_run()
    stable = release.promoted(run)
    assert release.status_of(run)["artifact"]["digest"] == digests["one"]

    # When the next one names other files than those that lie there, then its server never starts.
    _take(release, f"pvc://{models}/two", digests["one"])
    release.serve("second")
    run = release.commit_run()
    status = release.wait_done(run, RUN_SECONDS)

    assert (status["outcome"], status["reason"]) == ("RolledBack", "ArtifactMismatch"), status
    assert not status.get("liveTime"), "no user could reach it"
    assert digests["two"] in release.wait_reason("Stalled", "ArtifactMismatch")
    release.wait("stable to be alone again", 60, lambda: release.settled_on(stable))
    assert release.answers() == "first"

    # When the digest is corrected, then it is another revision, and it is released.
    _take(release, f"pvc://{models}/two", digests["two"])
    run = release.commit_run()
    release.promoted(run)
    assert release.status_of(run)["artifact"]["digest"] == digests["two"]
    assert release.answers() == "second"


@pytest.fixture
def models(on: stage.Stage, releases: Releases) -> Iterator[str]:
    """A claim with the files of two models, on a folder of the node."""
    with claim.bound(on, releases.namespace, "1Mi") as name:
        claim.run(on, releases.namespace, "writer", WRITE, json.dumps(WEIGHTS))
        yield name


def _digest(folder: pathlib.Path, content: str) -> str:
    folder.mkdir()
    (folder / "weights.bin").write_text(content)
    return artifact.read(folder).digest


def _take(release: Release, uri: str, digest: str) -> None:
    release.manifest["spec"]["model"]["artifact"] = {"uri": uri, "digest": digest}


def test_the_whole_evidence_lies_on_a_volume_of_the_last_runs_alone(
    on: stage.Stage, releases: Releases, models: str
) -> None:
    # Given a release whose checks keep their evidence on a claim, of one run.
    kept = {"persistentVolumeClaim": {"claimName": models}, "keepRuns": 1}
    checks = [{"name": "contract", "contract": {}}, {"name": "parity", "embeddingParity": {}}]
    release = releases("embedder", checks=checks, checkTemplate={"evidenceVolume": kept})
    release.release_first()

    # When a second revision is released.
    release.serve("second")
    run = release.commit_run()
    release.promoted(run)

    # Then everything that its checks measured is there, of nobody else's run, and what else lies there stays.
    script = (
        "import json, pathlib\n"
        "root = pathlib.Path('/models')\n"
        "print(json.dumps([str(path.relative_to(root)) for path in root.rglob('*') if path.is_file()]))\n"
    )
    found = [
        pathlib.PurePath(path) for path in json.loads(claim.run(on, release.namespace, "reader", script))
    ]
    ours = [path for path in found if path.parts[0] == release.namespace]
    assert {path.parts[:3] for path in ours} == {(release.namespace, release.name, run)}, found
    judged = {path.parts[3].split("-")[0] for path in ours if path.name == "whole.json"}
    assert judged == {"contract", "parity"}, found
    assert {path.parts[0] for path in found if path.name == "weights.bin"} == set(WEIGHTS)


def test_where_nothing_recorded_fits_the_golden_set_stable_is_asked_live_and_gently(
    on: stage.Stage, releases: Releases
) -> None:
    # Given a stable that has left its outputs for the team's golden set.
    parity = {"name": "parity", "embeddingParity": {"goldenSet": "own", "references": ["Stable"]}}
    checks = [{"name": "contract", "contract": {}}, parity]
    release = releases("embedder", checks=checks, strategy=NO_RETRY | {"approval": "BeforeFull"})
    _judge_by(on, release, version=1)
    stable = release.release_first()
    before = _probed(release, stable)

    # When the next revision is judged by a set of other texts, of which nothing is recorded.
    _judge_by(on, release, version=2)
    release.serve("second")
    run = release.commit_run()
    release.wait_reason("Paused", "AwaitingApproval")
    asked = _probed(release, stable)[len(before) :]

    # Then stable is asked, each text by itself and not more than twice a second.
    said = release.check_of(run, "parity")
    assert said["verdict"] == "Pass", said
    assert [count for _, count in asked[:ITEMS]] == [1] * ITEMS
    pauses = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(asked)]
    assert sum(pauses) / len(pauses) >= 0.45


def _judge_by(on: stage.Stage, release: Release, version: int) -> None:
    """Publish a version of the team's golden set, and name it in the release."""
    items = [
        files.ItemLine(
            id=f"p-{number:03}",
            stratum="plain",
            modality=v.Modality.TEXT,
            text=f"Sentence {number} of version {version}.",
        )
        for number in range(ITEMS)
    ]
    content = files.write("Own", str(version), items, license_name="CC0-1.0")
    name = f"golden-{version}"
    on.kube.apply(
        config_map(release.namespace, name, {file: text.decode() for file, text in content.items()})
    )
    release.manifest["spec"]["goldenSets"] = [{"name": "own", "volume": {"configMap": {"name": name}}}]


def _probed(release: Release, revision: str) -> list[tuple[float, int]]:
    """Return what checks have asked the one pod of a revision: when, and how many texts at once."""
    (pod,) = release.pods(revision)
    path = f"/api/v1/namespaces/{release.namespace}/pods/{pod['metadata']['name']}"
    said = release.kube.text(f"{path}:8000/proxy/probed")
    assert said is not None
    return [(float(when), int(count)) for when, count in json.loads(said)]
