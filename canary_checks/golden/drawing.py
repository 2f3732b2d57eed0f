"""Prompts of a golden set: how a generator is asked to draw one, and what its image should show."""

import enum
from typing import Annotated, Self

import pydantic

from canary_checks import vocabulary as v

Side = Annotated[int, pydantic.Field(ge=64, le=4096)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Letters(enum.StrEnum):
    """How large the prompt asks the letters to be."""

    SMALL = "Small"
    MEDIUM = "Medium"
    LARGE = "Large"


class Box(v.Model):
    """A part of an image, in shares of its width and height."""

    left: Share
    top: Share
    right: Share
    bottom: Share

    @pydantic.model_validator(mode="after")
    def _is_a_part(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("a box has a width and a height")
        return self


class Generation(v.Model):
    """How a prompt is drawn; what is absent is the server's own choice, and what is there is always sent."""

    seed: Annotated[int, pydantic.Field(ge=0, le=4_294_967_295)]
    width: Side | None = None
    height: Side | None = None
    steps: Annotated[int, pydantic.Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, pydantic.Field(ge=0, le=100)] | None = None
    mask: Box | None = None
    """Of a prompt for an edit: the part of the picture that may change."""

    @pydantic.model_validator(mode="after")
    def _has_both_sides(self) -> Self:
        if (self.width is None) is not (self.height is None):
            raise ValueError("width and height go together")
        if self.mask is not None and self.width is None:
            raise ValueError("an edit needs the width and the height of its picture")
        return self


class Drawn(v.Model):
    """What the image of a prompt should show; it says one thing at least."""

    text: Annotated[str, pydantic.StringConstraints(min_length=1, max_length=500)] | None = None
    """The text to be read in it."""
    letters: Letters | None = None
    """How large the prompt asks them to be: a stratum."""
    objects: Annotated[int, pydantic.Field(ge=0, le=64)] | None = None
    """How many objects of a plain colour lie apart from each other on a plain ground, besides the text."""

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.text is None and self.objects is None:
            raise ValueError("it says nothing of the image")
        if self.letters is not None and self.text is None:
            raise ValueError("there are no letters without a text")
        return self
