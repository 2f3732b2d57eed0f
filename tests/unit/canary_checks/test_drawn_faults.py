"""The suite of generators' faults: nothing that can go wrong is left out, and its page shows all of it."""

import dataclasses
import pathlib

import pytest

from canary_checks import schema
from canary_checks import vocabulary as v
from hack.faults import drawn, drawn_faults, drawn_prompts, drawn_table
from hack.images.renderer import server
from tests.unit.canary_checks import asking

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "image-faults.md"
RIGHT = server.Quality()
PACE = {"seconds_per_step", "steps"}
"""How fast it draws is a fault of loads, which have a server of their own."""


def test_every_setting_of_the_renderer_is_a_fault_or_benign():
    changed = {
        field.name
        for one in (drawn_faults.PICTURES | drawn_faults.BENIGN_PICTURES).values()
        for field in dataclasses.fields(RIGHT)
        if getattr(one.quality, field.name) != getattr(RIGHT, field.name)
    }
    assert changed == {field.name for field in dataclasses.fields(RIGHT)} - PACE


def test_a_fault_is_asked_for_what_shows_it():
    kinds = {name: one.prompts for name, one in drawn_faults.PICTURES.items()}
    assert set(kinds.values()) == {drawn_prompts.Kind.TITLES, drawn_prompts.Kind.SHAPES}
    assert {one.prompts for one in drawn_faults.BENIGN_PICTURES.values()} == {drawn_prompts.Kind.ALL}


def test_the_page_shows_every_fault_and_none_that_is_no_more():
    _, mark, measured = PAGE.read_text("utf-8").partition(drawn_table.MARK)
    assert mark
    rows = [line.split("|")[1].strip() for line in measured.splitlines() if line.startswith("| ")]
    names = set(rows) - {"fault", "benign change"}
    faults, benign = (
        drawn_faults.PICTURES | drawn_faults.LOADS,
        drawn_faults.BENIGN_PICTURES | drawn_faults.BENIGN_LOADS,
    )
    assert names >= set(drawn_faults.PICTURES)
    assert names <= set(faults | benign)


def found(key: str, gates: list[dict], verdict: str = "Fail", **more: str) -> drawn.Found:
    said = asking.a_result(verdict, gates=gates, **more)
    return drawn.Found("a fault", frozenset({key} if key else ()), said, 1.0)


@pytest.mark.parametrize(
    ("one", "right"),
    [
        (found("CosineDistanceWorst", [asking.gate("Fail")]), True),
        (found("AnotherGate", [asking.gate("Fail")]), False),
        (found("CosineDistanceWorst", [asking.gate("Pass")], "Pass"), False),
        (found("CosineDistanceWorst", [], "Inconclusive"), False),
        (found("ReferenceMismatch", [], "Error", reason="ReferenceMismatch"), True),
        (found("", [asking.gate("Pass")], "Pass"), True),
        (found("", [asking.gate("Fail")]), False),
    ],
)
def test_a_fault_counts_only_with_a_gate_of_its_key(one: drawn.Found, right: bool):
    assert one.right is right
    text = drawn_table.section({"Images": [one]})
    assert f"| {one.name} | {one.said.verdict} |" in text
    assert isinstance(one.said, schema.CheckResult)


def test_what_was_left_open_is_told_from_what_passed():
    text = drawn_table.section(
        {
            "Loads": [
                found("A", [], "Inconclusive"),
                found("B", [asking.gate("Pass")], "Pass"),
                found("CosineDistanceWorst", [asking.gate("Fail")]),
                found("", [asking.gate("Pass")], v.Verdict.PASS),
            ]
        }
    )
    assert "1 of 3 faults caught by a gate of their key (1 left open, 1 passed)" in text
    assert "0 of 1 benign changes did not pass" in text
