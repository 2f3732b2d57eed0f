"""Counting objects of a plain colour on a plain ground: connected parts that differ from it.

No detector of photographed things: the prompts that use it ask for discs and squares, and say so.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image

_SIDE: Final = 128
_DIFFERENT: Final = 40
"""Levels of a channel from which a pixel is not the ground."""
_LEAST_SHARE: Final = 0.002
_BORDER: Final = 0.02


def count(image: PIL.Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> int:
    """Count the objects.

    Parameters
    ----------
    image
        In RGB.
    boxes
        Left, top, width and height of what is none, in pixels.

    Returns
    -------
    How many connected parts of at least 0.2 % of the image there are.
    """
    small = np.asarray(image.resize((_SIDE, _SIDE), PIL.Image.Resampling.BOX)).astype(np.int16)
    edge = max(1, round(_BORDER * _SIDE))
    frame = np.concatenate([part.reshape(-1, 3) for part in (small[:edge], small[-edge:], small[:, :edge])])
    marked = np.abs(small - np.median(frame, axis=0)).max(axis=2) > _DIFFERENT
    across, down = _SIDE / image.width, _SIDE / image.height
    for left, top, width, height in boxes:
        rows = slice(max(0, int(top * down) - 1), int((top + height) * down) + 2)
        marked[rows, max(0, int(left * across) - 1) : int((left + width) * across) + 2] = False
    return sum(area >= _LEAST_SHARE * _SIDE * _SIDE for area in _areas(marked))


def _areas(marked: npt.NDArray[np.bool_]) -> list[int]:
    """Return the sizes of the connected parts, by filling one after the other."""
    left = set(map(tuple, np.argwhere(marked).tolist()))
    areas = []
    while left:
        edge = [left.pop()]
        area = 0
        while edge:
            row, column = edge.pop()
            area += 1
            for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if near in left:
                    left.remove(near)
                    edge.append(near)
        areas.append(area)
    return areas
