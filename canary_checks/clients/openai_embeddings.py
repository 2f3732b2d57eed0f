"""The OpenAI embeddings protocol: float and base64, texts, and images as Infinity takes them."""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib import parse

from canary_checks import failure, inputs, operation
from canary_checks.clients import client, connected, describing, openapi, parsing, transport

_NO_SUCH_ROUTE: Final = frozenset({404, 405, 501})
# What a list of models says that neither changes with time nor with load.
_STABLE_FACTS: Final = ("id", "root", "parent", "owned_by", "max_model_len", "backend", "capabilities")


class OpenAIEmbeddings(connected.Embedding):
    """A client of one server, for one run; see `client.EmbeddingClient`."""

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        super().__init__(asked, over)
        self._served = asked.model
        self._base64 = asked.encoding is operation.Encoding.BASE64
        self._tokenizes = True

    async def model(self) -> str:
        """Return the name that requests carry; a server that was given none is asked for its list, once.

        Raises
        ------
        CheckError
            ``ModelUnknown``: the server does not list its models; or it cannot be asked.
        """
        if self._served is None:
            url = self._over.sibling("models")
            # A server that can't be asked is told apart from one that has no list.
            reply = await self._over.look(url)
            try:
                self._served = str(parsing.document(transport.accept(reply).body)["data"][0]["id"])
            except (failure.CheckError, LookupError, TypeError) as error:
                raise failure.CheckError(
                    "ModelUnknown", f"{url} lists no model, so the manifest must say its servedName"
                ) from error
        return self._served

    async def embed(self, asked: Sequence[inputs.Input]) -> client.Answer:
        """Ask for some embeddings with one request; see `client.EmbeddingClient.embed`."""
        body: dict[str, Any] = {
            "model": await self.model(),
            "input": [_input(one) for one in asked],
            "encoding_format": "base64" if self._base64 else "float",
        }
        if self._asked.dimensions is not None:
            body["dimensions"] = self._asked.dimensions
        if any(isinstance(one, inputs.Image) for one in asked):
            body["modality"] = "image"
        content = json.dumps(body | (self._asked.extra_body or {})).encode()
        return await self._over.ask(content, lambda reply: answer(reply.body, as_base64=self._base64))

    async def tokenize(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:
        """Ask vLLM's ``/tokenize``, one text at a time; see `client.EmbeddingClient.tokenize`."""
        found = []
        for text in texts:
            ids = await self._tokens_of(text) if self._tokenizes else None
            if ids is None:
                # It is no part of the protocol: what answers otherwise means something else by the route.
                self._tokenizes = False
                return None
            found.append(ids)
        return found

    async def describe(self) -> client.Description:
        """Return facts of ``/models``, ``/version`` (vLLM) and the OpenAPI document, where there are any."""
        listed = await describing.told(self._over, self._over.sibling("models"))
        models = listed.get("data") if isinstance(listed, dict) else None
        found: client.Description = {}
        for one in models if isinstance(models, list) else []:
            if isinstance(one, dict) and (self._served is None or one.get("id") == self._served):
                facts = {key: one.get(key) for key in _STABLE_FACTS}
                found |= describing.flat(facts, "model")
                break
        version = await describing.told(self._over, self._root("version"))
        if isinstance(version, dict):
            found |= describing.flat({"version": version.get("version")}, "server")
        document = await describing.told(self._over, f"{self._over.root}/openapi.json")
        return found | openapi.schema_of(document, parse.urlsplit(self._over.endpoint).path)

    def _root(self, name: str) -> str:
        """Return the URL of a route beside the protocol's: vLLM has them above ``/v1``."""
        return re.sub(r"(/v[0-9]+)?/embeddings$", "", self._over.endpoint) + f"/{name}"

    async def _tokens_of(self, text: str) -> tuple[int, ...] | None:
        body = json.dumps({"model": await self.model(), "prompt": text}).encode()
        reply = await self._over.look(self._root("tokenize"), body)
        if reply.status in _NO_SUCH_ROUTE:
            return None
        return tokens(transport.accept(reply).body)


def answer(body: bytes, *, as_base64: bool) -> client.Answer:
    """Read a response.

    Parameters
    ----------
    body
        What came with a status that says success.
    as_base64
        Whether base64 was asked for; else lists of numbers.

    Raises
    ------
    CheckError
        ``ResponseInvalid``.
    """
    whole = parsing.document(body)
    data = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(data, list):
        raise parsing.invalid("the response has no list `data`")
    read = parsing.base64_vector if as_base64 else parsing.vector
    model = whole.get("model")
    return client.Answer(
        model=model if isinstance(model, str) else None,
        indices=tuple(_index(entry) for entry in data),
        vectors=tuple(read(entry["embedding"]) for entry in data),
    )


def tokens(body: bytes) -> tuple[int, ...] | None:
    """Read vLLM's answer to ``/tokenize``; None is an answer of another kind.

    llama.cpp has a route of that name which answers this question with an empty list: only a list with its
    count is vLLM's.
    """
    try:
        whole = parsing.document(body)
    except failure.CheckError:
        return None
    ids = whole.get("tokens") if isinstance(whole, dict) else None
    if not isinstance(ids, list) or not all(type(one) is int for one in ids):
        return None
    return tuple(ids) if whole.get("count") == len(ids) else None


def _input(one: inputs.Input) -> str:
    if isinstance(one, inputs.Image):
        return f"data:{one.media_type};base64,{base64.b64encode(one.content).decode()}"
    return one.content


def _index(entry: Any) -> int:
    index = entry.get("index") if isinstance(entry, dict) else None
    if not isinstance(index, int) or isinstance(index, bool) or "embedding" not in entry:
        raise parsing.invalid("an entry of `data` has no integer `index` or no `embedding`")
    return index
