"""The confusion table of generators: one line per case, totals, and a page for people."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final, Self

from canary_checks import vocabulary as v
from hack.faults.generators import measuring

HELD_OUT: Final = "Held out"
_HEAD: Final = """\
# Confusion table: inside generators

`make faults ARGS=--generators` writes this page. Each fault is made in the files of a small pipeline of
diffusers with random weights, or in what a server does with it once it is loaded (`hack/faults/generators/`):
one like Stable Diffusion (CLIP, UNet, VAE, Euler) and one like Stable Diffusion 3 ("flow": two CLIPs and T5,
joint attention, flow matching). The model is run as the `internals` check runs it, judged by the check's own
gates against a trace of the right pipeline, and where a gate fails the diagnosis may run it up to {trials}
times otherwise. What is drawn and at what pace is in [image-faults.md](image-faults.md).

A fault counts as caught when the verdict is `Fail`. A cause is wrong when it is named and not in the key; the
keys were fixed before anything was measured. Step and layer are the first that differ, attention being looked
at in the first step. n is the number of prompts, each with its own seed; {steps} steps and guidance
{guidance:g} where nothing else is said.

These networks were never trained: they show where the diagnosis looks and that its numbers separate the
faults, not how large a fault of a given kind is in a model of yours. What needs eyes is judged by
[fidelity](checks/fidelity.md).

"""
_ABOUT: Final[dict[str, str]] = {
    "Faults": "Seen while the signatures were written.\n\n",
    HELD_OUT: """\
Written, with their key, before the first measurement of any fault, and measured once, when the diagnosis was
finished, on 2026-11-21. One line was changed after that, and none of these turns on it: an encoder that does
not run had been called Tokenisation. One honest Unknown excludes its own cause: of a layer too many that is
skipped (clip_skip), only more are tried.

""",
}


@dataclasses.dataclass(frozen=True)
class Summary:
    """Totals of one part of the table."""

    faults: int
    caught: int
    accepted: int
    proven: int
    wrong: int
    unknown: int
    benign: int
    failed: int
    undecided: int

    @classmethod
    def of(cls, rows: Sequence[measuring.Found]) -> Self:
        """Count."""
        faults = [row for row in rows if row.case.accepted]
        benign = [row for row in rows if not row.case.accepted]
        return cls(
            faults=len(faults),
            caught=sum(row.caught for row in faults),
            accepted=sum(row.accepted for row in faults),
            proven=sum(row.accepted and _confidence(row) == v.Confidence.PROVEN for row in faults),
            wrong=sum(row.wrong for row in faults),
            unknown=sum(row.cause == measuring.UNKNOWN for row in faults),
            benign=len(benign),
            failed=sum(row.verdict is v.Verdict.FAIL for row in benign),
            undecided=sum(row.verdict not in {v.Verdict.PASS, v.Verdict.FAIL} for row in benign),
        )

    @property
    def good(self) -> bool:
        """Nothing is missed, named wrongly or refused without a reason."""
        return self.caught == self.faults and not self.wrong and not self.failed

    def __str__(self) -> str:
        if not self.faults:
            return f"{self.failed} of {self.benign} benign changes failed, {self.undecided} had no verdict"
        return (
            f"{self.caught} of {self.faults} faults caught; cause accepted {self.accepted} ({self.proven} of"
            f" them proven), wrong {self.wrong}, Unknown {self.unknown}"
        )


def line(found: measuring.Found) -> str:
    """Say in one line what became of a case."""
    tried = found.blame.tried if found.blame else 0
    return (
        f"{_mark(found):9s} {found.case.name:56s} {found.verdict:12s} {found.cause:21s}"
        f" {_confidence(found):8s} {tried} runs {found.seconds:5.1f} s"
    )


def document(
    found: Mapping[str, Sequence[measuring.Found]], *, steps: int, guidance: float, trials: int
) -> str:
    """Write the page, by headings."""
    head = _HEAD.format(steps=steps, guidance=guidance, trials=trials)
    return head + "".join(_section(title, rows) for title, rows in found.items()).rstrip() + "\n"


def _section(title: str, rows: Sequence[measuring.Found]) -> str:
    parts = [f"## {title}\n\n{_ABOUT.get(title, '')}{Summary.of(rows)}.\n\n"]
    if not rows[0].case.accepted:
        parts.append("| benign change | class | verdict | n |\n|---|---|---|---|\n")
        parts.extend(
            f"| {row.case.name} | {row.case.numeric_class} | {row.verdict} | {row.prompts} |\n"
            for row in rows
        )
        return "".join(parts) + "\n"
    parts.append(
        "| fault | caught by | verdict | cause | confidence | accepted? | first stage | step | layer | n |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
    )
    parts.extend(_row(row) for row in rows)
    return "".join(parts) + "\n"


def _row(found: measuring.Found) -> str:
    blame = found.blame
    cells = [
        found.case.name,
        _worst(found),
        str(found.verdict),
        f"{found.cause}{_left(found)}",
        _confidence(found),
        _mark(found),
        (blame.stage or "–") if blame else "–",
        str(blame.step or "–") if blame else "–",
        f"`{blame.layer}`" if blame and blame.layer else "–",
        str(found.prompts),
    ]
    return f"| {' | '.join(cells)} |\n"


def _worst(found: measuring.Found) -> str:
    """Name the gates that failed: exact ones first, and no more than three."""
    names = [name for name, _, _ in found.gates]
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more or "–"


def _left(found: measuring.Found) -> str:
    if found.cause != measuring.UNKNOWN or found.blame is None:
        return ""
    return f" (left: {', '.join(found.blame.report.left) or 'none'})"


def _confidence(found: measuring.Found) -> str:
    return str(found.blame.report.confidence) if found.blame else ""


def _mark(found: measuring.Found) -> str:
    if not found.case.accepted:
        return "FAILED" if found.verdict is v.Verdict.FAIL else found.verdict.lower()
    if not found.caught:
        return "MISSED"
    return "accepted" if found.accepted else "WRONG" if found.wrong else "unknown"
