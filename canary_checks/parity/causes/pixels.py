"""What becomes of an image before the network: seen on twins, proven by sending pictures that undo it.

Many twins are what a wrong server sees: where the candidate gives each of some items the vector that the
reference gives to its twin, that is what the candidate sees. Where it is asked about pictures in which the
fault is undone and every gate passes, that is what it does. Else the strata tell: no filter and no crop
touches an image of the size that the network reads, and no crop a square.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack
from canary_checks.parity import distance, experiments, movement
from canary_checks.parity.causes import cause, extent, pictures, twins

_NEXT: Final = {
    "Exif": "compare whether both servers turn images as their EXIF tag says (exif_transpose)",
    "Alpha": "compare what both servers lay transparent images on before convert('RGB')",
    "ColourProfile": "compare whether both servers convert ICC profiles to sRGB",
    "ChannelOrder": "look for OpenCV (BGR) on one side and RGB on the other, in code and exported weights",
    "Greyscale": "look for a conversion to grey, or a decoder flag that drops colours",
    "Flip": "look for an augmentation that was left on, or an image origin at the bottom",
    "AxisLayout": "compare the layout of the tensor (NCHW, NHWC): transpose, do not reshape",
    "ResizeFilter": "compare resample in preprocessor_config.json, or the library that resizes",
    "Antialias": "compare antialias in both resizes: OpenCV and tensor libraries need to be told to smooth",
    "Crop": "compare size, crop_size and do_center_crop in preprocessor_config.json",
    "MeanStd": "compare image_mean, image_std and do_normalize in preprocessor_config.json",
    "ValueScale": "compare rescale_factor and do_rescale in preprocessor_config.json: 0..1 or 0..255, once",
    "Gamma": "look for a conversion to linear light, or a video range, on one side",
}
_LOCAL: Final = twins.METADATA
_COLOUR: Final = frozenset({"ChannelOrder", "Greyscale"})
_FILTER: Final = frozenset({"ResizeFilter", "Antialias"})
_GEOMETRY: Final = _FILTER | {"Crop"}
_SQUARES: Final = ("square", "resize")
_OBLONGS: Final = ("wide", "tall")
_FEWEST: Final = 2
_NEAR: Final = 0.35
_RIVAL: Final = 1.5
_NOT_NEARER: Final = 0.6
_HARDLY: Final = 0.03
_NOTHING: Final = 1e-3
_ALIKE: Final = 0.3
_SAMPLE: Final = 6
_MOST_SEEN: Final = 120
_LEVELS: Final = tuple(pictures.levels())
_DARKER: Final = _LEVELS[0].name
_IMAGE: Final = frozenset({v.Modality.IMAGE})


@functools.lru_cache(maxsize=4)
def _edits(moved: movement.Movement) -> tuple[pictures.Edit, ...]:
    return tuple(pictures.edits(twins.taken(moved)))


def _all_edits(moved: movement.Movement) -> tuple[pictures.Edit | pictures.Levels, ...]:
    return (*_edits(moved), *_LEVELS)


def changes(moved: movement.Movement, originals: Sequence[inputs.Input]) -> Iterator[experiments.Change]:
    """Return what would undo each cause; only what leaves plain images alone where some did not move."""
    album = pictures.Album(originals, twins.taken(moved))
    still = extent.untouched_plain(moved) is not None
    for edit in _edits(moved):
        if edit.cause in _LOCAL or edit.cause == "Geometry" or not still:
            rows = album.touched(edit, len(moved.items))
            yield experiments.Change(edit.name, rows, functools.partial(album.made, edit))


async def values(
    moved: movement.Movement, originals: Sequence[inputs.Input], tries: experiments.Experimenter
) -> dict[str, movement.Trial]:
    """Ask a few images each with other values, where plain images moved; none is exact, so none proves.

    Each way of undoing is tried on the images of which it makes the least too dark or too bright.

    Returns
    -------
    The trials. Of images at half their values, `before` is how far the candidate's images are from each
    other, and `after` how far those at half their values are from the same image.
    """
    plain = np.flatnonzero(_untagged(moved) & moved.whole & moved.moved)
    if extent.untouched_plain(moved) is not None or len(plain) < _FEWEST:
        return {}
    album = pictures.Album(originals, twins.taken(moved))
    known = [int(row) for row in plain if int(row) in album.pictures][:_MOST_SEEN]
    trials: dict[str, movement.Trial] = {}
    for one in _LEVELS:
        rows = sorted(known, key=lambda row: one.lost(album.small(row)))[:_SAMPLE]
        answered = await tries.answers([pictures.stored(one.apply(album.seen(row))) for row in rows])
        if answered is None or answered.shape != moved.ours[rows].shape:
            return trials
        own = moved.ours if not one.cause else moved.theirs
        before = moved.own[rows] if one.cause else moved.candidate[np.ix_(plain, plain)]
        trials[one.name] = movement.Trial(
            asked=len(rows),
            complete=False,
            passed=False,
            share=0.0,
            before=float(np.median(before)),
            after=float(np.median(distance.cosine(answered, own[rows]))),
        )
    return trials


def _untagged(moved: movement.Movement) -> movement.Flags:
    """Return the rows of which nothing but their pixels says how they look."""
    return ~(
        twins.having(moved, "Exif") | twins.having(moved, "Alpha") | twins.having(moved, "ColourProfile")
    )


def _moved_in(moved: movement.Movement, *strata: str) -> tuple[int, int]:
    rows = np.zeros(len(moved.items), dtype=np.bool_)
    rows[moved.rows(*strata)] = True
    return extent.count(moved, rows)


def _trials(moved: movement.Movement, name: str) -> list[tuple[str, movement.Trial]]:
    return [
        (edit.name, moved.trials[edit.name])
        for edit in _edits(moved)
        if edit.cause == name and edit.name in moved.trials
    ]


def _proving(moved: movement.Movement, name: str) -> cause.Named | None:
    for sent, trial in _trials(moved, name):
        if trial.proves:
            return cause.proven(
                f"sent images {sent}, the candidate passes both gates on every row",
                f"{trial.asked} rows rest on it; no row moved that this leaves as it is",
                next_step=_NEXT[name],
            )
    return None


def _by_twins(moved: movement.Movement, name: str) -> cause.Named | None:
    found = twins.seen_as(moved, name)
    if found is None or _at_odds(moved, name) is not None:
        return None
    n = int((moved.moved & moved.paired).sum())
    return cause.proven(
        f"{found.rows} images have the vectors that the reference gives to their twins ({found.differs})",
        f"{n} rows moved, and none that this leaves as it is" if n > found.rows else "no other row moved",
        next_step=_NEXT[name],
    )


@functools.lru_cache(maxsize=4)
def _nearest(moved: movement.Movement) -> tuple[str, str, movement.Trial] | None:
    """Return the cause, the name and the trial that brings the rows nearest, where no other cause's does."""
    tried = [
        (edit.cause, edit.name, moved.trials[edit.name])
        for edit in _all_edits(moved)
        if edit.name in moved.trials and edit.cause and edit.cause not in _LOCAL
    ]
    tried.sort(key=lambda one: _left(one[2]))
    if not tried or _left(tried[0][2]) > _NEAR:
        return None
    others = [_left(trial) for name, _, trial in tried if name != tried[0][0]]
    return tried[0] if not others or min(others) >= _RIVAL * _left(tried[0][2]) else None


def _left(trial: movement.Trial) -> float:
    """Say what part of the movement a trial leaves."""
    return trial.after / trial.before if trial.before > 0 else np.inf


def _nearly(moved: movement.Movement, name: str) -> cause.Named | None:
    found = _nearest(moved)
    if found is None or found[0] != name or _at_odds(moved, name) is not None:
        return None
    return cause.likely(
        f"sent images {found[1]}, the rows come nearer"
        f" (median 1 − cos {found[2].before:.2g} to {found[2].after:.2g})",
        "no other change of the images brings them as near",
        next_step=_NEXT[name],
        sole=True,
    )


def _found(name: str) -> Callable[[movement.Movement], cause.Named | None]:
    return lambda moved: _by_twins(moved, name) or _proving(moved, name) or _nearly(moved, name)


def _geometry(moved: movement.Movement) -> tuple[str, cause.Named] | None:
    """Tell filter, smoothing and crop apart, where images of the size that the network reads did not move."""
    if extent.untouched_plain(moved) is None or int((moved.moved & moved.paired).sum()) == 0:
        return None
    squares, oblongs = _moved_in(moved, *_SQUARES), _moved_in(moved, *_OBLONGS)
    native = _moved_in(moved, "native")
    if not squares[0] and not oblongs[0]:
        return None
    smooth = _unsmoothed(moved)
    name = "Crop" if not squares[0] else "Antialias" if smooth else "ResizeFilter"
    exact = _by_twins(moved, name)
    if exact is not None:
        return name, exact
    proof = next((sent for sent, trial in _trials(moved, "Geometry") if trial.proves), None)
    if proof is None and (native[0] or not native[1]):
        return None
    said = [
        f"{native[0]} of {native[1]} images of the size that the network reads moved,"
        f" {squares[0]} of {squares[1]} other squares, {oblongs[0]} of {oblongs[1]} oblongs"
    ]
    if proof is not None:
        said.insert(0, f"sent images {proof}, the candidate passes both gates on every row")
    if name == "Antialias":
        said.append(smooth)
    named = cause.proven if proof is not None else functools.partial(cause.likely, sole=True)
    return name, named(*said, next_step=_NEXT[name])


def _unsmoothed(moved: movement.Movement) -> str:
    """Say why images are not smoothed before they are made smaller; empty when nothing says so."""
    pairs = twins.pairs(moved, golden_pack.Difference.RESIZED_UNSMOOTHED)
    if pairs is not None and np.median(moved.across[pairs]) <= movement.CURED * np.median(
        moved.own[pairs[0]]
    ):
        return f"{len(pairs[0])} images come near their twins that were made smaller without smoothing"
    larger, smaller = _moved_in(moved, "tiny"), _moved_in(moved, "resize")
    if larger[1] >= _FEWEST and not larger[0] and smaller[0]:
        return (
            f"0 of {larger[1]} images moved that are made larger,"
            f" {smaller[0]} of {smaller[1]} that are made smaller"
        )
    return ""


def _framed(name: str) -> Callable[[movement.Movement], cause.Named | None]:
    def signature(moved: movement.Movement) -> cause.Named | None:
        found = _geometry(moved)
        if found is not None:
            return found[1] if found[0] == name else None
        return _found(name)(moved)

    return signature


def _value_scale(moved: movement.Movement) -> cause.Named | None:
    """Recognise values that are far too large, or so small that every image is nearly black."""
    exact = _found("ValueScale")(moved)
    if exact is not None or extent.everywhere(moved) is not None:
        return exact
    if (found := _uncentred(moved)) is not None and found.after <= _NOTHING * found.before:
        return cause.likely(
            "at half their values, images are the same to the candidate (median 1 − cos"
            f" {found.after:.2g}, among images {found.before:.2g})",
            "so what is subtracted is nothing beside them: values are hundreds of times too large",
            next_step=_NEXT["ValueScale"],
            sole=True,
        )
    inside, theirs = _inside(moved)
    if not moved.limit < inside <= _HARDLY * theirs:
        return None
    return cause.likely(
        f"the candidate hardly tells images apart (median 1 − cos {inside:.2g}, the reference {theirs:.2g})",
        "they are not the same to it, so they do reach the network",
        next_step=_NEXT["ValueScale"],
        sole=True,
    )


def _mean_std(moved: movement.Movement) -> cause.Named | None:
    """Recognise values from which no mean is taken: darker images are hardly others then, all are alike."""
    exact, found = _found("MeanStd")(moved), _uncentred(moved)
    if exact is not None or found is None or found.after <= _NOTHING * found.before:
        return exact
    inside, theirs = _inside(moved)
    return cause.likely(
        "at half their values, images are nearly the same to the candidate (median 1 − cos"
        f" {found.after:.2g}, among images {found.before:.2g})",
        f"images are more alike to it (median 1 − cos {inside:.2g}, the reference {theirs:.2g}):"
        " all share their mean",
        next_step=_NEXT["MeanStd"],
        sole=True,
    )


def _uncentred(moved: movement.Movement) -> movement.Trial | None:
    """Return the trial at half the values if it hardly mattered and the reference tells more images apart."""
    trial, (inside, theirs) = moved.trials.get(_DARKER), _inside(moved)
    if trial is None or _nearest(moved) is not None or extent.everywhere(moved) is not None:
        return None
    return trial if trial.after <= _HARDLY * trial.before and inside <= _ALIKE * theirs else None


def _inside(moved: movement.Movement) -> tuple[float, float]:
    """Return how far plain images are from each other, to the candidate and to the reference."""
    rows = np.flatnonzero(extent.plain(moved) & moved.whole)
    if len(rows) < _FEWEST:
        return np.inf, 0.0
    of = np.ix_(rows, rows)
    return float(np.median(moved.candidate[of])), float(np.median(moved.reference[of]))


def _at_odds(moved: movement.Movement, name: str) -> str | None:
    """Say which rows moved, or did not, that a cause leaves as they are, or touches."""
    if name in _LOCAL:
        rows = twins.having(moved, name)
        (n, of), (others, of_others) = extent.count(moved, rows), extent.count(moved, ~rows)
        if not n:
            return f"0 of {of} images that have it moved"
        return f"{others} of {of_others} images without it moved too" if others else None
    if name in _COLOUR:
        n, of = _moved_in(moved, "saturated")
        if of and not n:
            return f"0 of {of} images with strong colours moved"
        return extent.untouched_plain(moved)
    if name in _FILTER:
        n, of = _moved_in(moved, "native")
        if n and twins.taken(moved).filtered is not None:
            return f"{n} of {of} images moved that are never resized"
        n, of = _moved_in(moved, *_SQUARES, "detail")
        return f"0 of {of} squares that are resized moved" if of and not n else None
    if name == "Crop":
        n, of = _moved_in(moved, *_OBLONGS)
        return f"0 of {of} oblong images moved" if of and not n else None
    return extent.untouched_plain(moved)


def _contradiction(name: str) -> Callable[[movement.Movement], str | None]:
    def contradiction(moved: movement.Movement) -> str | None:
        if name in twins.taken_otherwise(moved):
            # Beside something else, perhaps: then more moved than this explains.
            return None
        against = extent.directions_agree(moved) or _at_odds(moved, name)
        if against is not None:
            return against
        if name in _GEOMETRY:
            found = _geometry(moved)
            return f"the pattern is that of {found[0]}" if found is not None and found[0] != name else None
        if name == "Greyscale":
            return _tells_colours(moved)
        tried = [trial for _, trial in _trials(moved, name)]
        if (
            name in {"ChannelOrder", "Flip"}
            and tried
            and not any(t.after <= _NOT_NEARER * t.before for t in tried)
        ):
            after = min(trial.after for trial in tried)
            return f"undone in the images, the rows stay as far (median 1 − cos {after:.2g})"
        return None

    return contradiction


def _tells_colours(moved: movement.Movement) -> str | None:
    pairs = twins.pairs(moved, golden_pack.Difference.GREY)
    if pairs is None:
        return None
    both = np.minimum(moved.candidate[pairs], moved.reference[pairs]) > twins.APART * moved.limit
    return f"both sides tell {len(both)} images from their grey twins" if both.all() else None


def _alone(name: str) -> Callable[[movement.Movement], cause.Named | None]:
    """Name a cause where the candidate takes no metadata otherwise: else it is two faults at once."""
    own = _OWN.get(name, _found(name))

    def signature(moved: movement.Movement) -> cause.Named | None:
        return own(moved) if twins.taken_otherwise(moved) <= {name} else None

    return signature


_OWN: Final = {"ValueScale": _value_scale, "MeanStd": _mean_std} | {name: _framed(name) for name in _GEOMETRY}

TABLE: Final = tuple(
    cause.Cause(
        name=name,
        contradiction=_contradiction(name),
        signature=_alone(name),
        next=step,
        modalities=_IMAGE,
    )
    for name, step in _NEXT.items()
)
