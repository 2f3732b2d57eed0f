"""What changed between two statements of one kind, field by field, and what may follow from it.

One rule serves the preprocessing contract, the environment, the schema of the API and the files: what the
manifest pins must be so; a change that somebody announced is expected; any other one is told and decides
nothing, because the checks of behaviour decide whether it matters.
"""

import dataclasses
import enum
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from canary_checks import vocabulary as v
from canary_checks.contracts import fields

_SHOWN: Final = 6
_LONGEST: Final = 60


class Standing(enum.StrEnum):
    """How a difference is to be taken."""

    PINNED = "Pinned"
    EXPECTED = "Expected"
    REPORTED = "Reported"


@dataclasses.dataclass(frozen=True)
class Change:
    """One field that is not what it was, or not what it must be.

    Attributes
    ----------
    field
        Its name.
    before, after
        The values, None where a side does not state it.
    standing
        ``Pinned`` when the manifest states another value than `after`.
    """

    field: str
    before: fields.Value
    after: fields.Value
    standing: Standing

    def __str__(self) -> str:
        """Return ``field before → after``, shortened."""
        return f"{self.field} {_short(self.before)} → {_short(self.after)}"


@dataclasses.dataclass(frozen=True)
class Difference:
    """Everything that changed.

    Attributes
    ----------
    changes
        By standing, pinned ones first, then by name.
    unknown
        Fields that the manifest pins and nobody tells.
    compared
        How many fields were looked at.
    """

    changes: tuple[Change, ...]
    unknown: tuple[str, ...]
    compared: int

    @property
    def verdict(self) -> v.Verdict:
        """Fail when a pinned field is another, NoData when one is not told, else Pass."""
        if any(change.standing is Standing.PINNED for change in self.changes):
            return v.Verdict.FAIL
        return v.Verdict.NO_DATA if self.unknown or not self.compared else v.Verdict.PASS

    def of(self, standing: Standing) -> tuple[Change, ...]:
        """Return the changes of one standing."""
        return tuple(change for change in self.changes if change.standing is standing)

    def sentence(self) -> str:
        """Say in one sentence what changed."""
        words = {
            Standing.PINNED: "not as pinned",
            Standing.EXPECTED: "changed as expected",
            Standing.REPORTED: "changed",
        }
        parts = [
            f"{said}: {_list([str(one) for one in self.of(standing)])}"
            for standing, said in words.items()
            if self.of(standing)
        ]
        if self.unknown:
            parts.append(f"pinned and not told: {_list(self.unknown)}")
        return "; ".join(parts) or f"{self.compared} fields are equal"


def compare(
    before: Mapping[str, fields.Value] | None,
    after: Mapping[str, fields.Value],
    *,
    pinned: Mapping[str, fields.Value] | None = None,
    expected: Collection[str] = (),
) -> Difference:
    """Compare what a candidate states with a reference's statement and with the manifest.

    Parameters
    ----------
    before
        What the reference states; None when there is no reference.
    after
        What the candidate states.
    pinned
        What the manifest states; a field whose value is another is pinned, wherever the reference stands.
    expected
        Fields that are changed on purpose.

    Returns
    -------
    The changes. A field that only one side states is a change too: both come from sources of one kind.
    """
    must = pinned or {}
    changes = [
        Change(name, wanted, after[name], Standing.PINNED)
        for name, wanted in sorted(must.items())
        if name in after and after[name] != wanted
    ]
    broken = {change.field for change in changes}
    if before is not None:
        for name in sorted({*before, *after} - broken):
            if before.get(name) != after.get(name):
                announced = name in expected or name in must
                standing = Standing.EXPECTED if announced else Standing.REPORTED
                changes.append(Change(name, before.get(name), after.get(name), standing))
    order = list(Standing)
    return Difference(
        changes=tuple(sorted(changes, key=lambda change: order.index(change.standing))),
        unknown=tuple(sorted(name for name in must if name not in after)),
        compared=len({*after, *(before or {})}),
    )


def _short(value: fields.Value) -> str:
    if value is None:
        return "not stated"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return v.sentence(text, _LONGEST) or "''"


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
