"""What a request says of the probe endpoint, and of what it must tell: pins, in the words of the manifest."""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Final

import pydantic

from canary_checks import vocabulary as v
from canary_checks.contracts import fields

_PINS: Final = 64
_PIN_BYTES: Final = 16_384
_GENERATION_PINS: Final = 256
_GENERATION_BYTES: Final = 98_304
_DECIMAL: Final = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,24})?([eE]-?[0-9]{1,2})?")
# A manifest has no floats: it writes these as decimal strings.
_NUMBERS: Final = frozenset({fields.Field.MEAN, fields.Field.STD, fields.Field.VALUE_SCALE})


class ProbeEndpoint(v.Model):
    """Where a served process tells of itself; the token is in the environment, never in a request."""

    url: Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
    """What stands before ``/probe/v1``."""
    token_variable: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")] = (
        "MODELRELEASE_PROBE_TOKEN"
    )
    """The environment variable of the check that holds the token."""


_Pins = dict[str, pydantic.JsonValue]


def _at_most(size: int) -> Callable[[_Pins], _Pins]:
    """Return a validator that refuses what is larger than so many bytes as JSON."""

    def bounded(value: _Pins) -> _Pins:
        if len(json.dumps(value, allow_nan=False)) > size:
            raise ValueError(f"it is larger than {size} bytes as JSON")
        return value

    return bounded


Pinned = Annotated[
    dict[Annotated[str, pydantic.StringConstraints(min_length=1, max_length=128)], pydantic.JsonValue],
    pydantic.Field(max_length=_PINS),
    pydantic.AfterValidator(_at_most(_PIN_BYTES)),
]


GenerationPins = Annotated[
    dict[Annotated[str, pydantic.StringConstraints(min_length=1, max_length=160)], pydantic.JsonValue],
    pydantic.Field(max_length=_GENERATION_PINS),
    pydantic.AfterValidator(_at_most(_GENERATION_BYTES)),
]
"""A generator has many components, each with settings of its own."""


def preprocessing(pinned: Mapping[str, fields.Value]) -> Mapping[str, fields.Value]:
    """Return the pins of the preprocessing under the names and in the spelling that processes are read in.

    Parameters
    ----------
    pinned
        As the manifest has them: mean, std and value scale as decimal strings, or as numbers.
    """
    named = fields.contract(pinned).fields
    return fields.contract(
        {name: _number(value) if name in _NUMBERS else value for name, value in named.items()}
    ).fields


def as_pinned(
    told: Mapping[str, fields.Value], pinned: Mapping[str, fields.Value]
) -> dict[str, fields.Value]:
    """Return what is told, as text where it is a number or a truth value and the pin is text.

    Parameters
    ----------
    told
        By name.
    pinned
        By name; a manifest states fields that it has no type for as text.
    """
    return {
        name: json.dumps(value)
        if isinstance(pinned.get(name), str) and isinstance(value, bool | int | float)
        else value
        for name, value in told.items()
    }


def _number(value: fields.Value) -> fields.Value:
    if isinstance(value, list):
        return [_number(one) for one in value]
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(Decimal(value))
    return value
