"""What the simulation has found once, as the shortest life that shows it."""

from typing import Final

import pytest

from tests.simulation import plots, script, world

LIVES: Final[dict[str, script.Life]] = {
    # A new operator whose cache knew the run before its revision: KeyError.
    "a cache that knows a run before its revision": plots.life(
        (80.0, "kill", {"calls": 1, "after": True, "seconds": 1.0}),
        (60.0, "commit", {"behaviour": "good", "number": 1}),
        (70.0, "kill", {"calls": 20, "after": True, "seconds": 1.0}),
    ),
    # Pinned and rejected: a run a second, for ever.
    "a revision both pinned and rejected": plots.life(
        (60.0, "reject", {"who": "candidate"}),
        (70.0, "commit", {"behaviour": "crash", "number": 1}),
        (80.0, "reject", {"who": "candidate"}),
        (90.0, "pin", {"who": "candidate"}),
    ),
    # Returning for ever: traffic stays with a rejected stable that has no other revision to return to.
    "a wiped status of a rejected stable": plots.life(
        (60.0, "reject", {"who": "stable"}), (70.0, "wipe_run", {"index": 0})
    ),
    # A Reload waited for an approval while the rejected revision served.
    "a rejected stable with approvals": plots.life(
        (60.0, "commit", {"behaviour": "good", "number": 1}),
        (80.0, "approve", {"stage": "BeforeFull"}),
        (250.0, "reject", {"who": "stable"}),
        approval="BeforeFull",
        steps=[],
        seconds=400.0,
    ),
    # A return to a revision of the window waited for an approval, and said that it starts.
    "a quick return waits for an approval": plots.life(
        (60.0, "commit", {"behaviour": "good", "number": 1}),
        (80.0, "approve", {"stage": "BeforeFull"}),
        (300.0, "revert", {"who": "previous"}),
        approval="BeforeFull",
        steps=[],
        seconds=500.0,
    ),
    # Promoted although no pod had served for a second of its bake.
    "scaled to zero in a run": plots.life(
        (60.0, "commit", {"behaviour": "good", "number": 1}),
        (75.0, "scale", {"replicas": 0}),
        steps=[],
        slos=False,
    ),
    # The first parity check broke, was taken for skipped, and its outputs were never recorded.
    "a first release whose parity probe breaks": plots.life(
        (30.0, "job_fault", {"share": 0.0}), jobFault=1.0
    ),
}


@pytest.mark.parametrize("name", LIVES)
def test_it_does_not_happen_again(name: str):
    life = LIVES[name]
    events = tuple(sorted(life.events, key=lambda event: event.at))
    assert world.live(script.Life(life.seed, life.setup, events, life.seconds)).problem == ""


@pytest.mark.parametrize("seed", [14, 25, 43, 44, 66, 68, 91, 117, 165, 202])
def test_a_seed_that_has_failed(seed: int):
    assert world.live(script.generate(seed, plain=True)).problem == ""


@pytest.mark.parametrize("seed", [23, 50026])
def test_a_seed_of_today_that_has_failed(seed: int):
    assert world.live(script.generate(seed, alone=True)).problem == ""
