"""What a comparison tells people: one sentence, the strata that moved, the worst rows, data for plots."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.golden import selection
from canary_checks.parity import comparison as paired
from canary_checks.parity import gates, reference
from canary_checks.probes import finding

MINIMUM_ITEMS: Final = 64
_WORST_SHOWN: Final = 5


def conclude(
    golden: selection.Selection,
    judged: tuple[schema.Gate, ...],
    comparisons: Sequence[paired.Comparison],
    blame: schema.DiagnosisReport | None,
    recorded: reference.Recording | None,
) -> finding.Finding:
    """Put a verdict on the gates and explain it.

    Parameters
    ----------
    golden
        What was sent.
    judged
        Every gate of the check.
    comparisons
        One for each reference.
    blame
        The diagnosis of the first comparison with failed rows.
    recorded
        The recording.

    Returns
    -------
    The finding; `NoData` when too few items could be compared.
    """
    verdict = gates.verdict_of(judged)
    too_few = [c for c in comparisons if int(c.paired.sum()) < MINIMUM_ITEMS]
    if verdict is v.Verdict.PASS and too_few:
        verdict = v.Verdict.NO_DATA
    shown = next((c for c in comparisons if c.failed.any()), comparisons[0] if comparisons else None)
    strata = _strata(golden, shown) if shown is not None else ()
    reason, message = _sentence(
        golden,
        verdict=verdict,
        judged=judged,
        comparisons=comparisons,
        strata=strata,
        blame=blame,
    )
    return finding.Finding(
        verdict=verdict,
        reason=reason,
        message=v.sentence(message),
        gates=judged,
        items_used=len(golden.items),
        measurements=tuple(m for c in comparisons for m in _measurements(golden, c)),
        strata=strata,
        worst=_worst(golden, shown) if shown is not None else (),
        diagnosis=blame,
        series=_places(golden, strata)
        | {
            f"{name}:{c.opponent.role}": tuple(v.number(float(x)) for x in values)
            for c in comparisons
            if c.comparable
            for name, values in (("cosineDistance", c.cosine), ("normDeviation", c.norm))
        },
        references=tuple(c.opponent.party for c in comparisons),
        recorded=recorded,
        comparisons=tuple(comparisons),
    )


def _places(golden: selection.Selection, strata: Sequence[schema.Stratum]) -> dict[str, tuple[v.Number, ...]]:
    """Say of each row which of the result's strata it is in, so that a plot can tell them apart."""
    place = {stratum.name: float(i) for i, stratum in enumerate(strata)}
    return {"stratum": tuple(place[item.stratum] for item in golden.items)} if strata else {}


def _sentence(
    golden: selection.Selection,
    *,
    verdict: v.Verdict,
    judged: Sequence[schema.Gate],
    comparisons: Sequence[paired.Comparison],
    strata: Sequence[schema.Stratum],
    blame: schema.DiagnosisReport | None,
) -> tuple[str, str]:
    """Return the reason and the one sentence of a verdict."""
    n = len(golden.items)
    if verdict is v.Verdict.PASS and comparisons:
        return "Parity", f"{n} items: {'; '.join(_summary(c) for c in comparisons)}"
    if verdict is v.Verdict.PASS:
        return "Recorded", f"{n} items recorded; there was no reference to compare with"
    if verdict is v.Verdict.FAIL:
        failed = "; ".join(gates.describe(gate) for gate in judged if gate.verdict is v.Verdict.FAIL)
        moved = sum(stratum.failed for stratum in strata)
        where = ", ".join(f"{s.name} {s.failed}/{s.items}" for s in strata if s.failed)
        return "ParityBroken", (
            f"{moved} of {n} items moved{_blamed(blame)}: {where}; {failed}" if moved else failed
        )
    return "TooFewItems", f"fewer than {MINIMUM_ITEMS} items could be compared"


def _blamed(blame: schema.DiagnosisReport | None) -> str:
    if blame is None:
        return ""
    if blame.confidence is v.Confidence.UNKNOWN:
        return f" (cause unknown; left: {', '.join(blame.left) or 'none of those we know'})"
    return f" ({blame.cause}, {blame.confidence.lower()})"


def _summary(comparison: paired.Comparison) -> str:
    worst = gates.worst(comparison.cosine[comparison.paired])
    return f"1 − cos worst {worst:.2g} against {comparison.opponent.role}"


def _measurements(golden: selection.Selection, comparison: paired.Comparison) -> list[schema.Measurement]:
    if not comparison.comparable:
        return []
    ranked = np.where(comparison.paired, np.nan_to_num(comparison.cosine, nan=np.inf), -1.0)
    worst_row = int(np.argmax(ranked))
    role = comparison.opponent.role
    return [
        gates.summary(
            "CosineDistance",
            comparison.cosine[comparison.paired],
            against=role,
            item=golden.items[worst_row].id,
        ),
        gates.summary("NormDeviation", comparison.norm[comparison.paired], against=role),
        gates.summary(f"NeighbourOverlapAt{paired.NEIGHBOURS}", comparison.overlap, against=role),
    ]


def _strata(golden: selection.Selection, comparison: paired.Comparison) -> tuple[schema.Stratum, ...]:
    names = list(dict.fromkeys(item.stratum for item in golden.items))
    found = []
    for name in names:
        rows = np.array([item.stratum == name for item in golden.items])
        values = comparison.cosine[rows & comparison.paired]
        found.append(
            schema.Stratum(
                name=name,
                items=int(rows.sum()),
                failed=int((rows & comparison.failed).sum()),
                worst=v.number(gates.worst(values)),
                metric=gates.COSINE_DISTANCE_WORST,
            )
        )
    return tuple(found)


def _worst(golden: selection.Selection, comparison: paired.Comparison) -> tuple[schema.WorstItem, ...]:
    rank = np.where(np.isnan(comparison.cosine), np.inf, comparison.cosine)
    order = [int(row) for row in np.argsort(-rank, kind="stable") if comparison.failed[row]][:_WORST_SHOWN]
    return tuple(
        schema.WorstItem(
            item=golden.items[row].id,
            stratum=golden.items[row].stratum,
            values={
                "cosineDistance": v.number(float(comparison.cosine[row])),
                "normDeviation": v.number(float(comparison.norm[row])),
            },
        )
        for row in order
    )
