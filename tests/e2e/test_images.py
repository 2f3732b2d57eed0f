"""An image generator that drafts and refines: what its images say and cost decides, before users see any."""

import collections
import pathlib
import re

import canary_checks
from canary_checks.golden import files
from hack.demo import stage
from tests.e2e.conftest import Releases
from tests.e2e.release import Release, config_map

SAMPLE = "8-draft-refine.yaml"
PROMPTS = pathlib.Path(canary_checks.__file__).parent / "golden" / "packs" / "PromptV1" / files.ITEMS
OF_EACH = 12
"""Prompts of each stratum with a text: nine strata make more than the hundred that a rate needs."""
STEPS = 4
"""In place of twenty: that the last one is slow, too, is found by another check, with prompts of its own."""
RUN_SECONDS = 900
"""A run draws every prompt in two stages, reads it, and replays a load on each stage of two generators."""
GOOD = ["--draft", "--seed-offset", "1000"]
"""Other pictures, as good as before."""
BAD = ["--draft", "--garbled", "0.4", "--seconds-per-step", "0.03"]


def test_a_slow_and_less_readable_generator_is_refused_and_a_good_one_promoted(
    on: stage.Stage, releases: Releases
) -> None:
    # Given a generator of two stages, whose first release leaves records of its images and of its pace.
    release = releases("posters")
    on.kube.apply(config_map(releases.namespace, "texts", _texts()))
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
    (speed,) = (check["performance"] for check in spec["checks"] if check["name"] == "speed")
    speed |= {"durationSeconds": 15, "warmupSeconds": 1}
    spec["goldenSets"] = [{"name": "texts", "volume": {"configMap": {"name": "texts"}}}]
    (posters,) = (check["fidelity"] for check in spec["checks"] if check["name"] == "posters")
    posters["goldenSet"] = "texts"


def _texts() -> dict[str, str]:
    """Return a golden set of the team's own, by file: built-in prompts that say what can be read."""
    strata = collections.defaultdict[str, list[files.ItemLine]](list)
    for item in files.read_items(PROMPTS.read_bytes()):
        if item.generation and re.fullmatch("(short|medium|long)-(small|medium|large)", item.stratum):
            quick = item.generation.model_copy(update={"steps": STEPS})
            strata[item.stratum].append(item.model_copy(update={"generation": quick}))
    chosen = [item for items in strata.values() for item in items[:OF_EACH]]
    content = files.write("Texts", "1", chosen, license_name="CC0-1.0")
    return {file: written.decode() for file, written in content.items()}


def _promoted(release: Release, run: str) -> str:
    release.wait_done(run, RUN_SECONDS)
    return release.promoted(run)
