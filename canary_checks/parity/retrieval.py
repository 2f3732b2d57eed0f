"""Retrieval within one space: whether known queries find what they should, whatever the space is.

Where the embedding space has changed there is no parity to judge: no vector of one space can be compared with
one of the other. What is judged is each space in itself, by the same queries over the same documents, and the
new space has to find nearly as much as the old one did.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.golden import pack as golden_pack
from canary_checks.parity import distance

LEAST_DOCUMENTS: Final = 10
"""For each of the k nearest there are so many documents at least: by chance a search then finds 10 %."""
_BLOCK: Final = 64
"""Queries that are searched with at once: 5 MiB of distances for 10 000 documents."""
_DECIMALS: Final = 12
"""Distances that differ by less are the same: beyond that, a product's rounding would break ties."""

Vectors = npt.NDArray[np.float32]
Scalars = npt.NDArray[np.float64]
Columns = npt.NDArray[np.intp]


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
        Of each query: which documents it should find; never itself.
    own
        Shape ``[queries]``: which document a query itself is, or -1.
    """

    queries: tuple[golden_pack.Item, ...]
    documents: tuple[golden_pack.Item, ...]
    relevant: tuple[Columns, ...]
    own: Columns


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found among the k nearest documents.

    Attributes
    ----------
    recall
        Shape ``[queries]``: which share of the relevant documents is among them.
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
    The queries that expect another one of `items`; documents are all items that are no query, and those that
    a query should find.
    """
    there = {item.id for item in items}
    answers = {item.id: there.intersection(item.relevant) - {item.id} for item in items}
    queries = tuple(item for item in items if answers[item.id])
    wanted = set().union(*answers.values())
    documents = tuple(item for item in items if not answers[item.id] or item.id in wanted)
    place = {item.id: column for column, item in enumerate(documents)}
    return Known(
        queries,
        documents,
        tuple(np.array(sorted(place[name] for name in answers[one.id]), dtype=np.intp) for one in queries),
        np.array([place.get(query.id, -1) for query in queries], dtype=np.intp),
    )


def search(asked: Known, queries: Vectors, documents: Vectors, ks: Sequence[int]) -> dict[int, Found]:
    """Search with every query, exactly.

    Parameters
    ----------
    asked
        What is known.
    queries, documents
        Shape ``[queries, d]`` and ``[documents, d]``, one space, in the order of `asked`. A row that is not
        finite is never found, and finds nothing.
    ks
        How many documents are looked at, each at least 1.

    Returns
    -------
    For each of `ks` one value for each query. A document does not find itself. Of documents at the same
    distance the relevant ones count as the last.
    """
    places = [np.full(len(columns), np.inf) for columns in asked.relevant]
    theirs = distance.directions(documents)
    lost = np.isnan(theirs).any(axis=1)
    theirs[lost] = 0.0
    for start in range(0, len(asked.queries), _BLOCK):
        ours = distance.directions(queries[start : start + _BLOCK])
        with np.errstate(invalid="ignore"):
            near = np.round(ours @ theirs.T, _DECIMALS)
        near[:, lost] = -np.inf
        for offset, row in enumerate(near):
            query = start + offset
            if asked.own[query] >= 0:
                row[asked.own[query]] = -np.inf
            places[query] = _places(row, asked.relevant[query])
    wanted = np.array([len(columns) for columns in asked.relevant], dtype=np.float64)
    found = {}
    for k in ks:
        hits = np.array([float((place < k).sum()) for place in places])
        found[k] = Found(recall=hits / wanted, precision=hits / k)
    return found


def _places(near: Scalars, relevant: Columns) -> Scalars:
    """Return at which place each relevant document is found, from 0, behind all that are as near.

    Parameters
    ----------
    near
        Shape ``[documents]``: the larger the nearer; not finite where nothing can be found.
    relevant
        Which documents.
    """
    own = near[relevant]
    others = np.delete(near, relevant)
    # Among the relevant ones the order does not matter: each has its place behind those before it.
    order = np.argsort(-own, kind="stable")
    places = np.empty(len(relevant))
    places[order] = [float((others >= own[column]).sum()) + rank for rank, column in enumerate(order)]
    return np.where(np.isfinite(own), places, np.inf)
