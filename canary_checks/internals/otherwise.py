"""Runs a candidate otherwise, for a diagnosis: with what of the reference can take its place. Needs torch.

The reference is a record: its token ids, timesteps and settings are there, its weights are not. So the
encoders can be given its ids, the sampler its scheduler, steps and guidance; a decoder's weights stay.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch

from canary_checks import failure
from canary_checks.internals import pipelines, trace
from canary_checks.internals.causes import contrast

_ENCODER: Final = "text_encoder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Otherwise:
    """What `causes.inquiry` asks for: a pipeline of diffusers, run in another way.

    Attributes
    ----------
    pipeline
        The candidate, loaded; after each run it is as it was before.
    reference
        What was recorded.
    steps, guidance
        That the candidate was run with: None is what the pipeline does by itself.
    scheduler
        Configuration of the reference's scheduler; without it only its class can be put in place.
    precise
        Loads the same files to be computed in float32; None where they are already.
    adapt
        Loads the adapter of the model's folder at a scale, or takes it out (0), and gives back what undoes
        that; None where there is none.
    """

    pipeline: pipelines.Pipeline
    reference: trace.Trace
    steps: int | None = None
    guidance: float | None = None
    scheduler: Mapping[str, Any] | None = None
    precise: Callable[[], pipelines.Pipeline] | None = None
    adapt: Callable[[pipelines.Pipeline, float], contextlib.AbstractContextManager[None]] | None = None

    def __call__(self, change: contrast.Change) -> trace.Trace | None:
        """Run the candidate so; None where that cannot be done.

        Parameters
        ----------
        change
            What to do otherwise.
        """
        pipeline = self.pipeline
        same_class = type(pipeline.scheduler).__name__ == self.reference.setting.scheduler
        if change.scheduler and self.scheduler is None and same_class:
            return None
        if change.adapter is not None and self.adapt is None:
            return None
        if change.full_precision:
            if self.precise is None:
                return None
            pipeline = self.precise()
        theirs = self.reference
        try:
            with contextlib.ExitStack() as stack:
                for make in self._changes(pipeline, change):
                    stack.enter_context(make)
                return pipeline.run(
                    theirs.prompts,
                    seed=theirs.seeds[0],
                    scheduler=theirs.setting.scheduler if change.scheduler else None,
                    steps=theirs.setting.steps if change.steps else self.steps,
                    guidance=theirs.setting.guidance if change.guidance else self.guidance,
                    known=None if theirs.decoded is None else theirs.decoded.latents,
                )
        except failure.CheckError:
            # Such as a scheduler that does not take the candidate's configuration: then this says nothing.
            return None

    def _changes(
        self, pipeline: pipelines.Pipeline, change: contrast.Change
    ) -> Iterator[contextlib.AbstractContextManager[None]]:
        pipe = pipeline.pipe
        if change.tokens:
            for one in self.reference.tokens:
                encoder = getattr(pipe, one.tokenizer.replace("tokenizer", _ENCODER), None)
                if encoder is not None:
                    yield _given(encoder, one)
        if change.scheduler and self.scheduler is not None:
            yield _configured(pipeline.scheduler, self.scheduler)
        if change.clip_skip is not None:
            yield _skipping(pipe, change.clip_skip)
        if change.evaluation:
            yield _evaluating(pipe)
        if change.latent_scale is not None:
            yield _scaled(pipe.vae, scaling_factor=pipe.vae.config.scaling_factor / change.latent_scale)
        if change.latent_offset is not None:
            before = getattr(pipe.vae.config, "shift_factor", None) or 0.0
            yield _scaled(pipe.vae, shift_factor=before + change.latent_offset)
        if change.adapter is not None and self.adapt is not None:
            yield self.adapt(pipeline, change.adapter)


@contextlib.contextmanager
def _given(encoder: Any, recorded: trace.Tokens) -> Iterator[None]:
    """Give an encoder the recorded ids, one prompt after the other.

    The calls between them are of the negative prompt, which is empty: what is recorded tells the ids of its
    beginning, end and padding.
    """
    asked = 0
    opening: int | None = None

    def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal asked, opening
        ids = kwargs.get("input_ids", args[0] if args else None)
        if not isinstance(ids, torch.Tensor):
            return None
        first = int(ids[0, 0])
        # An empty prompt has at most a beginning and an end, and then nothing but padding.
        if len(set(ids[0, 2:].tolist())) <= 1:
            own = _empty(recorded, begins=first == opening)
        else:
            own, opening = recorded.ids[min(asked, len(recorded.ids) - 1)], first
            asked += 1
        made = torch.tensor([own], dtype=ids.dtype, device=ids.device)
        kwargs = {**kwargs, **({"attention_mask": None} if "attention_mask" in kwargs else {})}
        return ((made, *args[1:]), kwargs) if args else (args, {**kwargs, "input_ids": made})

    handle = encoder.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _empty(recorded: trace.Tokens, *, begins: bool) -> tuple[int, ...]:
    """Return the ids of an empty prompt, from those of prompts that are not empty.

    Parameters
    ----------
    recorded
        Of at least one prompt.
    begins
        Whether there is an id that begins every prompt, as CLIP has one and T5 none.
    """
    lasts = {next((one for one in reversed(ids) if one != recorded.padding), -1) for ids in recorded.ids}
    # Words differ from prompt to prompt, the end of text does not; CLIP pads with its end of text.
    end = lasts.pop() if len(lasts) == 1 or recorded.padding is None else recorded.padding
    head = (*recorded.ids[0][: int(begins)], end)
    fill = end if recorded.padding is None else recorded.padding
    return (*head, *(fill for _ in range(len(recorded.ids[0]) - len(head))))


@contextlib.contextmanager
def _configured(scheduler: Any, config: Mapping[str, Any]) -> Iterator[None]:
    """Let a scheduler that is made from this one's configuration have the reference's instead."""
    before = dict(scheduler.config)
    scheduler.register_to_config(**config)
    try:
        yield
    finally:
        scheduler.register_to_config(**before)


@contextlib.contextmanager
def _skipping(pipe: Any, layers: int) -> Iterator[None]:
    original = pipe.encode_prompt

    def encode(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **{**kwargs, "clip_skip": layers})

    pipe.encode_prompt = encode
    try:
        yield
    finally:
        del pipe.encode_prompt


@contextlib.contextmanager
def _evaluating(pipe: Any) -> Iterator[None]:
    trained = [
        module
        for part in pipe.components.values()
        if isinstance(part, torch.nn.Module)
        for module in part.modules()
        if module.training
    ]
    for module in trained:
        module.training = False
    try:
        yield
    finally:
        for module in trained:
            module.training = True


@contextlib.contextmanager
def _scaled(vae: Any, **config: float) -> Iterator[None]:
    """Give the decoder other latents, by another factor or offset in its configuration."""
    before = {name: vae.config.get(name) for name in config}
    vae.register_to_config(**config)
    try:
        yield
    finally:
        vae.register_to_config(**before)
