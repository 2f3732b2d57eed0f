"""Colour profiles that are nobody's: matrix profiles of version 2, written from their primaries."""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

_WHITE_D50: Final = (0.9642, 1.0, 0.8249)
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_DATE: Final = (2026, 1, 1, 0, 0, 0)


def matrix_profile(
    name: str,
    primaries: tuple[tuple[float, float], tuple[float, float], tuple[float, float]],
    white: tuple[float, float] = (0.3127, 0.3290),
    gamma: float = 2.2,
) -> bytes:
    """Write an RGB display profile.

    Parameters
    ----------
    name
        Its description, ASCII.
    primaries
        CIE xy of red, green and blue.
    white
        CIE xy of the white point.
    gamma
        Of all three curves.

    Returns
    -------
    The bytes of an ICC profile, version 2.1.
    """
    columns = _adapted(primaries, white)
    tags = {
        b"desc": _description(name),
        b"cprt": b"text\0\0\0\0CC0-1.0\0",
        b"wtpt": _xyz(_WHITE_D50),
        b"rXYZ": _xyz(columns[:, 0]),
        b"gXYZ": _xyz(columns[:, 1]),
        b"bXYZ": _xyz(columns[:, 2]),
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    for tag in (b"rTRC", b"gTRC", b"bTRC"):
        tags[tag] = curve
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        body += b"\0" * (-len(body) % 4)
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s6H4s4sI4s4sQI3I4s44s",
        start + len(body), b"\0" * 4, 0x02100000, b"mntr", b"RGB ", b"XYZ ", *_DATE, b"acsp", b"\0" * 4, 0,
        b"\0" * 4, b"\0" * 4, 0, 0, *(round(x * 65536) for x in _WHITE_D50), b"\0" * 4, b"\0" * 44,
    )  # fmt: skip
    return header + table + body


def _adapted(
    primaries: tuple[tuple[float, float], ...], white: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return XYZ of the primaries in columns, adapted to D50."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    source = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    columns = columns * np.linalg.solve(columns, source)
    cones = (_BRADFORD @ np.array(_WHITE_D50)) / (_BRADFORD @ source)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ columns)


def _xyz(values: npt.NDArray[np.float64] | tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(x) * 65536) for x in values))


def _description(name: str) -> bytes:
    text = name.encode("ascii") + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * (4 + 4 + 2 + 1 + 67)


_RED, _GREEN, _BLUE = (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)
WIDE: Final = matrix_profile("Wide display primaries", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)))
SWAPPED: Final = matrix_profile("Red and blue exchanged", (_BLUE, _GREEN, _RED))
