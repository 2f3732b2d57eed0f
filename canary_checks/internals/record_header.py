"""What a record of internals says of itself, as JSON in the metadata of its file."""

from typing import Annotated, Final, Literal

import pydantic

from canary_checks import vocabulary as v
from canary_checks.internals import asked, trace

SCHEMA: Literal["internals.modelrelease.dev/record/v1"] = "internals.modelrelease.dev/record/v1"
_LAYERS: Final = 4096
_STAGES: Final = 1024
_PROMPTS: Final = 64

Path = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=256)]
Size = Annotated[int, pydantic.Field(ge=1, le=1024)]


class LayerSaid(v.Model):
    """One layer of attention, and how many steps it has."""

    component: Path
    layer: Path
    kind: trace.AttentionKind
    steps: Size
    shared: bool = False
    """Whether its `text_weight` is kept."""


class StageSaid(v.Model):
    """One stage."""

    name: Path
    module: Path


class TokensSaid(v.Model):
    """What one tokenizer made of the prompts."""

    tokenizer: Path
    ids: Annotated[tuple[tuple[int, ...], ...], pydantic.Field(max_length=_PROMPTS)]
    pieces: Annotated[tuple[tuple[str, ...], ...], pydantic.Field(max_length=_PROMPTS)] = ()
    padding: int | None = None


class SettingSaid(v.Model):
    """How the model was run."""

    scheduler: Path | None = None
    steps: Size
    guidance: float | None = None


class Wanted(v.Model):
    """What was asked for, where a pipeline's own defaults were not taken."""

    scheduler: Path | None = None
    steps: Size | None = None
    guidance: Path | None = None


class SweptSaid(v.Model):
    """One setting of a sweep."""

    scheduler: Path | None = None
    steps: Size | None = None
    guidance: Path | None = None
    distance: float | None = None
    non_finite: v.Count = 0


class Header(v.Model):
    """Where a record comes from; it travels as JSON in the metadata of the file."""

    schema_version: Literal["internals.modelrelease.dev/record/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    revision: v.Revision
    recorded_time: pydantic.AwareDatetime
    golden_set: v.Digest | None = None
    library: asked.Library
    setting: SettingSaid
    scheduler_config: Annotated[dict[v.Short, pydantic.JsonValue], pydantic.Field(max_length=64)] = (
        pydantic.Field(default_factory=dict)
    )
    """Of the model's own scheduler, so that a diagnosis can put it in place of another."""
    wanted: Wanted = Wanted()
    prompts: Annotated[tuple[str, ...], pydantic.Field(min_length=1, max_length=_PROMPTS)]
    seeds: Annotated[tuple[int, ...], pydantic.Field(min_length=1, max_length=_PROMPTS)]
    dtype: v.Short
    versions: Annotated[dict[v.Short, v.Short], pydantic.Field(max_length=16)]
    layers: Annotated[tuple[LayerSaid, ...], pydantic.Field(max_length=_LAYERS)] = ()
    stages: Annotated[tuple[StageSaid, ...], pydantic.Field(max_length=_STAGES)] = ()
    axis: trace.Axis | None = None
    tokens: Annotated[tuple[TokensSaid, ...], pydantic.Field(max_length=8)] = ()
    finite: bool = True
    """Of the decoded images."""
    sweep: Annotated[tuple[SweptSaid, ...], pydantic.Field(max_length=asked.MOST_SETTINGS)] = ()
    checks: v.Short | None = None
