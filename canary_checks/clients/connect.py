"""Which client speaks which protocol."""

from collections.abc import Callable
from typing import Final

from canary_checks import failure, operation
from canary_checks import vocabulary as v
from canary_checks.clients import (
    client,
    open_inference_v2,
    openai_embeddings,
    text_embeddings_inference,
    transport,
)


def _generic_json(asked: operation.Operation, over: transport.Transport) -> client.EmbeddingClient:
    # Importing its JSONPath library costs 0.15 s, which the other protocols need not spend.
    from canary_checks.clients import generic_json  # noqa: PLC0415

    return generic_json.GenericJSON(asked, over)


_CLIENTS: Final[
    dict[v.Protocol, Callable[[operation.Operation, transport.Transport], client.EmbeddingClient]]
] = {
    v.Protocol.OPENAI_EMBEDDINGS: openai_embeddings.OpenAIEmbeddings,
    v.Protocol.TEXT_EMBEDDINGS_INFERENCE: text_embeddings_inference.TextEmbeddingsInference,
    v.Protocol.OPEN_INFERENCE_V2: open_inference_v2.OpenInferenceV2,
    v.Protocol.GENERIC_JSON: _generic_json,
}


def connect(
    asked: operation.Operation,
    *,
    url: str,
    run: str,
    max_requests_per_second: int | None = None,
    limits: transport.Limits | None = None,
) -> client.EmbeddingClient:
    """Make the client of an operation; nothing is sent yet.

    Parameters
    ----------
    asked
        The operation and its protocol.
    url
        Base URL of the server.
    run
        The run that asks; it goes into the probe header.
    max_requests_per_second
        Upper bound of the rate, or None.
    limits
        Bounds of every request in time and size, or None for the usual ones.

    Raises
    ------
    CheckError
        ``RequestInvalid``: the operation cannot be carried out.
    """
    to = transport.Transport(
        endpoint=asked.endpoint(url),
        root=url,
        run=run,
        max_requests_per_second=max_requests_per_second,
        limits=limits,
    )
    return over(asked, to)


def over(asked: operation.Operation, to: transport.Transport) -> client.EmbeddingClient:
    """Make the client of an operation over a transport that is there already."""
    if asked.draws:
        raise failure.CheckError(
            "RequestInvalid", f"the operation {asked.name} draws images: only a fidelity check asks it"
        )
    return _CLIENTS[asked.protocol](asked, to)
