"""What is kept of a tensor while the model runs: a few numbers. Needs torch.

Everything is computed beside the model in float32 or float64 and gives the same numbers on a CPU and on a GPU
but for the order of sums.
"""

import dataclasses
import math
from typing import Any, Final

import numpy as np
import torch

from canary_checks.internals import trace

Tensor = Any
QUERIES: Final = 256
"""Of one layer, spread evenly: with more, attention over a large image would cost more than the model."""
SCORES: Final = 1 << 24
"""Of one layer, 64 MiB: of very many keys fewer queries are looked at."""
_MASKED: Final = 5000.0
"""Below a query's largest score: what is farther was masked, as by adding -10,000 or the least float."""
_CHUNK: Final = 1 << 20
_MIX: Final = (-4658895280553007687, -7723592293110705685)
_GOLDEN: Final = -7046029254386353131


@dataclasses.dataclass(frozen=True)
class Weights:
    """Attention weights of one call, reduced.

    Attributes
    ----------
    entropy
        Normalised, 0…1; NaN where it cannot be told.
    keys
        How many there are.
    top, weight
        The keys with the largest mean weight; shape ``[TOP_KEYS]``.
    share
        Mean weight that the queries of `image` give to the keys outside it; None without.
    """

    entropy: float
    keys: int
    top: trace.Integers
    weight: trace.Floats
    share: float | None


def queries(count: int, *, each: int, device: Any) -> Tensor:
    """Choose which queries are looked at: all, or some of them at even distances.

    Parameters
    ----------
    count
        How many there are.
    each
        How many scores each has: keys times heads.
    """
    kept = min(count, QUERIES, max(1, SCORES // max(1, each)))
    return torch.arange(kept, device=device) * count // kept


def scores(
    query: Tensor, key: Tensor, *, mask: Tensor | None, causal: bool, scale: float | None, rows: Tensor
) -> Tensor:
    """Compute attention scores again, as scaled dot-product attention does.

    Parameters
    ----------
    query, key
        Shape ``[heads, queries, width]`` and ``[heads or fewer, keys, width]``; fewer heads are shared.
    mask
        Boolean or added, broadcastable to ``[heads, queries, keys]``, or None.
    causal
        Whether a query sees only the keys up to its own place.
    scale
        None is ``1 / sqrt(width)``.
    rows
        Which queries.

    Returns
    -------
    Shape ``[heads, rows, keys]``, float32; ``-inf`` where masked.
    """
    if key.shape[0] != query.shape[0]:
        key = key.repeat_interleave(query.shape[0] // key.shape[0], 0)
    by = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    made = query[:, rows].float() @ key.float().transpose(-1, -2) * by
    if causal:
        places = torch.arange(key.shape[-2], device=key.device)
        made = made.masked_fill(places[None, :] > rows[:, None], -math.inf)
    if mask is not None:
        seen = mask if mask.shape[-2] == 1 else mask[..., rows, :]
        made = made.masked_fill(~seen, -math.inf) if seen.dtype == torch.bool else made + seen.float()
    return made


def weights(given: Tensor, image: slice | None, rows: Tensor) -> Weights:
    """Reduce attention.

    Parameters
    ----------
    given
        Scores before their softmax, shape ``[heads, rows, keys]``.
    image
        Where the image's tokens are in a joint sequence, among queries and keys alike; None elsewhere.
    rows
        Which queries these are.

    Returns
    -------
    The reduced weights. Masked keys do not count; a query with one key says nothing.
    """
    given = given.float()
    p = torch.softmax(given, -1)
    seen = (given > given.amax(-1, keepdim=True) - _MASKED).sum(-1)
    counted = seen > 1
    bits = -(torch.xlogy(p, p)).sum(-1) / torch.log(seen.clamp(min=2).float())
    finite = bool(torch.isfinite(p).all())
    entropy = float(bits[counted].mean()) if finite and bool(counted.any()) else math.nan
    mean = p.mean((0, 1)) if finite else torch.zeros(p.shape[-1])
    count = min(trace.TOP_KEYS, mean.numel())
    best = torch.topk(mean, count)
    top = np.full(trace.TOP_KEYS, -1, np.int32)
    weight = np.zeros(trace.TOP_KEYS, np.float32)
    top[:count], weight[:count] = best.indices.cpu().numpy(), best.values.cpu().numpy()
    return Weights(entropy, int(p.shape[-1]), top, weight, _share(p, image, rows) if finite else math.nan)


def _share(p: Tensor, image: slice | None, rows: Tensor) -> float | None:
    if image is None:
        return None
    asking = (rows >= image.start) & (rows < image.stop)
    return float(1 - p[:, asking][..., image].sum(-1).mean()) if bool(asking.any()) else math.nan


@dataclasses.dataclass(frozen=True)
class Output:
    """A tensor, reduced as `trace.Stage` says; `sketch` has shape ``[SKETCH]``."""

    size: int
    norm: float
    mean: float
    sketch: trace.Floats


def output(value: Tensor) -> Output:
    """Reduce a stage's output of one prompt, of any shape."""
    flat = value.detach().reshape(-1)
    sketch = torch.zeros(trace.SKETCH, dtype=torch.float64, device=flat.device)
    total = squares = 0.0
    for start in range(0, flat.numel(), _CHUNK):
        part = flat[start : start + _CHUNK].double()
        places, signs = _hashed(start, part.numel(), flat.device)
        sketch.index_add_(0, places, part * signs)
        total += float(part.sum())
        squares += float(part.square().sum())
    return Output(
        size=flat.numel(),
        norm=math.sqrt(squares) if math.isfinite(squares) else math.nan,
        mean=total / max(1, flat.numel()),
        sketch=sketch.cpu().numpy().astype(np.float32),
    )


def _hashed(start: int, count: int, device: Any) -> tuple[Tensor, Tensor]:
    """Give each place of a tensor a bucket and a sign that depend on nothing but its number (splitmix64)."""
    mixed = torch.arange(start + 1, start + count + 1, device=device, dtype=torch.int64) * _GOLDEN
    for shift, factor in zip((30, 27), _MIX, strict=True):
        mixed = (mixed ^ (mixed >> shift)) * factor
    mixed = mixed ^ (mixed >> 31)
    return (mixed >> 20) & (trace.SKETCH - 1), (((mixed >> 40) & 1) * 2 - 1).double()


@dataclasses.dataclass(frozen=True)
class Moments:
    """Of one latent: mean and variance of each channel, shape ``[channels]``, and its length."""

    mean: trace.Floats
    variance: trace.Floats
    norm: float


def moments(latent: Tensor, *, channels: bool = True) -> Moments:
    """Reduce a latent of one prompt.

    Parameters
    ----------
    latent
        Shape ``[channels, …]``, or ``[places, channels]`` of a packed one, without the axis of the prompt.
    channels
        False takes all of it as one channel.
    """
    x = latent.detach().float()
    packed = channels and x.ndim == 2  # noqa: PLR2004
    rows = x.T if packed else x.reshape(x.shape[0] if channels else 1, -1)
    return Moments(
        mean=rows.mean(1).cpu().numpy(),
        variance=rows.var(1, correction=0).cpu().numpy(),
        norm=length(x),
    )


def length(value: Tensor) -> float:
    """Return the Euclidean length of a tensor; NaN where it is not finite."""
    made = float(torch.linalg.vector_norm(value.detach().float().double()))
    return made if math.isfinite(made) else math.nan
