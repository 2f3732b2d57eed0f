"""Generators behind the Open Inference Protocol v2: a prompt goes in as a tensor of text, an image comes out.

What the model's metadata list as an input tensor (its seed, steps, guidance, width, height, an image to go on
with) is sent as one, of the datatype that they say; the rest goes into the request's ``parameters``. The
answer is one output: an encoded image in `BYTES`, or its pixels as `UINT8` 0 to 255 or floating-point 0 to 1,
channels first or last, which the shape tells.
"""

import base64
import io
import json
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import PIL.Image

from canary_checks import failure, operation
from canary_checks.clients import (
    connected,
    describing,
    generation,
    open_inference_v2,
    openai_images,
    parsing,
    transport,
)

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "seed": ("seed",),
    "width": ("width",),
    "height": ("height",),
    "num_inference_steps": ("steps", "numsteps", "numinferencesteps"),
    "guidance_scale": ("guidance", "guidancescale"),
    "image": ("image", "initimage", "inputimage"),
    "mask": ("mask", "maskimage"),
}
"""What a model may call the tensor of a wish, in lower case and without underscores."""
_JSON_NUMBERS: Final = frozenset({"FP32", "FP64"}) | {
    f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}
_FLOATS: Final = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}
_PIXELS: Final = 1 << 24
_NUMBERS: Final = 1 << 22
"""Of an answer in JSON: each takes 32 bytes as an object of Python."""
_DIMENSIONS: Final = 3
_LEVELS: Final = 255
_SLACK: Final = 1e-3
_LENGTH_BYTES: Final = 4


class OpenInferenceImages(connected.Connected):
    """A client of one model of one server, for one run; see `generation.ImageClient`."""

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        super().__init__(asked, over)
        self._inputs: dict[str, dict[str, Any]] | None = None

    async def draw(self, wish: generation.Wish) -> bytes:
        """Ask for one image; see `generation.ImageClient.draw`."""
        if self._asked.edits and wish.image is None:
            raise failure.CheckError(
                "RequestInvalid", f"the operation {self._asked.name} edits, and has no image to go on with"
            )
        listed = await self._listed()
        tensors: list[tuple[dict[str, Any], bytes | None]] = [
            self._text(listed, self._prompt(listed), wish.prompt.encode(), content_type="str")
        ]
        parameters: dict[str, Any] = {}
        for name, value in _wanted(wish).items():
            known = _called(listed, name)
            if isinstance(value, bytes):
                if known is None and listed:
                    raise failure.CheckError(
                        "RequestInvalid",
                        f"the model takes no {name}: its metadata list {', '.join(sorted(listed))[:200]}",
                    )
                tensors.append(self._text(listed, known or name, value, content_type="base64"))
            elif known is not None and listed[known].get("datatype") in _JSON_NUMBERS:
                whole = not str(listed[known]["datatype"]).startswith("FP")
                said = {"name": known, "shape": _ones(listed[known]), "datatype": listed[known]["datatype"]}
                tensors.append((said | {"data": [int(value) if whole else float(value)]}, None))
            else:
                parameters[name] = value
        content, headers = self._written(tensors, parameters)
        return await self._over.ask(content, self._read, headers)

    def _read(self, reply: transport.Reply) -> bytes:
        said = reply.headers.get(open_inference_v2.HEADER_LENGTH)
        return answer(reply.body, header_length=said, output=self._asked.output)

    async def _listed(self) -> dict[str, dict[str, Any]]:
        """Return the model's input tensors by name; nothing where the server does not tell."""
        if self._inputs is None:
            about = await describing.told(self._over, re.sub(r"/infer$", "", self._over.endpoint))
            listed = about.get("inputs") if isinstance(about, dict) else None
            listed = listed if isinstance(listed, list) else []
            self._inputs = {
                one["name"]: one
                for one in listed
                if isinstance(one, dict) and isinstance(one.get("name"), str)
            }
        return self._inputs

    def _prompt(self, listed: Mapping[str, Mapping[str, Any]]) -> str:
        if self._asked.input is not None:
            return self._asked.input
        named = [name for name in listed if _plain(name) == "prompt"]
        taken = {_called(listed, name) for name in _NAMES}
        texts = [name for name, one in listed.items() if one.get("datatype") == "BYTES" and name not in taken]
        found = named or texts
        if len(found) != 1:
            tells = f"lists {len(texts)} inputs of text" if listed else "has no metadata"
            raise failure.CheckError(
                "ModelUnknown",
                f"{self._over.endpoint} {tells}, so the manifest must say which one is `input`, the prompt",
            )
        return found[0]

    def _text(
        self, listed: Mapping[str, Mapping[str, Any]], name: str, value: bytes, *, content_type: str
    ) -> tuple[dict[str, Any], bytes | None]:
        tensor = {"name": name, "shape": _ones(listed.get(name, {})), "datatype": "BYTES"}
        if self._asked.binary:
            raw = struct.pack("<I", len(value)) + value
            return tensor | {"parameters": {"binary_data_size": len(raw)}}, raw
        text = value.decode() if content_type == "str" else base64.b64encode(value).decode()
        return tensor | {"parameters": {"content_type": content_type}, "data": [text]}, None

    def _written(
        self, tensors: Sequence[tuple[dict[str, Any], bytes | None]], parameters: dict[str, Any]
    ) -> tuple[bytes, dict[str, str]]:
        body: dict[str, Any] = {"inputs": [tensor for tensor, _ in tensors]}
        if self._asked.output is not None:
            binary = {"parameters": {"binary_data": True}} if self._asked.binary else {}
            body["outputs"] = [{"name": self._asked.output} | binary]
        elif self._asked.binary:
            parameters = parameters | {"binary_data_output": True}
        head = json.dumps(body | ({"parameters": parameters} if parameters else {})).encode()
        if not self._asked.binary:
            return head, dict(transport.JSON)
        content = head + b"".join(raw for _, raw in tensors if raw is not None)
        return content, {
            "content-type": "application/octet-stream",
            open_inference_v2.HEADER_LENGTH: str(len(head)),
        }


def _wanted(wish: generation.Wish) -> dict[str, Any]:
    values = {
        "seed": wish.seed,
        "width": wish.width,
        "height": wish.height,
        "num_inference_steps": wish.steps,
        "guidance_scale": wish.guidance,
        "image": wish.image,
        "mask": wish.mask,
    }
    return {name: value for name, value in values.items() if value is not None}


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _called(listed: Mapping[str, Mapping[str, Any]], name: str) -> str | None:
    return next((one for one in listed if _plain(one) in _NAMES[name]), None)


def _ones(tensor: Mapping[str, Any]) -> list[int]:
    """Return the shape of one value: as many ones as the metadata have dimensions, else a batch of one."""
    shape = tensor.get("shape")
    return [1] * len(shape) if isinstance(shape, list) and 1 <= len(shape) <= 4 else [1, 1]  # noqa: PLR2004


def answer(body: bytes, *, header_length: str | None = None, output: str | None = None) -> bytes:
    """Read a response.

    Parameters
    ----------
    body
        JSON, or JSON and the bytes of tensors behind it.
    header_length
        See `open_inference_v2.answer`.
    output
        The output tensor, or None for the only one.

    Returns
    -------
    The encoded image: as it came, or its pixels as PNG.

    Raises
    ------
    CheckError
        ``ResponseInvalid``: it holds no image, or several.
    """
    if body.count(b",") > _NUMBERS and header_length is None:
        raise parsing.invalid(f"the response has more than {_NUMBERS} numbers in JSON: set `binary: true`")
    tensor, raw = open_inference_v2.tensor_of(body, header_length=header_length, output=output)
    datatype = str(tensor.get("datatype"))[:40]
    if datatype == "BYTES":
        return _encoded(tensor) if raw is None else _element(raw)
    if datatype != "UINT8" and datatype not in _FLOATS:
        raise parsing.invalid(f"the output is of datatype {datatype!r}, which holds no image here")
    height, width, channels, first = _layout(tensor.get("shape"))
    values = _numbers(tensor) if raw is None else _bytes(raw, datatype)
    if values.size != height * width * channels:
        raise parsing.invalid(
            f"the output has {values.size} numbers, and {width} × {height} pixels of {channels} channels are"
            f" {height * width * channels}"
        )
    levels = _levels(values, datatype)
    shaped = levels.reshape(channels, height, width).transpose(1, 2, 0) if first else levels
    shaped = shaped.reshape(height, width, channels)
    image = PIL.Image.fromarray(shaped[..., 0] if channels == 1 else shaped, _MODES[channels])
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=1)
    return written.getvalue()


def _encoded(tensor: Mapping[str, Any]) -> bytes:
    data = tensor.get("data")
    while isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, list):
        raise parsing.invalid(f"the output has {len(data)} elements, and one image was asked for")
    return openai_images.decoded(data)


def _element(raw: bytes) -> bytes:
    length = int.from_bytes(raw[:_LENGTH_BYTES], "little")
    if not length or len(raw) != _LENGTH_BYTES + length:
        raise parsing.invalid("the output's binary data are not one element with its length before it")
    return raw[_LENGTH_BYTES:]


def _layout(shape: Any) -> tuple[int, int, int, bool]:
    """Return height, width and channels of one image, and whether the channels come first."""
    if not isinstance(shape, list) or not all(type(one) is int and 0 < one <= _PIXELS for one in shape):
        raise parsing.invalid("the output's `shape` is not a list of sizes")
    sides = list(shape[:8])
    while len(sides) > _DIMENSIONS and sides[0] == 1:
        sides = sides[1:]
    if len(sides) == _DIMENSIONS and sides[2] in _MODES:
        found = sides[0], sides[1], sides[2], False
    elif len(sides) == _DIMENSIONS and sides[0] in _MODES:
        found = sides[1], sides[2], sides[0], True
    else:
        raise parsing.invalid(
            f"the output has the shape {shape[:8]}, and one image has [height, width, channels] or [channels,"
            " height, width]"
        )
    if found[0] * found[1] > _PIXELS:
        raise parsing.invalid(f"the image has {found[1]} × {found[0]} pixels, more than {_PIXELS}")
    return found


def _numbers(tensor: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Return the data of a tensor in JSON, flat or nested in any way."""
    level = tensor.get("data")
    while isinstance(level, list) and level and isinstance(level[0], list):
        if not all(isinstance(one, list) for one in level):
            raise parsing.invalid("the output's `data` are nested unevenly")
        level = [number for one in level for number in one]
    return parsing.vector(level, "the output's `data`").astype(np.float64)


def _bytes(raw: bytes, datatype: str) -> npt.NDArray[Any]:
    kind = np.dtype(_FLOATS.get(datatype, "u1"))
    if len(raw) % kind.itemsize:
        raise parsing.invalid(f"the output has {len(raw)} bytes of binary data, no whole {datatype}")
    return np.frombuffer(raw, dtype=kind)


def _levels(values: npt.NDArray[Any], datatype: str) -> npt.NDArray[np.uint8]:
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    most = _LEVELS if datatype == "UINT8" else 1
    if not (low >= -_SLACK and high <= most + _SLACK):
        raise parsing.invalid(
            f"the pixels of datatype {datatype} go from {low:.4g} to {high:.4g}, and 0 to {most} is expected"
        )
    scaled = values if datatype == "UINT8" else np.clip(values, 0, 1).astype(np.float32) * _LEVELS
    return np.asarray(np.rint(scaled), dtype=np.uint8)
