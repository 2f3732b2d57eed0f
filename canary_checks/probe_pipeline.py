"""What a pipeline of diffusers draws with, read from the live object: the ``generation`` part of a probe.

It needs the standard library alone and imports neither diffusers nor torch, so the file may be copied beside
``probe_router.py``::

    probe_router(info={"generation": lambda: probe_pipeline.describe(pipeline, steps=30)}, stages={...})

Pass the *same object* that serving uses, in a lambda: what is told is then what it is at that time.
"""

import hashlib
import inspect
import json
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Final

_ENCODER_KEYS: Final = frozenset(
    {
        "attention_dropout", "bos_token_id", "d_ff", "d_kv", "d_model", "eos_token_id", "feed_forward_proj",
        "hidden_act", "hidden_size", "intermediate_size", "layer_norm_eps", "layer_norm_epsilon",
        "max_position_embeddings", "num_attention_heads", "num_heads", "num_hidden_layers", "num_layers",
        "pad_token_id", "projection_dim", "relative_attention_max_distance",
        "relative_attention_num_buckets", "vocab_size",
    }
)  # fmt: skip
"""Of a model of transformers: its other keys are defaults that come and go with the library's version."""
_TRANSFORMERS: Final = frozenset({"architectures", "model_type"})
"""Keys that only such a model's configuration has."""
_NO_LIMIT: Final = 10**9
_DENOISERS: Final = ("transformer", "unet", "prior")
_TOKENIZER: Final = re.compile(r"tokenizer(_[0-9]+)?")
_STEPS: Final = "num_inference_steps"
_GUIDANCE: Final = "guidance_scale"


def describe(
    pipeline: Any,
    *,
    steps: int | None = None,
    guidance_scale: float | None = None,
    prompt_template: str | None = None,
    negative_prompt: str | None = None,
    adapters: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Say what a pipeline generates with.

    Parameters
    ----------
    pipeline
        Of diffusers, or anything with its attributes: components, and their configs.
    steps, guidance_scale
        What serving passes; by default what the pipeline's call has as default.
    prompt_template, negative_prompt
        What serving adds to a prompt; None where nothing is told.
    adapters
        Path of the file of each adapter by its name: its digest is told.

    Returns
    -------
    JSON by component; what cannot be read is left out.
    """
    told: dict[str, Any] = {"pipeline": type(pipeline).__name__}
    components = _components(pipeline)
    for name, part in components.items():
        told[name] = _tokenizer(part) if _TOKENIZER.fullmatch(name) else _model(part)
    defaults = _defaults(pipeline)
    told["steps"] = defaults.get(_STEPS) if steps is None else steps
    told["guidanceScale"] = defaults.get(_GUIDANCE) if guidance_scale is None else guidance_scale
    told |= {"promptTemplate": prompt_template, "negativePrompt": negative_prompt, "latent": latent(told)}
    used = _adapters(components, adapters or {})
    return {name: value for name, value in (told | used).items() if value not in (None, {})}


def component(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of one component.

    Parameters
    ----------
    kind
        Its class.
    config
        Its configuration, of which private keys and those of every model are left out.
    """
    wanted = _ENCODER_KEYS if _TRANSFORMERS & config.keys() else config.keys()
    known = {
        key: value
        for key, value in config.items()
        if key in wanted and not key.startswith("_") and key not in {"dtype", "torch_dtype"}
    }
    return {"class": kind} | known


def latent(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the channels and the default size of the latents, and how many pixels one of them is wide.

    Parameters
    ----------
    told
        The components, by name.
    """
    vae = told.get("vae") or {}
    denoiser: Mapping[str, Any] = next((told[name] for name in _DENOISERS if name in told), {})
    blocks = vae.get("block_out_channels")
    found = {
        "channels": vae.get("latent_channels"),
        "size": denoiser.get("sample_size"),
        "pixels": 2 ** (len(blocks) - 1) if isinstance(blocks, list | tuple) and blocks else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def vocabulary(ids: Mapping[str, int]) -> dict[str, Any]:
    """Return the size and the digest of a vocabulary: the tokens in the order of their ids."""
    tokens = [token for token, _ in sorted(ids.items(), key=lambda pair: pair[1])]
    text = json.dumps(tokens, ensure_ascii=True, separators=(",", ":"))
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return {"vocabularySize": len(tokens), "vocabularyDigest": digest}


def dtype(said: Any) -> str:
    """Return the name of a type of numbers without its library."""
    return str(said).removeprefix("torch.")


def _components(pipeline: Any) -> dict[str, Any]:
    parts = getattr(pipeline, "components", None)
    found = dict(parts) if isinstance(parts, Mapping) else dict(vars(pipeline))
    return {
        name: part
        for name, part in found.items()
        if part is not None and (hasattr(part, "config") or _TOKENIZER.fullmatch(name))
    }


def _model(part: Any) -> dict[str, Any]:
    config = part.config
    said = config if isinstance(config, Mapping) else config.to_dict()
    told = component(type(part).__name__, {key: _plain(value) for key, value in said.items()})
    kind = getattr(part, "dtype", None)
    return told | ({"dtype": dtype(kind)} if kind is not None else {})


def _tokenizer(part: Any) -> dict[str, Any]:
    longest = getattr(part, "model_max_length", None)
    told = {
        "class": type(part).__name__,
        "maxLength": longest if isinstance(longest, int) and longest < _NO_LIMIT else None,
        "paddingSide": getattr(part, "padding_side", None),
        "truncationSide": getattr(part, "truncation_side", None),
        "specialTokens": {
            key: str(value)
            for key, value in (getattr(part, "special_tokens_map", None) or {}).items()
            if isinstance(value, str)
        },
    }
    if hasattr(part, "get_vocab"):
        told |= vocabulary(part.get_vocab())
    return {name: value for name, value in told.items() if value not in (None, {})}


def _defaults(pipeline: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(type(pipeline).__call__).parameters
    except (TypeError, ValueError):
        return {}
    known = {name: parameters[name].default for name in (_STEPS, _GUIDANCE) if name in parameters}
    return {name: value for name, value in known.items() if isinstance(value, int | float)}


def _adapters(components: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return the adapters, with the digest of their file and the scale that is in force."""
    told: dict[str, Any] = {name: {"digest": _digest(path)} for name, path in files.items()}
    scaled = {owner: _scales(part) for owner, part in components.items()}
    for owner, scales in scaled.items():
        for name, scale in scales.items():
            # One that was added to the weights themselves has no layer that could be off.
            entry = told.setdefault(name, {})
            entry.setdefault("active", False)
            if scale is not None:
                entry["active"] = True
                entry.setdefault("scale", {})[owner] = scale
    return {"adapters": told} if told else {}


def _scales(part: Any) -> dict[str, float | None]:
    """Return the scale of each adapter of a component as the layers of PEFT have it; None when off."""
    found: dict[str, float | None] = {}
    for layer in part.modules() if callable(getattr(part, "modules", None)) else ():
        scales, active = getattr(layer, "scaling", None), getattr(layer, "active_adapters", None)
        if isinstance(scales, Mapping) and isinstance(active, list | tuple):
            on = () if getattr(layer, "disable_adapters", False) else active
            found |= {name: float(scale) if name in on else None for name, scale in scales.items()}
    return found


def _digest(path: str) -> str:
    with pathlib.Path(path).open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """Return a value of a configuration as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | bool | int | float) or value is None else dtype(value)
