"""A small generator as teams have them: the folder that diffusers saves, and a process that serves it."""

import dataclasses
import json
import pathlib
import struct
from typing import Any

import fastapi
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from canary_checks import probe_pipeline, probe_router
from canary_checks.trace import local_tokenizers

SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "_diffusers_version": "0.42.1",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "trained_betas": None,
    "use_karras_sigmas": False,
}
VAE = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [8, 8, 8, 8],
    "latent_channels": 4,
    "sample_size": 64,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
UNET = {"_class_name": "UNet2DConditionModel", "in_channels": 4, "sample_size": 64, "cross_attention_dim": 16}
ENCODER = {
    "architectures": ["CLIPTextModel"],
    "dtype": "float16",
    "eos_token_id": 2,
    "hidden_size": 16,
    "max_position_embeddings": 77,
    "transformers_version": "5.0.0",
    "return_dict": True,
}
_LETTERS = [chr(c) for c in range(33, 127)]
_MERGES = ["c a", "ca t</w>", "d o", "do g</w>"]


def vocabulary() -> dict[str, int]:
    tokens = [*_LETTERS, *(c + "</w>" for c in _LETTERS), *("".join(pair.split()) for pair in _MERGES)]
    return {token: place for place, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


def safetensors(path: pathlib.Path, **tensors: tuple[str, list[int]]) -> None:
    """Write a header alone: nobody reads the numbers."""
    head = json.dumps(
        {
            name: {"dtype": kind, "shape": shape, "data_offsets": [0, 0]}
            for name, (kind, shape) in tensors.items()
        }
    ).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head)


def write(path: pathlib.Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def clip_tokenizer(folder: pathlib.Path, longest: int = 77) -> None:
    """The files of CLIP's first tokenizers: no tokenizer.json."""
    write(folder / "vocab.json", vocabulary())
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(_MERGES) + "\n")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": longest})


def word_tokenizer(folder: pathlib.Path, longest: int = 16, *, lowercase: bool = True) -> None:
    """Something like T5's, in one tokenizer.json: words and letters, and an end."""
    words = ["<pad>", "</s>", "<unk>", *_LETTERS, *("##" + c for c in _LETTERS)]
    ids = {token: place for place, token in enumerate(words)}
    made = tokenizers.Tokenizer(models.WordPiece(vocab=ids, unk_token="<unk>"))
    if lowercase:
        made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    write(folder / "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "model_max_length": longest})


def folder(
    where: pathlib.Path,
    *,
    scheduler: dict[str, Any] | None = None,
    vae: dict[str, Any] | None = None,
    vae_dtype: str = "F16",
    lowercase: bool = True,
    longest: int = 77,
) -> pathlib.Path:
    """Save a pipeline with two text encoders as diffusers does, one thing changed at a time."""
    said = SCHEDULER | (scheduler or {})
    write(
        where / "model_index.json",
        {
            "_class_name": "StableDiffusionXLPipeline",
            "_diffusers_version": "0.42.1",
            "force_zeros_for_empty_prompt": True,
            "feature_extractor": [None, None],
            "scheduler": ["diffusers", said["_class_name"]],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "T5EncoderModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": ["transformers", "T5Tokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    write(where / "scheduler" / "scheduler_config.json", said)
    write(where / "vae" / "config.json", VAE | (vae or {}))
    write(where / "unet" / "config.json", UNET)
    write(where / "text_encoder" / "config.json", ENCODER)
    write(
        where / "text_encoder_2" / "config.json",
        ENCODER | {"architectures": ["T5EncoderModel"], "d_model": 16},
    )
    safetensors(
        where / "vae" / "diffusion_pytorch_model.safetensors", a=(vae_dtype, [8, 8]), norm=("F32", [8])
    )
    safetensors(where / "unet" / "diffusion_pytorch_model.fp16.safetensors", a=("F16", [4]))
    safetensors(where / "text_encoder" / "model.safetensors", a=("F16", [4]))
    clip_tokenizer(where / "tokenizer", longest)
    word_tokenizer(where / "tokenizer_2", lowercase=lowercase)
    return where


class Config:
    """As transformers has it."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._said = said

    def to_dict(self) -> dict[str, Any]:
        return self._said


class Part:
    """A component of a loaded pipeline."""

    def __init__(self, config: Any, dtype: str | None = None) -> None:
        self.config = config
        if dtype is not None:
            self.dtype = dtype


@dataclasses.dataclass
class Tokenizer:
    """As transformers has it, over the files."""

    folder: pathlib.Path
    model_max_length: int
    padding_side: str = "right"

    def get_vocab(self) -> dict[str, int]:
        return vocabulary()


def _named(name: str, base: type, *arguments: Any) -> Any:
    return type(name, (base,), {})(*arguments)


class StableDiffusionXLPipeline:
    """A loaded pipeline with the attributes that are read of one."""

    def __init__(self, scheduler: dict[str, Any] | None = None, vae_dtype: str = "torch.float16") -> None:
        said = SCHEDULER | (scheduler or {})
        self.components: dict[str, Any] = {
            "scheduler": _named(said["_class_name"], Part, said),
            "vae": _named("AutoencoderKL", Part, VAE, vae_dtype),
            "unet": _named("UNet2DConditionModel", Part, UNET, "torch.float16"),
            "text_encoder": _named("CLIPTextModel", Part, Config(ENCODER), "torch.float16"),
            "image_encoder": None,
        }

    def __call__(self, prompt: str, num_inference_steps: int = 50, guidance_scale: float = 5.0) -> None:
        raise NotImplementedError


def serve(
    saved: pathlib.Path,
    pipeline: Any = None,
    *,
    source: str = "Process",
    stages: tuple[str, ...] = ("tokenizer", "tokenizer_2"),
    limits: tuple[int, int] = (77, 16),
    generation: Any = None,
    **said: Any,
) -> fastapi.FastAPI:
    """A server that tells what it draws with, and tokenizes as it serves."""
    loaded = pipeline or StableDiffusionXLPipeline()
    asks = {
        name: local_tokenizers.load(saved / name, longest)
        for name, longest in zip(("tokenizer", "tokenizer_2"), limits, strict=True)
        if name in stages
    }

    def tokens(name: str) -> probe_router.Stage:
        def stage(item: dict[str, Any]) -> list[int]:
            asking = asks[name]({"x": item["text"]})
            try:
                asking.send(None)
            except StopIteration as answered:
                return list(answered.value["x"])
            raise AssertionError("it waits for nothing")

        return stage

    app = fastapi.FastAPI()
    app.include_router(
        probe_router.probe_router(
            info={
                "source": source,
                "generation": generation
                if generation is not None
                else lambda: probe_pipeline.describe(loaded, **said),
            },
            stages={f"text.tokens{name.removeprefix('tokenizer')}": tokens(name) for name in stages},
        )
    )
    return app
