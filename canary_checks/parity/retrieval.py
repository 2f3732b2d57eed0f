"""Retrieval within one space: whether known queries find what they should, whatever the space is.

Where the embedding space has changed there is no parity to judge: no vector of one space can be compared with
one of the other. What is judged is each space in itself, by the same queries over the same documents, and the
new space has to find nearly as much as the old one did.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack
from canary_checks.parity import distance

K: Final = 10
LEAST_QUERIES: Final = 10
"""Fewer known queries say nothing: the check has no data then."""
LEAST_SHARE: Final = 0.95
"""What part of the old space's recall and precision the new one has to reach."""

Vectors = npt.NDArray[np.float32]
Scalars = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Known:
    """Queries whose answers are known.

    Attributes
    ----------
    queries
        Items that are searched with.
    documents
        Items that are searched in.
    relevant
        Shape ``[queries, documents]``: which document each query should find.
    """

    queries: tuple[golden_pack.Item, ...]
    documents: tuple[golden_pack.Item, ...]
    relevant: npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found among the k nearest documents.

    Attributes
    ----------
    recall
        Shape ``[queries]``: which share of the relevant documents is among them; NaN where there are none.
    precision
        Shape ``[queries]``: which share of them is relevant.
    """

    recall: Scalars
    precision: Scalars


def known(items: Sequence[golden_pack.Item]) -> Known:
    """Take the queries of a golden set: items that say what a search for them should find.

    Parameters
    ----------
    items
        Of any modalities, as long as their vectors are of one space.

    Returns
    -------
    The queries; their documents are all items that are no query, and those that a query should find.
    """
    queries = tuple(item for item in items if item.relevant)
    wanted = {name for item in queries for name in item.relevant}
    documents = tuple(item for item in items if not item.relevant or item.id in wanted)
    place = {item.id: column for column, item in enumerate(documents)}
    relevant = np.zeros((len(queries), len(documents)), dtype=np.bool_)
    for row, query in enumerate(queries):
        relevant[row, [place[name] for name in query.relevant if name in place]] = True
    return Known(queries, documents, relevant)


def search(asked: Known, vectors: Mapping[str, Vectors], k: int = K) -> Found:
    """Search with every query whose answers are among the documents.

    Parameters
    ----------
    asked
        What is known.
    vectors
        By the id of an item: shape ``[d]``, one space. Items without a finite vector are never found, and
        find nothing.
    k
        How many documents are looked at, at least 1.

    Returns
    -------
    One value for each query; a document does not find itself. Ties are broken against the query.
    """
    blank = np.full(max((len(x) for x in vectors.values()), default=1), np.nan, dtype=np.float32)
    if not asked.queries:
        return Found(np.empty(0), np.empty(0))
    ours, theirs = (
        np.stack([vectors.get(item.id, blank) for item in side]) for side in (asked.queries, asked.documents)
    )
    apart = distance.every_pair(ours, theirs)
    own = np.array([[query.id == document.id for document in asked.documents] for query in asked.queries])
    relevant = asked.relevant & ~own
    apart = np.where(np.isnan(apart) | own, np.inf, apart)
    # Of documents at the same distance the relevant one counts as the last.
    order = np.lexsort((relevant, apart), axis=1)[:, :k]
    hits = np.take_along_axis(relevant & np.isfinite(apart), order, axis=1).sum(axis=1)
    wanted = relevant.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(wanted > 0, hits / wanted, np.nan)
    return Found(recall=recall, precision=np.where(wanted > 0, hits / order.shape[1], np.nan))


def judge(candidate: Found, stable: Found, k: int = K) -> tuple[schema.Gate, ...]:
    """Compare what two spaces find with the same queries.

    Parameters
    ----------
    candidate, stable
        What each found; the same queries in the same order.
    k
        How many documents were looked at.

    Returns
    -------
    A gate on the mean recall and one on the mean precision, ``NoData`` with fewer than `LEAST_QUERIES`
    queries that both sides could be asked.
    """
    both = np.isfinite(candidate.recall) & np.isfinite(stable.recall)
    samples = int(both.sum())
    return tuple(
        _at_least(f"{name}At{k}", ours[both], theirs[both], samples)
        for name, ours, theirs in (
            ("Recall", candidate.recall, stable.recall),
            ("Precision", candidate.precision, stable.precision),
        )
    )


def _at_least(metric: str, ours: Scalars, theirs: Scalars, samples: int) -> schema.Gate:
    observed = float(ours.mean()) if samples else float("nan")
    limit = LEAST_SHARE * float(theirs.mean()) if samples else float("nan")
    verdict = v.Verdict.PASS if observed >= limit else v.Verdict.FAIL
    return schema.Gate(
        metric=metric,
        against="Stable",
        verdict=verdict if samples >= LEAST_QUERIES else v.Verdict.NO_DATA,
        observed=v.number(observed),
        operator=">=",
        limit=v.number(limit),
        basis=v.Basis.CALIBRATED,
        samples=samples,
    )
