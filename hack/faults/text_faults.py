"""The 65 faults and 22 benign changes of the text model, each as one variant of serving it."""

import functools
import html
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from canary_checks.golden import pack as golden_pack
from hack.faults import minilm

Floats = npt.NDArray[Any]
Weights = dict[str, Floats]
After = Callable[[Floats, Sequence[str]], Floats]

_BGE: Final = "Represent this sentence for searching relevant passages: "
_UNKNOWN_TOKEN: Final = 100
_VOCABULARY: Final = 30522
_MANY: Final = 256  # what a batch of 128 texts is padded to


# The text.
def _mojibake(text: str) -> str:
    return text.encode().decode("latin-1")


def _without_full_stop(text: str) -> str:
    return text.rstrip().removesuffix(".")


# The ids.
def _shifted(ids: list[int]) -> list[int]:
    return [(i + 1) % _VOCABULARY for i in ids]


def _swapped(ids: list[int]) -> list[int]:
    encoder = minilm.tokenizer(lower=True, strip=None, cjk=True)
    the, a = minilm.token(encoder, "the"), minilm.token(encoder, "a")
    return [{the: a, a: the}.get(i, i) for i in ids]


def _partly_unknown(ids: list[int]) -> list[int]:
    lost = set(np.random.default_rng(1).choice(_VOCABULARY, _VOCABULARY // 100, replace=False).tolist())
    return [_UNKNOWN_TOKEN if i in lost else i for i in ids]


# The weights.
def _noisy(level: float) -> Callable[[Weights], Weights]:
    def make(whole: Weights) -> Weights:
        random = np.random.default_rng(0)
        return {
            name: (w + level * w.std() * random.standard_normal(w.shape)).astype(np.float32)
            if w.ndim > 1
            else w
            for name, w in whole.items()
        }

    return make


def _adapted(delta: float) -> Callable[[Weights], Weights]:
    def make(whole: Weights) -> Weights:
        random, made = np.random.default_rng(1), dict(whole)
        for name, w in whole.items():
            if w.ndim > 1 and "layer." in name:
                low = random.standard_normal((w.shape[0], 8)) @ random.standard_normal((8, w.shape[1]))
                made[name] = (w + delta * np.linalg.norm(w) / np.linalg.norm(low) * low).astype(np.float32)
        return made

    return make


def _fresh(*parts: str) -> Callable[[Weights], Weights]:
    """Initialise what contains one of some names as a new model is."""

    def make(whole: Weights) -> Weights:
        random, made = np.random.default_rng(2), dict(whole)
        for name, w in whole.items():
            if any(part in name for part in parts):
                if "LayerNorm" in name or name.endswith("bias"):
                    made[name] = np.full_like(w, float(name.endswith("LayerNorm.weight")))
                else:
                    made[name] = (0.02 * random.standard_normal(w.shape)).astype(np.float32)
        return made

    return make


def _without_biases(whole: Weights) -> Weights:
    return {name: np.zeros_like(w) if name.endswith("bias") else w for name, w in whole.items()}


def _flipped(name: str, places: Iterable[int], bits: Iterable[int]) -> Callable[[Weights], Weights]:
    def make(whole: Weights) -> Weights:
        w = whole[name].copy()
        raw = w.reshape(-1).view(np.uint32)
        for place, bit in zip(places, bits, strict=True):
            raw[place % raw.size] ^= np.uint32(1 << bit)
        return whole | {name: w}

    return make


def _many_flipped(whole: Weights) -> Weights:
    random, made = np.random.default_rng(3), dict(whole)
    names = sorted(name for name, w in whole.items() if w.ndim > 1 and "layer." in name)
    for name in random.choice(names, 100):
        place, bit = int(random.integers(1 << 30)), int(random.integers(32))
        made[name] = _flipped(name, [place], [bit])(made)[name]
    return made


# The vectors.
def _linear(matrix: Floats) -> After:
    return lambda vectors, _: vectors @ matrix


@functools.cache
def _rotation() -> Floats:
    turn: Floats = np.linalg.qr(np.random.default_rng(7).standard_normal((minilm.WIDTH, minilm.WIDTH)))[0]
    return turn


def _permuted(vectors: Floats, _: Sequence[str]) -> Floats:
    return vectors[:, np.random.default_rng(8).permutation(minilm.WIDTH)]


def _interleaved(vectors: Floats, _: Sequence[str]) -> Floats:
    return vectors.reshape(-1, 12, 32).transpose(0, 2, 1).reshape(-1, minilm.WIDTH)


def _cut(vectors: Floats, _: Sequence[str]) -> Floats:
    return np.where(np.arange(minilm.WIDTH) < minilm.WIDTH * 2 // 3, vectors, 0)


@functools.cache
def _texts() -> tuple[str, ...]:
    return tuple(item.text for item in golden_pack.builtin("TextV1").items)


@functools.cache
def _mean() -> Floats:
    model = minilm.Model(minilm.Variant(rows_at_once=8))
    return np.asarray(model.embed(_texts()).mean(0, keepdims=True))


def _exchanged(share: float) -> After:
    """Exchange neighbours wherever a request holds both, as a race between two slots of a batch does."""
    rows = np.random.default_rng(9).permutation(len(_texts()) // 2) * 2
    chosen = rows[: max(1, round(share * len(_texts()) / 2))]
    pairs = [(_texts()[row], _texts()[row + 1]) for row in chosen]

    def after(vectors: Floats, texts: Sequence[str]) -> Floats:
        made = vectors.copy()
        for one, other in pairs:
            if one in texts and other in texts:
                i, j = texts.index(one), texts.index(other)
                made[[i, j]] = vectors[[j, i]]
        return made

    return after


def _replaced(share: float, value: float) -> After:
    rows = np.random.default_rng(10).permutation(len(_texts()))
    chosen = {_texts()[row] for row in rows[: max(1, round(share * len(_texts())))]}
    return lambda vectors, texts: np.where([[text in chosen] for text in texts], value, vectors)


def _shuffled(vectors: Floats, texts: Sequence[str]) -> Floats:
    return vectors[np.random.default_rng(len(texts)).permutation(len(vectors))]


V = minilm.Variant

FAULTS: Final[dict[str, Callable[[], minilm.Variant]]] = {
    "pooling CLS": lambda: V(pool="cls"),
    "pooling max": lambda: V(pool="max"),
    "pooling last token": lambda: V(pool="last"),
    "mean over padding (no mask in pool)": lambda: V(pool="mean over padding", rows_at_once=0),
    "mean over padding, unsorted bs128": lambda: V(pool="mean over padding", rows_at_once=0, pad_to=_MANY),
    "mean excluding [CLS]/[SEP]": lambda: V(pool="mean without specials"),
    "missing L2 normalisation": lambda: V(normalize=False),
    "sqrt-len pooling, no norm": lambda: V(pool="sqrt of length", normalize=False),
    "penultimate layer output": lambda: V(skip=frozenset({minilm.LAYERS - 1})),
    "tokenizer: lower-casing off": lambda: V(lower=False),
    "tokenizer: strip-accents off": lambda: V(strip=False),
    "tokenizer: CJK split off": lambda: V(cjk=False),
    "tokenizer: no [CLS]/[SEP]": lambda: V(specials=False),
    "tokenizer: vocab ids +1": lambda: V(ids=_shifted),
    "tokenizer: ids of 'the'/'a' swapped": lambda: V(ids=_swapped),
    "tokenizer: 1% of vocab -> [UNK]": lambda: V(ids=_partly_unknown),
    "token_type_ids = 1": lambda: V(token_type=1),
    "attention mask missing in model": lambda: V(mask=False, rows_at_once=0),
    "attention mask missing, unsorted bs128": lambda: V(mask=False, rows_at_once=0, pad_to=_MANY),
    "max_length 32 (ref 256)": lambda: V(longest=32),
    "max_length 64 (ref 256)": lambda: V(longest=64),
    "max_length 128 (ref 256)": lambda: V(longest=128),
    "max_length 512 (ref 256)": lambda: V(longest=512),
    "truncation side left": lambda: V(keep_end=True),
    "padding side left (abs. positions)": lambda: V(pad_left=True, rows_at_once=0),
    "extra prefix 'query: '": lambda: V(prefix="query: "),
    "missing prefix 'query: ' (ref has it)": V,
    "wrong prefix 'passage: ' vs 'query: '": lambda: V(prefix="passage: "),
    "missing BGE instruction (ref has it)": V,
    "UTF-8 read as latin-1": lambda: V(edit=_mojibake),
    "trailing full stop stripped": lambda: V(edit=_without_full_stop),
    "HTML-escaped": lambda: V(edit=html.escape),
    "weight noise 0.03 x std": lambda: V(make=_noisy(0.03)),
    "weight noise 0.1 x std": lambda: V(make=_noisy(0.1)),
    "weight noise 0.3 x std": lambda: V(make=_noisy(0.3)),
    "dropout on (train mode)": lambda: V(dropout=0.1),
    "last layer missing": lambda: V(skip=frozenset({minilm.LAYERS - 1})),
    "layer 2 missing": lambda: V(skip=frozenset({2})),
    "last layer random-init (strict=False load)": lambda: V(make=_fresh("layer.5.")),
    "one Linear random-init (layer3.query)": lambda: V(make=_fresh("layer.3.attention.self.query")),
    "LayerNorms reset to 1/0 (all)": lambda: V(make=_fresh("LayerNorm")),
    "one LayerNorm reset (layer 5 output)": lambda: V(make=_fresh("layer.5.output.LayerNorm")),
    "position embeddings random-init": lambda: V(make=_fresh("position_embeddings")),
    "all biases zeroed": lambda: V(make=_without_biases),
    "whole model random-init": lambda: V(make=_fresh("embeddings", "layer")),
    "1 exponent bit flipped in one weight": lambda: V(
        make=_flipped("encoder.layer.2.output.dense.weight", [100_003], [25])
    ),
    "100 random bit flips (NaN rows 516)": lambda: V(make=_many_flipped),
    "rank-8 adapter merged, rel. weight delta=0.01": lambda: V(make=_adapted(0.01)),
    "rank-8 adapter merged, rel. weight delta=0.05": lambda: V(make=_adapted(0.05)),
    "rank-8 adapter merged, rel. weight delta=0.2": lambda: V(make=_adapted(0.2)),
    "dims permuted": lambda: V(after=_permuted),
    "random rotation": lambda: V(after=_linear(_rotation())),
    "sign flip": lambda: V(after=lambda vectors, _: -vectors),
    "byte-order / heads interleaved (reshape 12x32 T)": lambda: V(after=_interleaved),
    "scaled x2": lambda: V(after=lambda vectors, _: 2 * vectors),
    "constant vector added (0.05 per dim)": lambda: V(after=lambda vectors, _: vectors + 0.05),
    "mean-centred (whitening half applied)": lambda: V(after=lambda vectors, _: vectors - _mean()),
    "tail 1/3 dims zeroed (Matryoshka 256)": lambda: V(after=_cut),
    "rows shuffled": lambda: V(after=_shuffled),
    "rows shifted by one": lambda: V(after=lambda vectors, _: np.roll(vectors, 1, axis=0)),
    "1% rows exchanged": lambda: V(after=_exchanged(0.01)),
    "5% rows exchanged": lambda: V(after=_exchanged(0.05)),
    "1% rows zero": lambda: V(after=_replaced(0.01, 0.0)),
    "one row NaN (NaN rows 1)": lambda: V(after=_replaced(0.0, np.nan)),
    "all rows equal (collapsed)": lambda: V(after=lambda vectors, _: np.repeat(_mean(), len(vectors), 0)),
}

# What the reference is recorded from, where it is not the right model.
REFERENCES: Final[dict[str, minilm.Variant]] = {
    "missing prefix 'query: ' (ref has it)": V(prefix="query: "),
    "wrong prefix 'passage: ' vs 'query: '": V(prefix="query: "),
    "missing BGE instruction (ref has it)": V(prefix=_BGE),
}


def _rounded_matrices(rounding: minilm.Rounding) -> Callable[[Weights], Weights]:
    return lambda whole: {name: rounding(w) for name, w in whole.items()}


BENIGN: Final[dict[str, Callable[[], minilm.Variant]]] = {
    "same process, run twice": V,
    "fp64 compute (true value)": lambda: V(exact=True),
    "eager attention instead of SDPA": lambda: V(online=True),
    "batch size 1": V,
    "batch size 8": lambda: V(rows_at_once=8),
    "batch size 128 unsorted": lambda: V(rows_at_once=0, pad_to=_MANY),
    "pad to 256 always": lambda: V(rows_at_once=2, pad_to=256),
    "1 thread instead of 2": lambda: V(halves=True),
    "sentence-transformers library": lambda: V(rows_at_once=3),
    "TF32 matmuls (emulated)": lambda: V(operand=minilm.tf32),
    "bf16x1 matmul inputs, fp32 accum (emulated)": lambda: V(operand=minilm.bf16),
    "fp16 weights+activations": lambda: V(operand=minilm.fp16, result=minilm.fp16, rows_at_once=8),
    "fp16 batch size 1": lambda: V(operand=minilm.fp16, result=minilm.fp16),
    "bf16 weights+activations": lambda: V(operand=minilm.bf16, result=minilm.bf16, rows_at_once=8),
    "bf16 batch size 1": lambda: V(operand=minilm.bf16, result=minilm.bf16),
    "bf16 autocast": lambda: V(operand=minilm.bf16),
    "bf16 weights only, fp32 compute": lambda: V(make=_rounded_matrices(minilm.bf16)),
    "fp16 weights only, fp32 compute": lambda: V(make=_rounded_matrices(minilm.fp16)),
    "stored as fp16": lambda: V(after=lambda vectors, _: minilm.fp16(vectors)),
    "stored as bf16": lambda: V(after=lambda vectors, _: minilm.bf16(vectors)),
    "gelu tanh approximation": lambda: V(gelu_tanh=True),
    "LayerNorm eps 1e-12 -> 1e-5": lambda: V(epsilon=1e-5),
}
