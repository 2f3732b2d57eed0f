"""Which client asks which generator."""

from canary_checks import failure, operation
from canary_checks import vocabulary as v
from canary_checks.clients import generation, open_inference_images, openai_images, transport


def connect(
    asked: operation.Operation,
    *,
    url: str,
    run: str,
    max_requests_per_second: int | None = None,
    limits: transport.Limits = generation.LIMITS,
) -> generation.ImageClient:
    """Make the client of an operation that draws; nothing is sent yet.

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
        Bounds of every request in time and size.

    Raises
    ------
    CheckError
        ``RequestInvalid``: the operation cannot be carried out, or draws nothing.
    """
    to = transport.Transport(
        endpoint=asked.endpoint(url),
        root=url,
        run=run,
        max_requests_per_second=max_requests_per_second,
        limits=limits,
    )
    return over(asked, to)


def over(asked: operation.Operation, to: transport.Transport) -> generation.ImageClient:
    """Make the client of an operation that draws, over a transport that is there already.

    Raises
    ------
    CheckError
        ``RequestInvalid``: the operation cannot be carried out, or draws nothing.
    """
    if asked.protocol is v.Protocol.OPENAI_IMAGES:
        return openai_images.OpenAIImages(asked, to)
    if asked.protocol is v.Protocol.OPEN_INFERENCE_V2_IMAGES:
        return open_inference_images.OpenInferenceImages(asked, to)
    if asked.draws:
        # Its JSONPath library costs 0.15 s, which the other protocol need not spend.
        from canary_checks.clients import generic_images  # noqa: PLC0415

        return generic_images.GenericImages(asked, to)
    raise failure.CheckError(
        "RequestInvalid", f"the operation {asked.name} answers with vectors, and draws nothing"
    )
