import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.prometheus import promql


def unquoted(text: str) -> str:
    """Read a PromQL string as Prometheus does."""
    assert text.startswith('"')
    assert text.endswith('"')
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text[1:-1])


def test_a_selector_with_a_range() -> None:
    matchers = [promql.equals("namespace", "search"), promql.one_of("pod", ["a-1", "b.2"])]
    assert promql.selector("up", matchers, 360) == 'up{namespace="search",pod=~"a\\\\-1|b\\\\.2"}[360s]'


@pytest.mark.parametrize("value", ['x"}[5m])) or vector(0) #', "x\\", "a\nb", "'", "{}", ""])
def test_a_value_cannot_leave_its_quotes(value: str) -> None:
    quoted = promql.equals("version", value).quoted
    assert unquoted(quoted) == value
    assert re.fullmatch(r'"(?:[^"\\\n]|\\[\\"n])*"', quoted)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4), st.text(max_size=8))
def test_one_of_matches_exactly_its_values(values: list[str], other: str) -> None:
    pattern = unquoted(promql.one_of("pod", values).quoted)
    for value in [*values, other]:
        assert bool(re.fullmatch(pattern, value)) is (value in values)


@pytest.mark.parametrize("name", ["", "a-b", "1a", 'a"', "a b", "a\n"])
def test_names_must_be_names(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        promql.equals(name, "x")
    with pytest.raises(ValueError, match="no name"):
        promql.selector(name, [])


def test_a_range_is_not_empty() -> None:
    with pytest.raises(ValueError, match="empty"):
        promql.selector("up", [], 0)
