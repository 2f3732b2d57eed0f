import re
from pathlib import Path

import pytest

from modelrelease.api import advice, crd, lint, parse, rules, spec
from tests.unit.api import rule_cases

BY_ID = {rule.id: rule for rule in rules.RULES}


@pytest.mark.parametrize("case", rule_cases.CASES, ids=str)
def test_the_linter_accepts_the_good_and_says_what_is_bad(case: rule_cases.Case) -> None:
    errors = [f for f in lint.lint(case.good) if f.severity is advice.Severity.ERROR]
    assert errors == []
    found = [(f.path, f.message) for f in lint.lint(case.bad)]
    assert found == [(case.path, BY_ID[case.rule].message)]


@pytest.mark.parametrize("case", rule_cases.CASES, ids=str)
def test_the_operator_reads_the_same_rules(case: rule_cases.Case) -> None:
    assert isinstance(parse.parse_release(case.good).spec, spec.ReleaseSpec)
    bad = parse.parse_release(case.bad)
    if case.path.startswith("spec.override"):
        # People on call are never blocked: what contradicts itself is the core's to order.
        assert isinstance(bad.spec, spec.ReleaseSpec)
        assert bad.override_problem is None
    else:
        assert isinstance(bad.spec, parse.SpecProblem)
        assert bad.spec.message == f"{case.path}: {BY_ID[case.rule].message}"


def test_every_rule_has_a_case_for_every_place() -> None:
    wanted = {(rule.id, (path + rule.field).removeprefix(".")) for rule in rules.RULES for path in rule.paths}
    assert {(case.rule, re.sub(r"\[\d+\]", "[*]", case.path)) for case in rule_cases.CASES} == wanted


def test_a_rule_is_one_sentence_that_says_what_must_be() -> None:
    assert len(BY_ID) == len(rules.RULES)
    for rule in rules.RULES:
        assert rule.message.startswith("must "), rule.id
        assert not rule.message.endswith("."), rule.id
        assert "\n" not in rule.message
        assert len(rule.message) <= 240, rule.id


def test_rules_stand_in_the_crd_at_their_place() -> None:
    schema = crd.release_schema()
    for rule in rules.RULES:
        for path in rule.paths:
            entries = crd.at(schema, path)["x-kubernetes-validations"]
            assert {"rule": rule.cel, "message": rule.message} in [
                {"rule": entry["rule"], "message": entry["message"]} for entry in entries
            ]


def test_the_default_checks_names_are_those_of_the_rule() -> None:
    release = parse.parse_release(rule_cases.release()).spec
    assert isinstance(release, spec.ReleaseSpec)
    for check in release.all_checks():
        (finding,) = lint.lint(rule_cases.release(rule_cases.slo(name=check.name)))
        assert finding.rule == "names-shared"


def test_places_name_each_entry() -> None:
    value = {"a": [{"b": [{"c": 1}, {"c": 2}]}, {}]}
    assert list(rules.places(value, "a[*].b[*].c")) == [("a[0].b[0].c", 1), ("a[0].b[1].c", 2)]
    assert list(rules.places(value, "")) == [("", value)]
    assert list(rules.places(value, "x.y")) == []


def test_the_docs_list_every_rule() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [f"| {' '.join(blamed(rule))} | {rule.message} |" for rule in rules.RULES]


def blamed(rule: rules.Rule) -> list[str]:
    return [f"`{path}{rule.field}`".replace("`.", "`") for path in rule.paths]
