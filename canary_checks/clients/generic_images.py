"""Any generator that takes JSON and answers JSON: a template for the request, a JSONPath for the image."""

import base64
import json
from typing import Any

import jsonpath

from canary_checks import failure, operation
from canary_checks.clients import connected, generation, generic_json, openai_images, parsing, transport

_ABSENT = object()


class GenericImages(connected.Connected):
    """A client of one route of one server, for one run; see `generation.ImageClient`.

    Raises
    ------
    CheckError
        ``RequestInvalid``: `images` is no JSONPath.
    """

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        super().__init__(asked, over)
        self._images = generic_json.compiled(asked.images or "$")

    async def draw(self, wish: generation.Wish) -> bytes:
        """Ask for one image; see `generation.ImageClient.draw`."""
        if self._asked.edits and wish.image is None:
            raise failure.CheckError(
                "RequestInvalid", f"the operation {self._asked.name} edits, and has no image to go on with"
            )
        values = {
            operation.ONE_INPUT: wish.prompt,
            operation.LIST_OF_INPUTS: [wish.prompt],
            operation.IMAGE: self._written(wish.image),
            "$mask": self._written(wish.mask),
            "$seed": wish.seed,
            "$width": wish.width,
            "$height": wish.height,
            "$steps": wish.steps,
            "$guidance": wish.guidance,
        }
        body = json.dumps(filled(self._asked.body, values)).encode()
        return await self._over.ask(body, lambda reply: answer(reply.body, self._images))

    def _written(self, image: bytes | None) -> str | None:
        if image is None:
            return None
        text = base64.b64encode(image).decode()
        return (
            f"data:image/png;base64,{text}"
            if self._asked.image_form is operation.ImageForm.DATA_URI
            else text
        )


def filled(template: Any, values: dict[str, Any]) -> Any:
    """Put what is known of a wish into a request's template; the key of what is None is left out."""
    if isinstance(template, dict):
        found = {key: filled(one, values) for key, one in template.items()}
        return {key: one for key, one in found.items() if one is not _ABSENT}
    if isinstance(template, list):
        return [one for one in (filled(each, values) for each in template) if one is not _ABSENT]
    if isinstance(template, str) and template in values:
        return _ABSENT if values[template] is None else values[template]
    return template


def answer(body: bytes, images: generic_json.Path) -> bytes:
    """Read a response.

    Raises
    ------
    CheckError
        ``ResponseInvalid``: the path finds no image, or several.
    """
    found: list[Any] = []
    try:
        for match in images.finditer(parsing.document(body)):
            found.append(match.obj)
            if len(found) > 1:
                raise parsing.invalid(f"{images} matches more than one image")
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise parsing.invalid(f"{images} cannot be applied to the response: {error}") from error
    if not found:
        raise parsing.invalid(f"{images} finds nothing in the response")
    return openai_images.decoded(found[0])
