"""What a served process states about itself by its probe endpoint, as flat statements to compare."""

from collections.abc import Mapping
from typing import Final

from canary_checks.contracts import fields
from canary_checks.trace import client

# The packages that take part in making an embedding; every other difference is told as a number.
RELEVANT: Final = frozenset(
    {
        "accelerate", "fastapi", "flash-attn", "infinity-emb", "mlserver", "numpy", "onnxruntime",
        "onnxruntime-gpu", "opencv-python", "opencv-python-headless", "optimum", "pillow", "pillow-simd",
        "safetensors", "sentence-transformers", "sentencepiece", "tensorflow", "timm", "tokenizers", "torch",
        "torchvision", "transformers", "triton", "vllm", "xformers",
    }
)  # fmt: skip


def preprocessing(info: client.Info) -> fields.Contract:
    """Return the preprocessing contract that a process states."""
    stated = dict(info.preprocess.contract)
    for name, value in (
        (fields.Field.POOLING, info.embedding.get("pooling")),
        (fields.Field.NORMALIZED, info.embedding.get("normalized")),
        (fields.Field.MAX_LENGTH, info.max_input_tokens),
        (fields.Field.DTYPE, info.model.get("dtype")),
    ):
        if value is not None:
            stated.setdefault(name, value)
    return fields.contract(stated)


def environment(info: client.Info) -> Mapping[str, fields.Value]:
    """Return what a process runs on: packages, driver, CUDA and accelerator, by dotted name.

    Parameters
    ----------
    info
        Of the process. Its packages are those of `RELEVANT`, in the spelling of PEP 503.
    """
    packages = {_normal(name): version for name, version in info.packages.items()}
    stated: dict[str, fields.Value] = {
        f"packages.{name}": version for name, version in sorted(packages.items()) if name in RELEVANT
    }
    return stated | {f"accelerator.{name}": value for name, value in sorted(info.accelerator.items())}


def files(info: client.Info) -> Mapping[str, fields.Value]:
    """Return the digests of the files that a process says it has loaded."""
    said = info.model.get("files")
    return dict(said) if isinstance(said, dict) else {}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
