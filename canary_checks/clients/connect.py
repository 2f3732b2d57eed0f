"""Which client speaks which protocol."""

from canary_checks import operation
from canary_checks import vocabulary as v
from canary_checks.clients import client, openai_embeddings


def connect(
    asked: operation.Operation, *, url: str, run: str, max_requests_per_second: int | None = None
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
    """
    clients = {v.Protocol.OPENAI_EMBEDDINGS: openai_embeddings.OpenAIEmbeddings}
    return clients[asked.protocol](
        endpoint=asked.endpoint(url),
        model=asked.model,
        run=run,
        max_requests_per_second=max_requests_per_second,
    )
