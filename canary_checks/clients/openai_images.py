"""The OpenAI images protocol: ``generations`` by JSON, ``edits`` by a form, images in base64 or by URL."""

import base64
import binascii
import json
from typing import Any, Final
from urllib import parse

import httpx

from canary_checks import failure, operation
from canary_checks import vocabulary as v
from canary_checks.clients import connected, generation, parsing, transport


class OpenAIImages(connected.Connected):
    """A client of one server, for one run; see `generation.ImageClient`."""

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        super().__init__(asked, over)
        self._hosts = frozenset({parse.urlsplit(over.endpoint).netloc, *(asked.image_hosts or ())})

    async def draw(self, wish: generation.Wish) -> bytes:
        """Ask for one image; see `generation.ImageClient.draw`."""
        fields = self._fields(wish)
        if self._asked.edits:
            if wish.image is None:
                raise failure.CheckError(
                    "RequestInvalid",
                    f"the operation {self._asked.name} edits, and has no image to go on with",
                )
            content, headers = _form(fields, wish.image, wish.mask)
        else:
            content, headers = json.dumps(fields).encode(), dict(transport.JSON)
        found = await self._over.ask(content, lambda reply: answer(reply.body), headers)
        return found if isinstance(found, bytes) else await self._fetch(found)

    def _fields(self, wish: generation.Wish) -> dict[str, Any]:
        sides = wish.width is not None and wish.height is not None
        said: dict[str, Any] = {
            "model": self._asked.model,
            "prompt": wish.prompt,
            "n": 1,
            "size": f"{wish.width}x{wish.height}" if sides else None,
            "response_format": "b64_json",
            # What servers of open models call them; the protocol itself has no word for them.
            "seed": wish.seed,
            "num_inference_steps": wish.steps,
            "guidance_scale": wish.guidance,
        }
        return {
            key: value for key, value in (said | (self._asked.extra_body or {})).items() if value is not None
        }

    async def _fetch(self, url: "Link") -> bytes:
        """Get an image from where the answer says, if that is a host that was asked or is allowed."""
        to = parse.urljoin(self._over.endpoint, url.text)
        parts = parse.urlsplit(to)
        if parts.scheme not in {"http", "https"} or parts.netloc not in self._hosts:
            raise failure.CheckError(
                "ResponseInvalid",
                f"the answer sends the check to {v.sentence(parts.netloc or to, 80)} for its image, which is"
                " not the server that was asked; imageHosts may allow it",
            )
        return transport.accept(await self._over.look(to)).body


class Link:
    """Where an answer says that its image is."""

    def __init__(self, text: str) -> None:
        self.text: Final = text


def answer(body: bytes) -> bytes | Link:
    """Read a response.

    Parameters
    ----------
    body
        What came with a status that says success.

    Returns
    -------
    The encoded image, or where it is.

    Raises
    ------
    CheckError
        ``ResponseInvalid``: it holds no image, or several.
    """
    whole = parsing.document(body)
    data = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(data, list) or len(data) != 1 or not isinstance(data[0], dict):
        raise parsing.invalid("the response has no list `data` with one image")
    if data[0].get("b64_json") is not None:
        return decoded(data[0]["b64_json"])
    url = data[0].get("url")
    if isinstance(url, str):
        return decoded(url) if url.startswith("data:") else Link(url)
    raise parsing.invalid("the entry of `data` has neither `b64_json` nor `url`")


def decoded(text: Any) -> bytes:
    """Read an image in base64, plain or in a ``data:`` URI.

    Raises
    ------
    CheckError
        ``ResponseInvalid``: it is none.
    """
    if not isinstance(text, str) or not text:
        raise parsing.invalid("the image is no base64 text")
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise parsing.invalid("the image is a data URI without base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise parsing.invalid("the image is not valid base64") from error


def _form(fields: dict[str, Any], image: bytes, mask: bytes | None) -> tuple[bytes, dict[str, str]]:
    """Write a multipart form, as uploads are sent."""
    files = {"image": ("image.png", image, "image/png")}
    if mask is not None:
        files["mask"] = ("mask.png", mask, "image/png")
    written = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
    made = httpx.Request("POST", "http://form.invalid", data=written, files=files)
    return made.read(), {"content-type": made.headers["content-type"]}
