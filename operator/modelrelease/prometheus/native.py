"""Native histograms, read as the few cumulative buckets that a threshold needs.

The boundaries of a native histogram are not labels, and its server may make them coarser while it runs. A
coarser resolution only joins buckets, so every boundary of the coarsest sample is one of all the others: the
boundaries around the threshold are taken from there, and each sample is cut at the same two places.
"""

import math
from collections.abc import Sequence

from modelrelease.prometheus.answers import NativeHistogram, RawSeries
from modelrelease.slo.counters import Samples
from modelrelease.slo.observation import Boundaries


def cumulative(found: Sequence[RawSeries], threshold: float) -> tuple[Boundaries, tuple[RawSeries, ...]]:
    """Return what classic buckets at the boundaries around a threshold would have counted.

    Parameters
    ----------
    found : sequence of RawSeries
        Of one metric; those without native samples are left out.
    threshold : float
        In the histogram's unit.

    Returns
    -------
    Boundaries
        Equal where the threshold is a boundary, or no sample has counted anything around it.
    tuple of RawSeries
        One per histogram and boundary, labelled ``le``, with +Inf for all; empty where there is no histogram.
    """
    histograms = [series for series in found if series.histograms]
    straddling = [
        (low, high)
        for series in histograms
        for sample in series.histograms
        for low, high, _ in sample.buckets
        if low < threshold < high
    ]
    edges = Boundaries(
        max(min((low for low, _ in straddling), default=threshold), 0.0),
        max((high for _, high in straddling), default=threshold),
    )
    wanted = sorted({edges.lower, edges.upper, math.inf} - {0.0})
    return edges, tuple(
        RawSeries(
            {**series.labels, "le": "+Inf" if edge == math.inf else repr(edge)},
            Samples(
                tuple(sample.time for sample in series.histograms),
                tuple(_up_to(sample, edge) for sample in series.histograms),
            ),
        )
        for series in histograms
        for edge in wanted
    )


def _up_to(sample: NativeHistogram, edge: float) -> float:
    if edge == math.inf:
        return sample.count
    return math.fsum(count for _, high, count in sample.buckets if high <= edge)
