"""What a request says of a check of internals: which files, run how, and which settings besides.

Nothing here imports more than pydantic: it is part of the request, which the operator's process reads.
"""

import enum
from typing import Annotated, Final, Self

import pydantic

from canary_checks import vocabulary as v

MOST_SETTINGS: Final = 64
"""Of one sweep."""

Folder = Annotated[str, pydantic.StringConstraints(pattern=r"^/[^\x00]{0,1023}$")]
Scheduler = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{1,63}$")]
Steps = Annotated[int, pydantic.Field(ge=1, le=200)]
Scale = Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]


class Library(enum.StrEnum):
    """What runs the model."""

    DIFFUSERS = "Diffusers"
    TRANSFORMERS = "Transformers"


class Sweep(v.Model):
    """Settings that are tried besides: every one of a list with every one of the others."""

    schedulers: Annotated[tuple[Scheduler, ...], pydantic.Field(max_length=8)] | None = None
    steps: Annotated[tuple[Steps, ...], pydantic.Field(max_length=8)] | None = None
    guidance: Annotated[tuple[Scale, ...], pydantic.Field(max_length=8)] | None = None

    @pydantic.model_validator(mode="after")
    def _is_bounded(self) -> Self:
        size = len(self.schedulers or "1") * len(self.steps or "1") * len(self.guidance or "1")
        if size > MOST_SETTINGS:
            raise ValueError(f"a sweep of {size} settings: at most {MOST_SETTINGS}")
        return self


class Internals(v.Model):
    """How the model in a folder is run; the request's numeric class says with which type of numbers."""

    folder: Folder
    library: Library | None = None
    """None: what the folder's files are for."""
    prompts: Annotated[int, pydantic.Field(ge=1, le=64)] = 8
    scheduler: Scheduler | None = None
    steps: Steps | None = None
    guidance: Scale | None = None
    """None of these three: what the pipeline does by itself."""
    seed: Annotated[int, pydantic.Field(ge=0, le=2_147_483_647)] = 0
    """Of the first prompt; each other one has the next."""
    sweep: Sweep | None = None
