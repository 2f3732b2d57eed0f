"""Asking a served process what it tells of itself: fields, token ids, and the tensors of locked images."""

import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Final, TypeVar

import numpy as np

from canary_checks import failure, inputs, probing
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.contracts import process, stated
from canary_checks.golden import selection
from canary_checks.parity import reference
from canary_checks.trace import client as tracing
from canary_checks.trace import compare, values

_T = TypeVar("_T")

TOKENS: Final = "text.tokens"
PIXELS: Final = "image.pixels"
_AT_ONCE: Final = 64
"""Texts that are tokenized by one request."""
_LOCKED_PER_STRATUM: Final = 3
"""Images whose tensors are told; every text's tokens are, because they cost nearly nothing."""
_MOST_TOKENS: Final = 2**31
"""A recording holds ids as int32."""
_FROM_FILES: Final = "Artifact"


@contextlib.asynccontextmanager
async def connected(
    endpoint: probing.ProbeEndpoint | None, run: str
) -> AsyncIterator[tracing.TraceClient | None]:
    """Open a probe endpoint, with the token that its variable holds.

    Parameters
    ----------
    endpoint
        None for a server without one.
    run
        The run that asks.

    Raises
    ------
    CheckError
        ``ProbeTokenMissing``: the variable is not set.
    """
    if endpoint is None:
        yield None
        return
    token = os.environ.get(endpoint.token_variable, "")
    if not token:
        raise failure.CheckError(
            "ProbeTokenMissing",
            f"the probe endpoint needs a token and {endpoint.token_variable} is not set: the Secret that the"
            " manifest names, or its key, does not exist",
        )
    if not (token.isascii() and token.isprintable()):
        raise failure.CheckError(
            "ProbeTokenMissing",
            f"{endpoint.token_variable} holds what no header can carry, such as a line end: write the Secret"
            " without one",
        )
    async with tracing.TraceClient(url=endpoint.url, token=token, run=run) as probe:
        yield probe


async def tell(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    probe: tracing.TraceClient | None = None,
    files: Mapping[str, str] | None = None,
) -> stated.Statements:
    """Ask a process what it tells of itself.

    Parameters
    ----------
    client
        Of one of its operations.
    golden
        The images of which some are locked.
    probe
        Of its probe endpoint, where it has one.
    files
        Digests that are known from elsewhere (the pod's init container); they win over what it says.

    Raises
    ------
    CheckError
        It cannot be asked.
    """
    interface = stated.bounded(await client.describe())
    if probe is None:
        return stated.Statements(interface=interface, files=stated.bounded(files or {}))
    info = await probe.info()
    from_files = info.source == _FROM_FILES
    return stated.Statements(
        preprocessing=stated.bounded(process.preprocessing(info).fields),
        environment=stated.bounded(process.environment(info)),
        interface=interface,
        files=stated.bounded(files or process.files(info)),
        pictures={} if from_files else await _pictures(probe, info, golden),
        artifact_only=from_files,
    )


async def _pictures(
    probe: tracing.TraceClient, info: tracing.Info, golden: selection.Selection
) -> dict[str, stated.Picture]:
    """Ask for the tensors of the locked images, by digest; one that serving refuses is left out."""
    items = {item.id: item for item in golden.items if item.modality is v.Modality.IMAGE}
    locked = [golden.items[row] for row in golden.sample(_LOCKED_PER_STRATUM)] if items else []
    if PIXELS not in info.stages or not locked:
        return {}
    made = await probe.digests({item.id: golden.input(item) for item in locked}, [PIXELS])
    told = {name: stages[PIXELS] for name, stages in made.items() if PIXELS in stages}
    return {name: stated.picture(one) for name, one in told.items() if isinstance(one, values.Tensor)}


async def token_ids(
    client: clients.EmbeddingClient, texts: Mapping[str, str], probe: tracing.TraceClient | None = None
) -> dict[str, tuple[int, ...]] | None:
    """Ask the served process for the token ids of some texts.

    Parameters
    ----------
    client
        Of the server.
    texts
        By item.
    probe
        Of its probe endpoint, which is asked where the protocol has no such route.

    Returns
    -------
    Ids by item; None when the server does not tell.

    Raises
    ------
    CheckError
        It cannot be asked, or answers another number of texts.
    """
    found: dict[str, tuple[int, ...]] = {}
    names = list(texts)
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        answered = await client.tokenize([texts[name] for name in part])
        if answered is None:
            return await _traced(probe, texts) if probe is not None else None
        if len(answered) != len(part):
            raise failure.CheckError(
                "ResponseInvalid", f"the server tokenized {len(part)} texts into {len(answered)} lists of ids"
            )
        found |= dict(zip(part, answered, strict=True))
    return found or None


async def _traced(probe: tracing.TraceClient, texts: Mapping[str, str]) -> dict[str, tuple[int, ...]] | None:
    info = await probe.info()
    if TOKENS not in info.stages or info.source == _FROM_FILES:
        # What the model's files say may fail elsewhere, and passes nowhere in place of the process.
        return None
    made = await probe.digests({name: inputs.Text(text) for name, text in texts.items()}, [TOKENS])
    found = compare.ids_of({name: stages[TOKENS] for name, stages in made.items() if TOKENS in stages})
    return found if len(found) == len(texts) else None


async def record(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    recorded: reference.Recording,
    probe: tracing.TraceClient | None = None,
) -> reference.Recording:
    """Add to a recording what the server tells of itself, so that the next release is compared with it.

    Parameters
    ----------
    client
        Of the server.
    golden
        What it was asked.
    recorded
        Its outputs; row i is item i of the selection.
    probe
        Of its probe endpoint, where it has one.

    Raises
    ------
    CheckError
        The probe endpoint that was declared cannot be asked. What the server merely does not offer, or offers
        and breaks on, is left out: it is no part of the protocol that was declared.
    """
    texts = {
        item.id: item.text
        for item, refused in zip(golden.items, recorded.refused, strict=True)
        if item.modality is v.Modality.TEXT and not refused
    }
    told = await _if_offered(probe, tell(client, golden, probe))
    ids = await _if_offered(probe, _sane_ids(client, texts, probe)) if texts else None
    return dataclasses.replace(
        recorded,
        told=stated.recordable(told) if told is not None else None,
        tokens=None
        if ids is None
        else tuple(np.array(ids.get(name, ()), dtype=np.int32) for name in recorded.items),
    )


async def _sane_ids(
    client: clients.EmbeddingClient, texts: Mapping[str, str], probe: tracing.TraceClient | None
) -> dict[str, tuple[int, ...]] | None:
    ids = await token_ids(client, texts, probe)
    odd = next((one for each in (ids or {}).values() for one in each if not 0 <= one < _MOST_TOKENS), None)
    if odd is not None:
        raise failure.CheckError("ResponseInvalid", f"the server answered a text with the token id {odd}")
    return ids


async def _if_offered(probe: tracing.TraceClient | None, asking: Awaitable[_T]) -> _T | None:
    """Wait for what a server without a declared endpoint may or may not offer; None when it does not."""
    try:
        return await asking
    except failure.CheckError:
        if probe is not None:
            raise
        return None
