"""Sending golden items to a server, and getting one matrix back."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import failure, inputs
from canary_checks.clients import client as clients
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection

BATCH: Final = 8
# Servers with a hard input limit refuse what is longer, or an image too small to be one; any other refusal
# means that the question was wrong.
_MAY_BE_REFUSED: Final = frozenset({"long", "tiny"})


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a server made of some items.

    Attributes
    ----------
    vectors
        Shape ``[n, d]``, float32; NaN in the rows that were refused.
    refused
        Shape ``[n]``: which items the server refused.
    """

    vectors: npt.NDArray[np.float32]
    refused: npt.NDArray[np.bool_]


async def warm_up(client: clients.EmbeddingClient, golden: selection.Selection) -> None:
    """Send one batch that is not judged.

    Servers load, compile and choose kernels at their first request: it may take minutes, and be computed
    otherwise than all that follow.

    Raises
    ------
    CheckError
        The server cannot be asked; what it refuses is left to the judged requests.
    """
    await client.warm_up([golden.input(item) for item in golden.items[:BATCH]])


async def ask(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    items: Sequence[golden_pack.Item],
    batch: int = BATCH,
) -> Outputs:
    """Embed items, `batch` of them in one request.

    Parameters
    ----------
    client
        Of the server.
    golden
        Where the items are from.
    items
        At least one.
    batch
        Items in one request, at least 1.

    Returns
    -------
    One row per item, in their order.

    Raises
    ------
    CheckError
        The server cannot be asked, refuses an item that is neither long nor tiny, or gives vectors of several
        lengths.
    """
    rows: list[clients.Vector | None] = []
    for start in range(0, len(items), batch):
        rows.extend(await _ask_once(client, golden, items[start : start + batch]))
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) != 1:
        raise failure.CheckError(
            "ResponseInvalid",
            f"the server gave vectors of {len(lengths)} lengths: {', '.join(map(str, sorted(lengths)[:4]))}"
            if lengths
            else "the server refused every item",
        )
    blank = np.full(lengths.pop(), np.nan, dtype=np.float32)
    return Outputs(
        vectors=np.stack([blank if row is None else row for row in rows]),
        refused=np.array([row is None for row in rows], dtype=np.bool_),
    )


async def _ask_once(
    client: clients.EmbeddingClient, golden: selection.Selection, items: Sequence[golden_pack.Item]
) -> list[clients.Vector | None]:
    """Send one request; where it is refused and an item may be why, send its items one by one."""
    try:
        answer = await client.embed([golden.input(item) for item in items])
    except clients.Refused as refusal:
        if all(item.stratum not in _MAY_BE_REFUSED for item in items):
            raise
        if len(items) == 1:
            return [None]
        singles: list[clients.Vector | None] = []
        for item in items:
            try:
                singles.extend(await _ask_once(client, golden, [item]))
            except clients.Refused as again:
                raise again from refusal
        return singles
    return list(answer.in_order(len(items)))


async def answers(
    client: clients.EmbeddingClient, asked: Sequence[inputs.Input], batch: int
) -> npt.NDArray[np.float32] | None:
    """Embed some inputs for a diagnosis, where a failure is no verdict.

    Parameters
    ----------
    client
        Of the server.
    asked
        What to send.
    batch
        Inputs in one request, at least 1.

    Returns
    -------
    Shape ``[n, d]``, or None when the server refuses one of them, cannot be asked, or gives vectors of
    several lengths.
    """
    rows: list[clients.Vector] = []
    try:
        for start in range(0, len(asked), batch):
            part = asked[start : start + batch]
            rows.extend((await client.embed(part)).in_order(len(part)))
    except failure.CheckError:
        return None
    return np.stack(rows) if len({len(row) for row in rows}) == 1 else None
