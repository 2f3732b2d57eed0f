"""The verdicts of every rule as one picture."""

from collections.abc import Sequence
from typing import Final
from xml.sax import saxutils

from slo_simulation import table

WIDTH: Final = 900
LEFT: Final = 330
BAR: Final = 22
GAP: Final = 8
COLOURS: Final = (("rolled back", "#b3261e"), ("promoted", "#2e7d32"), ("held", "#c9a227"))


def svg(rows: Sequence[table.Row], judging: Sequence[table.Rule]) -> str:
    """Return a picture: a bar for each rule and scenario.

    Parameters
    ----------
    rows
        The scenarios, each with the mixes of all rules.
    judging
        The rules, in the order of the mixes.
    """
    parts: list[str] = []
    top = 40.0
    for name, colour in COLOURS:
        left = LEFT + 150 * [known for known, _ in COLOURS].index(name)
        parts.append(f'<rect x="{left}" y="10" width="14" height="14" fill="{colour}"/>')
        parts.append(_text(left + 20, 22, name))
    for row in rows:
        scenario = row.cell.scenario
        title = f"{scenario.label}, {scenario.rate:g} requests/s, {scenario.candidate_ratio:.3%} bad"
        parts.append(_text(10, top + 16, title, weight="bold"))
        top += BAR + GAP
        for judge, mix in zip(judging, row.mixes, strict=True):
            parts.append(_text(10, top + 16, judge.name))
            at = float(LEFT)
            for count, (name, colour) in zip((mix.failed, mix.passed, mix.undecided), COLOURS, strict=True):
                share = count / mix.runs
                width = share * (WIDTH - LEFT - 10)
                label = saxutils.escape(f"{judge.name}: {name} {share:.1%}")
                parts.append(
                    f'<rect x="{at:.1f}" y="{top:.0f}" width="{width:.1f}" height="{BAR}" fill="{colour}">'
                    f"<title>{label}</title></rect>"
                )
                at += width
            top += BAR + GAP
        top += GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" '
        f'font-family="sans-serif" font-size="14">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, said: str, weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}">{saxutils.escape(said)}</text>'
