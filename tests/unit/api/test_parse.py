from typing import Any

import pytest

from modelrelease.api import endpoint, parse, spec
from tests.unit.api import rule_cases

*FIRST, LAST = [f"'{runtime}'" for runtime in endpoint.Runtime]
REJECTED = {"rejected": [{"revision": rule_cases.R1, "reason": "wrong vectors"}]}


def test_a_good_release_is_read_whole() -> None:
    parsed = parse.parse_release(rule_cases.release({"override": REJECTED, "replicas": 3}))
    assert isinstance(parsed.spec, spec.ReleaseSpec)
    assert parsed.spec.override == parsed.override
    assert [entry.revision for entry in parsed.override.rejected] == [rule_cases.R1]
    assert parsed.override_problem is None
    assert parsed.live.replicas == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "spec.model: must be set: add it"),
        ({"template": "x"}, "spec.template: must be an object: write its fields below it, or {} for none"),
        (
            {"later": {"field": 1}},
            "spec.later: is not a field of this API version: remove it, or check its spelling",
        ),
        (
            {"endpoint.runtime": "Later"},
            f"spec.endpoint.runtime: must be {', '.join(FIRST)} or {LAST}, not 'Later'",
        ),
    ],
)
def test_a_broken_spec_blocks_no_override(changes: dict[str, Any], message: str) -> None:
    release = rule_cases.release({"override": REJECTED, "replicas": 3} | changes)
    parsed = parse.parse_release(release)
    assert parsed.spec == parse.SpecProblem(message)
    assert [entry.revision for entry in parsed.override.rejected] == [rule_cases.R1]
    assert parsed.live.replicas == 3


def test_a_broken_entry_blocks_no_other_entry() -> None:
    override = {
        "paused": {"reason": "incident 42"},
        "pinned": {"revision": "?", "reason": "x"},
        "rejected": [
            {"revision": rule_cases.R1},
            {"revision": rule_cases.R2, "reason": "x"},
            {"revision": rule_cases.R2, "reason": "again"},
        ],
        "later": 1,
    }
    parsed = parse.parse_release(rule_cases.release({"override": override}))
    assert isinstance(parsed.spec, spec.ReleaseSpec)
    assert parsed.override_problem is not None
    assert parsed.override_problem.message.startswith("spec.override.pinned.revision: must be a revision")
    assert parsed.override.paused is not None
    assert parsed.override.pinned is None
    assert [(entry.revision, entry.reason) for entry in parsed.override.rejected] == [(rule_cases.R2, "x")]
    assert parsed.spec.override == parsed.override


@pytest.mark.parametrize("override", [1, [], "pause"])
def test_an_override_that_is_no_object_is_a_problem(override: Any) -> None:
    parsed = parse.parse_release(rule_cases.release({"override": override}))
    assert parsed.override == spec.Override()
    assert parsed.override_problem is not None


@pytest.mark.parametrize("obj", [{}, {"spec": None}, {"spec": []}, {"spec": {}}])
def test_nothing_at_all_is_a_problem_and_no_exception(obj: dict[str, Any]) -> None:
    parsed = parse.parse_release(obj)
    assert isinstance(parsed.spec, parse.SpecProblem)
    assert parsed.live == parse.Live()


def test_live_fields_are_read_one_by_one() -> None:
    release = rule_cases.release(
        {"strategy": {"maxSurge": "25%", "maxUnavailable": "?"}, "runHistoryLimit": 0, "replicas": 7}
    )
    assert parse.parse_release(release).live == parse.Live(replicas=7, max_surge="25%")


def test_names_of_python_are_no_names_of_the_api() -> None:
    parsed = parse.parse_release(rule_cases.release({"strategy.max_surge": 2}))
    assert isinstance(parsed.spec, parse.SpecProblem)
