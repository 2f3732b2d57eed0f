"""Whether texts still find the same images: what no operation of a two-tower model can tell alone.

Evidence beside the gates, never a gate: a rotation of both towers leaves every rank as it was, while no
stored vector can be used any more.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from canary_checks import operation, schema
from canary_checks import vocabulary as v
from canary_checks.parity import comparison, gates, neighbours
from canary_checks.probes import finding

METRIC: Final = "CrossModalRankAgreement"


def measure(
    operations: Sequence[operation.Operation], found: Mapping[str, finding.Finding]
) -> tuple[schema.Measurement, ...]:
    """Measure for every text how alike the candidate and a reference rank the images.

    Parameters
    ----------
    operations
        Of the request.
    found
        What the probe of each one found, by its name.

    Returns
    -------
    Spearman's correlation, -1 to 1, over the texts; one for each pair of a text and an image operation in one
    space, and each reference that both were compared with.
    """
    measured = []
    for texts in _of(operations, v.Modality.TEXT):
        for images in _of(operations, v.Modality.IMAGE):
            for queries in found[texts].comparisons:
                for documents in found[images].comparisons:
                    if _in_one_space(queries, documents):
                        one = _agreement(queries, documents)
                        measured.append(one.model_copy(update={"operation": f"{texts}, {images}"}))
    return tuple(measured)


def _of(operations: Sequence[operation.Operation], modality: v.Modality) -> list[str]:
    return [one.name for one in operations if one.modality is modality]


def _in_one_space(one: comparison.Comparison, other: comparison.Comparison) -> bool:
    return (
        one.opponent.role == other.opponent.role
        and one.opponent.party.revision == other.opponent.party.revision
        and one.comparable
        and other.comparable
        and one.ours.shape[1] == other.ours.shape[1]
    )


def _agreement(queries: comparison.Comparison, documents: comparison.Comparison) -> schema.Measurement:
    agreed = neighbours.rank_agreement(
        queries.ours[queries.paired],
        documents.ours[documents.paired],
        queries.opponent.recorded.outputs[queries.paired],
        documents.opponent.recorded.outputs[documents.paired],
    )
    # A text without a direction, or a side to which all images are alike, ranks nothing.
    return gates.summary(METRIC, agreed[np.isfinite(agreed)], against=queries.opponent.role)
