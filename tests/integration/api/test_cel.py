"""Each rule, as a real API server shows it to a user."""

import re

import pytest

from modelrelease.api import base, lint, rules
from tests.integration.api.conftest import Objects, Refused
from tests.unit.api import rule_cases

BY_ID = {rule.id: rule for rule in rules.RULES}
# What the API server puts before a rule's message, by its version: with or without the value.
PREFIX = re.compile(r'^Invalid value: (?:"[^"]*": |-?\d+: )?')


@pytest.mark.parametrize("case", rule_cases.CASES, ids=str)
def test_the_server_takes_the_good_and_says_what_is_bad(case: rule_cases.Case, dry_releases: Objects) -> None:
    dry_releases.create(case.good, dry_run=True)
    with pytest.raises(Refused) as refused:
        dry_releases.create(case.bad, dry_run=True)
    read = [(field, PREFIX.sub("", message)) for field, message in refused.value.causes]
    assert read == [(case.path, BY_ID[case.rule].message)]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"model.version": 1}, "spec.model.version"),
        ({"model.version": ""}, "spec.model.version"),
        ({"model": None}, "spec.model"),
        ({"replicas": -1}, "spec.replicas"),
        ({"replicas": "2"}, "spec.replicas"),
        ({"strategy.approval": "Maybe"}, "spec.strategy.approval"),
        ({"strategy.steps": [{"weight": 100}]}, "spec.strategy.steps[0].weight"),
        ({"template.spec.containers": []}, "spec.template.spec.containers"),
        ({"template.metadata.labels": {"a": "not a label!"}}, "spec.template.metadata.labels.a"),
        ({"checkTemplate.resources": {"limits": {"cpu": "much"}}}, "spec.checkTemplate.resources.limits.cpu"),
        (
            {"checks": [{"name": "a", "contract": {}}, {"name": "a", "repeatability": {}}]},
            "spec.checks[1]",
        ),
    ],
)
def test_the_linter_refuses_the_fields_that_the_server_refuses(
    changes: dict[str, object], path: str, dry_releases: Objects
) -> None:
    bad = rule_cases.release(changes)
    with pytest.raises(Refused) as refused:
        dry_releases.create(bad, dry_run=True)
    assert path in [field for field, _ in refused.value.causes]
    # The linter blames a list for its duplicates, the server the second of them.
    assert [finding.path for finding in lint.lint(bad)] == [path.replace("spec.checks[1]", "spec.checks")]


@pytest.mark.parametrize("pods", [0, 1, 100_000, "0%", "100%", -1, 100_001, "101%", "1", "x", "", "1.5%"])
def test_int_or_percentage_is_the_same_on_both_sides(pods: int | str, dry_releases: Objects) -> None:
    release = rule_cases.release({"strategy.maxUnavailable": pods})
    if base.is_int_or_percentage(pods):
        dry_releases.create(release, dry_run=True)
    else:
        with pytest.raises(Refused):
            dry_releases.create(release, dry_run=True)


def test_several_mistakes_are_all_named_at_once(dry_releases: Objects) -> None:
    bad = rule_cases.release(
        {"strategy.steps": [{"weight": 9}, {"weight": 3}], "endpoint.protocol": None, "checks": []}
    )
    with pytest.raises(Refused) as refused:
        dry_releases.create(bad, dry_run=True)
    read = {(field, PREFIX.sub("", message)) for field, message in refused.value.causes}
    assert read == {(finding.path, finding.message) for finding in lint.lint(bad)}
    assert len(read) == 3
