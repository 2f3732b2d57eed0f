"""The requests of a load, written once by the protocols' own clients: which inputs, and how mixed."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import numpy as np

from canary_checks import failure, request
from canary_checks import operation as operations
from canary_checks.clients import client as clients
from canary_checks.clients import drawing, generation
from canary_checks.fidelity import pipeline
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.performance import mixing, recorded, replay, representing, templates

# Servers with a hard input limit refuse these (see canary_checks.probes.asking): no fault of theirs.
_MAY_BE_REFUSED: Final = frozenset({"long", "tiny"})
_MOST_TEMPLATES: Final = 512
_MOST_ORDER: Final = 20_000
_MOST_AFTER: Final = 8
"""Images of an earlier stage: each of them is drawn before the load can begin."""

Count = Callable[[clients.EmbeddingClient | generation.ImageClient], None]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Requests in their order, what they are worth, and what tells them from others.

    Attributes
    ----------
    templates, order
        Requests, and which of them goes when: shape ``[n]`` of places; it may be gone through again.
    mixed
        How representative they are.
    digest
        Of the inputs and their mix; equal for equal questions, whatever the server.
    bins, size_of
        The mix that is replayed.
    items
        Distinct golden items in them.
    comparable, remark
        See `representing.Chosen`.
    """

    templates: tuple[templates.Template, ...]
    order: np.ndarray[Any, np.dtype[np.int64]]
    mixed: mixing.Mixed
    digest: str
    items: int
    bins: tuple[replay.Bin, ...] = ()
    size_of: replay.SizeOf = replay.SizeOf.INPUT
    comparable: bool = True
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a load is mixed by.

    Attributes
    ----------
    load
        What was asked for.
    known
        What was recorded of stable's operation, and may be compared with.
    drift
        How far users' mix may have moved since then.
    """

    load: replay.Performance
    known: recorded.Performed | None = None
    drift: float = replay.DEFAULTS[replay.MIX_DRIFT]["max"]


async def vectors(
    client: clients.EmbeddingClient,
    operation: operations.Operation,
    golden: selection.Selection,
    terms: Terms,
) -> Prepared:
    """Write the requests of an operation that answers with vectors.

    Parameters
    ----------
    client
        Of `templates.connected`.
    operation, golden, terms
        Who is asked about what, and how it is mixed.

    Raises
    ------
    CheckError
        ``InvalidRequest``: the mix is of drawn pixels. An item cannot be read, or the server
        does not say what its model is called.
    """
    load = terms.load
    if load.size_of is replay.SizeOf.PIXELS:
        raise failure.CheckError(
            "InvalidRequest", f"the operation {operation.name} draws nothing, and has no mix of pixels"
        )
    items = _some(golden.items, _MOST_TEMPLATES, load.seed)
    asked = [golden.input(item) for item in items]

    async def write(row: Sequence[int]) -> templates.Template:
        return await templates.written(
            client.embed([asked[place] for place in row]),
            may_be_refused=any(items[place].stratum in _MAY_BE_REFUSED for place in row),
        )

    inputs = 1 if operation.one_by_one else load.inputs_per_request
    sizes = [len(one.content) for one in asked]
    return await _prepared(items, sizes, golden, terms=terms, inputs=inputs, write=write)


async def images(
    writer: templates.Writer,
    operation: operations.Operation,
    golden: selection.Selection,
    *,
    asked: request.CheckRequest,
    terms: Terms,
    count: Count,
) -> Prepared:
    """Write the requests of an operation that draws; what it goes on with is drawn first, and not measured.

    Parameters
    ----------
    writer
        What the operation's requests are handed to.
    operation, golden, asked, terms
        Who is asked about what.
    count
        Told of every client, whose requests are counted.

    Raises
    ------
    CheckError
        ``RequestInvalid``: the operation comes after what is not asked, or in a circle. ``GoldenSetUnfit``:
        it can be asked for none of the prompts. Or an earlier stage cannot be asked.
    """
    chain = pipeline.Chain(_stages(operation, asked.operations))
    load = terms.load
    by_pixels = load.size_of is replay.SizeOf.PIXELS
    items = tuple(item for item in golden.items if chain.draws(item) and (_pixels(item) or not by_pixels))
    if not items:
        raise failure.CheckError(
            "GoldenSetUnfit",
            f"the golden set {golden.pack.name} has no prompt that the operation {operation.name} can draw",
        )
    items = _some(items, _MOST_AFTER if chain.stages[1:] else _MOST_TEMPLATES, load.seed)
    last = drawing.over(operation, writer)
    count(last)
    async with contextlib.AsyncExitStack() as opened:
        artists: dict[str, generation.ImageClient] = {operation.name: last}
        for stage in chain.stages[:-1]:
            artist = drawing.connect(stage, url=stage.url or asked.url, run=asked.run)
            artists[stage.name] = await opened.enter_async_context(artist)
            count(artist)
        made = pipeline.Artist(artists)

        async def write(row: Sequence[int]) -> templates.Template:
            return await templates.written(made.draw(chain, items[row[0]]), may_be_refused=False)

        sizes = [_pixels(item) if by_pixels else len(item.text) for item in items]
        return await _prepared(items, sizes, golden, terms=terms, inputs=1, write=write)


def _pixels(item: golden_pack.Item) -> int:
    """Return how many pixels a prompt asks for, 0 where it leaves that to the server."""
    asked = item.generation
    return (asked.width or 0) * (asked.height or 0) if asked is not None else 0


async def _prepared(
    items: Sequence[golden_pack.Item],
    sizes: Sequence[int],
    golden: selection.Selection,
    *,
    terms: Terms,
    inputs: int,
    write: Callable[[Sequence[int]], Awaitable[templates.Template]],
) -> Prepared:
    most, load = _MOST_ORDER if inputs == 1 else _MOST_TEMPLATES, terms.load
    chosen = representing.choose(load, sizes, terms.known, terms.drift)
    mixed = mixing.mixed(
        sizes, chosen.bins, requests=min(load.max_requests + most // 2, most), inputs=inputs, seed=load.seed
    )
    rows, order = np.unique(mixed.order, axis=0, return_inverse=True)
    told = {
        "goldenSet": golden.pack.digest,
        "items": [item.id for item in items],
        "mix": [one.model_dump(mode="json") for one in chosen.bins],
        "inputs": inputs,
    } | ({"sizeOf": load.size_of} if load.size_of is not replay.SizeOf.INPUT else {})
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return Prepared(
        templates=tuple([await write(row.tolist()) for row in rows]),
        order=order.reshape(-1),
        mixed=dataclasses.replace(mixed, drift=chosen.drift),
        digest=f"sha256:{digest}",
        items=len(np.unique(rows)),
        bins=chosen.bins,
        size_of=load.size_of,
        comparable=chosen.comparable,
        remark=chosen.remark,
    )


def _some(items: tuple[golden_pack.Item, ...], most: int, seed: int) -> tuple[golden_pack.Item, ...]:
    """Return at most so many items, in their order, the same ones every time."""
    if len(items) <= most:
        return items
    chosen = np.random.default_rng(seed).permutation(len(items))[:most]
    return tuple(items[place] for place in np.sort(chosen))


def _stages(
    last: operations.Operation, known: Sequence[operations.Operation]
) -> tuple[operations.Operation, ...]:
    """Return the operations whose image an operation goes on with, and itself at the end."""
    by_name = {one.name: one for one in known}
    stages = [last]
    while stages[0].after is not None:
        before = by_name.get(stages[0].after)
        if before is None or before in stages or not before.draws:
            raise failure.CheckError(
                "RequestInvalid",
                f"the operation {last.name} comes after {stages[0].after}, which draws nothing before it",
            )
        stages.insert(0, before)
    return tuple(stages)
