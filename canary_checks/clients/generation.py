"""What a client of an image generator offers: one prompt in, one encoded image out."""

import dataclasses
from types import TracebackType
from typing import Final, Protocol, Self

from canary_checks.clients import transport

LIMITS: Final = transport.Limits(read_seconds=300.0, request_seconds=300.0, response_bytes=64 << 20)
"""An image takes a while, and is larger than vectors."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """One image, as it is asked for; what is None is not sent.

    Attributes
    ----------
    prompt, seed
        What to draw.
    width, height
        In pixels.
    steps, guidance
        Of the sampler.
    image
        PNG to go on with; None draws from nothing.
    mask
        PNG of its size that is transparent where the image may change, or None for everywhere.
    """

    prompt: str
    seed: int
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    image: bytes | None = None
    mask: bytes | None = None


class ImageClient(Protocol):
    """A client of one operation of one server, for one run; use it as an asynchronous context."""

    @property
    def sent(self) -> int:
        """Requests for images that reached the server."""
        ...

    @property
    def failed(self) -> int:
        """Those of `sent` without a usable answer."""
        ...

    @property
    def retried(self) -> int:
        """Attempts that were repeated."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def draw(self, wish: Wish) -> bytes:
        """Ask for one image.

        Parameters
        ----------
        wish
            What to draw.

        Returns
        -------
        The encoded image as it came: of bounded size, and not yet decoded.

        Raises
        ------
        Refused
            The server understood and declined: status 400, 413 or 422.
        CheckError
            As `canary_checks.clients.client.EmbeddingClient.embed`.
        """
        ...
