"""The preprocessing contract that a model's own files state: the layout of Hugging Face and its relatives.

Files say what is declared, not what the server does: two folders may differ here and fail, and never pass in
place of the served process.
"""

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from canary_checks import failure
from canary_checks.contracts import fields

_LIMIT_BYTES: Final = 256 << 20
_Json = dict[str, Any]
_F: Final = fields.Field
# As Pillow numbers them, and everybody after it.
_FILTERS: Final = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_POOLING: Final = {
    "pooling_mode_cls_token": "Cls",
    "pooling_mode_mean_tokens": "Mean",
    "pooling_mode_max_tokens": "Max",
    "pooling_mode_mean_sqrt_len_tokens": "MeanSqrtLength",
    "pooling_mode_weightedmean_tokens": "WeightedMean",
    "pooling_mode_lasttoken": "LastToken",
}
# "No limit", as transformers writes it.
_NO_LIMIT: Final = 10**9


def read(folder: pathlib.Path) -> fields.Contract:
    """Read the contract from the files of a model.

    Parameters
    ----------
    folder
        Where they are; any of them may be missing.

    Returns
    -------
    What the files state. Where two state one field, the one that is nearer to serving wins:
    ``sentence_bert_config.json`` over ``tokenizer_config.json`` over ``tokenizer.json`` over ``config.json``.

    Raises
    ------
    CheckError
        ``ContractUnreadable``: a file is not what its name says.
    """
    stated: dict[str, fields.Value] = {}
    readers = {
        "config.json": _config,
        "vocab.txt": None,
        "tokenizer.json": _tokenizer,
        "special_tokens_map.json": _special_tokens,
        "tokenizer_config.json": _tokenizer_config,
        "sentence_bert_config.json": _sentence_bert,
        "1_Pooling/config.json": _pooling,
        "config_sentence_transformers.json": _prompts,
        "preprocessor_config.json": _image_processor,
    }
    for name, reader in readers.items():
        content = _content(folder / name)
        if content is None:
            continue
        try:
            found = _vocabulary_text(content) if reader is None else reader(_object(content))
            stated |= dict(found)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise failure.CheckError("ContractUnreadable", f"{folder / name}: {error}") from error
    modules = _content(folder / "modules.json")
    if modules is not None:
        stated |= dict(_modules(modules, folder))
    return fields.contract(stated)


def _content(path: pathlib.Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failure.CheckError("ContractUnreadable", f"{path}: {error.strerror}") from error
    if len(content) > _LIMIT_BYTES:
        raise failure.CheckError("ContractUnreadable", f"{path} is larger than {_LIMIT_BYTES >> 20} MiB")
    return content


def _object(content: bytes) -> _Json:
    decoded = json.loads(content)
    if not isinstance(decoded, dict):
        raise TypeError("it is no JSON object")
    return decoded


Stated = Iterator[tuple[str, fields.Value]]


def _tokenizer(said: _Json) -> Stated:
    model = said.get("model") or {}
    yield _F.TOKENIZER_TYPE, model.get("type")
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        yield from _vocabulary([token for token, _ in sorted(vocabulary.items(), key=lambda pair: pair[1])])
    elif isinstance(vocabulary, list):
        yield from _vocabulary(vocabulary)
    if model.get("merges"):
        # Written as "a b" until tokenizers 0.20 and as ["a", "b"] since.
        pairs = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
        yield _F.MERGES_DIGEST, _digest(pairs)
    if said.get("added_tokens"):
        yield _F.ADDED_TOKENS_DIGEST, _digest([(one["id"], one["content"]) for one in said["added_tokens"]])
    yield from _normalizer(said.get("normalizer"))
    yield _F.PRE_TOKENIZER, _types(said.get("pre_tokenizer"), "pretokenizers")
    yield _F.POST_PROCESSOR, _summary(said.get("post_processor"))
    truncation = said.get("truncation")
    if truncation:
        yield _F.MAX_LENGTH, truncation["max_length"]
        yield _F.TRUNCATION_SIDE, str(truncation.get("direction", "Right")).lower()


def _vocabulary(tokens: list[Any]) -> Stated:
    yield _F.VOCABULARY_SIZE, len(tokens)
    yield _F.VOCABULARY_DIGEST, _digest(tokens)


def _vocabulary_text(content: bytes) -> Stated:
    """Read ``vocab.txt``, whose lines are the tokens in the order of their ids."""
    yield _F.TOKENIZER_TYPE, "WordPiece"
    yield from _vocabulary(content.decode().splitlines())


def _normalizer(said: Any) -> Stated:
    parts = _flat(said, "normalizers")
    bert = next((one for one in parts if one.get("type") == "BertNormalizer"), {})
    kinds = [str(one.get("type")) for one in parts]
    lowercase = bool(bert.get("lowercase")) or "Lowercase" in kinds
    # BERT's normaliser strips accents as it lowercases, unless it says otherwise.
    stated = bert.get("strip_accents")
    strips = bool(bert.get("lowercase") if stated is None else stated) or "StripAccents" in kinds
    yield _F.NORMALIZER, _summary(said)
    yield _F.LOWERCASE, lowercase
    yield _F.STRIP_ACCENTS, strips


def _flat(said: Any, inner: str) -> list[_Json]:
    """Return a component, or the components of a sequence, as a flat list."""
    if not said:
        return []
    if said.get("type") == "Sequence":
        return [part for one in said.get(inner, []) for part in _flat(one, inner)]
    return [said]


def _types(said: Any, inner: str) -> str:
    return "+".join(str(one.get("type")) for one in _flat(said, inner)) or "None"


def _summary(said: Any) -> str:
    """Return a component as its type and a short digest of everything in it."""
    if not said:
        return "None"
    return f"{said.get('type')}:{_digest(said)[7:19]}"


def _special_tokens(said: _Json) -> Stated:
    tokens = {
        name: one["content"] if isinstance(one, dict) else one
        for name, one in said.items()
        if isinstance(one, str | dict)
    }
    yield _F.SPECIAL_TOKENS, tokens


def _tokenizer_config(said: _Json) -> Stated:
    # It is not taken for `lowercase`: a tokenizer.json beside it decides that, and often differs.
    longest = said.get("model_max_length")
    if isinstance(longest, int) and longest < _NO_LIMIT:
        yield _F.MAX_LENGTH, longest
    for name, field in (("truncation_side", _F.TRUNCATION_SIDE), ("padding_side", _F.PADDING_SIDE)):
        if name in said:
            yield field, said[name]
    if "do_lower_case" in said:
        yield "tokenizerConfigLowercase", said["do_lower_case"]


def _config(said: _Json) -> Stated:
    dtype = said.get("dtype") or said.get("torch_dtype")
    if dtype:
        yield _F.DTYPE, dtype
    if isinstance(said.get("max_position_embeddings"), int):
        yield _F.MAX_LENGTH, said["max_position_embeddings"]


def _sentence_bert(said: _Json) -> Stated:
    if said.get("max_seq_length") is not None:
        yield _F.MAX_LENGTH, said["max_seq_length"]
    if said.get("do_lower_case"):
        yield _F.LOWERCASE, True


def _pooling(said: _Json) -> Stated:
    modes = [name for key, name in _POOLING.items() if said.get(key)]
    yield _F.POOLING, "+".join(modes) or "None"


def _prompts(said: _Json) -> Stated:
    prompts, default = said.get("prompts") or {}, said.get("default_prompt_name")
    yield _F.PROMPT_TEMPLATE, prompts.get(default, "") if default else ""
    if prompts:
        yield "prompts", prompts


def _modules(content: bytes, folder: pathlib.Path) -> Stated:
    try:
        kinds = [str(one["type"]).rpartition(".")[2] for one in json.loads(content)]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise failure.CheckError("ContractUnreadable", f"{folder / 'modules.json'}: {error}") from error
    yield "modules", "+".join(kinds)
    yield _F.NORMALIZED, "Unit" if "Normalize" in kinds else "None"


def _image_processor(said: _Json) -> Stated:
    # A processor of several modalities keeps the images' part under a key of its own.
    said = said.get("image_processor") or said
    if said.get("do_resize", True) and "size" in said:
        yield _F.IMAGE_SIZE, _size(said["size"])
        if "resample" in said:
            yield _F.RESIZE_FILTER, _FILTERS.get(said["resample"], said["resample"])
    if "do_center_crop" in said or "crop_size" in said:
        crops = said.get("do_center_crop", True)
        yield _F.CROP, f"center {_size(said.get('crop_size'))}" if crops else "none"
    if "do_rescale" in said or "rescale_factor" in said:
        yield _F.VALUE_SCALE, said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1
    if "image_mean" in said or "do_normalize" in said:
        normalizes = said.get("do_normalize", True)
        yield _F.MEAN, said.get("image_mean") if normalizes else "none"
        yield _F.STD, said.get("image_std") if normalizes else "none"
    if said.get("do_convert_rgb"):
        yield _F.CHANNEL_ORDER, "RGB"


def _size(said: Any) -> fields.Value:
    if isinstance(said, Mapping):
        if "shortest_edge" in said:
            return int(said["shortest_edge"])
        height, width = int(said["height"]), int(said["width"])
        return height if height == width else f"{height}x{width}"
    return int(said) if said is not None else None


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
