"""Makes a failing life as short as it can, and says how to live it again."""

import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.simulation import script, world

BUDGET_SECONDS: Final = 60.0
FOLDER: Final = Path("build/simulation")


def kind_of(problem: str) -> str:
    """Return which invariant a problem is about, without times, names and numbers."""
    return re.sub(r"\br[0-9a-f]{10}\b|\d+(\.\d+)?", "", problem.partition(": ")[2])[:48]


def shrunk(
    life: script.Life,
    problem: str,
    live: Callable[[script.Life], world.Lived] = world.live,
    budget_seconds: float = BUDGET_SECONDS,
) -> tuple[script.Life, str]:
    """Drop events as long as the same invariant is broken; halves first, then one by one."""
    began, wanted = time.monotonic(), kind_of(problem)
    size = max(1, len(life.events) // 2)
    while size and time.monotonic() - began < budget_seconds:
        index, dropped = 0, False
        while index < len(life.events) and time.monotonic() - began < budget_seconds:
            fewer = dataclasses.replace(life, events=life.events[:index] + life.events[index + size :])
            found = live(fewer).problem
            if found and kind_of(found) == wanted:
                life, problem, dropped = fewer, found, True
            else:
                index += size
        size = size // 2 if size > 1 or not dropped else 1
    return life, problem


def report(life: script.Life, problem: str) -> str:
    """Return what a person needs: the seed, the short script and the command that replays it."""
    short, said = shrunk(life, problem)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{life.seed}.json"
    short.save(path)
    return (
        f"seed {life.seed}: {problem}\n\nshrunk to {len(short.events)} events: {said}\n{short}\n\n"
        f"replay:  python -m tests.simulation --seed {life.seed}\n"
        f"short:   python -m tests.simulation --file {path}"
    )
