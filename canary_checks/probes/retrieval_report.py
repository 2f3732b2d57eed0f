"""What a search tells people: one sentence, how each stratum of queries does, and which lost most."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from canary_checks import known_queries, schema
from canary_checks import vocabulary as v
from canary_checks.parity import gates, rates, retrieval
from canary_checks.probes import finding

_WORST_SHOWN: Final = 5
_RATES: Final = ("Recall", "Precision")


@dataclasses.dataclass(frozen=True)
class Searched:
    """What was searched for, and found.

    Attributes
    ----------
    known
        Queries and documents.
    ks
        How many documents were looked at; the first one is shown row by row.
    found
        By k: of the candidate.
    before
        The same of each reference.
    """

    known: retrieval.Known
    ks: tuple[int, ...]
    found: Mapping[int, retrieval.Found]
    before: Mapping[gates.Against, Mapping[int, retrieval.Found]]

    @property
    def recall(self) -> rates.Scalars:
        """Shape ``[queries]``: of the candidate, at the first k."""
        return self.found[self.ks[0]].recall

    @property
    def lost(self) -> rates.Scalars:
        """Shape ``[queries]``: how much less is found than with the first reference, or than everything."""
        of = next(iter(self.before.values()), None)
        return (of[self.ks[0]].recall if of is not None else np.ones_like(self.recall)) - self.recall


def broken(judged: tuple[schema.Gate, ...], sent: int) -> finding.Finding:
    """Conclude on vectors that no search can be made with.

    Parameters
    ----------
    judged
        Gates, one of which failed.
    sent
        How many items were sent.
    """
    said = "; ".join(gates.describe(gate) for gate in judged if gate.verdict is not v.Verdict.PASS)
    return finding.Finding(
        verdict=gates.verdict_of(judged),
        reason="SpaceBroken",
        message=v.sentence(f"the vectors of {sent} items make no space to search in: {said}"),
        gates=judged,
        items_used=sent,
    )


def conclude(
    searched: Searched,
    judged: tuple[schema.Gate, ...],
    *,
    references: tuple[schema.Party, ...],
    remarks: Sequence[str],
    sent: int,
) -> finding.Finding:
    """Put a verdict on the gates and explain it.

    Parameters
    ----------
    searched
        What was found.
    judged
        Every gate of the check.
    references
        What the candidate was compared with.
    remarks
        What the reader should know of them.
    sent
        How many items were sent.

    Returns
    -------
    The finding; `NoData` with too few queries or documents, or where nothing says what must be found.
    """
    queries, documents = len(searched.known.queries), len(searched.known.documents)
    verdict = gates.verdict_of(judged)
    rated = [gate for gate in judged if gate.metric.startswith(_RATES)]
    said = f"{queries} queries in {documents} documents: {_said(searched)}"
    least = retrieval.LEAST_DOCUMENTS * max(searched.ks)
    if documents < least:
        # By chance alone a search would find too much: whatever the gates say, it proves nothing.
        verdict, reason = v.Verdict.NO_DATA, "TooFewDocuments"
        message = f"{documents} documents are too few to find {max(searched.ks)} of them: {least} are needed"
    elif queries < rates.LEAST_SAMPLES:
        verdict, reason = v.Verdict.NO_DATA, "TooFewQueries"
        message = f"{said}; a rate needs {rates.LEAST_SAMPLES} queries"
    elif not rated:
        verdict, reason = v.Verdict.NO_DATA, "ReferenceMissing"
        message = f"{said}; there is no reference, and no gate says what must be found (min)"
    else:
        reason = {
            v.Verdict.PASS: "Found",
            v.Verdict.FAIL: "FindsLess",
            v.Verdict.INCONCLUSIVE: "Undecided",
        }.get(verdict, "TooFewQueries")
        message = "; ".join((said, *_gates_said(rated)))
    failed = verdict is v.Verdict.FAIL
    return finding.Finding(
        verdict=verdict,
        reason=reason,
        message=v.sentence("; ".join((message, *remarks))),
        gates=judged,
        items_used=sent,
        measurements=tuple(_measurements(searched)),
        strata=_strata(searched, failed=failed),
        worst=_worst(searched) if verdict is not v.Verdict.PASS else (),
        series=_series(searched),
        references=references,
    )


def _said(searched: Searched) -> str:
    """Say what is found at the first k, with its interval, and how much less than before."""
    k = searched.ks[0]
    found = rates.wilson(searched.recall)
    parts = [
        f"{known_queries.recall(k)} {found.estimate:.3g} (95 %: {found.low:.3g} to {found.high:.3g})",
        f"{known_queries.precision(k)} {float(searched.found[k].precision.mean()):.3g}",
    ]
    for against, before in searched.before.items():
        lost = rates.drop(before[k].recall, searched.recall)
        parts.append(
            f"{against} finds {float(before[k].recall.mean()):.3g}: a loss of {lost.estimate:.3g}"
            f" ({lost.low:.3g} to {lost.high:.3g})"
        )
    return ", ".join(parts)


def _gates_said(rated: Sequence[schema.Gate]) -> list[str]:
    said = [gates.describe(gate) for gate in rated if gate.verdict is v.Verdict.FAIL]
    open_ = [gates.describe(gate) for gate in rated if gate.verdict is v.Verdict.INCONCLUSIVE]
    if open_:
        said.append(f"too few queries to tell whether {', '.join(open_)}")
    return said


def _measurements(searched: Searched) -> list[schema.Measurement]:
    made = []
    for k in searched.ks:
        for against, of in ((None, searched.found), *searched.before.items()):
            made += [
                gates.summary(known_queries.recall(k), of[k].recall, against=against),
                gates.summary(known_queries.precision(k), of[k].precision, against=against),
            ]
    return made


def _strata(searched: Searched, *, failed: bool) -> tuple[schema.Stratum, ...]:
    """Say how each stratum of queries does; queries that lost something count as failed if the check did."""
    names = np.array([query.stratum for query in searched.known.queries])
    return tuple(
        schema.Stratum(
            name=name,
            items=int((names == name).sum()),
            failed=int((searched.lost[names == name] > 0).sum()) if failed else 0,
            worst=float(searched.recall[names == name].mean()),
            metric=known_queries.recall(searched.ks[0]),
        )
        for name in dict.fromkeys(names.tolist())
    )


def _worst(searched: Searched) -> tuple[schema.WorstItem, ...]:
    order = np.argsort(-searched.lost, kind="stable")[:_WORST_SHOWN]
    return tuple(
        schema.WorstItem(
            item=searched.known.queries[row].id,
            stratum=searched.known.queries[row].stratum,
            values=_recalls(searched, int(row)),
        )
        for row in order
        if searched.lost[row] > 0
    )


def _recalls(searched: Searched, row: int) -> dict[str, v.Number]:
    k = searched.ks[0]
    before = {f"recall{against}": float(of[k].recall[row]) for against, of in searched.before.items()}
    return {"recall": float(searched.recall[row]), **before}


def _series(searched: Searched) -> dict[str, tuple[v.Number, ...]]:
    k = searched.ks[0]
    found = {f"recallAt{k}": searched.recall}
    found |= {f"recallAt{k}:{against}": before[k].recall for against, before in searched.before.items()}
    return {name: tuple(float(value) for value in values) for name, values in found.items()}
