"""The protocol of Hugging Face's Text Embeddings Inference: ``/embed``, ``/tokenize`` and ``/info``."""

import itertools
import json
from collections.abc import Sequence
from typing import Any, Final

from canary_checks import failure, inputs, operation
from canary_checks.clients import client, connected, describing, parsing, transport

_NO_SUCH_ROUTE: Final = frozenset({404, 405})
# The server's own limit of texts in one request, unless it was started with another one.
_TEXTS: Final = 32


class TextEmbeddingsInference(connected.Embedding):
    """A client of one server, for one run; see `client.EmbeddingClient`."""

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        super().__init__(asked, over)
        self._served: str | None = asked.model

    async def model(self) -> str:
        """Return the id of the one model that the server has; it is asked once.

        Raises
        ------
        CheckError
            ``ModelUnknown``: ``/info`` does not say it.
        """
        if self._served is None:
            info = await describing.told(self._over, self._over.sibling("info"))
            said = info.get("model_id") if isinstance(info, dict) else None
            if not isinstance(said, str):
                raise failure.CheckError(
                    "ModelUnknown", f"{self._over.sibling('info')} does not say which model is served"
                )
            self._served = said
        return self._served

    async def embed(self, asked: Sequence[inputs.Input]) -> client.Answer:
        """Ask for some embeddings with one request; see `client.EmbeddingClient.embed`."""
        body = {"inputs": [one.content for one in asked if isinstance(one, inputs.Text)]} | _said(
            truncate=self._asked.truncate,
            normalize=self._asked.normalize,
            prompt_name=self._asked.prompt_name,
            dimensions=self._asked.dimensions,
        )
        return await self._over.ask(json.dumps(body).encode(), lambda reply: answer(reply.body))

    async def tokenize(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:
        """Ask ``/tokenize``; see `client.EmbeddingClient.tokenize`."""
        url = self._over.sibling("tokenize")
        found: list[tuple[int, ...]] = []
        for start in range(0, len(texts), _TEXTS):
            some = list(texts[start : start + _TEXTS])
            body = {"inputs": some} | _said(prompt_name=self._asked.prompt_name)
            reply = await self._over.look(url, json.dumps(body).encode())
            if reply.status in _NO_SUCH_ROUTE:
                return None
            found.extend(tokens(transport.accept(reply).body, len(some)))
        return found

    async def describe(self) -> client.Description:
        """Return what ``/info`` says."""
        return describing.flat(await describing.told(self._over, self._over.sibling("info")), "info")


def answer(body: bytes) -> client.Answer:
    """Read a response: a list of lists of numbers, in the order of the inputs.

    Raises
    ------
    CheckError
        ``ResponseInvalid``.
    """
    rows = parsing.document(body)
    if not isinstance(rows, list):
        raise parsing.invalid("the response is not a list of embeddings")
    return client.Answer(
        model=None,
        indices=tuple(range(len(rows))),
        vectors=tuple(parsing.vector(row, "an embedding") for row in rows),
    )


def tokens(body: bytes, count: int) -> list[tuple[int, ...]]:
    """Read the token ids of `count` texts.

    Raises
    ------
    CheckError
        ``ResponseInvalid``.
    """
    rows = parsing.document(body)
    if not isinstance(rows, list) or len(rows) != count or not all(isinstance(row, list) for row in rows):
        raise parsing.invalid(f"the response to {count} texts is not {count} lists of tokens")
    entries = itertools.chain.from_iterable(rows)
    if not all(isinstance(one, dict) and type(one.get("id")) is int for one in entries):
        raise parsing.invalid("a token has no integer `id`")
    return [tuple(one["id"] for one in row) for row in rows]


def _said(**settings: Any) -> dict[str, Any]:
    """Return the settings that have a value: what the manifest does not say is left to the server."""
    return {name: value for name, value in settings.items() if value is not None}
