"""A check of a team's own, in its own container: the operator believes what it says of this pod alone."""

import pathlib

from hack.demo import stage
from tests.e2e.conftest import Releases
from tests.e2e.release import config_map

CHECK = pathlib.Path(stage.ROOT) / "examples" / "custom-check" / "check.py"
SECONDS = 120


def test_a_check_of_the_teams_own_decides(on: stage.Stage, releases: Releases) -> None:
    # Given a release whose own check is a command that ends with 0.
    on.kube.apply(config_map(releases.namespace, "quality", {"check.py": CHECK.read_text("utf-8")}))
    job = {"image": on.images["checks"], "command": ["python", "-c", "print('nothing to object to')"]}
    release = releases("embedder", checks=[{"name": "quality", "custom": {"job": job}}])
    run = release.commit_run()
    stable = release.promoted(run)
    assert release.check_of(run, "quality")["verdict"] == "Pass"

    # When the next one is judged by a script that finds its answers senseless.
    job["command"] = ["python", "/scripts/check.py"]
    job["mounts"] = [{"path": "/scripts", "volume": {"configMap": {"name": "quality"}}}]
    release.serve("second", MEANING="none")
    run = release.commit_run()
    status = release.wait_done(run, SECONDS)

    # Then it goes back for the script's own reason, and no user could reach it.
    assert (status["outcome"], status["reason"]) == ("RolledBack", "CheckFailed"), status
    found = release.check_of(run, "quality")
    assert (found["verdict"], found["reason"]) == ("Fail", "Triplets"), found
    assert "of 5 triplets are in order" in found["message"]
    assert not status.get("liveTime"), "no user could reach it"
    release.wait("stable to be alone again", 60, lambda: release.settled_on(stable))
