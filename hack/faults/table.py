"""The confusion table: one line per case, totals, and a page for people."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final, Self

from canary_checks import vocabulary as v
from hack.faults import answers, measuring

_HEAD: Final = """\
# Confusion table

`make faults` writes this page. Each fault is served over HTTP by a model computed on request, and the real
check is asked about it with a reference recorded from the right model over the same path: all-MiniLM-L6-v2
in numpy over `TextV1` for texts, a small vision transformer with fixed random weights over `ImageV1` for
images. The faults and the benign changes are those of research/parity.md §2.3 and §2.7; the key of accepted
causes (`hack/faults/answers.py`) was committed before anything was measured.

A fault counts as caught when the verdict is `Fail`; a benign change fails when the verdict is not `Pass` at
the numeric class of the pair. A cause is wrong when it is named and not in the key. Precisions of
accelerators are emulated (operands or results are rounded, sums kept in float32); a batch of 128 is padded
to its length, and "1 thread" sums in two halves. Servers that race exchange neighbours within a request.

"""

FURTHER: Final = "## Further faults\n"
_ABOUT_FURTHER: Final = """
`make faults ARGS=--further` writes this part: faults that are on no list, other poolings, and an image model
with other weights than the one that the signatures were measured on (`hack/faults/further.py`). The held-out
ones were written, with their key, when the diagnosis was finished, and measured after that. The seen ones had
been asked before, and what they showed was mended: they measure nothing, and keep causes from being named
wrongly. `Unknown` is right only where the key says so; elsewhere it is a miss, if an honest one.

All 33 that were held out were caught when they were first measured, on 2026-11-21. Two of them were named
wrongly: texts sent in capitals to a cased model (Weights), and an ignored EXIF tag together with another
filter (ResizeFilter). Since then the candidate's own twins are asked what it folds and what it makes of
metadata, whatever its network is: both are `Unknown` now, with the true causes among those left, and count as
seen. One honest `Unknown` excludes its own cause: of channels only red and blue are exchanged to try.

"""


@dataclasses.dataclass(frozen=True)
class Summary:
    """Totals of one suite."""

    faults: int
    caught: int
    accepted: int
    wrong: int
    unknown: int
    benign: int
    failed: int

    @classmethod
    def of(cls, rows: Sequence[measuring.Found]) -> Self:
        """Count."""
        faults = [row for row in rows if row.case.accepted]
        benign = [row for row in rows if not row.case.accepted]
        return cls(
            faults=len(faults),
            caught=sum(row.caught for row in faults),
            accepted=sum(row.accepted for row in faults),
            wrong=sum(row.wrong for row in faults),
            unknown=sum(row.cause == answers.UNKNOWN for row in faults),
            benign=len(benign),
            failed=sum(row.verdict is not v.Verdict.PASS for row in benign),
        )

    def good(self, *, whole: bool) -> bool:
        """Say whether the targets are met; of a part of the suite only that nothing is wrong or missed."""
        if not whole:
            return self.caught == self.faults and not self.wrong and not self.failed
        return (
            self.caught >= self.faults - 1
            and not self.failed
            and self.accepted >= 0.9 * self.faults
            and self.wrong <= 0.02 * self.faults
        )

    def __str__(self) -> str:
        share = 100 / max(1, self.faults)
        return (
            f"{self.caught} of {self.faults} faults caught, {self.failed} of {self.benign} benign changes"
            " failed;"
            f" cause accepted {self.accepted} ({self.accepted * share:.0f} %), wrong {self.wrong}"
            f" ({self.wrong * share:.1f} %), Unknown {self.unknown} ({self.unknown * share:.0f} %)"
        )


def line(found: measuring.Found) -> str:
    """Say in one line what became of a case."""
    return (
        f"{_mark(found):9s} {found.case.name:58s} {found.verdict:5s} {found.cause:16s} {found.confidence:8s}"
        f" {found.requests:4d} requests {found.seconds:6.1f} s"
    )


def _mark(found: measuring.Found) -> str:
    if not found.case.accepted:
        return "passed" if found.verdict is v.Verdict.PASS else "FAILED"
    if not found.caught:
        return "MISSED"
    return "accepted" if found.accepted else "WRONG" if found.wrong else "unknown"


def document(found: Mapping[str, Sequence[measuring.Found]]) -> str:
    """Write the page, without the further faults; the suites by their headings."""
    return _HEAD + "".join(_section("##", title, rows) for title, rows in found.items()).rstrip() + "\n"


def further(found: Mapping[str, Sequence[measuring.Found]]) -> str:
    """Write the part of the page about faults that are on no list; the suites by their headings."""
    return (
        FURTHER
        + _ABOUT_FURTHER
        + "".join(_section("###", title, rows) for title, rows in found.items()).rstrip()
        + "\n"
    )


def _section(level: str, title: str, rows: Sequence[measuring.Found]) -> str:
    faults = [row for row in rows if row.case.accepted]
    benign = [row for row in rows if not row.case.accepted]
    parts = [f"{level} {title}\n\n{Summary.of(rows)}.\n\n"]
    parts.append("| fault | verdict | cause | confidence | accepted? | the key | first evidence |\n")
    parts.append("|---|---|---|---|---|---|---|\n")
    parts.extend(
        f"| {row.case.name} | {row.verdict} | {row.cause} | {row.confidence} | {_mark(row)}"
        f" | {', '.join(sorted(row.case.accepted))} | {_cell(row)} |\n"
        for row in faults
    )
    if benign:
        parts.append("\n| benign change | class | verdict | what was measured |\n|---|---|---|---|\n")
        parts.extend(
            f"| {row.case.name} | {row.case.numeric_class} | {row.verdict} |"
            f" {row.message.partition(';')[0]} |\n"
            for row in benign
        )
    return "".join(parts) + "\n"


def _cell(found: measuring.Found) -> str:
    if found.cause == answers.UNKNOWN:
        return "left: " + ", ".join(found.left)
    return found.evidence[0].replace("|", "\\|") if found.evidence else ""
