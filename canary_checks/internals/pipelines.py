"""Runs a diffusers pipeline and watches it: one prompt at a time, each with its own seed. Needs torch."""

import contextlib
import functools
import inspect
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import diffusers
import numpy as np
import pydantic
import torch

from canary_checks import failure
from canary_checks.internals import folder as folders
from canary_checks.internals import gathered, loading, reduction, trace, watching

_DENOISERS: Final = ("unet", "transformer", "transformer_2", "prior")
_ENCODER: Final = re.compile(r"text_encoder(_\d)?")
DECODED: Final = 2
"""How many prompts' clean latents are kept and decoded."""
DECODED_SIDE: Final = 24
"""Of the middle of them, in latent pixels: 192 pixels of an image."""
_IMAGE_DIMS: Final = 4


class Pipeline:
    """A text-to-image pipeline of a folder.

    Parameters
    ----------
    folder
        With a ``model_index.json`` and weights as safetensors.
    machine
        Where and how it runs.

    Raises
    ------
    CheckError
        ``ModelUnreadable``, ``ModelUnsupported`` or ``OutOfMemory``.
    """

    library = trace.Library.DIFFUSERS

    def __init__(self, folder: pathlib.Path, machine: loading.Machine) -> None:
        self._machine = machine
        index = folders.config(folder / "model_index.json")
        # diffusers writes an absent part as [null, null], and reads it only where it is told so again.
        absent = {name: None for name, origin in index.items() if origin == [None, None]}
        with loading.told("ModelUnreadable", "diffusers cannot load the pipeline"):
            self.pipe = diffusers.DiffusionPipeline.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=machine.torch_dtype,
                **absent,
            ).to(machine.device)
        self.pipe.set_progress_bar_config(disable=True)
        parts = {
            name: part for name, part in self.pipe.components.items() if isinstance(part, torch.nn.Module)
        }
        for part in parts.values():
            # Some classes ignore the type; one that keeps a few weights in float32 does so on purpose.
            if all(weight.dtype != machine.torch_dtype for weight in part.parameters()):
                part.to(machine.torch_dtype)
        self._denoisers = tuple(name for name in _DENOISERS if name in parts)
        encoders = [name for name in parts if _ENCODER.fullmatch(name)]
        if not self._denoisers or getattr(self.pipe, "scheduler", None) is None:
            raise failure.CheckError(
                "ModelUnsupported", f"a {type(self.pipe).__name__} has no denoiser and scheduler to watch"
            )
        self._accepted = inspect.signature(self.pipe.__call__).parameters
        if "prompt" not in self._accepted:
            raise failure.CheckError("ModelUnsupported", f"a {type(self.pipe).__name__} takes no prompt")
        kept = (*encoders, *self._denoisers, "vae")
        self._components = {name: parts[name] for name in kept if name in parts}
        self._encoders = tuple(encoders)
        self.scheduler = self.pipe.scheduler

    @property
    def scheduler_config(self) -> Mapping[str, pydantic.JsonValue]:
        """How the folder's scheduler is configured; what a class keeps for itself is left out."""
        said = json.loads(self.scheduler.to_json_string())
        return {name: value for name, value in said.items() if not name.startswith("_")}

    def run(
        self,
        prompts: Sequence[str],
        *,
        seed: int,
        scheduler: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        known: trace.Floats | None = None,
    ) -> trace.Trace:
        """Run the pipeline and say what was seen.

        Parameters
        ----------
        prompts
            At least one.
        seed
            Of the first; each other prompt has the next.
        scheduler, steps, guidance
            None is what the pipeline does by itself.
        known
            Clean latents to decode, as in `trace.Decoded`; None decodes the first prompts' own.

        Raises
        ------
        CheckError
            ``InvalidRequest``, ``ModelFailed`` or ``OutOfMemory``.
        InterruptedError
            The check was ended.
        """
        self.pipe.scheduler = self._scheduled(scheduler)
        scale = self._guided(guidance)
        seeds = tuple(seed + row for row in range(len(prompts)))
        seen: list[gathered.Prompt] = []
        clean: list[trace.Floats] = []
        for row, (prompt, own) in enumerate(zip(prompts, seeds, strict=True)):
            run = _Run(self.pipe, self._components, self._encoders, self._denoisers, self._machine)
            asked: dict[str, Any] = {"prompt": prompt, "output_type": "pt"}
            asked |= {"num_inference_steps": steps} if steps is not None else {}
            asked |= {"guidance_scale": guidance} if guidance is not None else {}
            with loading.told("ModelFailed", f"the pipeline failed at prompt {row + 1}"), run.watching():
                self.pipe(**asked, generator=torch.Generator("cpu").manual_seed(own))
            seen.append(run.prompt)
            if run.clean is not None and len(clean) < DECODED:
                clean.append(run.clean)
        if known is None and clean and all(one.shape == clean[0].shape for one in clean):
            known = np.stack(clean)
        tokenizers = {name: getattr(self.pipe, name, None) for name in seen[0].tokens}
        return trace.Trace(
            library=trace.Library.DIFFUSERS,
            setting=trace.Setting(
                scheduler=type(self.pipe.scheduler).__name__, steps=len(seen[0].distance), guidance=scale
            ),
            prompts=tuple(prompts),
            seeds=seeds,
            dtype=self._machine.dtype,
            versions=self._machine.versions("diffusers", "transformers"),
            attention=gathered.attention(seen),
            stages=gathered.stages(seen),
            latents=gathered.latents(seen, trace.Axis.STEP),
            tokens=gathered.tokens(seen, tokenizers),
            decoded=self.decoded(known) if known is not None else None,
        )

    def decoded(self, latents: trace.Floats) -> trace.Decoded | None:
        """Decode clean latents; None where the decoder takes no such latents.

        Parameters
        ----------
        latents
            Shape ``[n, channels, height, width]``, float32, as in `trace.Decoded`.
        """
        vae = getattr(self.pipe, "vae", None)
        if vae is None:
            return None
        scaling, shift = _scale(vae)
        images, finite = [], True
        with loading.told("ModelFailed", "the decoder failed at stored latents"), torch.no_grad():
            for one in latents:
                given = torch.from_numpy(one[None]).to(vae.device, vae.dtype)
                made = vae.decode(given / scaling + shift, return_dict=False)[0][0].float().cpu()
                finite = finite and bool(torch.isfinite(made).all())
                if made.ndim != 3:  # noqa: PLR2004
                    return None
                bytes_ = (made / 2 + 0.5).nan_to_num(0).clamp(0, 1) * 255
                images.append(bytes_.round().to(torch.uint8).permute(1, 2, 0).numpy()[..., :3])
        return trace.Decoded(latents=latents, images=np.stack(images), finite=finite)

    def _scheduled(self, name: str | None) -> Any:
        if name is None:
            return self.scheduler
        kind = getattr(diffusers, name, None)
        known: Any = kind if isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin) else None
        if known is None:
            raise failure.CheckError("InvalidRequest", f"diffusers has no scheduler {name}")
        with loading.told("InvalidRequest", f"{name} does not take this model's configuration"):
            return known.from_config(self.scheduler.config)

    def _guided(self, asked: float | None) -> float | None:
        """Return the guidance scale that will be used."""
        accepted = self._accepted.get("guidance_scale")
        if accepted is None:
            if asked is not None:
                raise failure.CheckError(
                    "InvalidRequest", f"a {type(self.pipe).__name__} takes no guidance scale"
                )
            return None
        if asked is not None:
            return asked
        return float(accepted.default) if isinstance(accepted.default, int | float) else None


class _Run:
    """One prompt on its way through a pipeline."""

    def __init__(
        self,
        pipe: Any,
        components: dict[str, Any],
        encoders: Sequence[str],
        denoisers: Sequence[str],
        machine: loading.Machine,
    ) -> None:
        self.prompt = gathered.Prompt()
        self.clean: trace.Floats | None = None
        self._pipe = pipe
        self._components = components
        self._encoders = encoders
        self._denoisers = denoisers
        self._machine = machine
        self._watcher = watching.Watcher(components, frozenset(denoisers))
        self._first: Any = None
        """Of a step whose guidance runs the denoiser twice: what it said first."""
        self._last: tuple[str, Any] | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the one run of the pipeline that happens inside."""
        handles = []
        for name in self._encoders:
            encoder = self._components[name]
            handles.append(encoder.register_forward_hook(self._encoded(name), with_kwargs=True))
        for name in self._denoisers:
            denoiser = self._components[name]
            handles.append(denoiser.register_forward_pre_hook(self._denoises, with_kwargs=True))
            handles.append(denoiser.register_forward_hook(self._denoised(name)))
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(_instead(self._pipe.scheduler, "step", self._steps))
                if "vae" in self._components:
                    stack.enter_context(_instead(self._components["vae"], "decode", self._decodes))
                stack.enter_context(self._watcher.watching())
                yield
        finally:
            for handle in handles:
                handle.remove()
        self.prompt.layers = self._watcher.layers
        self._sort_stages()

    def _sort_stages(self) -> None:
        """Put the stages into the order in which they ran: the last step of the denoiser is told last."""
        if self._last is not None:
            self.prompt.stages[trace.LAST_STEP] = (self._last[0], reduction.output(self._last[1]))
            self._last = None
        stages = self.prompt.stages
        for name in (trace.LATENTS, trace.DECODER):
            if name in stages:
                stages[name] = stages.pop(name)

    def _encoded(self, name: str) -> Callable[..., None]:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            if name in self.prompt.stages:
                return  # The negative prompt.
            made = watching.tensor(result)
            if made is not None:
                self.prompt.stages[name] = (name, reduction.output(made[0]))
            ids = kwargs.get("input_ids", args[0] if args else None)
            if isinstance(ids, torch.Tensor):
                tokenizer = name.replace("text_encoder", "tokenizer")
                self.prompt.tokens[tokenizer] = tuple(int(one) for one in ids[0].tolist())

        return hook

    def _denoises(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._machine.go_on()
        given = kwargs.get("hidden_states", kwargs.get("sample", args[0] if args else None))
        self._watcher.guided = isinstance(given, torch.Tensor) and given.shape[0] == 2  # noqa: PLR2004

    def _denoised(self, name: str) -> Callable[..., None]:
        def hook(_: Any, __: Any, result: Any) -> None:
            made = watching.tensor(result)
            doubled, self._watcher.guided = self._watcher.guided, False
            if made is None:
                return
            prompt = self.prompt
            if self._first is not None:  # Guidance by a second call: it is the unconditional one.
                prompt.guidance.append(reduction.length(self._first - made[0]))
                return
            conditional = made[-1]
            self._first = conditional
            prompt.prediction.append(reduction.length(conditional))
            if doubled:
                prompt.guidance.append(reduction.length(conditional - made[0]))
            if trace.FIRST_STEP not in prompt.stages:
                prompt.stages[trace.FIRST_STEP] = (name, reduction.output(conditional))
            self._last = (name, conditional)

        return hook

    def _steps(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(original).bind(*args, **kwargs).arguments
        before = given["sample"]
        result = original(*args, **kwargs)
        after = result[0] if isinstance(result, tuple) else result.prev_sample
        self.prompt.moves(before[0], after[0])
        self.prompt.timesteps.append(float(given["timestep"]))
        self._watcher.step += 1
        self._first = None
        return result

    def _decodes(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        latents = args[0] if args else kwargs["z"]
        result = original(*args, **kwargs)
        made = watching.tensor(result)
        if trace.LATENTS in self.prompt.stages or made is None:
            return result
        self.prompt.stages[trace.LATENTS] = ("vae", reduction.output(latents[0]))
        self.prompt.stages[trace.DECODER] = ("vae", reduction.output(made[0]))
        if latents.ndim == _IMAGE_DIMS:
            scaling, shift = _scale(self._components["vae"])
            self.clean = ((_middle(latents[0]).float() - shift) * scaling).cpu().numpy()
        return result


@contextlib.contextmanager
def _instead(owner: Any, name: str, wrapper: Callable[..., Any]) -> Iterator[None]:
    """Call a wrapper instead of one object's method, with the method as the first argument."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    # Not setattr, which a module and a scheduler each treat in their own way.
    owner.__dict__[name] = wrapped
    try:
        yield
    finally:
        del owner.__dict__[name]


def _scale(vae: Any) -> tuple[float, float]:
    """Return by what latents are divided, and what is added then, before they are decoded."""
    config = vae.config
    return float(getattr(config, "scaling_factor", None) or 1.0), float(
        getattr(config, "shift_factor", None) or 0.0
    )


def _middle(latent: Any) -> Any:
    """Cut the middle out of ``[channels, height, width]``."""
    parts = [slice(None)]
    for size in latent.shape[1:]:
        side = min(int(size), DECODED_SIDE)
        start = (int(size) - side) // 2
        parts.append(slice(start, start + side))
    return latent[tuple(parts)]
