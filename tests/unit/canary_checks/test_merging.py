"""Findings of several operations become one result, which has bounds."""

import pytest

from canary_checks import vocabulary as v
from canary_checks.probes import finding, merging


def said(message: str) -> finding.Finding:
    return finding.Finding(verdict=v.Verdict.PASS, reason="Any", message=message, gates=(), items_used=1)


def test_what_fits_is_told_as_it_is():
    found = merging.merge({"draft": said("fast"), "refine": said("slow")})
    assert (found.message, found.items_used) == ("draft: fast; refine: slow", 2)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_every_operation_is_heard_where_all_say_more_than_fits(count: int):
    names = [f"operation-{index}" for index in range(count)]
    found = merging.merge({name: said(f"{name[-1]} " * 250) for name in names})
    assert len(found.message) <= 512
    assert [name for name in names if f"{name}: {name[-1]} {name[-1]}" in found.message] == names
