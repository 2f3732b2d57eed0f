"""The preprocessing contract: named fields, one spelling for each value, and a digest.

Every source is brought to the same names, so that two models are compared field by field whether their
preprocessing was read from files or told by the served process.
"""

import dataclasses
import enum
import functools
import hashlib
import json
import types
from collections.abc import Mapping
from typing import Final

import pydantic

Value = pydantic.JsonValue


class Field(enum.StrEnum):
    """The fields that have a canonical name; a source may state others, which keep theirs."""

    TOKENIZER_TYPE = "tokenizerType"
    VOCABULARY_DIGEST = "vocabularyDigest"
    VOCABULARY_SIZE = "vocabularySize"
    MERGES_DIGEST = "mergesDigest"
    ADDED_TOKENS_DIGEST = "addedTokensDigest"
    SPECIAL_TOKENS = "specialTokens"
    NORMALIZER = "normalizer"
    LOWERCASE = "lowercase"
    STRIP_ACCENTS = "stripAccents"
    PRE_TOKENIZER = "preTokenizer"
    POST_PROCESSOR = "postProcessor"
    MAX_LENGTH = "maxLength"
    TRUNCATION_SIDE = "truncationSide"
    PADDING_SIDE = "paddingSide"
    PROMPT_TEMPLATE = "promptTemplate"
    POOLING = "pooling"
    NORMALIZED = "normalized"
    IMAGE_SIZE = "imageSize"
    RESIZE_FILTER = "resizeFilter"
    ANTIALIAS = "antialias"
    CROP = "crop"
    VALUE_SCALE = "valueScale"
    MEAN = "mean"
    STD = "std"
    CHANNEL_ORDER = "channelOrder"
    AXIS_ORDER = "axisOrder"
    COLOUR_PROFILE = "colourProfile"
    DTYPE = "dtype"


_OTHER_NAMES: Final = {
    "tokenizer": Field.TOKENIZER_TYPE,
    "interpolation": Field.RESIZE_FILTER,
    "resample": Field.RESIZE_FILTER,
    "resize": Field.IMAGE_SIZE,
    "size": Field.IMAGE_SIZE,
    "cropSize": Field.CROP,
    "rescale": Field.VALUE_SCALE,
    "rescaleFactor": Field.VALUE_SCALE,
    "imageMean": Field.MEAN,
    "imageStd": Field.STD,
    "maxInputTokens": Field.MAX_LENGTH,
    "prompt": Field.PROMPT_TEMPLATE,
    "colorProfile": Field.COLOUR_PROFILE,
}
_DIGITS: Final = 9


@dataclasses.dataclass(frozen=True)
class Contract:
    """What is known of a model's preprocessing.

    Attributes
    ----------
    fields
        By canonical name; an absent field is not known, which is not the same as switched off.
    """

    fields: Mapping[str, Value]

    def canonical(self) -> bytes:
        """Return the canonical JSON: sorted names, no spaces, ASCII."""
        text = json.dumps(
            dict(self.fields), sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False
        )
        return text.encode()

    @functools.cached_property
    def digest(self) -> str:
        """``sha256:`` of the canonical JSON."""
        return "sha256:" + hashlib.sha256(self.canonical()).hexdigest()


def contract(stated: Mapping[str, Value]) -> Contract:
    """Bring what a source states to canonical names and values.

    Parameters
    ----------
    stated
        By any of the usual names; null is not stated. Where two names mean one field, the canonical one wins.
    """
    named = {str(_OTHER_NAMES[name]): value for name, value in stated.items() if name in _OTHER_NAMES}
    named |= {name: value for name, value in stated.items() if name not in _OTHER_NAMES}
    known = {name: spelled(name, value) for name, value in named.items() if value is not None}
    return Contract(types.MappingProxyType(known))


def spelled(name: str, value: Value) -> Value:
    """Give a value its one spelling."""
    if isinstance(value, float):
        # 1 / 255 and 0.00392156862745098 are one scale, 1.0 and 1 one number.
        rounded = float(f"{value:.{_DIGITS}g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
    if isinstance(value, list):
        return [spelled(name, one) for one in value]
    if isinstance(value, dict):
        return {key: spelled(name, value[key]) for key in sorted(value)}
    if isinstance(value, str) and name in {Field.RESIZE_FILTER, Field.CROP}:
        return value.lower()
    return value
