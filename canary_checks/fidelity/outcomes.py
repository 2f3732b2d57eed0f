"""What came of every prompt of a golden set: a row of numbers, a state and a thumbnail for each.

All of it is a few hundred bytes and a thumbnail for a prompt, whatever the size of its image: that is what
stable's own run leaves as a reference, and what two runs are compared by.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt


class State(enum.IntEnum):
    """What a server made of a prompt."""

    DRAWN = 0
    REFUSED = 1
    BROKEN = 2


class Column(enum.StrEnum):
    """The numbers of a row; NaN where a prompt has none."""

    ERROR_RATE = "characterErrorRate"
    WORDS_RIGHT = "wordsRight"
    CONFIDENCE = "ocrConfidence"
    GLYPH_HEIGHT = "glyphHeight"
    CONTRAST = "contrast"
    MARGIN = "margin"
    OBJECTS = "objects"
    RED = "red"
    GREEN = "green"
    BLUE = "blue"
    SATURATION = "saturation"
    LEVELS = "levels"
    SPREAD = "spread"
    SMOOTHNESS = "smoothness"
    EDIT_DISTANCE = "editDistance"
    MASK_LEAK = "maskLeak"
    WIDTH = "width"
    HEIGHT = "height"
    DUPLICATE = "duplicate"


COLUMNS: Final = tuple(Column)


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """The rows of one operation.

    Attributes
    ----------
    items
        Ids of the prompts, in the order of the rows.
    values
        Shape ``[items, columns]``, float32.
    states
        Shape ``[items]``, uint8: a `State` each.
    thumbnails
        One WebP for each row; empty where there is none.
    """

    items: tuple[str, ...]
    values: npt.NDArray[np.float32]
    states: npt.NDArray[np.uint8]
    thumbnails: tuple[bytes, ...]

    @property
    def drawn(self) -> npt.NDArray[np.bool_]:
        """Which rows have an image."""
        return np.asarray(self.states == State.DRAWN)

    def count(self, state: State) -> int:
        """Return how many rows are in a state."""
        return int((self.states == state).sum())

    def column(self, column: Column) -> npt.NDArray[np.float64]:
        """Return a column, shape ``[items]``; NaN where a prompt has no such number."""
        return self.values[:, COLUMNS.index(column)].astype(np.float64)

    def columns(self, columns: Sequence[Column]) -> npt.NDArray[np.float64]:
        """Return several columns, shape ``[items, len(columns)]``."""
        return np.stack([self.column(one) for one in columns], axis=1)
