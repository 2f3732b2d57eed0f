"""An MLServer runtime that embeds texts and images without a trained model: the protocol is the point.

A text is the sum of its words' vectors, an image a projection of its pixels. Both come from fixed seeds, so
the same input gives the same vector everywhere. `model-settings.json` names the modality and the data type.
"""

import functools
import hashlib
import io
import re

import mlserver
import numpy as np
import numpy.typing as npt
from mlserver import codecs, errors, types
from PIL import Image

Vector = npt.NDArray[np.float64]
DIMENSIONS = 64
SIDE = 32


@functools.lru_cache(maxsize=4096)
def word(text: str) -> Vector:
    """Return the vector of one word, float64 of shape (64,)."""
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
    return np.random.default_rng(seed).standard_normal(DIMENSIONS)


def text_vector(content: bytes) -> Vector:
    """Return the vector of a text: of its words in lower case, the later ones weighing less."""
    words = re.findall(r"\w+|[^\w\s]", content.decode("utf-8").lower()) or [""]
    vector = np.zeros(DIMENSIONS)
    for place, each in enumerate(words):
        vector += word(each) / (1 + place) ** 0.5
    return vector


@functools.cache
def projection() -> Vector:
    """Return the matrix from pixels to a vector, float64 of shape (3072, 64)."""
    return np.random.default_rng(2026).standard_normal((SIDE * SIDE * 3, DIMENSIONS))


def image_vector(content: bytes) -> Vector:
    """Return the vector of an encoded image."""
    with Image.open(io.BytesIO(content)) as opened:
        small = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(small, dtype=np.float64).ravel() / 255.0 - 0.5
    vector: Vector = np.tanh(pixels @ projection() / 32.0)
    return vector


EMBED = {"text": text_vector, "image": image_vector}


class Embedder(mlserver.MLModel):  # type: ignore[misc]
    """One tower: reads BYTES of shape [-1], answers `embedding` of shape [-1, 64] with unit rows."""

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """Embed every element of the one input."""
        extra = self.settings.parameters.extra
        if len(payload.inputs) != 1 or payload.inputs[0].datatype != "BYTES":
            raise errors.InferenceError(f"{self.name} reads one input of the datatype BYTES")
        asked = payload.inputs[0]
        embed = EMBED[extra["modality"]]
        try:
            rows = np.stack([embed(one) for one in contents(asked, extra["modality"])])
        except (OSError, ValueError) as error:
            raise errors.InferenceError(f"an input is no {extra['modality']}: {error}") from error
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        output = codecs.NumpyCodec.encode_output("embedding", unit.astype(extra["dtype"]))
        return types.InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])


def contents(asked: types.RequestInput, modality: str) -> list[bytes]:
    """Return the bytes of every element; JSON has no bytes, so images come in base64."""
    if modality == "image":
        return list(codecs.Base64Codec.decode_input(asked))
    return [each.encode("utf-8") for each in codecs.StringCodec.decode_input(asked)]
