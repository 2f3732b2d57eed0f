"""docs/image-faults.md: one line for each fault of a generator, what caught it, and what should not be."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v
from hack.faults import drawn

MARK: Final = "## Measured\n"
_SHOWN: Final = 3


def line(found: drawn.Found) -> str:
    """Say in one line what became of a fault or a benign change."""
    mark = "as it should" if found.right else "NOT AS IT SHOULD"
    return f"{mark:16s} {found.name:64s} {found.said.verdict:12s} {found.seconds:6.1f} s"


def section(found: Mapping[str, Sequence[drawn.Found]]) -> str:
    """Write the measured part of the page; the suites by their headings."""
    return MARK + "".join(_suite(title, rows) for title, rows in found.items())


def _suite(title: str, rows: Sequence[drawn.Found]) -> str:
    faults = [row for row in rows if row.key]
    benign = [row for row in rows if not row.key]
    alarms = sum(row.said.verdict is not v.Verdict.PASS for row in benign)
    missed = [row for row in faults if not row.caught]
    passed = sum(row.said.verdict is v.Verdict.PASS for row in missed)
    rest = f" ({len(missed) - passed} left open, {passed} passed)" if missed else ""
    parts = [
        f"\n### {title}\n\n{len(faults) - len(missed)} of {len(faults)} faults caught by a gate of their"
        f" key{rest}; {alarms} of {len(benign)} benign changes did not pass.\n\n",
        "| fault | verdict | caught by | cause named | samples |\n|---|---|---|---|---|\n",
        *(
            f"| {row.name} | {row.said.verdict} | {_blamed(row)} | {_cause(row)} | {_samples(row)} |\n"
            for row in faults
        ),
        "\n| benign change | verdict | what was seen | samples |\n|---|---|---|---|\n",
        *(f"| {row.name} | {row.said.verdict} | {_sentence(row)} | {_samples(row)} |\n" for row in benign),
    ]
    return "".join(parts)


def _blamed(found: drawn.Found) -> str:
    gates = sorted(found.blamed, key=lambda gate: gate.metric not in found.key)
    if not gates or found.said.verdict is v.Verdict.ERROR:
        return f"`{found.said.reason}`"
    more = f" and {len(gates) - _SHOWN} more" if len(gates) > _SHOWN else ""
    return ", ".join(_gate(gate) for gate in gates[:_SHOWN]) + more


def _gate(gate: schema.Gate) -> str:
    against = " of stable" if gate.against == "Stable" else ""
    sign = {"<=": "≤", ">=": "≥", "==": "="}[gate.operator]
    return f"`{gate.metric}`{against} {_number(gate.observed)}, {sign} {_number(gate.limit)}"


def _number(value: v.Number) -> str:
    return f"{value:.3g}" if not isinstance(value, str) and math.isfinite(value) else str(value)


def _cause(found: drawn.Found) -> str:
    blame = found.said.diagnosis
    if blame is None:
        return "none: the gate says what changed"
    if blame.confidence is v.Confidence.UNKNOWN:
        return f"Unknown; left: {', '.join(blame.left)}"
    return f"{blame.cause} ({blame.confidence})"


def _samples(found: drawn.Found) -> int:
    return max((gate.samples for gate in found.blamed), default=0)


def _sentence(found: drawn.Found) -> str:
    return found.said.message.partition(";")[0].replace("|", "\\|")
