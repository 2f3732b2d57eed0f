"""What every protocol's client offers, and what one request brings back."""

import dataclasses
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from canary_checks import failure, inputs

Vector = npt.NDArray[np.float32]

Description = dict[str, str]
"""What a server tells of its identity and of its inputs and outputs: dotted names and short texts, bounded in
number and length, equal for two servers that tell the same; made to be diffed name by name."""


class Refused(failure.CheckError):
    """The server said that it will not embed this input."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one request brought back, not yet judged.

    Attributes
    ----------
    model
        The model that the server says it is, or None when it does not say.
    indices
        Of each vector, the input that it belongs to, in the order of the response.
    vectors
        One float32 vector for each index; a value that the response cannot say (null) is NaN.
    """

    model: str | None
    indices: tuple[int, ...]
    vectors: tuple[Vector, ...]

    def in_order(self, count: int) -> list[Vector]:
        """Return the vectors in the order of the inputs.

        Parameters
        ----------
        count
            How many inputs were sent.

        Raises
        ------
        CheckError
            ``ResponseInvalid``: the indices are not 0 to count - 1, each once.
        """
        if sorted(self.indices) != list(range(count)):
            raise failure.CheckError(
                "ResponseInvalid",
                f"the server answered {count} inputs with {len(self.vectors)} vectors of the indices"
                f" {sorted(self.indices)[:8]}",
            )
        by_index = dict(zip(self.indices, self.vectors, strict=True))
        return [by_index[i] for i in range(count)]


class EmbeddingClient(Protocol):
    """A client of one operation of one server, for one run; use it as an asynchronous context."""

    @property
    def sent(self) -> int:
        """Requests for embeddings that reached the server."""
        ...

    @property
    def failed(self) -> int:
        """Those of `sent` without a usable answer."""
        ...

    @property
    def retried(self) -> int:
        """Attempts that were repeated: connections that were not made, and answers 429."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def model(self) -> str | None:
        """Return the served model's name, or None where the protocol has none.

        Raises
        ------
        CheckError
            ``ModelUnknown``: the server was to be asked and does not say; as `embed` if it does not answer.
        """
        ...

    async def embed(self, asked: Sequence[inputs.Input]) -> Answer:
        """Ask for the embeddings of some inputs with one request.

        A `GenericJSON` operation whose body has room for a single input sends one request for each.

        Parameters
        ----------
        asked
            At least one, all of the modality of the operation.

        Returns
        -------
        What came back, structurally sound but not judged.

        Raises
        ------
        Refused
            The server understood and declined: status 400, 413 or 422.
        CheckError
            ``EndpointUnreachable``, ``EndpointTimeout``, ``EndpointOverloaded`` (429 for too long),
            ``EndpointError`` (another status, a redirect, a broken connection) or ``ResponseInvalid``.
        """
        ...

    async def warm_up(self, asked: Sequence[inputs.Input]) -> None:
        """Let a server load, compile and choose what it answers with; it has minutes to answer.

        Parameters
        ----------
        asked
            As of `embed`, and counted as such a request; what comes back is dropped, a refusal too.

        Raises
        ------
        CheckError
            As `embed`.
        """
        ...

    async def tokenize(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:
        """Return the token ids that the served process makes of some texts, or None when it does not tell.

        Raises
        ------
        CheckError
            As `embed`; a server without such a route is None, not an error.
        """
        ...

    async def describe(self) -> Description:
        """Return what the server tells of itself; empty when it tells nothing.

        Raises
        ------
        CheckError
            The server cannot be reached or does not answer; what it merely does not offer is no error.
        """
        ...
