"""Watches a model while it runs, without a change to its code: by hooks. Needs torch.

Attention is seen where it is computed: scaled dot-product attention, or a softmax inside a module of
attention, whichever the model has. What is seen is reduced at once (`reduction`); no map is kept.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import overrides

from canary_checks.internals import reduction, trace

_HALVES: Final = (torch.bfloat16, torch.float16)
_SOFTMAX: Final = frozenset({"softmax", "_softmax"})
_ATTENTION_DIMS: Final = (3, 4)
_PARAMETERS: Final = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


@dataclasses.dataclass
class Layer:
    """What one prompt showed of one layer of attention, by step."""

    component: str
    path: str
    kind: trace.AttentionKind
    seen: dict[int, reduction.Weights] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class _Within:
    """The module of attention that is running."""

    component: str
    path: str
    text: int | None
    """Tokens of the text that it was given beside, or None."""
    hidden: int
    """Places that it was given itself."""
    text_first: bool | None


class Watcher:
    """What was seen of one prompt.

    Parameters
    ----------
    components
        The parts of the model, by name.
    repeated
        Those that run once a step; others count as having one step.
    """

    def __init__(self, components: Mapping[str, Any], repeated: frozenset[str] = frozenset()) -> None:
        self.layers: dict[tuple[str, str], Layer] = {}
        self.step = 0
        self.guided = False
        """Whether the running denoiser was given both halves of guidance."""
        self._components = dict(components)
        self._repeated = repeated
        self._within: list[_Within] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch whatever runs inside."""
        handles = []
        for name, component in self._components.items():
            for path, module in component.named_modules():
                if is_attention(module):
                    handles.append(
                        module.register_forward_pre_hook(self._enters(name, path), with_kwargs=True)
                    )
                    handles.append(module.register_forward_hook(self._leaves, always_call=True))
        try:
            with _Mode(self), torch.no_grad():
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _enters(self, component: str, path: str) -> Callable[..., None]:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden = kwargs.get("hidden_states", args[0] if args else None)
            other = kwargs.get("encoder_hidden_states", kwargs.get("key_value_states"))
            if other is None and len(args) > 1 and isinstance(args[1], torch.Tensor) and args[1].ndim == 3:  # noqa: PLR2004
                other = args[1] if args[1].is_floating_point() else None
            self._within.append(
                _Within(
                    component,
                    path,
                    int(other.shape[1]) if isinstance(other, torch.Tensor) else None,
                    _places(hidden),
                    _text_first(module),
                )
            )

        return hook

    def _leaves(self, *_: Any) -> None:
        if self._within:
            self._within.pop()

    def attended(self, query: Any, key: Any, **how: Any) -> None:
        """See scaled dot-product attention: shapes ``[batch, heads, places, width]``."""
        if not self._within or query.ndim != 4:  # noqa: PLR2004
            return
        mask = how.get("attn_mask")
        if mask is not None:
            mask = mask.expand(query.shape[0], *mask.shape[1:]) if mask.ndim == 4 else mask[None]  # noqa: PLR2004
        row = self._row(query.shape[0])
        each = int(key.shape[2]) * int(query.shape[1])
        rows = reduction.queries(query.shape[2], each=each, device=query.device)
        made = reduction.scores(
            query[row],
            key[row],
            mask=None if mask is None else mask[row if mask.shape[0] > 1 else 0],
            causal=bool(how.get("is_causal", False)),
            scale=how.get("scale"),
            rows=rows,
        )
        self._keep(made, rows, queries=query.shape[2])

    def softened(self, scores: Any) -> None:
        """See a softmax: shape ``[batch, heads, queries, keys]``, or ``[batch x heads, queries, keys]``."""
        if not self._within or not isinstance(scores, torch.Tensor) or scores.ndim not in _ATTENTION_DIMS:
            return
        if scores.ndim == 4:  # noqa: PLR2004
            heads = scores[self._row(scores.shape[0])]
        else:
            heads = scores[scores.shape[0] // 2 :] if self.guided else scores
        each = int(heads.shape[0]) * int(heads.shape[2])
        rows = reduction.queries(heads.shape[1], each=each, device=heads.device)
        self._keep(heads[:, rows], rows, queries=int(heads.shape[1]))

    def _row(self, batch: int) -> int:
        """Of a batch that guidance doubled, the conditional half; one prompt runs at a time."""
        return batch // 2 if self.guided and batch > 1 else 0

    def _keep(self, scores: Any, rows: Any, *, queries: int) -> None:
        at = self._within[-1]
        kind, image = _kind(at, queries, int(scores.shape[-1]))
        layer = self.layers.setdefault((at.component, at.path), Layer(at.component, at.path, kind))
        step = self.step if at.component in self._repeated else 0
        if step not in layer.seen:
            layer.seen[step] = reduction.weights(scores, image, rows)


def is_attention(module: Any) -> bool:
    """Tell whether a module computes attention, by the name of its class."""
    name = type(module).__name__.lower()
    return "attention" in name or "attn" in name


def tensor(result: Any) -> Any:
    """Return the first tensor of what a module gave, or None."""
    if isinstance(result, torch.Tensor):
        return result
    values = result.values() if hasattr(result, "values") else result
    return next((one for one in values if isinstance(one, torch.Tensor) and one.is_floating_point()), None)


def _places(hidden: Any) -> int:
    if not isinstance(hidden, torch.Tensor):
        return 0
    return math.prod(hidden.shape[2:]) if hidden.ndim == 4 else int(hidden.shape[1])  # noqa: PLR2004


def _text_first(module: Any) -> bool | None:
    """Tell the order of a joint sequence, by the name of what computes it."""
    processor = type(getattr(module, "processor", None)).__name__
    if "JointAttn" in processor:
        return False
    return True if "Flux" in processor else None


def _kind(at: _Within, queries: int, keys: int) -> tuple[trace.AttentionKind, slice | None]:
    if at.text is None:
        return trace.AttentionKind.SELF, None
    if queries == keys == at.hidden + at.text:
        if at.text_first is None:
            return trace.AttentionKind.JOINT, None
        start = at.text if at.text_first else 0
        return trace.AttentionKind.JOINT, slice(start, start + at.hidden)
    return trace.AttentionKind.CROSS, None


class _Mode(overrides.TorchFunctionMode):  # type: ignore[misc]
    """Lets a watcher see attention, and draws noise in float32 whatever the weights are.

    The same seed then gives the same noise in every type of number.
    """

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "randn" and given.get("dtype") in _HALVES:
            return func(*args, **(given | {"dtype": torch.float32})).to(given["dtype"])
        made = func(*args, **given)
        if name == "scaled_dot_product_attention":
            named = dict(
                zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), args, strict=False)
            )
            self._watcher.attended(**(named | given))
        elif name in _SOFTMAX:
            self._watcher.softened(args[0] if args else given.get("input"))
        return made
