"""A simulation is worth what it finds: each of these mistakes in the core, and nothing without one."""

import pytest

from tests.simulation import mutants, plots, world


@pytest.mark.parametrize("name", plots.LIVES)
def test_a_mistake_is_found(name: str):
    with mutants.planted(name):
        lived = world.live(plots.LIVES[name])
    assert lived.problem, f"{name}: nothing was found in {lived.turns} turns"


@pytest.mark.parametrize("name", plots.LIVES)
def test_without_the_mistake_nothing_is_found(name: str):
    assert world.live(plots.LIVES[name]).problem == ""


def test_every_mistake_has_its_life():
    assert plots.LIVES.keys() == mutants.MUTANTS.keys()
