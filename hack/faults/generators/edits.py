"""What teams do to the folder of a generator, and to the pipeline that their server has loaded. Needs torch.

An edit of a folder changes files; a patch changes the loaded pipeline, as a server's own code does.
"""

import functools
import json
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import diffusers
import torch
from safetensors import torch as safetensors

from hack.faults.generators import pipelines

Edit = Callable[[pathlib.Path], None]
Patch = Callable[[Any], None]
Weights = dict[str, torch.Tensor]
_ADAPTED: Final = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")
_RANK: Final = 2


def said(part: str, **changed: Any) -> Edit:
    """Change a component's configuration; a value of None takes the key out."""

    def edit(folder: pathlib.Path) -> None:
        path = next(found for found in (folder / part).glob("*config.json") if "tokenizer" not in found.name)
        content = json.loads(path.read_text("utf-8")) | changed
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}), "utf-8")

    return edit


def scheduler(name: str, **changed: Any) -> Edit:
    """Put another scheduler in the place, with the configuration of the one that was there."""

    def edit(folder: pathlib.Path) -> None:
        kind = getattr(diffusers, name)
        before = json.loads((folder / "scheduler/scheduler_config.json").read_text("utf-8"))
        kind.from_config(before | changed).save_pretrained(folder / "scheduler")
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
        index["scheduler"] = ["diffusers", name]
        (folder / "model_index.json").write_text(json.dumps(index), "utf-8")

    return edit


def tokenizer(part: str = "tokenizer", **how: Any) -> Edit:
    """Train the tokenizer anew, otherwise."""

    def edit(folder: pathlib.Path) -> None:
        pipelines.clip_tokenizer(**how).save_pretrained(folder / part)

    return edit


def tokenizer_said(part: str = "tokenizer", **changed: Any) -> Edit:
    """Change ``tokenizer_config.json``."""

    def edit(folder: pathlib.Path) -> None:
        path = folder / part / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changed), "utf-8")

    return edit


def without_normalizer(folder: pathlib.Path) -> None:
    """Take the lower-casing out of ``tokenizer.json``."""
    path = folder / "tokenizer/tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"normalizer": None}), "utf-8")


def fewer_merges(folder: pathlib.Path) -> None:
    """Lose half of the merges of ``tokenizer.json``."""
    path = folder / "tokenizer/tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    merges = content["model"]["merges"]
    content["model"]["merges"] = merges[: len(merges) // 2]
    path.write_text(json.dumps(content), "utf-8")


def weights(part: str, change: Callable[[Weights], None]) -> Edit:
    """Change a component's weights in its file."""

    def edit(folder: pathlib.Path) -> None:
        path = next((folder / part).glob("*.safetensors"))
        loaded = safetensors.load_file(path)
        change(loaded)
        safetensors.save_file(loaded, path, metadata={"format": "pt"})

    return edit


def noise(share: float) -> Callable[[Weights], None]:
    """Add noise to every weight, in units of its standard deviation."""

    def change(loaded: Weights) -> None:
        drawn = torch.Generator().manual_seed(1)
        for name, value in loaded.items():
            if value.ndim > 1:
                loaded[name] = value + share * value.std() * torch.randn(value.shape, generator=drawn)

    return change


def anew(*names: str) -> Callable[[Weights], None]:
    """Draw the weights of some layers anew, with the same spread."""

    def change(loaded: Weights) -> None:
        drawn = torch.Generator().manual_seed(2)
        found = [name for name in loaded if any(one in name for one in names) and loaded[name].ndim > 1]
        assert found, names
        for name in found:
            loaded[name] = loaded[name].std() * torch.randn(loaded[name].shape, generator=drawn)

    return change


def scaled(factor: float, *names: str) -> Callable[[Weights], None]:
    """Multiply the parameters of some layers."""

    def change(loaded: Weights) -> None:
        found = [name for name in loaded if any(one in name for one in names)]
        assert found, names
        for name in found:
            loaded[name] = loaded[name] * factor

    return change


def stored(dtype: torch.dtype) -> Callable[[Weights], None]:
    """Store weights in another type of numbers."""

    def change(loaded: Weights) -> None:
        for name, value in loaded.items():
            loaded[name] = value.to(dtype)

    return change


def in_eight_bits(loaded: Weights) -> None:
    """Round every matrix to 8 bits, with one scale for all of it."""
    for name, value in loaded.items():
        if value.ndim > 1:
            step = value.abs().max() / 127
            loaded[name] = (value / step).round() * step


def channels(*order: int) -> Callable[[Weights], None]:
    """Give the channels of the decoded image in another order."""

    def change(loaded: Weights) -> None:
        for name in ("decoder.conv_out.weight", "decoder.conv_out.bias"):
            loaded[name] = loaded[name][list(order)].contiguous()

    return change


def brighter(by: float) -> Callable[[Weights], None]:
    """Add to every channel of the decoded image."""

    def change(loaded: Weights) -> None:
        loaded["decoder.conv_out.bias"] = loaded["decoder.conv_out.bias"] + by

    return change


def overflowing(loaded: Weights) -> None:
    """Let the decoder's first layer be so large that float16 cannot hold what it gives.

    The group norm after it takes the size out again, so that in float32 the image is what it was: so it is
    with the VAE of Stable Diffusion XL.
    """
    for name in ("decoder.conv_in.weight", "decoder.conv_in.bias"):
        loaded[name] = loaded[name] * 1e5


def adapted(scale: float) -> Callable[[Weights], None]:
    """Fuse an adapter of low rank (LoRA) into the attention of a denoiser."""

    def change(loaded: Weights) -> None:
        for name, delta in adapter(loaded).items():
            loaded[name] = loaded[name] + scale * delta

    return change


def adapter(loaded: Mapping[str, torch.Tensor]) -> Weights:
    """Return what the adapter adds at scale 1 to each weight: always the same."""
    drawn = torch.Generator().manual_seed(3)
    made: Weights = {}
    for name in sorted(loaded):
        if name.endswith(_ADAPTED):
            rows, columns = loaded[name].shape
            down = torch.randn((_RANK, columns), generator=drawn) / math.sqrt(columns)
            up = torch.randn((rows, _RANK), generator=drawn) / math.sqrt(_RANK)
            made[name] = 0.6 * up @ down
    return made


def both(*edits: Edit) -> Edit:
    """Make one edit after the other."""

    def edit(folder: pathlib.Path) -> None:
        for one in edits:
            one(folder)

    return edit


def without_t5(pipe: Any) -> None:
    """Leave the third encoder out, as a server does that lacks memory for it."""
    pipe.register_modules(text_encoder_3=None)


def training(pipe: Any) -> None:
    """Leave dropout on."""
    pipe.unet.train()


def encoding(**given: Any) -> Patch:
    """Let the server encode prompts with other arguments."""

    def patch(pipe: Any) -> None:
        original = pipe.encode_prompt

        @functools.wraps(original)
        def encode(*args: Any, **kwargs: Any) -> Any:
            return original(*args, **(kwargs | given))

        pipe.encode_prompt = encode

    return patch


def prefixed(pipe: Any) -> None:
    """Put words before each prompt, as a template does."""
    original = pipe.encode_prompt

    @functools.wraps(original)
    def encode(prompt: str, *args: Any, **kwargs: Any) -> Any:
        return original(f"a photo of {prompt}", *args, **kwargs)

    pipe.encode_prompt = encode


def deaf(pipe: Any) -> None:
    """Give the denoiser the unconditional states in both halves."""

    def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        states = kwargs["encoder_hidden_states"]
        return args, kwargs | {"encoder_hidden_states": states[:1].expand_as(states)}

    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    denoiser.register_forward_pre_hook(hook, with_kwargs=True)


def later(by: float) -> Patch:
    """Tell the denoiser another timestep than the sampler is at."""

    def patch(pipe: Any) -> None:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return (args[0], args[1] + by, *args[2:]), kwargs

        pipe.unet.register_forward_pre_hook(hook, with_kwargs=True)

    return patch


def temperature(layer: str, factor: float) -> Patch:
    """Multiply the scores of one layer's attention, as a processor with another scale does."""

    def patch(pipe: Any) -> None:
        found = dict((getattr(pipe, "unet", None) or pipe.transformer).named_modules())[layer]
        with torch.no_grad():
            found.to_q.weight.mul_(factor)

    return patch


def eager(pipe: Any) -> None:
    """Compute attention by matrix products instead of one fused kernel."""
    (getattr(pipe, "unet", None) or pipe.transformer).set_attn_processor(
        diffusers.models.attention_processor.AttnProcessor()
    )


def rescaled(by: float) -> Patch:
    """Rescale guidance, as an argument of the call that nobody told of."""

    def patch(pipe: Any) -> None:
        kind = type(pipe)
        made = type(kind.__name__, (kind,), {"guidance_rescale": property(lambda _: by)})
        pipe.__class__ = made

    return patch
