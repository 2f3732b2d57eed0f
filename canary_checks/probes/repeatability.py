"""Repeatability: the same input twice gives the same output. It needs no reference.

Dropout left on, a sampler or a race shows here and nowhere else: each single answer looks fine.
"""

from typing import Final

from canary_checks import request
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import selection
from canary_checks.parity import distance, gates, numeric
from canary_checks.probes import asking, finding

ADJUSTABLE: Final = frozenset({gates.REPEAT_DISTANCE_WORST, gates.REPEAT_NORM_DEVIATION_WORST})
_PER_STRATUM: Final = 4
_SINGLES: Final = 8


async def probe(
    client: clients.EmbeddingClient, asked: request.CheckRequest, golden: selection.Selection
) -> finding.Finding:
    """Send a sample of the golden set twice, in the same batches, and some of it one by one.

    Parameters
    ----------
    client
        Of the server.
    asked
        The request; its numeric class sets the limits.
    golden
        What to send from.

    Returns
    -------
    The judgement. How much a row depends on its batch is measured and not judged.

    Raises
    ------
    CheckError
        The server cannot be asked, or the request overrides what this check does not judge.
    """
    limits = gates.Limits(asked.gates, ADJUSTABLE)
    tolerance = numeric.TOLERANCES[asked.numeric_class]
    items = [golden.items[row] for row in golden.sample(_PER_STRATUM)]
    first = await asking.ask(client, golden, items)
    second = await asking.ask(client, golden, items)
    alone = items[:: max(1, len(items) // _SINGLES)]
    singles = await asking.ask(client, golden, alone, batch=1)

    answered = ~(first.refused & second.refused)
    ids = [item.id for item, yes in zip(items, answered, strict=True) if yes]
    once, again = first.vectors[answered], second.vectors[answered]
    distances = distance.cosine(once, again)
    lengths = distance.norm_deviation(again, once)
    batched = first.vectors[:: max(1, len(items) // _SINGLES)]
    both = ~singles.refused & distance.finite_rows(batched) & distance.finite_rows(singles.vectors)

    judged = (
        gates.exactly("NonFiniteRows", int((~distance.finite_rows(once)).sum()), 0, samples=len(ids)),
        gates.at_most(
            gates.REPEAT_DISTANCE_WORST,
            gates.worst(distances),
            limits.of(
                gates.REPEAT_DISTANCE_WORST, numeric.Limit(tolerance.repeat_distance, v.Basis.CLASS_FLOOR)
            ),
            samples=len(ids),
        ),
        gates.at_most(
            gates.REPEAT_NORM_DEVIATION_WORST,
            gates.worst(lengths),
            limits.of(
                gates.REPEAT_NORM_DEVIATION_WORST,
                numeric.Limit(tolerance.repeat_norm_deviation, v.Basis.CLASS_FLOOR),
            ),
            samples=len(ids),
        ),
    )
    verdict = gates.verdict_of(judged)
    failed = [gate for gate in judged if gate.verdict is v.Verdict.FAIL]
    if verdict is v.Verdict.PASS:
        reason = "Repeatable"
        message = f"{len(ids)} items asked twice: 1 − cos worst {gates.worst(distances):.2g}"
    else:
        reason = "NotRepeatable"
        message = f"the same {len(ids)} items asked twice do not give the same vectors: " + ", ".join(
            gates.describe(gate) for gate in failed
        )
    return finding.Finding(
        verdict=verdict,
        reason=reason,
        message=message,
        gates=judged,
        items_used=len(items),
        measurements=(
            gates.summary(gates.REPEAT_DISTANCE_WORST, distances),
            gates.summary(gates.BATCH_DISTANCE_WORST, distance.cosine(singles.vectors[both], batched[both])),
        ),
        series={"repeatDistance": tuple(v.number(float(x)) for x in distances)},
    )
