"""Repeatability: the same input gives the same output, again, alone, in a large batch, and in another place.

It needs no reference. Dropout left on, a sampler or a race shows in the same batch sent twice. Padding that
reaches the result, or a statistic that is taken over the batch, shows in batches of other sizes: users send
one text at a time, and the index was built with thirty-two.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import request, schema
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import distance, gates, numeric
from canary_checks.probes import asking, finding

BATCH_NORM_DEVIATION_WORST: Final = "BatchNormDeviationWorst"
ORDER_DISTANCE_WORST: Final = "OrderDistanceWorst"
ADJUSTABLE: Final = frozenset(
    {
        gates.REPEAT_DISTANCE_WORST,
        gates.REPEAT_NORM_DEVIATION_WORST,
        gates.BATCH_DISTANCE_WORST,
        BATCH_NORM_DEVIATION_WORST,
        ORDER_DISTANCE_WORST,
    }
)
_PER_STRATUM: Final = 4
_ITEMS: Final = 96
_SINGLES: Final = 8
_LARGE: Final = 32


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """Rows of the same items under two circumstances.

    Attributes
    ----------
    cosine, norm
        Shape ``[n]``: ``1 - cos`` and norm deviation of rows that both hold.
    """

    cosine: npt.NDArray[np.float64]
    norm: npt.NDArray[np.float64]

    @classmethod
    def of(cls, first: npt.NDArray[np.float32], again: npt.NDArray[np.float32]) -> "_Pairs":
        """Pair rows of shape ``[n, d]``."""
        return cls(distance.cosine(again, first), distance.norm_deviation(again, first))

    def __add__(self, other: "_Pairs") -> "_Pairs":
        cosine, norm = (
            np.concatenate(parts) for parts in ((self.cosine, other.cosine), (self.norm, other.norm))
        )
        return _Pairs(cosine, norm)


async def probe(
    client: clients.EmbeddingClient, asked: request.CheckRequest, golden: selection.Selection
) -> finding.Finding:
    """Send a sample of the golden set twice, then some of it alone, in one batch of 32 and in reverse order.

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
    The judgement. A server that does not repeat itself is not asked about batches: both would look alike.

    Raises
    ------
    CheckError
        The server cannot be asked, or the request overrides what this check does not judge.
    """
    limits = gates.Limits(asked.gates, ADJUSTABLE)
    tolerance = numeric.TOLERANCES[asked.numeric_class]
    items = _sample(golden)
    await asking.warm_up(client, golden)
    first = await asking.ask(client, golden, items)
    second = await asking.ask(client, golden, items)
    answered = ~(first.refused & second.refused)
    repeat = _Pairs.of(first.vectors[answered], second.vectors[answered])
    count = len(repeat.cosine)
    floor = {
        gates.REPEAT_DISTANCE_WORST: tolerance.repeat_distance,
        gates.REPEAT_NORM_DEVIATION_WORST: tolerance.repeat_norm_deviation,
    }
    seen = {
        gates.REPEAT_DISTANCE_WORST: repeat.cosine,
        gates.REPEAT_NORM_DEVIATION_WORST: repeat.norm,
    }
    finite = distance.finite_rows(first.vectors[answered])
    judged = [gates.exactly("NonFiniteRows", int((~finite).sum()), 0, samples=count)]
    for metric, values in seen.items():
        limit = limits.of(metric, numeric.Limit(floor[metric], v.Basis.CLASS_FLOOR))
        judged.append(gates.at_most(metric, gates.worst(values), limit, samples=count))
    measurements = [gates.summary(gates.REPEAT_DISTANCE_WORST, repeat.cosine)]
    batches = ""
    if gates.verdict_of(judged) is v.Verdict.PASS:
        batch, order, batches = await _batches(client, golden, items, first)
        for metric, values, class_floor in (
            (gates.BATCH_DISTANCE_WORST, batch.cosine, tolerance.cosine_distance),
            (BATCH_NORM_DEVIATION_WORST, batch.norm, tolerance.norm_deviation),
            (ORDER_DISTANCE_WORST, order.cosine, tolerance.cosine_distance),
        ):
            # The ceiling: past it, a server's own noise would hide a fault from every parity gate.
            limit = limits.of(metric, numeric.calibrated(class_floor, float("inf")))
            judged.append(gates.at_most(metric, gates.worst(values), limit, samples=len(values)))
        measurements += [
            gates.summary(gates.BATCH_DISTANCE_WORST, batch.cosine),
            gates.summary(ORDER_DISTANCE_WORST, order.cosine),
        ]
    reason, message = _conclude(judged, count, batches, asked.numeric_class)
    return finding.Finding(
        verdict=gates.verdict_of(judged),
        reason=reason,
        message=v.sentence(message),
        gates=tuple(judged),
        items_used=len(items),
        measurements=tuple(measurements),
        series={"repeatDistance": tuple(v.number(float(x)) for x in repeat.cosine)},
    )


def _sample(golden: selection.Selection) -> list[golden_pack.Item]:
    """Choose items of every stratum, fewer of each where there are many strata."""
    samples = [golden.sample(per_stratum) for per_stratum in range(_PER_STRATUM, 0, -1)]
    rows = next((rows for rows in samples if len(rows) <= _ITEMS), samples[-1])
    return [golden.items[row] for row in rows]


async def _batches(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    items: Sequence[golden_pack.Item],
    first: asking.Outputs,
) -> tuple[_Pairs, _Pairs, str]:
    """Ask some items alone, in one batch of 32 and in reverse order, and pair them with the batches of 8."""
    usable = np.flatnonzero(~first.refused & distance.finite_rows(first.vectors))
    alone = usable[:: max(1, len(usable) // _SINGLES)][:_SINGLES]
    # Of every length and stratum, so that the large batch is padded as a real one is.
    together = usable[:: max(1, len(usable) // _LARGE)][:_LARGE]
    singles = await asking.ask(client, golden, [items[row] for row in alone], batch=1)
    batch = _paired(first, alone, singles.vectors)
    sizes = "1 and 8"
    try:
        # Not `asking.ask`, which sends what is refused one by one: here the size of the batch matters.
        answer = await client.embed([golden.input(items[row]) for row in together])
    except clients.Refused:
        # A limit of the server on inputs per request; the smaller batches are judged all the same.
        sizes += f" (it refuses {len(together)} at once)"
    else:
        batch += _paired(first, together, answer.in_order(len(together)))
        sizes = f"1, 8 and {len(together)}"
    backwards = usable[: asking.BATCH][::-1]
    reversed_ = await asking.ask(client, golden, [items[row] for row in backwards])
    return batch, _paired(first, backwards, reversed_.vectors), sizes


def _paired(
    first: asking.Outputs, rows: npt.NDArray[np.intp], again: Iterable[npt.NDArray[np.float32]]
) -> _Pairs:
    known, vectors = first.vectors[rows], list(again)
    if any(len(vector) != known.shape[1] for vector in vectors):
        # Vectors of another length have no distance: NaN, which no limit admits.
        blank = np.full(len(rows), np.nan)
        return _Pairs(blank, blank)
    return _Pairs.of(known, np.stack(vectors))


def _conclude(
    judged: Sequence[schema.Gate], count: int, batches: str, numeric_class: v.NumericClass
) -> tuple[str, str]:
    worst = {gate.metric: gate for gate in judged}
    broken = [gate for gate in judged if gate.verdict is v.Verdict.FAIL]
    said = ", ".join(gates.describe(gate) for gate in broken)
    if not broken:
        repeat, batch = (
            worst[metric].observed if metric in worst else 0.0
            for metric in (gates.REPEAT_DISTANCE_WORST, gates.BATCH_DISTANCE_WORST)
        )
        return "Repeatable", (
            f"{count} items asked twice: 1 − cos worst {repeat:.2g}; in batches of {batches}: {batch:.2g}"
        )
    if not batches:
        return "NotRepeatable", f"the same {count} items asked twice do not give the same vectors: {said}"
    if {gate.metric for gate in broken} == {ORDER_DISTANCE_WORST}:
        return "OrderDependent", f"the same items in reverse order do not give the same vectors: {said}"
    return "BatchDependent", (
        f"asked twice, items give the same vectors; in batches of {batches} they do not: {said}. Padding or"
        f" the batch itself reaches the result, or the server is not of class {numeric_class}"
    )
