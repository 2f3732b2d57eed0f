# ruff: noqa: INP001 - a program, no package
"""A small CLIP-like model server with the probe endpoint: what a team adds to a server of its own.

It embeds texts and images into one space of 64 dimensions. The weights are random and fixed: it knows little,
but it depends on every token and pixel as a trained model does. Start two of them, break one, and compare::

    export MODELRELEASE_PROBE_TOKEN=secret
    cd examples/probe-server
    uvicorn --factory server:create_app --port 8001
    PROBE_SERVER_CONFIG='{"channel_order": "BGR"}' uvicorn --factory server:create_app --port 8002
    python -m canary_checks trace --a http://127.0.0.1:8001 --b http://127.0.0.1:8002 --golden-set ImageV1
"""

import base64
import dataclasses
import io
import json
import os
from typing import Any, Final

import fastapi
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from canary_checks import probe_router

CONFIG_VARIABLE: Final = "PROBE_SERVER_CONFIG"
DIMENSIONS: Final = 64
_PATCH: Final = 8

Array = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How inputs are prepared: what `tokenizer.json` and `preprocessor_config.json` say of a real model."""

    lowercase: bool = True
    strip_accents: bool = True
    max_length: int = 64
    prompt: str = ""
    resize: int = 110
    crop: int = 96
    interpolation: str = "bicubic"
    exif: bool = True
    channel_order: str = "RGB"
    rescale: float = 1 / 255
    normalize: bool = True
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)


class Model:
    """Every step of serving is one method; the probe is given these very methods."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokenizer = _tokenizer(settings)
        weights = np.random.default_rng(20261121)
        words = self.tokenizer.get_vocab_size()
        patches = 3 * (settings.crop // _PATCH) ** 2
        self._words = weights.standard_normal((words, DIMENSIONS)).astype(np.float32)
        self._text = weights.standard_normal((DIMENSIONS, DIMENSIONS)).astype(np.float32) / 8
        self._patches = weights.standard_normal((patches, DIMENSIONS)).astype(np.float32) / 20
        self._image = weights.standard_normal((DIMENSIONS, DIMENSIONS)).astype(np.float32) / 8

    def tokens(self, text: str) -> list[int]:
        """Return the ids that the text encoder reads."""
        return list(self.tokenizer.encode(self.settings.prompt + text).ids)

    def pixels(self, content: bytes) -> Array:
        """Return what the image encoder reads: ``[3, crop, crop]``, normalised."""
        said = self.settings
        picture: PIL.Image.Image = PIL.Image.open(io.BytesIO(content))
        if said.exif:
            picture = PIL.ImageOps.exif_transpose(picture)
        if picture.has_transparency_data:
            white = PIL.Image.new("RGBA", picture.size, "white")
            picture = PIL.Image.alpha_composite(white, picture.convert("RGBA"))
        picture = picture.convert("RGB")
        scale = said.resize / min(picture.size)
        size = (
            max(said.resize, round(picture.width * scale)),
            max(said.resize, round(picture.height * scale)),
        )
        picture = picture.resize(size, PIL.Image.Resampling[said.interpolation.upper()])
        left, top = (picture.width - said.crop) // 2, (picture.height - said.crop) // 2
        picture = picture.crop((left, top, left + said.crop, top + said.crop))
        values = np.asarray(picture, dtype=np.float32)
        if said.channel_order == "BGR":
            values = values[:, :, ::-1]
        values = values * np.float32(said.rescale)
        if said.normalize:
            values = (values - np.array(said.mean, np.float32)) / np.array(said.std, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def encode_text(self, ids: list[int]) -> Array:
        """Return the pooled output of the text encoder."""
        place = 1.0 + 1.0 / (1.0 + np.arange(len(ids), dtype=np.float32))
        return np.tanh((self._words[ids] * place[:, None]).mean(axis=0) * 4)

    def encode_image(self, pixels: Array) -> Array:
        """Return the pooled output of the image encoder."""
        channels, height, width = pixels.shape
        grid = pixels.reshape(channels, height // _PATCH, _PATCH, width // _PATCH, _PATCH).mean(axis=(2, 4))
        return np.tanh(grid.reshape(-1) @ self._patches)

    def project_text(self, pooled: Array) -> Array:
        """Return the embedding of a text, of length 1."""
        return _unit(pooled @ self._text)

    def project_image(self, pooled: Array) -> Array:
        """Return the embedding of an image, of length 1."""
        return _unit(pooled @ self._image)

    def embed(self, given: str) -> Array:
        """Embed a text, or an image as a data URL."""
        if given.startswith("data:image/"):
            content = base64.b64decode(given.partition(",")[2], validate=True)
            return self.project_image(self.encode_image(self.pixels(content)))
        return self.project_text(self.encode_text(self.tokens(given)))


def create_app(settings: Settings | None = None) -> fastapi.FastAPI:
    """Make the server; None takes the settings from the environment.

    Parameters
    ----------
    settings
        How inputs are prepared.
    """
    if settings is None:
        settings = Settings(**json.loads(os.environ.get(CONFIG_VARIABLE, "{}")))
    model = Model(settings)
    app = fastapi.FastAPI()

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "sample-clip", "object": "model"}]}

    @app.post("/v1/embeddings")
    def embeddings(body: dict[str, Any]) -> dict[str, Any]:
        inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [
            {"object": "embedding", "index": place, "embedding": model.embed(one).tolist()}
            for place, one in enumerate(inputs)
        ]
        return {"object": "list", "model": "sample-clip", "data": data}

    # This is all that the probe endpoint takes: the functions that `embed` calls, in the order of execution.
    app.include_router(
        probe_router.probe_router(
            info={
                "model": {"name": "sample-clip", "version": "1", "dtype": "float32"},
                "embedding": {"dimensions": DIMENSIONS, "normalized": "Unit", "pooling": "Mean"},
                "maxInputTokens": settings.max_length,
                "preprocess": {"contract": _contract(settings)},
            },
            stages={
                "text.tokens": lambda item: model.tokens(item["text"]),
                "text.pooled": lambda item: model.encode_text(model.tokens(item["text"])),
                "text.projected": lambda item: model.embed(item["text"]),
                "image.pixels": lambda item: model.pixels(item["image"]),
                "image.pooled": lambda item: model.encode_image(model.pixels(item["image"])),
                "image.projected": lambda item: model.project_image(
                    model.encode_image(model.pixels(item["image"]))
                ),
            },
        )
    )
    return app


def _contract(settings: Settings) -> dict[str, Any]:
    return {
        "tokenizer": "WordPiece",
        "lowercase": settings.lowercase,
        "stripAccents": settings.strip_accents,
        "maxLength": settings.max_length,
        "promptTemplate": settings.prompt,
        "resize": settings.resize,
        "cropSize": settings.crop,
        "crop": "center",
        "interpolation": settings.interpolation,
        "antialias": True,
        "rescale": settings.rescale,
        "mean": list(settings.mean) if settings.normalize else "none",
        "std": list(settings.std) if settings.normalize else "none",
        "channelOrder": settings.channel_order,
        "axisOrder": "CHW",
    }


def _tokenizer(settings: Settings) -> tokenizers.Tokenizer:
    """Make a WordPiece tokenizer that knows single characters and a few words, in any case."""
    characters = [chr(c) for c in (*range(0x21, 0x7F), *range(0xA1, 0x180), *range(0x370, 0x500))]
    words = ["the", "of", "in", "and", "to", "is", "cat", "dog", "red", "blue", "photo", "query"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *("##" + c for c in characters), *words]
    ids = {token: place for place, token in enumerate(vocabulary)}
    made = tokenizers.Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106 - a token of text
    made.normalizer = normalizers.BertNormalizer(
        lowercase=settings.lowercase, strip_accents=settings.strip_accents
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    made.enable_truncation(settings.max_length)
    return made


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
