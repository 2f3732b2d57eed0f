"""The geometry of a run's page: how wide a phase is, and where looks lie. Positions are percentages. Pure."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Final

from modelrelease.report import model, times

_TOP: Final = 8.0
"""Percent of the height above the largest value."""
_BEGINNING: Final = model.Look(seconds=0, requests=0, bad=0, evidence=1.0)
_LEAST_SHARE: Final = 0.5
"""Of a phase's width, that is the same for all: a short one can be read, too."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dot:
    """One look."""

    x: float
    y: float
    beyond: bool
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """Between two looks."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over time.

    Attributes
    ----------
    title, summary
        What is shown, and the same for those who do not see it.
    limit, limit_label
        Where the line is that is not to be crossed.
    top, bottom
        Labels of the vertical axis' ends; `end` of the horizontal one's.
    """

    title: str
    summary: str
    dots: tuple[Dot, ...]
    lines: tuple[Line, ...]
    limit: float
    limit_label: str
    top: str
    bottom: str
    end: str


def curves(slo: model.Slo) -> tuple[Curve, ...]:
    """Return how fast the budget burned and how the evidence grew; none without a look."""
    if not slo.looks:
        return ()
    looks = (_BEGINNING, *slo.looks)
    burned = [(look.seconds, look.burn) for look in looks if look.burn is not None]
    burns = [value for _, value in burned]
    found = []
    if burns:
        highest = max(2.0, *burns)
        burn_titles = [f"{times.duration(at)}: {value:.3g}× the budget" for at, value in burned]
        found.append(
            _curve(
                "Burn: share of the budget's pace",
                [(at, value / highest) for at, value in burned],
                limit=1 / highest,
                limit_label="1× uses the budget up exactly",
                titles=burn_titles,
                ends=(f"{highest:.3g}×", "0"),
                summary=f"at most {max(burns):.3g} times the budget, at last {burns[-1]:.3g} times",
            )
        )
    logs = [math.log10(max(look.evidence, 1e-12)) for look in looks]
    proof = math.log10(slo.proof)
    low, high = min(-1.0, *logs), max(proof * 1.15, *logs)
    found.append(
        _curve(
            "Evidence against the candidate: e-value",
            [(look.seconds, (log - low) / (high - low)) for look, log in zip(looks, logs, strict=True)],
            limit=(proof - low) / (high - low),
            limit_label=f"{slo.proof:.0f} is proof",
            titles=[f"{times.duration(look.seconds)}: e-value {look.evidence:.3g}" for look in looks],
            ends=(_power(high), _power(low)),
            summary=f"at most {max(look.evidence for look in looks):.3g}, at last {looks[-1].evidence:.3g}",
        )
    )
    return tuple(found)


def _power(exponent: float) -> str:
    return f"{float(f'{10**exponent:.2g}'):g}" if abs(exponent) < 4 else f"1e{exponent:.0f}"  # noqa: PLR2004


def _curve(
    title: str,
    points: Sequence[tuple[int, float]],
    *,
    limit: float,
    limit_label: str,
    titles: Sequence[str],
    ends: tuple[str, str],
    summary: str,
) -> Curve:
    last = max(1, points[-1][0])

    def y(share: float) -> float:
        return round(100 - share * (100 - _TOP), 2)

    dots = tuple(
        Dot(round(2 + 96 * at / last, 2), y(share), share > limit, said)
        for (at, share), said in zip(points, titles, strict=True)
    )
    return Curve(
        title=title,
        summary=f"{title}: {summary}",
        dots=dots,
        lines=tuple(Line(a.x, a.y, b.x, b.y) for a, b in itertools.pairwise(dots)),
        limit=y(limit),
        limit_label=limit_label,
        top=ends[0],
        bottom=ends[1],
        end=times.duration(last),
    )


def widths(phases: Sequence[model.Phase]) -> list[float]:
    """Return how wide each phase is drawn, in percent: half by its length, half the same for all."""
    seconds = [
        max(0.0, (phase.end - phase.start).total_seconds()) if phase.end is not None else 0.0
        for phase in phases
    ]
    total = sum(seconds)
    if not phases:
        return []
    same = 1 / len(phases)
    shares = [_LEAST_SHARE * same + (1 - _LEAST_SHARE) * (one / total if total else same) for one in seconds]
    return [round(100 * share, 2) for share in shares]
