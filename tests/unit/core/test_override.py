"""Which words of people count now."""

from typing import Any

import pytest

from modelrelease.api import spec
from modelrelease.core import override
from tests.unit.core import given

C, S, OLD = given.CANDIDATE, given.STABLE, given.OLDER
WHY = {"reason": "INC-1"}


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ({}, {}),
        ({"paused": WHY}, {"paused": 1}),
        ({"pinned": {"revision": OLD, **WHY}}, {"pinned": 1}),
        ({"forced": {"revision": C, **WHY}}, {"forced": 1}),
        ({"forced": {"revision": OLD, **WHY}}, {}),
        ({"rejected": [{"revision": S, **WHY}, {"revision": OLD, **WHY}]}, {"rejected": 1}),
        ({"waivers": [{"revision": C, "check": check, **WHY} for check in ("a", "b")]}, {"waiver": 2}),
        ({"cancelled": {"revision": C, "attempt": 1, **WHY}}, {"cancelled": 1}),
        ({"debug": {"revision": C, "seconds": 600, **WHY}}, {"debug": 1}),
        ({"approvals": [{"revision": C, "stage": "BeforeFull", **WHY}]}, {"approval": 1}),
        ({"approvals": [{"revision": S, "stage": "BeforeFull", **WHY}]}, {}),
        ({"retry": {"revision": C, "attempt": 1, **WHY}}, {"retry": 1}),
        ({"retry": {"revision": C, "attempt": 2, **WHY}}, {}),
    ],
)
def test_words_count_for_revisions_that_matter_now(said: dict[str, Any], counts: dict[str, int]):
    assert override.counted(given.observed([given.run("Checking")], override=said)) == counts


def test_every_field_of_the_override_has_a_kind():
    """A new one must not be forgotten here."""
    plural = {"approvals": "approval", "waivers": "waiver"}
    assert {plural.get(name, name) for name in spec.Override.model_fields} == set(override.KINDS)


def test_without_a_run_nothing_waits_for_an_approval():
    said = {"approvals": [{"revision": C, "stage": "BeforeFull", **WHY}]}
    assert override.counted(given.observed(override=said)) == {}
