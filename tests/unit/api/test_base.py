import datetime
import json

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import base

TIME = pydantic.TypeAdapter(base.Time)


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_a_time_survives_the_wire(milliseconds: int) -> None:
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    written = json.loads(TIME.dump_json(moment))
    assert written.endswith("Z")
    assert abs(TIME.validate_python(written) - moment) < datetime.timedelta(milliseconds=1)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="needs a zone"):
        TIME.validate_python("2026-11-21T08:00:00")


@pytest.mark.parametrize("pods", [0, 1, "0%", "5%", "25%", "100%"])
def test_a_number_of_pods_or_a_percentage(pods: int | str) -> None:
    assert pydantic.TypeAdapter(base.IntOrString).validate_python(pods) == pods


@pytest.mark.parametrize("pods", [-1, 100_001, True, 1.0, "1", "101%", "05%", "5%\n", "", None])
def test_neither_a_number_of_pods_nor_a_percentage(pods: object) -> None:
    with pytest.raises(pydantic.ValidationError, match="a number of pods"):
        pydantic.TypeAdapter(base.IntOrString).validate_python(pods)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("0", True),
        ("-1.5", True),
        ("1e-5", True),
        ("1.5E10", True),
        ("1e999", False),
        (".5", False),
        ("x", False),
    ],
)
def test_a_decimal_is_one_that_every_side_can_hold(text: str, fine: bool) -> None:
    adapter = pydantic.TypeAdapter(base.DecimalString)
    if fine:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(pydantic.ValidationError):
            adapter.validate_python(text)
