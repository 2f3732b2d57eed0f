"""An image generator that drafts and refines: what its images say and cost decides, before users see any."""

import re

import pytest

from hack.demo import stage
from tests.e2e.conftest import Releases
from tests.e2e.release import Release

SAMPLE = "8-draft-refine.yaml"
RUN_SECONDS = 900
"""A run draws 170 prompts in two stages, reads them, and replays two loads."""
GOOD = ["--draft", "--seed-offset", "1000"]
"""Other pictures, as good as before."""
BAD = ["--draft", "--garbled", "0.4", "--seconds-per-step", "0.015"]


@pytest.mark.timeout(2700)
def test_a_slow_and_less_readable_generator_is_refused_and_a_good_one_promoted(
    on: stage.Stage, releases: Releases
) -> None:
    # Given a generator of two stages, whose first release leaves records of its images and of its pace.
    release = releases("posters")
    _take(release)
    first = _promoted(release, release.commit_run())

    # When another one draws other pictures as well as before, it is compared with those records and promoted.
    release.container["args"] = GOOD
    run = release.commit_run()
    stable = _promoted(release, run)
    assert stable != first
    posters = release.check_of(run, "posters")
    assert posters["verdict"] == "Pass", posters
    assert "no stable to compare with" not in posters["message"]

    # When one garbles what it writes, and needs longer for it,
    release.container["args"] = BAD
    run = release.commit_run()
    status = release.wait_done(run, RUN_SECONDS)

    # Then it is refused for what cannot be read, and told to be slower and what it would cost.
    assert (status["outcome"], status["reason"]) == ("RolledBack", "CheckFailed"), status
    assert not status.get("liveTime"), "no user could reach it"
    posters, speed = (release.check_of(run, name) for name in ("posters", "speed"))
    assert posters["verdict"] == "Fail", posters
    assert "TextFidelity" in posters["message"]
    assert "TextFidelity" in release.wait_reason("Stalled", "CheckFailed")
    assert speed["verdict"] == "Fail", speed
    assert "ThroughputRatio" in speed["message"]
    assert re.search(r"[0-9.]+ USD a day at the live rate", speed["message"]), speed["message"]
    release.wait("stable to be alone again", 60, lambda: release.settled_on(stable))


def _take(release: Release) -> None:
    """Write the sample into the release, with waits that a test can wait for."""
    spec = release.manifest["spec"] = release.sample(SAMPLE)["spec"]
    spec["strategy"] |= {"drainSeconds": 1, "bakeSeconds": 1}
    spec["strategy"]["canary"]["retainFailedSeconds"] = 1


def _promoted(release: Release, run: str) -> str:
    release.wait_done(run, RUN_SECONDS)
    return release.promoted(run)
