"""Flags of the simulation: how long, and which life again."""

import logging
import os

import pytest

BLOCKS = 8
"""Parts that pytest-xdist can spread; each lives lives until it has had its share of the turns.

Each overshoots its share by half a life: more parts are more turns than were asked for.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    turns = int(os.environ.get("SIMULATION_TURNS", "50000"))
    parser.addoption("--turns", type=int, default=turns, help="how many turns are simulated at least")
    parser.addoption("--first-seed", type=int, default=0, help="where the seeds begin")
    parser.addoption("--seed", type=int, default=0, help="which life `-k replay` lives")


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Failing turns are what happens here; nobody reads about each."""
    logging.getLogger("modelrelease").setLevel(logging.CRITICAL)
