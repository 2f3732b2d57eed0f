"""A reference taken from a server that takes users' traffic now: gently, and where no record serves."""

from canary_checks import failure, request, schema
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import selection
from canary_checks.parity import comparison, distance, gates, numeric, reference
from canary_checks.probes import asking

_NOISE_PER_STRATUM = 3
_BATCH = 1


async def record(
    client: clients.EmbeddingClient, golden: selection.Selection, numeric_class: v.NumericClass
) -> reference.Recording:
    """Record what a server answers, one item at a time, and prove that it is near enough to itself.

    Parameters
    ----------
    client
        Of the server; its rate is the caller's to bound.
    golden
        What to send.
    numeric_class
        Of the server: how far it may be from itself.

    Returns
    -------
    The outputs, with the noise of a sample that was asked twice.

    Raises
    ------
    CheckError
        ``ReferenceNotRepeatable``, or the server cannot be asked.
    """
    outputs = await asking.ask(client, golden, golden.items, batch=_BATCH)
    rows = [row for row in golden.sample(_NOISE_PER_STRATUM) if not outputs.refused[row]]
    again = await asking.ask(client, golden, [golden.items[row] for row in rows])
    if again.vectors.shape[1] != outputs.vectors.shape[1]:
        raise failure.CheckError(
            "ReferenceNotRepeatable", "the live reference changed its number of dimensions while it was asked"
        )
    once = outputs.vectors[rows]
    noise = (
        gates.worst(distance.cosine(again.vectors, once)),
        gates.worst(distance.norm_deviation(again.vectors, once)),
    )
    ceiling = numeric.calibrated(numeric.TOLERANCES[numeric_class].cosine_distance, float("inf")).value
    if not noise[0] <= ceiling:
        raise failure.CheckError(
            "ReferenceNotRepeatable",
            f"the live reference is {noise[0]:.2g} from itself; {ceiling:.2g} is what {numeric_class} allows",
        )
    return reference.Recording(golden.ids, outputs.vectors, outputs.refused, noise)


async def opponent(
    client: clients.EmbeddingClient,
    source: request.LiveSource,
    golden: selection.Selection,
) -> comparison.Opponent:
    """Make an opponent of a live server; see `record`."""
    return comparison.Opponent(
        party=schema.Party(role=source.role, revision=source.revision, numeric_class=source.numeric_class),
        role="Stable",
        numeric_class=source.numeric_class,
        recorded=await record(client, golden, source.numeric_class),
    )
