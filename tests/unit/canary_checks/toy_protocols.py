"""The protocols that the toy server speaks: what a body asks, and how rows become an answer."""

import base64
import hashlib
import json
import re
import struct
from typing import Any

import numpy as np

Headers = dict[str, str]


def asked(path: str, body: Any, rest: bytes) -> list[str] | None:
    """Return one text for each input (of an image, its digest); None is no such route."""
    if path.endswith("/embeddings"):
        return [text_of(one) for one in body["input"]]
    if path.endswith("/embed"):
        return list(body["inputs"])
    if path.endswith("/tokenize"):
        return [body["prompt"]] if "prompt" in body else list(body["inputs"])
    if path.endswith("/infer"):
        return tensor_texts(body["inputs"][0], rest)
    if path.endswith(":predict"):
        return [text_of(one["text"]) for one in body["instances"]]
    if path == "/encode":
        return [text_of(body["query"])]
    return None


def answer(
    path: str, body: Any, texts: list[str], rows: list[list[float]], model: str
) -> tuple[Any, Headers]:
    """Return a document, or the bytes of a response, and its headers."""
    if path.endswith("/embeddings"):
        as_base64 = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": i, "embedding": in_base64(row) if as_base64 else row}
            for i, row in enumerate(rows)
        ]
        return {"object": "list", "model": model, "data": data}, {}
    if path.endswith("/embed"):
        return rows, {}
    if path.endswith("/tokenize"):
        ids = [token_ids(text) for text in texts]
        if "prompt" in body:
            return {"count": len(ids[0]), "max_model_len": 200, "tokens": ids[0]}, {}
        return [
            [{"id": one, "text": "?", "special": False, "start": 0, "stop": 1} for one in row] for row in ids
        ], {}
    if path.endswith("/infer"):
        return inferred(body, np.array(rows), path)
    if path.endswith(":predict"):
        return {"predictions": [{"embedding": row} for row in rows]}, {}
    return {"result": {"vector": rows[0]}}, {}


def text_of(one: str) -> str:
    found = re.fullmatch(r"data:[a-z/+]+;base64,(.*)", one)
    return of_image(base64.b64decode(found[1])) if found else one


def of_image(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def in_base64(row: list[float]) -> str:
    return base64.b64encode(np.array(row, dtype="<f4").tobytes()).decode()


def token_ids(text: str) -> list[int]:
    return [101, *(sum(word.encode()) for word in text.split()), 102]


def tensor_texts(tensor: dict[str, Any], rest: bytes) -> list[str]:
    assert tensor["datatype"] == "BYTES"
    size = tensor["parameters"].get("binary_data_size")
    if size is None:
        as_image = tensor["parameters"]["content_type"] == "base64"
        return [of_image(base64.b64decode(one)) if as_image else one for one in tensor["data"]]
    assert size == len(rest)
    found = []
    while rest:
        (length,) = struct.unpack_from("<I", rest)
        found.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return [text_or_image(one) for one in found]


def text_or_image(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return of_image(content)


def inferred(body: Any, rows: Any, path: str) -> tuple[Any, Headers]:
    """Write the output as the model's name asks: it ends in the datatype."""
    model = path.split("/")[-2]
    datatype = model.rsplit("-", 1)[-1].upper()
    wishes = [*body.get("outputs", []), {"name": "embedding", "parameters": body.get("parameters", {})}]
    output: dict[str, Any] = {"name": wishes[0]["name"], "datatype": datatype, "shape": list(rows.shape)}
    whole: dict[str, Any] = {"model_name": model, "outputs": [output]}
    wish = wishes[0].get("parameters", {})
    if not (wish.get("binary_data") or wish.get("binary_data_output")):
        output["data"] = rows.ravel().tolist()
        return whole, {}
    raw = tensor_bytes(rows, datatype)
    output["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps(whole).encode()
    return head + raw, {"inference-header-content-length": str(len(head))}


def tensor_bytes(rows: Any, datatype: str) -> bytes:
    if datatype == "BF16":
        return bytes((rows.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes())
    return bytes(rows.astype({"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}[datatype]).tobytes())
