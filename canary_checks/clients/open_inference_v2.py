"""The Open Inference Protocol v2 over HTTP, with JSON tensors or the binary tensor data extension.

Texts and images are tensors of `BYTES`. As JSON an image is base64; MLServer decodes both by the parameter
``content_type``, which other servers ignore. As binary data both are raw.
"""

import base64
import json
import re
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from canary_checks import failure, inputs, operation
from canary_checks.clients import client, connected, describing, parsing, transport

HEADER_LENGTH: Final = "inference-header-content-length"

_WIDTHS: Final = {
    operation.Datatype.FP16: 2,
    operation.Datatype.BF16: 2,
    operation.Datatype.FP32: 4,
    operation.Datatype.FP64: 8,
}
_SCHEMA_FACTS: Final = ("name", "versions", "platform", "inputs", "outputs")
_SERVER_FACTS: Final = ("name", "version", "extensions")
_NUMBERS: Final = 1 << 28
_BF16_SHIFT: Final = 16


class OpenInferenceV2(connected.Embedding):
    """A client of one model of one server, for one run; see `client.EmbeddingClient`."""

    def __init__(self, asked: operation.Operation, over: transport.Transport) -> None:
        super().__init__(asked, over)
        self._binary = bool(asked.binary)
        self._input: tuple[str, bool] | None = None

    async def model(self) -> str | None:
        """Return the name that is in the path."""
        return self._asked.model

    async def embed(self, asked: Sequence[inputs.Input]) -> client.Answer:
        """Ask for some embeddings with one request; see `client.EmbeddingClient.embed`."""
        name, flat = await self._input_tensor()
        shape = [len(asked)] if flat else [len(asked), 1]
        encode = _binary_request if self._binary else _json_request
        content, headers = encode(asked, name, shape, self._asked.output)
        return await self._over.ask(content, self._read, headers)

    async def tokenize(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:  # noqa: ARG002
        """The protocol has no such route."""
        return None

    async def describe(self) -> client.Description:
        """Return the metadata of the model (its tensors) and of the server."""
        found: client.Description = {}
        about = await describing.told(self._over, self._metadata_url())
        if isinstance(about, dict):
            found |= describing.flat({key: about.get(key) for key in _SCHEMA_FACTS}, "model")
        server = await describing.told(self._over, re.sub(r"/models/.*$", "", self._over.endpoint))
        if isinstance(server, dict):
            found |= describing.flat({key: server.get(key) for key in _SERVER_FACTS}, "server")
        return found

    def _read(self, reply: transport.Reply) -> client.Answer:
        return answer(
            reply.body,
            header_length=reply.headers.get(HEADER_LENGTH),
            output=self._asked.output,
            datatype=self._asked.datatype,
        )

    def _metadata_url(self) -> str:
        return re.sub(r"/infer$", "", self._over.endpoint)

    async def _input_tensor(self) -> tuple[str, bool]:
        """Return the input tensor's name, and whether it has no dimension besides that of the batch."""
        if self._input is None:
            about = await describing.told(self._over, self._metadata_url())
            listed = about.get("inputs") if isinstance(about, dict) else None
            tensors = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            wanted = self._asked.input
            if wanted is None and len(tensors) != 1:
                tells = "has no metadata" if about is None else f"lists {len(tensors)} inputs"
                raise failure.CheckError(
                    "ModelUnknown",
                    f"{self._metadata_url()} {tells}, so the manifest must say which one is `input`",
                )
            name = str(tensors[0].get("name")) if wanted is None else wanted
            shapes = [one.get("shape") for one in tensors if one.get("name") == name]
            self._input = name, any(isinstance(shape, list) and len(shape) == 1 for shape in shapes)
        return self._input


def answer(
    body: bytes,
    *,
    header_length: str | None = None,
    output: str | None = None,
    datatype: operation.Datatype | None = None,
) -> client.Answer:
    """Read a response.

    Parameters
    ----------
    body
        JSON, or JSON and the bytes of tensors behind it.
    header_length
        The length of the JSON where something follows it: the header ``Inference-Header-Content-Length``.
    output
        The output tensor, or None for the only one.
    datatype
        What the tensor must be, or None for any floating-point type.

    Returns
    -------
    One vector for each row of the tensor, in their order.

    Raises
    ------
    CheckError
        ``ResponseInvalid``.
    """
    whole, tensor, raw = _output(body, header_length, output)
    said = _datatype(tensor)
    if datatype is not None and said is not datatype:
        raise parsing.invalid(f"the output is of datatype {said}, and the manifest says {datatype}")
    rows, columns = _shape(tensor)
    values = _json_values(tensor) if raw is None else _binary_values(raw, said, rows * columns)
    if len(values) != rows * columns:
        raise parsing.invalid(f"the output has {len(values)} numbers and the shape [{rows}, {columns}]")
    model = whole.get("model_name")
    return client.Answer(
        model=model if isinstance(model, str) else None,
        indices=tuple(range(rows)),
        vectors=tuple(values.reshape(rows, columns)),
    )


def tensor_of(
    body: bytes, *, header_length: str | None = None, output: str | None = None
) -> tuple[dict[str, Any], bytes | None]:
    """Return one output of a response, and its bytes where its data are not in the JSON.

    Parameters
    ----------
    body, header_length, output
        See `answer`.

    Raises
    ------
    CheckError
        ``ResponseInvalid``.
    """
    _, tensor, raw = _output(body, header_length, output)
    return tensor, raw


def _output(
    body: bytes, header_length: str | None, output: str | None
) -> tuple[dict[str, Any], dict[str, Any], bytes | None]:
    length = _length(header_length, body)
    whole = parsing.document(body[:length])
    outputs = whole.get("outputs") if isinstance(whole, dict) else None
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise parsing.invalid("the response has no list `outputs` of objects")
    return whole, *_chosen(outputs, body[length:], output)


def _json_request(
    asked: Sequence[inputs.Input], name: str, shape: list[int], output: str | None
) -> tuple[bytes, dict[str, str]]:
    images = any(isinstance(one, inputs.Image) for one in asked)
    tensor = {
        "name": name,
        "shape": shape,
        "datatype": "BYTES",
        "parameters": {"content_type": "base64" if images else "str"},
        "data": [
            base64.b64encode(one.content).decode() if isinstance(one, inputs.Image) else one.content
            for one in asked
        ],
    }
    body = {"inputs": [tensor]} | ({} if output is None else {"outputs": [{"name": output}]})
    return json.dumps(body).encode(), transport.JSON


def _binary_request(
    asked: Sequence[inputs.Input], name: str, shape: list[int], output: str | None
) -> tuple[bytes, dict[str, str]]:
    elements = [one.content if isinstance(one, inputs.Image) else one.content.encode() for one in asked]
    raw = b"".join(struct.pack("<I", len(one)) + one for one in elements)
    tensor = {
        "name": name,
        "shape": shape,
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(raw)},
    }
    wish: dict[str, Any] = (
        {"parameters": {"binary_data_output": True}}
        if output is None
        else {"outputs": [{"name": output, "parameters": {"binary_data": True}}]}
    )
    head = json.dumps({"inputs": [tensor]} | wish).encode()
    return head + raw, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def _length(said: str | None, body: bytes) -> int:
    if said is None:
        return len(body)
    if not re.fullmatch(r"[0-9]{1,18}", said, re.ASCII) or int(said) > len(body):
        raise parsing.invalid(f"the header {HEADER_LENGTH} says {said[:40]!r} of a body of {len(body)} bytes")
    return int(said)


def _chosen(
    outputs: list[dict[str, Any]], rest: bytes, wanted: str | None
) -> tuple[dict[str, Any], bytes | None]:
    """Return one output and its bytes, None where its data are in the JSON."""
    names = [str(one.get("name"))[:64] for one in outputs]
    if wanted is None and len(outputs) != 1:
        raise parsing.invalid(
            f"the response has the outputs {names[:8]}, so the manifest must say which one is `output`"
        )
    found: tuple[dict[str, Any], bytes | None] | None = None
    start = 0
    for one in outputs:
        raw, size = None, _binary_size(one)
        if size is not None:
            raw = rest[start : start + size]
            start += size
            if len(raw) != size:
                raise parsing.invalid(f"the response ends {size - len(raw)} bytes before its binary data do")
        if found is None and (wanted is None or one.get("name") == wanted):
            found = one, raw
    if found is None:
        raise parsing.invalid(f"the response has the outputs {names[:8]} and not {wanted!r}")
    return found


def _binary_size(tensor: dict[str, Any]) -> int | None:
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise parsing.invalid("an output's `binary_data_size` is not a number of bytes")
    return size


def _datatype(tensor: dict[str, Any]) -> operation.Datatype:
    said = str(tensor.get("datatype"))[:40]
    try:
        return operation.Datatype(said)
    except ValueError as error:
        raise parsing.invalid(f"the output is of datatype {said!r}, which holds no embedding") from error


def _shape(tensor: dict[str, Any]) -> tuple[int, int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(one) is int and 0 <= one <= _NUMBERS for one in shape):
        raise parsing.invalid("the output's `shape` is not a list of sizes")
    if len(shape) != 2 or not shape[1]:  # noqa: PLR2004
        raise parsing.invalid(
            f"the output has the shape {shape[:8]}, and embeddings have [inputs, dimensions]:"
            " is it not pooled?"
        )
    return shape[0], shape[1]


def _json_values(tensor: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Return the data of a tensor of two dimensions, given row by row or flat; both are allowed."""
    data = tensor.get("data")
    if isinstance(data, list) and data and isinstance(data[0], list):
        rows = [parsing.vector(row, "a row of the output") for row in data]
        if len({len(row) for row in rows}) != 1:
            raise parsing.invalid("the rows of the output differ in length")
        return np.concatenate(rows)
    return parsing.vector(data, "the output's `data`")


def _binary_values(raw: bytes, datatype: operation.Datatype, count: int) -> npt.NDArray[np.float32]:
    if len(raw) != count * _WIDTHS[datatype]:
        raise parsing.invalid(
            f"the output has {len(raw)} bytes of binary data, and {count} numbers of {datatype} are"
            f" {count * _WIDTHS[datatype]}"
        )
    if datatype is operation.Datatype.BF16:
        # The upper half of a float32.
        halves = np.frombuffer(raw, dtype="<u2").astype(np.uint32)
        return (halves << _BF16_SHIFT).view(np.float32)
    with np.errstate(over="ignore"):
        return np.frombuffer(raw, dtype=f"<f{_WIDTHS[datatype]}").astype(np.float32)
