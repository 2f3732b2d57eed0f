"""What the preprocessing is stated to be: fields that a served process must tell so."""

from typing import Annotated, Any, Final

import pydantic

from modelrelease.api import base

SIZE: Final = r"^[0-9]{1,5}(x[0-9]{1,5})?$"

Word = Annotated[str, pydantic.Field(min_length=1, max_length=128, pattern=base.PRINTABLE)]
Text = Annotated[str, pydantic.Field(max_length=1024)]
PerChannel = Annotated[list[base.DecimalString], pydantic.Field(min_length=1, max_length=16)]


class Preprocess(base.ApiModel):
    """Fields of the preprocessing contract, as the probe endpoint names them; what is not set is free."""

    tokenizer_type: Word | None = None
    vocabulary_digest: base.Digest | None = None
    vocabulary_size: Annotated[int, pydantic.Field(ge=1, le=100_000_000)] | None = None
    merges_digest: base.Digest | None = None
    added_tokens_digest: base.Digest | None = None
    special_tokens: (
        Annotated[
            dict[str, Annotated[str, pydantic.Field(max_length=64)]],
            pydantic.Field(min_length=1, max_length=16),
        ]
        | None
    ) = None
    normalizer: Word | None = None
    lowercase: bool | None = None
    strip_accents: bool | None = None
    pre_tokenizer: Word | None = None
    post_processor: Word | None = None
    max_length: Annotated[int, pydantic.Field(ge=1, le=10_000_000)] | None = None
    """In tokens, special ones included."""
    truncation_side: Word | None = None
    padding_side: Word | None = None
    prompt_template: Text | None = None
    pooling: Word | None = None
    image_size: Annotated[str, pydantic.Field(max_length=11, pattern=SIZE)] | None = None
    """In pixels: "224", or "224x320" as height and width."""
    resize_filter: Word | None = None
    antialias: bool | None = None
    crop: Word | None = None
    value_scale: base.DecimalString | None = None
    """By which a value from 0 to 255 is multiplied."""
    mean: PerChannel | None = None
    std: PerChannel | None = None
    channel_order: Word | None = None
    axis_order: Word | None = None
    colour_profile: Word | None = None
    dtype: Word | None = None
    other: Annotated[dict[str, Text], pydantic.Field(min_length=1, max_length=32)] | None = None
    """Fields that this API has no name for; a number or a truth value is written as in JSON."""

    def pins(self) -> dict[str, Any]:
        """Return what is pinned, by the name under which a process tells it."""
        named: dict[str, Any] = self.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"other"}
        )
        return dict(self.other or {}) | named


Environment = Annotated[
    dict[str, Annotated[str, pydantic.Field(max_length=128)]], pydantic.Field(min_length=1, max_length=32)
]
"""Versions of packages and facts of the accelerator, by dotted name, such as packages.torch."""
