"""The generation contract that a model's own files state: a folder of diffusers, or of a text generator.

Nothing of torch is needed: configurations are JSON, and the type of the weights stands in the headers of
their safetensors files. Files say what is declared, not what the server does with it.
"""

import hashlib
import json
import pathlib
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from canary_checks import failure, probe_pipeline
from canary_checks.contracts import fields, folder, generation

INDEX: Final = "model_index.json"
SAMPLING: Final = "generation_config.json"
_CONFIG_BYTES: Final = 4 << 20
_HEADER_BYTES: Final = 16 << 20
_FILES: Final = 512
_LENGTH: Final = struct.Struct("<Q")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TOKENIZER: Final = re.compile(r"tokenizer(_[0-9]+)?")
_VARIANT: Final = re.compile(r"^[a-z_]+\.([A-Za-z0-9_]+?)(-[0-9]{5}-of-[0-9]{5})?\.safetensors$")
_ADAPTERS: Final = ("pytorch_lora_weights*.safetensors", "adapters/*.safetensors", "loras/*.safetensors")
_VOCABULARIES: Final = ("merges.txt", "spiece.model", "tokenizer.model")
"""Of tokenizers that are not kept as one tokenizer.json."""
_Json = dict[str, Any]


def read(where: pathlib.Path) -> fields.Contract:
    """Read the contract from the files of a generator.

    Parameters
    ----------
    where
        A folder with ``model_index.json``, as diffusers saves it, or with ``generation_config.json``.

    Returns
    -------
    What the files state. A type of numbers is that of the weights as they are stored.

    Raises
    ------
    CheckError
        ``ContractUnreadable``: there is no such file, or one is not what its name says.
    """
    index = _object(where / INDEX)
    if index is not None:
        return generation.contract(_pipeline(where, index))
    sampling = _object(where / SAMPLING)
    if sampling is None:
        raise _unreadable(where, f"it holds neither {INDEX} nor {SAMPLING}: it is no folder of a generator")
    return generation.contract(_text_generator(where, sampling))


def tokenizers(where: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the folder of each text encoder's tokenizer, by its name.

    Parameters
    ----------
    where
        Of a generator.

    Raises
    ------
    CheckError
        ``ContractUnreadable``.
    """
    index = _object(where / INDEX)
    if index is None:
        return {"tokenizer": where}
    named = (name for name, _ in _listed(index) if _TOKENIZER.fullmatch(name))
    return {name: where / name for name in named if (where / name).is_dir()}


def longest(where: pathlib.Path) -> int | None:
    """Return at how many ids a tokenizer cuts, special ones included; None where it does not."""
    found = folder.read(where).fields.get(fields.Field.MAX_LENGTH)
    return found if isinstance(found, int) else None


def _pipeline(where: pathlib.Path, index: _Json) -> _Json:
    told: _Json = {"pipeline": str(index.get("_class_name", "unknown"))}
    told |= {
        f"pipeline.{key}": value
        for key, value in index.items()
        if not key.startswith("_") and not isinstance(value, list)
    }
    for name, kind in _listed(index):
        below = where / name
        told[name] = _tokenizer(below, kind) if _TOKENIZER.fullmatch(name) else _component(below, kind)
    told["latent"] = probe_pipeline.latent(told)
    told["adapters"] = {
        file.stem: {"digest": _digest(file)} for pattern in _ADAPTERS for file in _glob(where, pattern)
    }
    return told


def _listed(index: _Json) -> Iterator[tuple[str, str]]:
    """Return the components of a pipeline, each with its class; one that is switched off has none."""
    for name, value in index.items():
        if isinstance(value, list) and len(value) == 2 and isinstance(value[1], str):  # noqa: PLR2004 - library, class
            if not _NAME.fullmatch(name):
                raise failure.CheckError("ContractUnreadable", f"{INDEX} names a component {name[:64]!r}")
            yield name, value[1]


def _component(below: pathlib.Path, kind: str) -> _Json:
    config = next(
        (
            found
            for file in ("config.json", "scheduler_config.json", "preprocessor_config.json")
            if (found := _object(below / file)) is not None
        ),
        {},
    )
    return probe_pipeline.component(kind, config) | _weights(below, config)


def _weights(below: pathlib.Path, config: Mapping[str, Any]) -> _Json:
    """Return the type of the weights as they are stored, of each variant where there are several."""
    found: dict[str, dict[str, int]] = {}
    for file in _glob(below, "*.safetensors"):
        match = _VARIANT.match(file.name)
        counted = found.setdefault(match[1] if match else "", {})
        for kind, numbers in _types(file).items():
            counted[kind] = counted.get(kind, 0) + numbers
    if not found:
        said = config.get("dtype") or config.get("torch_dtype")
        return {"dtype": probe_pipeline.dtype(said)} if said else {}
    # Most of the numbers: a norm that is kept in another type is no other precision.
    kinds = {
        variant: max(counted, key=lambda kind: counted[kind]) for variant, counted in found.items() if counted
    }
    named = {variant: {"dtype": kind} for variant, kind in kinds.items() if variant}
    plain = {"dtype": kinds[""]} if "" in kinds else {}
    return plain | ({"variant": named} if named else {})


def _types(file: pathlib.Path) -> dict[str, int]:
    """Return how many numbers of each type a safetensors file holds, from its header alone."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_LENGTH.size)
            length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
            if not 0 < length <= _HEADER_BYTES:
                raise _unreadable(file, "it is no safetensors file")
            table = json.loads(stream.read(length))
        counted: dict[str, int] = {}
        for tensor, said in table.items():
            if tensor != "__metadata__":
                numbers = 1
                for side in said["shape"]:
                    numbers *= int(side)
                counted[str(said["dtype"])] = counted.get(str(said["dtype"]), 0) + numbers
    except OSError as error:
        raise _unreadable(file, error.strerror or "it cannot be read") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _unreadable(file, "its header is none of a safetensors file") from error
    return counted


def _tokenizer(below: pathlib.Path, kind: str) -> _Json:
    """Return what is told of a tokenizer: its fields by the names of the preprocessing contract."""
    told: _Json = {"class": kind} | dict(folder.read(below).fields)
    if fields.Field.VOCABULARY_DIGEST not in told:
        ids = _object(below / "vocab.json")
        if ids is not None:
            told |= probe_pipeline.vocabulary(
                {token: place for token, place in ids.items() if isinstance(place, int)}
            )
        told["files"] = {name: _digest(below / name) for name in _VOCABULARIES if (below / name).is_file()}
    return told


def _text_generator(where: pathlib.Path, sampling: _Json) -> _Json:
    config = _object(where / "config.json") or {}
    architectures = config.get("architectures")
    kind = architectures[0] if isinstance(architectures, list) and architectures else "unknown"
    said = _object(where / "tokenizer_config.json") or {}
    template = where / "chat_template.jinja"
    chat = _digest(template) if template.is_file() else said.get("chat_template")
    known = {key: value for key, value in sampling.items() if not key.startswith("_")}
    known.pop("transformers_version", None)
    return {
        "pipeline": str(kind),
        "model": probe_pipeline.component(str(kind), config) | _weights(where, config),
        "sampling": known,
        "tokenizer": _tokenizer(where, str(said.get("tokenizer_class", "unknown"))),
        "promptTemplate": chat,
    }


def _glob(where: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    return sorted(where.glob(pattern))[:_FILES]


def _object(path: pathlib.Path) -> _Json | None:
    try:
        with path.open("rb") as stream:
            content = stream.read(_CONFIG_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be read") from error
    if len(content) > _CONFIG_BYTES:
        raise _unreadable(path, f"it is larger than {_CONFIG_BYTES >> 20} MiB")
    try:
        decoded = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, "it is no JSON") from error
    if not isinstance(decoded, dict):
        raise _unreadable(path, "it is no JSON object")
    return decoded


def _digest(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be read") from error


def _unreadable(path: pathlib.Path, why: str) -> failure.CheckError:
    return failure.CheckError("ContractUnreadable", f"{path}: {why}")
