"""Any server that takes JSON and answers JSON: a template for the request, a JSONPath for the vectors."""

import base64
import json
from collections.abc import Sequence
from typing import Any, Final
from urllib import parse

import jsonpath

from canary_checks import failure, inputs, operation
from canary_checks.clients import client, connected, describing, openapi, parsing, transport

Path = jsonpath.JSONPath | jsonpath.CompoundJSONPath

_PATHS: Final = jsonpath.JSONPathEnvironment(strict=True)


class GenericJSON(connected.Embedding):
    """A client of one route of one server, for one run; see `client.EmbeddingClient`.

    Raises
    ------
    CheckError
        ``RequestInvalid``: `vectors` is no JSONPath.
    """

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        super().__init__(asked, over)
        self._vectors = compiled(asked.vectors or "$")

    async def model(self) -> str | None:
        """Return the name that the manifest gives: the server is not asked for one."""
        return self._asked.model

    async def embed(self, asked: Sequence[inputs.Input]) -> client.Answer:
        """Ask for some embeddings; see `client.EmbeddingClient.embed`."""
        parts = [[one] for one in asked] if self._asked.one_by_one else [list(asked)]
        vectors: list[client.Vector] = []
        for part in parts:
            body = filled(self._asked.body, [self._written(one) for one in part])

            def read(reply: transport.Reply, limit: int = len(part)) -> list[client.Vector]:
                return answer(reply.body, self._vectors, limit)

            vectors += await self._over.ask(json.dumps(body).encode(), read)
        return client.Answer(model=None, indices=tuple(range(len(vectors))), vectors=tuple(vectors))

    async def tokenize(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:  # noqa: ARG002
        """Nothing is known of such a route."""
        return None

    async def describe(self) -> client.Description:
        """Return the route's schema by the server's OpenAPI document, where it has one."""
        document = await describing.told(self._over, f"{self._over.root}/openapi.json")
        return openapi.schema_of(document, parse.urlsplit(self._over.endpoint).path)

    def _written(self, one: inputs.Input) -> str:
        if isinstance(one, inputs.Text):
            return one.content
        written = base64.b64encode(one.content).decode()
        as_uri = self._asked.image_form is operation.ImageForm.DATA_URI
        return f"data:{one.media_type};base64,{written}" if as_uri else written


def compiled(vectors: str) -> Path:
    """Return a JSONPath that can be applied.

    Raises
    ------
    CheckError
        ``RequestInvalid``: it is none.
    """
    try:
        return _PATHS.compile(vectors)
    except jsonpath.JSONPathError as error:
        raise failure.CheckError("RequestInvalid", f"vectors: {error}") from error


def filled(template: Any, values: list[str]) -> Any:
    """Put inputs into a request's template.

    Parameters
    ----------
    template
        JSON with the placeholders of `operation`.
    values
        At least one.

    Returns
    -------
    The template with all values for `operation.LIST_OF_INPUTS`, and with the first for
    `operation.ONE_INPUT` outside of `operation.EACH`.
    """
    if isinstance(template, dict):
        if operation.EACH in template:
            return [filled(template[operation.EACH], [value]) for value in values]
        return {key: filled(one, values) for key, one in template.items()}
    if isinstance(template, list):
        return [filled(one, values) for one in template]
    if template == operation.LIST_OF_INPUTS:
        return values
    return values[0] if template == operation.ONE_INPUT else template


def answer(body: bytes, vectors: Path, limit: int) -> list[client.Vector]:
    """Read a response.

    Parameters
    ----------
    body
        What came with a status that says success.
    vectors
        Where it holds vectors.
    limit
        How many inputs were sent; a path that matches more has found something else.

    Returns
    -------
    One float32 vector for each match.

    Raises
    ------
    CheckError
        ``ResponseInvalid``.
    """
    found: list[client.Vector] = []
    try:
        for match in vectors.finditer(parsing.document(body)):
            if len(found) == limit:
                raise parsing.invalid(f"{vectors} matches more than {limit} vectors for {limit} inputs")
            found.append(parsing.vector(match.obj, f"what {vectors} finds"))
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise parsing.invalid(f"{vectors} cannot be applied to the response: {error}") from error
    if not found:
        raise parsing.invalid(f"{vectors} finds nothing in the response")
    return found
