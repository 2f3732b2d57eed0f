"""Embedding parity: the same texts give the same vectors as the references, row by row.

Paired and on the worst row: a fault that touches one text in a hundred leaves every average untouched.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from canary_checks import failure, inputs, request, schema
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import selection
from canary_checks.parity import (
    comparison,
    diagnosis,
    distance,
    experiments,
    gates,
    inquiry,
    movement,
    numeric,
    reference,
)
from canary_checks.probes import asking, finding, parity_report, telling
from canary_checks.trace import client as tracing

ADJUSTABLE: Final = frozenset({gates.COSINE_DISTANCE_WORST, gates.NORM_DEVIATION_WORST})
_NOISE_PER_STRATUM: Final = 3
_ASKED_ALONE: Final = 4
# Of a diagnosis: how many inputs it may send, and how much of the deadline it may use.
COUNTERFACTUALS: Final = 1200
_SHARE_OF_DEADLINE: Final = 0.3


@dataclasses.dataclass(frozen=True)
class _SecondLook:
    """Worst ``1 - cos`` of moved rows asked again: in the same batch, and alone."""

    repeat: float
    alone: float


async def probe(
    client: clients.EmbeddingClient,
    asked: request.CheckRequest,
    golden: selection.Selection,
    against: Sequence[comparison.Opponent],
    probe_endpoint: tracing.TraceClient | None = None,
) -> finding.Finding:
    """Embed the whole golden set and compare it with every reference.

    Parameters
    ----------
    client
        Of the server.
    asked
        The request; its numeric class is the pair's.
    golden
        What to send.
    against
        References with the same items. None is allowed when recording: the outputs must then be finite.
    probe_endpoint
        Of the server, where it has one: what it tells is recorded with the outputs.

    Returns
    -------
    The judgement, its diagnosis when rows moved, and the recording when it was asked for.

    Raises
    ------
    CheckError
        The server cannot be asked, a reference is of another space, or there is nothing to compare with.
    """
    limits = gates.Limits(asked.gates, ADJUSTABLE)
    if not against and not asked.record:
        raise failure.CheckError(
            "ReferenceMissing", "there is no reference to compare with", verdict=v.Verdict.NO_DATA
        )
    await asking.warm_up(client, golden)
    outputs = await asking.ask(client, golden, golden.items)
    answered = outputs.vectors[~outputs.refused]
    bad = int((~distance.finite_rows(answered)).sum())
    judged = [gates.exactly("NonFiniteRows", bad, 0, samples=len(answered))]
    comparisons = [
        comparison.compare(outputs.vectors, outputs.refused, opponent, asked.numeric_class, limits)
        for opponent in against
    ]
    for compared in comparisons:
        judged.extend(compared.gates)
    recorded = None
    if asked.record and gates.verdict_of(judged) is v.Verdict.PASS:
        steady, made = await _record(client, asked, golden, outputs)
        told = made is not None and asked.record_statements
        recorded = await telling.record(client, golden, made, probe_endpoint) if made and told else made
        judged.append(steady)
    broken = next((c for c in comparisons if c.failed.any()), None)
    blame = await _diagnose(client, golden, outputs, broken, asked) if broken else None
    return parity_report.conclude(golden, tuple(judged), comparisons, blame, recorded)


async def _diagnose(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    outputs: asking.Outputs,
    compared: comparison.Comparison,
    asked: request.CheckRequest,
) -> schema.DiagnosisReport:
    """Name what moved; where the answers at hand do not prove it, by asking the candidate otherwise."""
    if not compared.comparable:
        return diagnosis.other_dimensions(
            outputs.vectors[compared.paired],
            compared.opponent.recorded.outputs[compared.paired],
            limit=compared.cosine_limit,
            norm_limit=compared.norm_limit,
        )
    look = await _look_again(client, golden, outputs, compared)
    moved = movement.measure(
        golden.items,
        outputs.vectors,
        compared.opponent.recorded.outputs,
        paired=compared.paired,
        moved=compared.failed,
        limit=compared.cosine_limit,
        norm_limit=compared.norm_limit,
        repeat=look.repeat if look else None,
        alone=look.alone if look else None,
        repeat_limit=numeric.TOLERANCES[asked.numeric_class].repeat_distance,
        relations=golden.pack.relations,
    )
    found = diagnosis.diagnose(moved)
    if found.confidence is v.Confidence.PROVEN:
        return found

    async def ask(inputs_: Sequence[inputs.Input], batch: int) -> movement.Vectors | None:
        return await asking.answers(client, inputs_, batch)

    budget = experiments.Budget(
        COUNTERFACTUALS, time.monotonic() + _SHARE_OF_DEADLINE * asked.deadline_seconds
    )
    originals = [golden.input(item) for item in golden.items]
    known = await inquiry.inquire(moved, originals, ask, budget, asking.BATCH)
    return diagnosis.diagnose(known) if known.trials else found


async def _look_again(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    outputs: asking.Outputs,
    compared: comparison.Comparison,
) -> _SecondLook | None:
    """Ask some moved rows again, in the same batch and alone: dropout and padding show then."""
    moved = np.flatnonzero(compared.failed & compared.paired)
    if not moved.size:
        return None
    start = int(moved[0]) // asking.BATCH * asking.BATCH
    batch = np.arange(start, min(start + asking.BATCH, len(golden.items)))
    alone = moved[:: max(1, len(moved) // _ASKED_ALONE)][:_ASKED_ALONE]
    try:
        again = await asking.ask(client, golden, [golden.items[row] for row in batch])
        singles = await asking.ask(client, golden, [golden.items[row] for row in alone], batch=1)
    except failure.CheckError:
        # The verdict stands without the second look; only the blame is less certain.
        return None
    width = outputs.vectors.shape[1]
    if again.vectors.shape[1] != width or singles.vectors.shape[1] != width:
        return None
    answered = ~(again.refused | outputs.refused[batch])
    return _SecondLook(
        repeat=gates.worst(distance.cosine(again.vectors, outputs.vectors[batch])[answered]),
        alone=gates.worst(distance.cosine(singles.vectors, outputs.vectors[alone])),
    )


async def _record(
    client: clients.EmbeddingClient,
    asked: request.CheckRequest,
    golden: selection.Selection,
    outputs: asking.Outputs,
) -> tuple[schema.Gate, reference.Recording | None]:
    """Make a reference of the outputs, if the server is near enough to itself to be one.

    A sample is asked again, one text at a time: how far the same model is from itself in other batches
    becomes the reference's own noise, and a server beyond the class's ceiling is no reference.
    """
    rows = [row for row in golden.sample(_NOISE_PER_STRATUM) if not outputs.refused[row]]
    again = await asking.ask(client, golden, [golden.items[row] for row in rows], batch=1)
    if again.vectors.shape[1] != outputs.vectors.shape[1]:
        raise failure.CheckError(
            "ResponseInvalid", "the server changed the number of dimensions while it was asked"
        )
    batched = outputs.vectors[rows]
    noise = (
        gates.worst(distance.cosine(again.vectors, batched)),
        gates.worst(distance.norm_deviation(again.vectors, batched)),
    )
    ceiling = numeric.calibrated(numeric.TOLERANCES[asked.numeric_class].cosine_distance, float("inf"))
    steady = gates.at_most(gates.BATCH_DISTANCE_WORST, noise[0], ceiling, samples=len(rows))
    if steady.verdict is not v.Verdict.PASS:
        return steady, None
    return steady, reference.Recording(golden.ids, outputs.vectors, outputs.refused, noise)
