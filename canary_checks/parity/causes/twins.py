"""Twins of images: what the reference takes them for, and as which of them the candidate sees an image."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.golden import pack as golden_pack
from canary_checks.parity import movement
from canary_checks.parity.causes import pictures

Difference = golden_pack.Difference
OF: Final = {
    "Exif": (Difference.EXIF, Difference.UPRIGHT),
    "Alpha": (Difference.ALPHA_DROPPED, Difference.ALPHA_ON_WHITE, Difference.ALPHA_ON_BLACK),
    "ColourProfile": (Difference.COLOUR_PROFILE, Difference.CONVERTED),
    "ChannelOrder": (Difference.CHANNELS,),
    "Greyscale": (Difference.GREY,),
    "Flip": (Difference.FLIP,),
    "AxisLayout": (Difference.TRANSPOSED,),
    "ResizeFilter": (
        Difference.RESIZED_BICUBIC,
        Difference.RESIZED_BILINEAR,
        Difference.RESIZED_LANCZOS,
        Difference.RESIZED_NEAREST,
    ),
    "Antialias": (Difference.RESIZED_UNSMOOTHED,),
    "Crop": (Difference.SQUASHED, Difference.CENTRE_CROPPED, Difference.LETTERBOXED, Difference.SHIFT),
}
METADATA: Final = frozenset({"Exif", "Alpha", "ColourProfile"})
_SYMMETRIC: Final = frozenset({Difference.CHANNELS, Difference.FLIP, Difference.TRANSPOSED})
# How much farther than a limit twins have to be apart, to say which of them a vector belongs to.
APART: Final = 4.0
_FEWEST: Final = 2


def _apart(
    moved: movement.Movement, distances: npt.NDArray[np.float64]
) -> dict[golden_pack.Difference, float]:
    """Return how far items are from their twins to one side, which has these distances among all items."""
    return {
        differs: float(np.median(distances[found]))
        for differs in {differs for _, _, differs in _related(moved)}
        if (found := pairs(moved, differs)) is not None
    }


def _nearest(
    apart: Mapping[golden_pack.Difference, float], among: Sequence[golden_pack.Difference]
) -> golden_pack.Difference | None:
    """Return as which of their twins a side sees items."""
    known = [differs for differs in among if differs in apart]
    best = min(known, key=apart.__getitem__, default=None)
    # A turned JPEG is not decoded to the very same values: near is enough, where the others are far.
    far = max((apart[differs] for differs in known), default=0.0)
    return best if best is not None and apart[best] <= movement.CURED * far else None


@functools.lru_cache(maxsize=4)
def taken_otherwise(moved: movement.Movement) -> frozenset[str]:
    """Name what the candidate makes of metadata otherwise than the reference does.

    Each side's own twins tell it, so it shows whatever else of the candidate differs: its weights, its
    filter, its colours.
    """
    theirs, ours = _apart(moved, moved.reference), _apart(moved, moved.candidate)
    both = {name: (_nearest(theirs, OF[name]), _nearest(ours, OF[name])) for name in METADATA}
    return frozenset(name for name, (one, other) in both.items() if one and other and one is not other)


@functools.lru_cache(maxsize=4)
def taken(moved: movement.Movement) -> pictures.Taken:
    """Say how the reference takes what servers take differently: by the twins that are the same to it."""
    apart = _apart(moved, moved.reference)
    nearest = functools.partial(_nearest, apart)

    def exactly(among: Sequence[golden_pack.Difference]) -> golden_pack.Difference | None:
        return next((differs for differs in among if apart.get(differs, np.inf) <= moved.limit), None)

    grounds = {Difference.ALPHA_ON_WHITE: "white", Difference.ALPHA_ON_BLACK: "black"}
    ground = nearest(OF["Alpha"])
    return pictures.Taken(
        upright=nearest(OF["Exif"]) is Difference.UPRIGHT,
        ground=grounds.get(ground, "") if ground is not None else "",
        converted=nearest(OF["ColourProfile"]) is Difference.CONVERTED,
        filtered=exactly(OF["ResizeFilter"]),
        square=exactly(OF["Crop"][:3]),
    )


@functools.lru_cache(maxsize=4)
def _related(moved: movement.Movement) -> tuple[tuple[int, int, golden_pack.Difference], ...]:
    row_of = {item.id: row for row, item in enumerate(moved.items)}
    return tuple(
        (row_of[one.item], row_of[one.of], one.differs)
        for one in moved.relations
        if one.item in row_of and one.of in row_of
    )


def pairs(
    moved: movement.Movement, differs: golden_pack.Difference
) -> tuple[movement.Rows, movement.Rows] | None:
    """Return the rows of a relation and those of their twins, both ways if it is symmetric."""
    whole = moved.whole
    found = [
        (row, twin) for row, twin, how in _related(moved) if how is differs and whole[row] and whole[twin]
    ]
    if differs in _SYMMETRIC:
        found += [(twin, row) for row, twin in found]
    if not found:
        return None
    rows, twins = zip(*found, strict=True)
    return np.array(rows), np.array(twins)


@dataclasses.dataclass(frozen=True)
class Seen:
    """Items that have the vectors of their twins: how many, of all that the reference tells apart."""

    differs: golden_pack.Difference
    rows: int


def seen_as(moved: movement.Movement, name: str) -> Seen | None:
    """Say as which of its twins the candidate sees every item of a relation, if it does."""
    passes = moved.eligible()
    for differs in OF.get(name, ()):
        both = pairs(moved, differs)
        if both is None:
            continue
        apart = moved.reference[both] > APART * moved.limit
        rows, twins = both[0][apart], both[1][apart]
        if len(rows) < _FEWEST or not moved.moved[rows].all() or not passes[rows, twins].all():
            continue
        if np.median(moved.across[rows, twins]) <= movement.CURED * np.median(moved.own[rows]):
            return Seen(differs, len(rows))
    return None


def having(moved: movement.Movement, name: str) -> movement.Flags:
    """Return the rows that have a twin by which a cause shows."""
    rows = np.zeros(len(moved.items), dtype=np.bool_)
    rows[[row for row, _, differs in _related(moved) if differs in OF[name]]] = True
    return rows
