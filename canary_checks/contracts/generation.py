"""The generation contract: everything a generator draws or writes with, by name, and what changed of it.

Names are dotted: ``scheduler.beta_schedule``, ``vae.scaling_factor``, ``text_encoder_2.dtype``, ``steps``,
``adapters.brand.digest``; keys of a component are those of its own configuration. Unlike the preprocessing,
a change that nobody announced fails: another scheduler draws other images by design, and no measure of an
image says that this was not wanted.
"""

import dataclasses
import json
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from canary_checks.contracts import difference, fields, stated

MOST_FIELDS: Final = 512
"""Three text encoders with their tokenizers, a denoiser, a decoder and a scheduler are about 250."""
_DEPTH: Final = 6
_DTYPES: Final = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "U8": "uint8",
}

Stated = Mapping[str, fields.Value]


def contract(told: Mapping[str, fields.Value]) -> fields.Contract:
    """Bring what a source tells to dotted names, bounded, with one spelling for each value.

    Parameters
    ----------
    told
        By component, nested or flat; null is not told.

    Returns
    -------
    At most `MOST_FIELDS` fields; its digest is that of their canonical JSON.
    """
    flat = dict(_flat("", told, _DEPTH))
    spelled = {name: fields.spelled(name, _typed(name, value)) for name, value in flat.items()}
    return fields.Contract(types.MappingProxyType(stated.bounded(spelled, MOST_FIELDS)))


def pins(pinned: Stated, told: Stated) -> dict[str, fields.Value]:
    """Return pins as values of the kind that is told: a manifest writes numbers as text.

    Parameters
    ----------
    pinned
        By dotted name, or in the words of the manifest, which has lists and groups.
    told
        What the process tells.
    """
    flat = _flat("", dict(_ungrouped(pinned)), _DEPTH)
    return stated.bounded({name: _as(value, told.get(name)) for name, value in flat}, MOST_FIELDS)


def _ungrouped(pinned: Stated) -> Iterator[tuple[str, fields.Value]]:
    for name, value in pinned.items():
        if name in {"components", "other"} and isinstance(value, Mapping):
            yield from value.items()
        elif name == "adapters" and isinstance(value, list):
            named = [one for one in value if isinstance(one, Mapping)]
            yield name, {str(one.get("name")): {k: v for k, v in one.items() if k != "name"} for one in named}
        else:
            yield name, value


def _as(pin: fields.Value, told: fields.Value) -> fields.Value:
    if not isinstance(pin, str) or told is None or isinstance(told, str):
        return fields.spelled("", pin)
    try:
        # Decimal strings and true, false, lists and objects are JSON.
        return fields.spelled("", json.loads(pin))
    except (ValueError, RecursionError):
        return pin


def _flat(prefix: str, value: Any, depth: int) -> Iterator[tuple[str, fields.Value]]:
    if isinstance(value, Mapping) and depth:
        for key, one in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), one, depth - 1)
    elif value is not None:
        yield prefix, value


def _typed(name: str, value: fields.Value) -> fields.Value:
    if isinstance(value, str) and name.rpartition(".")[2] == "dtype":
        said = value.removeprefix("torch.")
        return _DTYPES.get(said, said)
    return value


@dataclasses.dataclass(frozen=True)
class Difference:
    """How what is told differs from the pins, and from what was told before.

    Attributes
    ----------
    broken
        Pinned fields that are another.
    undeclared
        Fields that are another than before, and that nobody announced.
    expected
        Fields that are another than before, as the manifest now states; with another class of a component
        also the settings that only one of the two classes has.
    silent
        Pins of which nothing is told.
    remarks
        Fields that one side tells as switched off and the other not at all: another version of a library
        has another list of settings.
    compared
        How many fields were looked at.
    """

    broken: tuple[difference.Change, ...]
    undeclared: tuple[difference.Change, ...]
    expected: tuple[difference.Change, ...]
    silent: tuple[str, ...]
    remarks: tuple[difference.Change, ...]
    compared: int

    @property
    def changed(self) -> frozenset[str]:
        """The fields that are another than before, expected or not."""
        return frozenset(one.field for one in (*self.broken, *self.undeclared, *self.expected))


def compare(before: Stated | None, after: Stated, pinned: Stated | None = None) -> Difference:
    """Compare what is told with what was told before, and with the manifest.

    Parameters
    ----------
    before
        What a reference told; None when there is none.
    after
        What the candidate tells.
    pinned
        What the manifest states, by the same names.
    """
    found = difference.compare(before, after, pinned=pins(pinned or {}, after))
    moved = found.of(difference.Standing.REPORTED)
    expected = found.of(difference.Standing.EXPECTED)
    following = following_from(moved, classes(expected))
    rest = tuple(one for one in moved if one not in following)
    return Difference(
        broken=found.of(difference.Standing.PINNED),
        undeclared=tuple(one for one in rest if not _both_off(one)),
        expected=(*expected, *following),
        silent=found.unknown,
        remarks=tuple(one for one in rest if _both_off(one)),
        compared=found.compared,
    )


def classes(changes: Iterable[difference.Change]) -> frozenset[str]:
    """Return the components whose class is among some changes."""
    return frozenset(one.field.rpartition(".")[0] for one in changes if one.field.endswith(".class"))


def following_from(
    changes: Iterable[difference.Change], changed: Collection[str]
) -> tuple[difference.Change, ...]:
    """Return the changes that follow from another class: settings that only one of the two classes has.

    Parameters
    ----------
    changes
        Any.
    changed
        The components of another class.
    """
    return tuple(
        one for one in changes if None in (one.before, one.after) and one.field.rpartition(".")[0] in changed
    )


def _both_off(change: difference.Change) -> bool:
    return None in (change.before, change.after) and _off(change.before) and _off(change.after)


def _off(value: fields.Value) -> bool:
    return value is None or value is False or value in ("", [], {})
