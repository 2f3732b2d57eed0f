"""Retrieval: the known queries of a golden set find what they should, in the space that the candidate makes.

Several operations of one endpoint make one space: captions find images, and queries that are asked with a
prompt of their own find documents that are not. So their vectors are judged together, once.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import failure, known_queries, operation, request, schema
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import comparison, distance, gates, rates, reference, retrieval, retrieval_gates
from canary_checks.probes import asking, finding, parties, retrieval_report

Connect = Callable[[operation.Operation, str, int | None], clients.EmbeddingClient]
"""Makes a client of an operation at a URL, with at most so many requests per second."""
Vectors = npt.NDArray[np.float32]

_NON_FINITE_ROWS: Final = "NonFiniteRows"


@dataclasses.dataclass(frozen=True)
class _Part:
    """What one operation embeds.

    Attributes
    ----------
    golden
        Every item of its modality.
    items
        Those of them that it is asked about: queries, documents or both.
    """

    operation: operation.Operation
    golden: selection.Selection
    items: tuple[golden_pack.Item, ...]
    queries: bool
    documents: bool


@dataclasses.dataclass(frozen=True)
class _Space:
    """The vectors of one server; row by row those of the queries and of the documents."""

    queries: Vectors
    documents: Vectors
    lengths: tuple[int, ...]
    """Of the vectors of each operation: one space has one length."""
    bad: int
    """Vectors that are not finite, or zero."""
    answered: int


@dataclasses.dataclass(frozen=True)
class _Reference:
    """What the candidate has to find nearly as much as."""

    against: gates.Against
    party: schema.Party
    space: _Space


async def probe(
    asked: request.CheckRequest,
    pack: golden_pack.Pack,
    known: Sequence[comparison.Known],
    connect: Connect,
) -> finding.Finding:
    """Search the documents of a golden set with its queries, in the candidate's space and in the reference's.

    Parameters
    ----------
    asked
        The request, with all operations of the space.
    pack
        The golden set.
    known
        References: recorded outputs for the same set, of whatever space.
    connect
        Makes clients.

    Returns
    -------
    The judgement; `NoData` with fewer than 100 queries, or where nothing says what must be found.

    Raises
    ------
    CheckError
        ``GoldenSetUnfit``: nothing says what a search should find. ``InvalidRequest``: the operations leave
        open what embeds queries. A reference or the server cannot be used.
    """
    terms = asked.retrieval or known_queries.Retrieval()
    wanted = retrieval_gates.demands(asked.gates, terms.k)
    if asked.shards != 1:
        raise failure.CheckError("InvalidRequest", "a search needs all documents: retrieval has no shards")
    queries, documents = _operations(asked.operations, terms.query_operation)
    items = [item for item in pack.items if item.modality in queries.keys() | documents.keys()]
    searched = _must_be_searchable(pack, retrieval.known(items), queries, documents)
    parts = _parts(pack, searched, queries, documents)

    async def embed(url: str, rate: int | None, *, cold: bool = False) -> _Space:
        made = [await _embed(connect(part.operation, url, rate), part, cold=cold) for part in parts]
        return _space(searched, parts, made)

    ours = await embed(asked.url, asked.max_requests_per_second, cold=True)
    judged = [
        gates.exactly(_NON_FINITE_ROWS, ours.bad, 0, samples=ours.answered),
        *(gates.exactly(gates.DIMENSIONS, n, ours.lengths[0], samples=1) for n in ours.lengths[1:]),
    ]
    if gates.verdict_of(judged) is not v.Verdict.PASS:
        # What is no space, or full of holes, is not searched in.
        return retrieval_report.broken(tuple(judged), len(items))
    references, remarks = await _references(asked, searched, parts, known, embed)
    found = retrieval.search(searched, ours.queries, ours.documents, terms.k)
    before = {
        one.against: retrieval.search(searched, one.space.queries, one.space.documents, terms.k)
        for one in references
    }
    for demand in wanted:
        known_values = {against: _values(there, demand) for against, there in before.items()}
        judged += retrieval_gates.judge(demand, _values(found, demand), known_values)
    return retrieval_report.conclude(
        retrieval_report.Searched(searched, terms.k, found, before),
        tuple(judged),
        references=tuple(one.party for one in references),
        remarks=remarks,
        sent=len(items),
    )


def _values(found: Mapping[int, retrieval.Found], demand: retrieval_gates.Demand) -> rates.Scalars:
    return found[demand.k].recall if demand.kind == "Recall" else found[demand.k].precision


def _operations(
    operations: Sequence[operation.Operation], query_operation: str | None
) -> tuple[dict[v.Modality, operation.Operation], dict[v.Modality, operation.Operation]]:
    """Return what embeds queries and what embeds documents, by modality."""
    asks = [one for one in operations if one.name == query_operation]
    if query_operation is not None and not asks:
        names = ", ".join(one.name for one in operations)
        raise failure.CheckError(
            "InvalidRequest", f"there is no operation {query_operation} for queries, only {names}"
        )
    rest = [one for one in operations if one.name != query_operation]
    documents = {one.modality: one for one in rest}
    if len(documents) != len(rest):
        names = " and ".join(one.name for one in rest)
        raise failure.CheckError(
            "InvalidRequest",
            f"{names} read the same, and nothing says which of them embeds queries: name it, or ask fewer",
        )
    queries = documents | {one.modality: one for one in asks}
    return queries, queries | documents


def _must_be_searchable(
    pack: golden_pack.Pack,
    searched: retrieval.Known,
    queries: Mapping[v.Modality, operation.Operation],
    documents: Mapping[v.Modality, operation.Operation],
) -> retrieval.Known:
    if searched.queries:
        return searched
    said = sum(bool(item.relevant) for item in pack.items)
    read = " and ".join(sorted(queries.keys() | documents.keys()))
    raise failure.CheckError(
        "GoldenSetUnfit",
        f"no item of the golden set {pack.name} {pack.version} says what a search for it should find"
        " (expect.relevant): there are no known queries"
        if not said
        else f"{said} items of the golden set {pack.name} say what they should find, but of no such pair"
        f" are both {read}, which the operations read",
    )


def _parts(
    pack: golden_pack.Pack,
    searched: retrieval.Known,
    queries: Mapping[v.Modality, operation.Operation],
    documents: Mapping[v.Modality, operation.Operation],
) -> list[_Part]:
    """Return what each operation embeds; one that nothing is left for is not asked."""
    made = []
    for one in {one.name: one for one in (*queries.values(), *documents.values())}.values():
        asks, holds = queries[one.modality] is one, documents[one.modality] is one
        names = {item.id for item in searched.queries if asks} | {i.id for i in searched.documents if holds}
        golden = selection.select(pack, one.modality)
        items = tuple(item for item in golden.items if item.id in names)
        if items:
            made.append(_Part(one, golden, items, asks, holds))
    return made


async def _embed(client: clients.EmbeddingClient, part: _Part, *, cold: bool) -> asking.Outputs:
    async with client:
        if cold:
            await asking.warm_up(client, part.golden)
        return await asking.ask(client, part.golden, part.items)


def _space(searched: retrieval.Known, parts: Sequence[_Part], made: Sequence[asking.Outputs]) -> _Space:
    """Put the vectors of several operations together."""
    lengths = tuple(outputs.vectors.shape[1] for outputs in made)
    bad = sum(int((~distance.finite_rows(one.vectors[~one.refused])).sum()) for one in made)
    answered = sum(int((~one.refused).sum()) for one in made)
    if len(set(lengths)) != 1:
        blank = np.empty((0, lengths[0]), dtype=np.float32)
        return _Space(blank, blank, lengths, bad, answered)
    queries: dict[str, npt.NDArray[np.float32]] = {}
    documents: dict[str, npt.NDArray[np.float32]] = {}
    for part, outputs in zip(parts, made, strict=True):
        rows = {item.id: row for item, row in zip(part.items, outputs.vectors, strict=True)}
        queries |= rows if part.queries else {}
        documents |= rows if part.documents else {}
    return _Space(
        np.stack([queries[item.id] for item in searched.queries]),
        np.stack([documents[item.id] for item in searched.documents]),
        lengths,
        bad,
        answered,
    )


async def _references(
    asked: request.CheckRequest,
    searched: retrieval.Known,
    parts: Sequence[_Part],
    known: Sequence[comparison.Known],
    live: Callable[[str, int | None], Awaitable[_Space]],
) -> tuple[list[_Reference], list[str]]:
    """Return the spaces that a reference or live stable makes of the same items, and what to know of them."""
    found, remarks = [], []
    for one in known:
        try:
            space = _recorded(searched, parts, one.reference)
        except failure.CheckError as error:
            if one.role is not v.Role.STABLE or asked.live is None:
                raise
            remarks.append(f"stable was asked live, because {error.message}")
            continue
        party = parties.recorded(one, one.reference)
        found.append(_Reference(comparison.AGAINST[one.role], party, space))
    if asked.live is not None and all(one.against != "Stable" for one in found):
        source = asked.live
        space = await live(source.url, source.max_requests_per_second)
        if len(set(space.lengths)) != 1:
            raise failure.CheckError(
                "ReferenceUnfit",
                "the operations of stable give vectors of several lengths: no one space",
            )
        party = schema.Party(role=source.role, revision=source.revision, numeric_class=source.numeric_class)
        found.append(_Reference("Stable", party, space))
    return found, remarks


def _recorded(searched: retrieval.Known, parts: Sequence[_Part], recorded: reference.Reference) -> _Space:
    """Take the vectors of the same items out of a reference, of whatever space it is."""
    made = []
    for part in parts:
        whole = reference.recording_of(recorded, part.operation.name, part.golden)
        rows = [part.golden.rows[item.id] for item in part.items]
        made.append(asking.Outputs(whole.outputs[rows], whole.refused[rows]))
    space = _space(searched, parts, made)
    if len(set(space.lengths)) != 1:
        raise failure.CheckError(
            "ReferenceUnfit", "the operations of the reference have vectors of several lengths: no one space"
        )
    return space
