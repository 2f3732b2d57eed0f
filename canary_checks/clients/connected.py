"""What the clients of all protocols have in common: an operation and a transport."""

import abc
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from canary_checks import inputs, operation
from canary_checks.clients import client, transport


class Connected:
    """A client's lifetime and its counters.

    Parameters
    ----------
    asked
        The operation.
    over
        The transport to its server; the client closes it.
    """

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        self._asked = asked
        self._over = over

    async def __aenter__(self) -> Self:
        await self._over.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._over.__aexit__(kind, error, trace)

    @property
    def sent(self) -> int:
        """Requests for embeddings that reached the server."""
        return self._over.tally.sent

    @property
    def failed(self) -> int:
        """Those of `sent` without a usable answer."""
        return self._over.tally.failed

    @property
    def retried(self) -> int:
        """Attempts that were repeated."""
        return self._over.tally.retried


class Embedding(Connected, abc.ABC):
    """A client of embeddings; parameters as of `Connected`."""

    @abc.abstractmethod
    async def embed(self, asked: Sequence[inputs.Input]) -> client.Answer:
        """Ask for some embeddings with one request; see `client.EmbeddingClient.embed`."""

    async def warm_up(self, asked: Sequence[inputs.Input]) -> None:
        """Send one request and wait longer for its answer; see `client.EmbeddingClient.warm_up`."""
        with self._over.patient(), contextlib.suppress(client.Refused):
            await self.embed(asked)
