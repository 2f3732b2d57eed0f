"""What a model is asked about: the payload of a golden item, whatever the protocol makes of it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Text:
    """A text; raw characters matter, so nothing normalises it."""

    content: str


@dataclasses.dataclass(frozen=True)
class Image:
    """An encoded image, as a user would send it."""

    content: bytes
    media_type: str


Input = Text | Image
