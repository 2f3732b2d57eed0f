"""The worst images beside stable's: rows for a table, thumbnails for a contact sheet, how alike they look."""

import base64
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image

from canary_checks import schema
from canary_checks.fidelity import outcomes
from canary_checks.fidelity.outcomes import Column
from canary_checks.golden import images
from canary_checks.golden import pack as golden_pack

_SIDE: Final = 64
_WINDOW: Final = 7
# The constants of Wang et al. 2004, for values from 0 to 255.
_LUMINANCE, _CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def order(found: outcomes.Outcomes, stable: outcomes.Outcomes | None) -> list[int]:
    """Return rows from the worst on: without an image, then by how much worse their text is than stable's."""
    errors = np.nan_to_num(found.column(Column.ERROR_RATE), nan=0.0)
    before = np.nan_to_num(stable.column(Column.ERROR_RATE), nan=0.0) if stable is not None else 0.0
    score = np.where(found.drawn, errors + np.maximum(errors - before, 0.0), np.inf)
    return [int(row) for row in np.argsort(-score, kind="stable")]


def worst(
    items: tuple[golden_pack.Item, ...], found: outcomes.Outcomes, stable: outcomes.Outcomes | None, most: int
) -> tuple[schema.WorstItem, ...]:
    """Return the worst rows with their numbers; those whose text is right are none."""
    told = []
    for row in order(found, stable)[:most]:
        error = float(found.column(Column.ERROR_RATE)[row])
        values: dict[str, float] = {}
        if error > 0:
            values["characterErrorRate"] = error
            if stable is not None and np.isfinite(stable.column(Column.ERROR_RATE)[row]):
                values["characterErrorRateOfStable"] = float(stable.column(Column.ERROR_RATE)[row])
        elif not found.drawn[row]:
            values["drawn"] = 0.0
        if values:
            told.append(schema.WorstItem(item=items[row].id, stratum=items[row].stratum, values=dict(values)))
    return tuple(told)


def pictures(
    items: tuple[golden_pack.Item, ...], found: outcomes.Outcomes, stable: outcomes.Outcomes | None, most: int
) -> tuple[schema.PicturePair, ...]:
    """Return thumbnails of the worst pairs: the same prompt and seed, stable's beside the candidate's."""
    told = []
    for row in order(found, stable)[:most]:
        ours = found.thumbnails[row]
        theirs = stable.thumbnails[row] if stable is not None else b""
        if ours or theirs:
            told.append(
                schema.PicturePair(
                    item=items[row].id,
                    caption=items[row].text[:200],
                    stable=base64.b64encode(theirs).decode() if theirs else None,
                    candidate=base64.b64encode(ours).decode() if ours else None,
                )
            )
    return tuple(told)


def likeness(found: outcomes.Outcomes, stable: outcomes.Outcomes) -> npt.NDArray[np.float64]:
    """Return the structural similarity of the thumbnails of every prompt that both drew; evidence only."""
    values = [
        _similarity(_grey(ours), _grey(theirs))
        for ours, theirs in zip(found.thumbnails, stable.thumbnails, strict=True)
        if ours and theirs
    ]
    return np.array(values, dtype=np.float64)


def _grey(thumbnail: bytes) -> npt.NDArray[np.float64]:
    image = images.decode(thumbnail).stored.convert("L").resize((_SIDE, _SIDE), PIL.Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float64)


def _similarity(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return SSIM over square windows."""
    mean_one, mean_other = _blurred(one), _blurred(other)
    spread_one = _blurred(one * one) - mean_one**2
    spread_other = _blurred(other * other) - mean_other**2
    together = _blurred(one * other) - mean_one * mean_other
    above = (2 * mean_one * mean_other + _LUMINANCE) * (2 * together + _CONTRAST)
    below = (mean_one**2 + mean_other**2 + _LUMINANCE) * (spread_one + spread_other + _CONTRAST)
    return float((above / below).mean())


def _blurred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of all windows that lie inside."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (_WINDOW, _WINDOW))
    return np.asarray(windows.mean(axis=(2, 3)))
