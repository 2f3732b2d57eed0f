"""From what each prompt showed to one trace: arrays whose first axis is the prompt. Needs torch."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from canary_checks.internals import reduction, trace, watching


@dataclasses.dataclass
class Prompt:
    """What one prompt showed.

    Attributes
    ----------
    layers
        Attention, by component and path.
    stages
        By name: the module's path and its reduced output, in the order in which they ran.
    moments, distance, timesteps, guidance, prediction
        Of the latents, one for each step (moments: one more).
    tokens
        By tokenizer: the ids that its encoder was given.
    """

    layers: dict[tuple[str, str], watching.Layer] = dataclasses.field(default_factory=dict)
    stages: dict[str, tuple[str, reduction.Output]] = dataclasses.field(default_factory=dict)
    moments: list[reduction.Moments] = dataclasses.field(default_factory=list)
    distance: list[float] = dataclasses.field(default_factory=list)
    timesteps: list[float] = dataclasses.field(default_factory=list)
    guidance: list[float] = dataclasses.field(default_factory=list)
    prediction: list[float] = dataclasses.field(default_factory=list)
    tokens: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def moves(self, before: Any, after: Any, *, channels: bool = True) -> None:
        """Note one step of the latents of this prompt."""
        if not self.moments:
            self.moments.append(reduction.moments(before, channels=channels))
        self.moments.append(reduction.moments(after, channels=channels))
        start = self.moments[-2].norm
        moved = reduction.length(after.float() - before.float())
        self.distance.append(moved / start if start > 0 else math.nan)


def attention(prompts: Sequence[Prompt]) -> tuple[trace.Attention, ...]:
    """Gather attention; a layer that a prompt did not reach is NaN there."""
    places: dict[tuple[str, str], watching.Layer] = {}
    for prompt in prompts:
        for place, layer in prompt.layers.items():
            places.setdefault(place, layer)
    return tuple(_layer(prompts, place, layer) for place, layer in places.items())


def _layer(prompts: Sequence[Prompt], place: tuple[str, str], layer: watching.Layer) -> trace.Attention:
    seen = [one.layers[place].seen if place in one.layers else {} for one in prompts]
    steps = 1 + max((max(own, default=0) for own in seen), default=0)
    shape = (len(prompts), steps)
    entropy = np.full(shape, np.nan, np.float32)
    share = np.full(shape, np.nan, np.float32)
    keys = np.zeros(len(prompts), np.int32)
    top = np.full((*shape, trace.TOP_KEYS), -1, np.int32)
    weight = np.zeros((*shape, trace.TOP_KEYS), np.float32)
    shared = False
    for row, own in enumerate(seen):
        for step, one in own.items():
            entropy[row, step], keys[row] = one.entropy, one.keys
            top[row, step], weight[row, step] = one.top, one.weight
            if one.share is not None:
                shared, share[row, step] = True, one.share
    return trace.Attention(
        component=layer.component,
        layer=layer.path,
        kind=layer.kind,
        entropy=entropy,
        keys=keys,
        top=top,
        weight=weight,
        text_weight=share if shared else None,
    )


def stages(prompts: Sequence[Prompt]) -> tuple[trace.Stage, ...]:
    """Gather the stages that every prompt reached."""
    names = [name for name in prompts[0].stages if all(name in one.stages for one in prompts)]
    made = []
    for name in names:
        outputs = [one.stages[name][1] for one in prompts]
        made.append(
            trace.Stage(
                name=name,
                module=prompts[0].stages[name][0],
                size=np.array([one.size for one in outputs], np.int32),
                norm=np.array([one.norm for one in outputs], np.float32),
                mean=np.array([one.mean for one in outputs], np.float32),
                sketch=np.stack([one.sketch for one in outputs]),
            )
        )
    return tuple(made)


def latents(prompts: Sequence[Prompt], axis: trace.Axis) -> trace.Latents | None:
    """Gather the latents; of prompts that took fewer steps, as many as all took."""
    steps = min(len(one.distance) for one in prompts)
    if not steps:
        return None
    stepped = axis is trace.Axis.STEP
    guided = stepped and all(len(one.guidance) >= steps for one in prompts)
    predicted = stepped and all(len(one.prediction) >= steps for one in prompts)
    return trace.Latents(
        axis=axis,
        timesteps=np.array(prompts[0].timesteps[:steps], np.float32),
        mean=np.stack([[m.mean for m in one.moments[: steps + 1]] for one in prompts]).astype(np.float32),
        variance=np.stack([[m.variance for m in one.moments[: steps + 1]] for one in prompts]).astype(
            np.float32
        ),
        norm=np.array([[m.norm for m in one.moments[: steps + 1]] for one in prompts], np.float32),
        distance=np.array([one.distance[:steps] for one in prompts], np.float32),
        guidance=np.array([one.guidance[:steps] for one in prompts], np.float32) if guided else None,
        prediction=np.array([one.prediction[:steps] for one in prompts], np.float32) if predicted else None,
    )


def tokens(prompts: Sequence[Prompt], tokenizers: dict[str, Any]) -> tuple[trace.Tokens, ...]:
    """Gather the ids, with their text where the tokenizer can tell it."""
    made = []
    for name in prompts[0].tokens:
        ids = tuple(one.tokens.get(name, ()) for one in prompts)
        tokenizer = tokenizers.get(name)
        pieces = (
            tuple(tuple(map(str, tokenizer.convert_ids_to_tokens(list(own)))) for own in ids)
            if tokenizer is not None
            else ()
        )
        padding = getattr(tokenizer, "pad_token_id", None)
        made.append(trace.Tokens(tokenizer=name, ids=ids, pieces=pieces, padding=padding))
    return tuple(made)
