"""The absolute contract: what must hold whoever the reference is, and before there is one.

Count, order, served model, dimensions, finite values, declared length 1, declared input limit, and that
different texts are told apart.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import failure, request, schema
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import distance, gates, numeric
from canary_checks.probes import asking, finding, statements
from canary_checks.trace import blame

ADJUSTABLE: Final = frozenset({gates.UNIT_NORM_DEVIATION_WORST})
_PER_STRATUM: Final = 3
_MAY_BE_REFUSED: Final = frozenset({"long", "tiny"})
_UNLIKE: Final = frozenset({"plain", "photo"})
"""The strata, of texts and of images, whose items have nothing to do with each other."""
# A text of w plain words has at least w tokens, and fewer than this times w in every tokenizer we know.
_TOKENS_PER_WORD: Final = 1.5
_SPECIAL_TOKENS: Final = 4


@dataclasses.dataclass
class _Seen:
    """What the answers were like, before anything is judged."""

    answers: int = 0
    wrong_counts: int = 0
    other_models: list[str] = dataclasses.field(default_factory=list)
    vectors: dict[str, clients.Vector] = dataclasses.field(default_factory=dict)
    reordered: int = 0


async def probe(
    client: clients.EmbeddingClient,
    asked: request.CheckRequest,
    golden: selection.Selection,
    context: statements.Context | None = None,
) -> finding.Finding:
    """Judge a server's answers by themselves, and what it tells of itself by what was told and pinned.

    Parameters
    ----------
    client
        Of the server.
    asked
        The request, with the contract.
    golden
        What to send from.
    context
        What its statements are judged by; None judges the answers alone.

    Returns
    -------
    The judgement.

    Raises
    ------
    CheckError
        The server cannot be asked, or the request overrides what this check does not judge.
    """
    found = await _probe_outputs(client, asked, golden)
    if context is None:
        return found
    try:
        told = await statements.examine(client, golden, context)
    except failure.CheckError as error:
        if found.verdict is not v.Verdict.FAIL:
            raise
        # What is broken is broken, whatever else could not be asked.
        return dataclasses.replace(found, message=v.sentence(f"{found.message}; {error.message}"))
    judged = found.gates + told.gates
    verdict = gates.verdict_of(judged)
    broken = gates.verdict_of(told.gates) is v.Verdict.FAIL
    reason = found.reason if verdict is found.verdict else _REASONS[verdict]
    # What differs from what is pinned explains what the outputs do, so it is said first.
    parts = (*told.sentences, found.message) if broken else (found.message, *told.sentences)
    return dataclasses.replace(
        found,
        verdict=verdict,
        reason=reason,
        message=v.sentence("; ".join(parts)),
        gates=judged,
        measurements=(*found.measurements, *told.measurements),
        diagnosis=diagnosis(told.cause) or found.diagnosis,
    )


def diagnosis(cause: blame.Blame | None) -> schema.DiagnosisReport | None:
    """Return what is to blame in the words of a result; None where nothing is."""
    if cause is None:
        return None
    return schema.DiagnosisReport(
        cause=cause.cause,
        confidence=cause.confidence,
        evidence=tuple(v.sentence(one, 200) for one in cause.evidence),
    )


async def _probe_outputs(
    client: clients.EmbeddingClient, asked: request.CheckRequest, golden: selection.Selection
) -> finding.Finding:
    """Judge a server's answers by themselves.

    Parameters
    ----------
    client
        Of the server.
    asked
        The request, with the contract.
    golden
        What to send from.

    Returns
    -------
    The judgement.

    Raises
    ------
    CheckError
        The server cannot be asked, or the request overrides what this check does not judge.
    """
    limits = gates.Limits(asked.gates, ADJUSTABLE)
    tolerance = numeric.TOLERANCES[asked.numeric_class]
    seen = _Seen()
    items = [golden.items[row] for row in golden.sample(_PER_STRATUM, without=_MAY_BE_REFUSED)]
    await asking.warm_up(client, golden)
    for start in range(0, len(items), asking.BATCH):
        await _ask(client, golden, items[start : start + asking.BATCH], await client.model(), seen)
    dimensions = _dimensions(seen, asked.contract.dimensions)
    judged = [
        gates.exactly("WrongCountResponses", seen.wrong_counts, 0, samples=seen.answers),
        gates.exactly("OtherModelResponses", len(seen.other_models), 0, samples=seen.answers),
        dimensions,
    ]
    length = int(dimensions.limit)
    usable = {item: row for item, row in seen.vectors.items() if len(row) == length}
    rows = np.stack(list(usable.values())) if usable else np.empty((0, length), dtype=np.float32)
    finite = distance.finite_rows(rows)
    judged.append(gates.exactly("NonFiniteRows", int((~finite).sum()), 0, samples=len(rows)))
    if asked.contract.normalized == "Unit":
        floor = numeric.Limit(tolerance.norm_deviation, v.Basis.CLASS_FLOOR)
        judged.append(
            gates.at_most(
                gates.UNIT_NORM_DEVIATION_WORST,
                gates.worst(distance.unit_deviation(rows)),
                limits.of(gates.UNIT_NORM_DEVIATION_WORST, floor),
                samples=len(rows),
            )
        )
    named = dict(zip(usable, rows, strict=True))
    plain = [i for i in items if i.stratum in _UNLIKE and i.id in named and np.isfinite(named[i.id]).all()]
    everything = [i for i in items[: asking.BATCH] if i.id in named and np.isfinite(named[i.id]).all()]
    judged.append(_distinct(np.stack([named[i.id] for i in plain]) if plain else rows[:0], tolerance))
    if seen.wrong_counts or dimensions.verdict is not v.Verdict.PASS:
        # Answers that do not fit together cannot be compared with each other: what is known is enough.
        return _conclude(tuple(judged), seen, len(items), distance.norms(rows[finite]))
    judged.append(await _order(client, golden, everything, named, tolerance))
    if asked.contract.max_input_tokens is not None:
        judged.append(await _input_limit(client, golden, asked.contract.max_input_tokens, tolerance))
    return _conclude(tuple(judged), seen, len(items), distance.norms(rows[finite]))


async def _ask(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    items: Sequence[golden_pack.Item],
    model: str | None,
    seen: _Seen,
) -> None:
    answer = await client.embed([golden.input(item) for item in items])
    seen.answers += 1
    if answer.model != model:
        seen.other_models.append(answer.model or "none")
    try:
        rows = answer.in_order(len(items))
    except failure.CheckError:
        seen.wrong_counts += 1
        return
    seen.reordered += list(answer.indices) != sorted(answer.indices)
    seen.vectors.update({item.id: row for item, row in zip(items, rows, strict=True)})


def _dimensions(seen: _Seen, declared: int | None) -> schema.Gate:
    """Judge that every vector is as long as declared, or as the first one where nothing is declared."""
    lengths = [len(row) for row in seen.vectors.values()]
    wanted = declared if declared is not None else (lengths[0] if lengths else 0)
    other = next((length for length in lengths if length != wanted), wanted)
    return gates.exactly("Dimensions", other, wanted, samples=len(lengths))


def _distinct(plain: npt.NDArray[np.float32], tolerance: numeric.Tolerance) -> schema.Gate:
    """Judge that no two unlike items get the same vector: a collapsed model answers and says nothing."""
    pairs = list(itertools.combinations(range(len(plain)), 2))
    left, right = plain[[i for i, _ in pairs]], plain[[j for _, j in pairs]]
    same = int((distance.cosine(left, right) <= tolerance.repeat_distance).sum()) if pairs else 0
    return gates.exactly("IndistinctPairs", same, 0, samples=len(pairs))


async def _order(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    items: Sequence[golden_pack.Item],
    named: dict[str, npt.NDArray[np.float32]],
    tolerance: numeric.Tolerance,
) -> schema.Gate:
    """Judge that row i of a batch is text i: no other row may be nearer to what the text gets alone."""
    if not items:
        return gates.exactly("MisplacedRows", 0, 0, samples=0)
    singles = await asking.ask(client, golden, items, batch=1)
    batch = np.stack([named[item.id] for item in items])
    if singles.vectors.shape != batch.shape or not np.isfinite(singles.vectors).all():
        return gates.exactly("MisplacedRows", len(items), 0, samples=len(items))
    everyone = 1.0 - distance.directions(singles.vectors) @ distance.directions(batch).T
    own = np.diag(everyone)
    misplaced = int((own - everyone.min(axis=1) > tolerance.cosine_distance).sum())
    return gates.exactly("MisplacedRows", misplaced, 0, samples=len(items))


async def _input_limit(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    max_input_tokens: int,
    tolerance: numeric.Tolerance,
) -> schema.Gate:
    """Judge that texts within the declared limit are read to their end: each differs from its beginning."""
    row_of = golden.rows
    within = [
        (item, golden.items[row_of[item.twin.of]])
        for item in golden.items
        if item.twin is not None
        and item.twin.differs is golden_pack.Difference.LENGTH
        and item.words * _TOKENS_PER_WORD + _SPECIAL_TOKENS <= max_input_tokens
    ]
    needed = list({item.id: item for pair in within for item in pair}.values())
    if not needed:
        return gates.exactly("UnreadEndings", 0, 0, samples=0)
    outputs = await asking.ask(client, golden, needed)
    at = {item.id: row for row, item in enumerate(needed)}
    longer = np.array([at[item.id] for item, _ in within])
    shorter = np.array([at[twin.id] for _, twin in within])
    apart = distance.cosine(outputs.vectors[longer], outputs.vectors[shorter])
    # NaN, a refused item, is not apart either: the limit says that it is accepted.
    unread = int((~(apart > tolerance.repeat_distance)).sum())
    return gates.exactly("UnreadEndings", unread, 0, samples=len(within))


_REASONS: Final = {v.Verdict.FAIL: "ContractBroken", v.Verdict.NO_DATA: "NothingMeasured"}
_MEANING: Final = {
    "WrongCountResponses": "responses do not hold one vector for each text",
    "OtherModelResponses": "the server says that it is another model",
    "Dimensions": "vectors have another number of dimensions",
    "NonFiniteRows": "vectors hold NaN, infinity or nothing but zeros",
    gates.UNIT_NORM_DEVIATION_WORST: "vectors are not of length 1",
    "IndistinctPairs": "different texts get the same vector",
    "MisplacedRows": "rows of a batch belong to other texts",
    "UnreadEndings": "long texts are refused or cut before the declared limit",
}


def _conclude(
    judged: tuple[schema.Gate, ...], seen: _Seen, used: int, lengths: npt.NDArray[np.float64]
) -> finding.Finding:
    verdict = gates.verdict_of(judged)
    if verdict is v.Verdict.PASS:
        reason, message = "ContractKept", f"{used} items: {len(judged)} statements hold"
    elif verdict is v.Verdict.FAIL:
        broken = [gate for gate in judged if gate.verdict is v.Verdict.FAIL]
        reason = "ContractBroken"
        message = "; ".join(f"{_MEANING[gate.metric]} ({gates.describe(gate)})" for gate in broken)
        if seen.other_models:
            message += f"; it says {seen.other_models[0]!r}"
    else:
        empty = [gate.metric for gate in judged if gate.verdict is not v.Verdict.PASS]
        reason, message = "NothingMeasured", f"there was nothing to judge {', '.join(empty)} by"
    return finding.Finding(
        verdict=verdict,
        reason=reason,
        message=v.sentence(message),
        gates=judged,
        items_used=used,
        measurements=(
            gates.summary("Norm", lengths),
            schema.Measurement(metric="ReorderedResponses", samples=seen.answers, max=float(seen.reordered)),
        ),
    )
