"""Whole lives: the real core and the real shell, 50,000 turns and more in every run."""

import itertools
from typing import Any

import pytest

from tests.simulation import people, plots, script, shrink, virtual, world
from tests.simulation.conftest import BLOCKS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_life_breaks_an_invariant(request: pytest.FixtureRequest, block: int):
    share, turns = -(-request.config.getoption("--turns") // BLOCKS), 0
    seeds = itertools.count(request.config.getoption("--first-seed") + block, BLOCKS)
    while turns < share:
        life = script.generate(next(seeds))
        lived = world.live(life)
        assert not lived.problem, shrink.report(life, lived.problem)
        turns += lived.turns


def test_replay(request: pytest.FixtureRequest):
    """``pytest tests/simulation -k replay --seed N``."""
    seed = request.config.getoption("--seed")
    life = script.generate(seed)
    lived = world.live(life)
    assert not lived.problem, f"{life}\n{lived.problem}"


def test_a_seed_always_gives_the_same_life():
    assert world.live(script.generate(112)) == world.live(script.generate(112))


def test_a_failing_life_is_shrunk():
    def breaks(life: script.Life) -> world.Lived:
        verbs = [event.verb for event in life.events]
        return world.Lived(1, 1, 1.0, "at 7.0 s: 4: too bad" if {"reject", "pause"} <= set(verbs) else "")

    event = script.Event
    long = [event(float(at), "commit", {}) for at in range(9)] + [event(10.0, "pause"), event(11.0, "reject")]
    short, said = shrink.shrunk(script.Life(1, {}, tuple(long)), "at 9.0 s: 4: too bad", breaks)
    assert [e.verb for e in short.events] == ["pause", "reject"]
    assert said == "at 7.0 s: 4: too bad"


def told(*events: tuple[float, str, dict[str, Any]], **setup: Any) -> tuple[str, dict[str, str]]:
    """Return the broken invariant, and the reasons of the conditions that are True in the end."""

    async def main() -> tuple[str, dict[str, str]]:
        lived_in = world.World(plots.life(*events, **setup))
        lived = await lived_in.live()
        release = lived_in.server.get("ModelRelease", people.NAMESPACE, people.NAME)
        conditions = release["status"]["conditions"]
        return lived.problem, {c["type"]: c["reason"] for c in conditions if c["status"] == "True"}

    return virtual.run(main())


def test_another_vector_space_is_checked_and_then_waits_for_a_cut_over():
    problem, said = told((60.0, "commit", plots.ELSEWHERE))
    assert (problem, said) == ("", {"Ready": "ServingStable", "Stalled": "CutOverRequired"})


def test_retrieval_is_asked_in_another_vector_space_and_its_pass_is_told():
    async def main() -> str:
        lived_in = world.World(plots.life((60.0, "commit", plots.ELSEWHERE), **plots.SEARCHED))
        assert (await lived_in.live()).problem == ""
        release = lived_in.server.get("ModelRelease", people.NAMESPACE, people.NAME)
        (stalled,) = [c for c in release["status"]["conditions"] if c["type"] == "Stalled"]
        return f"{stalled['reason']}: {stalled['message']}"

    said = virtual.run(main())
    assert said.startswith("CutOverRequired: ")
    assert said.endswith(" Within the new space recall passed.")


def test_a_fail_in_another_vector_space_is_a_fail():
    bad = plots.ELSEWHERE | {"behaviour": "crash"}
    problem, said = told((60.0, "commit", bad))
    assert (problem, said["Stalled"]) == ("", "CrashLoop")


def test_a_revert_out_of_another_vector_space_needs_nothing():
    problem, said = told((60.0, "commit", plots.ELSEWHERE), (200.0, "revert", {"who": "stable"}))
    assert (problem, said) == ("", {"Ready": "ServingStable"})


def test_other_files_than_the_pinned_ones_are_told_and_never_tried_again():
    tampered = {"behaviour": "tampered", "number": 1}
    problem, said = told((60.0, "commit", tampered), artifact=True, seconds=1200.0)
    assert (problem, said) == ("", {"Ready": "ServingStable", "Stalled": "ArtifactMismatch"})


OWN = [
    {"name": "contract", "contract": {}},
    {"name": "quality", "custom": {"job": {"image": "example.test/quality:1"}}},
    {"name": "speed", "deadlineSeconds": 100, "performance": {"concurrency": 8}},
]


def test_a_teams_own_check_gates_and_a_pace_is_recorded_for_the_next_release():
    async def main() -> tuple[str, str, list[dict[str, Any]]]:
        lived_in = world.World(plots.life((60.0, "commit", {"behaviour": "good", "number": 1}), checks=OWN))
        lived = await lived_in.live()
        release = lived_in.server.get("ModelRelease", people.NAMESPACE, people.NAME)
        runs = lived_in.server.select("ModelReleaseRun", people.NAMESPACE)
        return (
            lived.problem,
            release["status"]["phase"],
            [run["status"] for run in runs if run["status"]["outcome"] == "Promoted"],
        )

    problem, phase, runs = virtual.run(main())
    assert (problem, phase) == ("", "Stable")
    assert len(runs) == 2
    for status in runs:
        assert [(check["name"], check["verdict"]) for check in status["checks"]] == [
            ("contract", "Pass"),
            ("quality", "Pass"),
            ("speed", "Pass"),
        ]
        (record,) = status["recorded"]
        assert (record["check"], record["terms"][:7]) == ("speed", "sha256:")


def test_an_own_check_that_fails_ends_the_release_before_any_user_meets_it():
    problem, said = told((60.0, "commit", {"behaviour": "casing", "number": 1}), checks=OWN)
    assert (problem, said) == ("", {"Ready": "ServingStable", "Stalled": "CheckFailed"})


SCARCE = {"behaviour": "scarce", "number": 1}
APPROVED = (250.0, "approve", {"stage": "Infeasible"})


@pytest.mark.parametrize(
    ("policy", "events", "expected"),
    [
        ("Hold", (), {"Ready": "ServingStable", "Paused": "SloInfeasible"}),
        ("Hold", (APPROVED,), {"Ready": "ServingStable"}),
        ("Skip", (), {"Ready": "ServingStable"}),
        ("RollBack", (), {"Ready": "ServingStable", "Stalled": "SloInfeasible"}),
    ],
)
def test_too_little_traffic_holds_until_a_person_approves_unless_it_is_declared_otherwise(
    policy: str, events: tuple[Any, ...], expected: dict[str, str]
):
    problem, said = told((60.0, "commit", SCARCE), *events, scarce=policy, seconds=400.0)
    assert (problem, said) == ("", expected)
