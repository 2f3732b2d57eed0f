"""Recording a reference: what a server answers to a golden set, and how near it is to itself."""

import dataclasses
from typing import Final

import numpy as np

from canary_checks import failure, operation, probing
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.clients import connect
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import distance, gates, reference
from canary_checks.probes import asking, live, telling
from canary_checks.trace import client as tracing

_PER_STRATUM: Final = 2
_LARGE_BATCH: Final = 32
_RUN: Final = "golden"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """Who is asked, and how.

    Attributes
    ----------
    url
        Base URL.
    operations
        What it is asked.
    numeric_class
        Its own.
    max_requests_per_second
        Upper bound of the rate, or None.
    probe
        Its probe endpoint, where it has one: what it tells is recorded too.
    """

    url: str
    operations: tuple[operation.Operation, ...]
    numeric_class: v.NumericClass
    max_requests_per_second: int | None = None
    probe: probing.ProbeEndpoint | None = None

    def connected(self, asked: operation.Operation) -> clients.EmbeddingClient:
        """Return a client of one operation."""
        return connect.connect(
            asked, url=self.url, run=_RUN, max_requests_per_second=self.max_requests_per_second
        )


async def record(
    server: Server, pack: golden_pack.Pack, *, revision: str, provenance: reference.Provenance
) -> bytes:
    """Record a reference.

    Parameters
    ----------
    server
        Who is asked, one item at a time, and a sample again, alone and in batches of 8 and 32.
    pack
        What it is asked.
    revision, provenance
        Of the server.

    Returns
    -------
    The bytes of a safetensors file, with the noise and, where the server tells them, the token ids.

    Raises
    ------
    CheckError
        ``ReferenceNotRepeatable``, ``ReferenceEmpty`` (the set has nothing for an operation), a row that is
        not finite (``ReferenceUnreadable``), or the server cannot be asked.
    """
    content = await _content(server, pack, revision=revision, provenance=provenance)
    made = reference.decode(content)
    for asked in server.operations:
        # The same door as for everyone who uses it later.
        golden = selection.select(pack, asked.modality)
        reference.usable(made, asked.name, golden, numeric_class=server.numeric_class)
    return content


async def _content(
    server: Server, pack: golden_pack.Pack, *, revision: str, provenance: reference.Provenance
) -> bytes:
    recordings = {}
    for asked in server.operations:
        golden = selection.select(pack, asked.modality)
        if not golden.items:
            raise failure.CheckError(
                "ReferenceEmpty", f"{pack.name} has no {asked.modality} items for the operation {asked.name}"
            )
        async with server.connected(asked) as client, telling.connected(server.probe, _RUN) as probe:
            recordings[asked.name] = await _operation(client, golden, server.numeric_class, probe)
    return reference.new(
        pack, recordings, revision=revision, numeric_class=server.numeric_class, provenance=provenance
    )


async def _operation(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    numeric_class: v.NumericClass,
    probe: tracing.TraceClient | None,
) -> reference.Recording:
    once = await live.record(client, golden, numeric_class)
    rows = np.array([row for row in golden.sample(_PER_STRATUM) if not once.refused[row]], dtype=np.intp)
    items = [golden.items[row] for row in rows]
    again = (await asking.ask(client, golden, items, batch=1)).vectors
    batched = (await asking.ask(client, golden, items, batch=_LARGE_BATCH)).vectors
    if not again.shape == batched.shape == once.outputs[rows].shape:
        raise failure.CheckError(
            "ReferenceNotRepeatable", "the server changed its number of dimensions while it was asked"
        )
    worst = gates.worst(distance.cosine(batched, once.outputs[rows]))
    noise = once.noise[0] if once.noise is not None else 0.0
    measured = dataclasses.replace(
        once,
        self_repeat=reference.Repeat(
            cosine_distance_worst=gates.worst(distance.cosine(again, once.outputs[rows])),
            norm_deviation_worst=gates.worst(distance.norm_deviation(again, once.outputs[rows])),
        ),
        batch_invariance=reference.BatchInvariance(
            batches=(1, asking.BATCH, _LARGE_BATCH), cosine_distance_worst=max(worst, noise)
        ),
    )
    return await telling.record(client, golden, measured, probe)
