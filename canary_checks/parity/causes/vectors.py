"""What becomes of vectors after the network: their values, lengths, axes, space and order.

A transformation is fitted on every second row and has to bring every row, the other half too, through both
gates: then it is proven, whatever it was made by.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.parity import distance, matching, movement
from canary_checks.parity.causes import cause, extent

Floats = npt.NDArray[np.float64]
Named = cause.Named

_FEWEST_ROWS: Final = 8
_ALIKE: Final = 0.99
_ROUNDS: Final = 40
_DEAD: Final = 1e-3
_FAR: Final = 0.1
_FAR_LIMITS: Final = 10.0
_AFTER_NETWORK: Final = (
    "compare what both servers do after the last layer: pooling, projection, normalisation"
)


def _cloud(moved: movement.Movement) -> tuple[movement.Flags, Floats, Floats] | None:
    """Return which rows have a direction on both sides, and those rows; None if they explain too little."""
    rows = moved.whole
    unexplained = moved.moved & moved.paired & ~rows
    if int(rows.sum()) < _FEWEST_ROWS or unexplained.any() or not (moved.moved & rows).any():
        return None
    return rows, moved.ours[rows].astype(np.float64), moved.theirs[rows].astype(np.float64)


def lengths(moved: movement.Movement) -> tuple[str, Named] | None:
    """Recognise vectors that point where they should and are of another length.

    Returns
    -------
    ``Scale`` (one factor for every row) or ``Normalization`` (one side has the length 1), with its evidence.
    """
    cloud = _cloud(moved)
    if cloud is None:
        return None
    rows, ours, theirs = cloud
    if not (moved.own[rows] <= moved.limit).all():
        return None
    ratio = np.diag(moved.norm_ratio)[rows]
    factor = float(np.median(ratio))
    worst = f"directions agree on every row (worst 1 − cos {moved.own[rows].max():.1g})"
    if moved.cured_by(ours / factor, rows):
        return "Scale", cause.proven(
            worst,
            f"divided by {factor:.6g} every vector passes both gates",
            next_step="look for a temperature, a gain or a mean in place of a sum after the last layer",
        )
    unit = [bool((distance.unit_deviation(side) <= moved.norm_limit).all()) for side in (ours, theirs)]
    if not any(unit):
        return None
    who, other = ("reference", "candidate") if unit[1] else ("candidate", "reference")
    return "Normalization", cause.proven(
        worst,
        f"the {who}'s vectors have the length 1, the {other}'s {_range(theirs if unit[0] else ours)}",
        f"divided by its own length every vector of the {other} passes both gates",
        next_step="compare the last module of both revisions: one of them scales vectors to length 1",
    )


def _range(vectors: Floats) -> str:
    found = distance.norms(vectors)
    return f"{found.min():.3g} to {found.max():.3g}"


def normalization(moved: movement.Movement) -> Named | None:
    """Recognise a lost or a new normalisation."""
    found = lengths(moved)
    return found[1] if found is not None and found[0] == "Normalization" else None


def scale(moved: movement.Movement) -> Named | None:
    """Recognise one factor on every vector."""
    found = lengths(moved)
    return found[1] if found is not None and found[0] == "Scale" else None


def sign(moved: movement.Movement) -> Named | None:
    """Recognise vectors that point the opposite way."""
    cloud = _cloud(moved)
    if cloud is None or not moved.cured_by(-cloud[1], cloud[0]):
        return None
    return cause.proven(
        "multiplied by −1 every vector passes both gates",
        next_step="look for a distance in place of a similarity, or a projection with another sign",
    )


def zeroed_dimensions(moved: movement.Movement) -> Named | None:
    """Recognise dimensions that are zero in every vector: the reference's, zeroed likewise, are the same."""
    cloud = _cloud(moved)
    if cloud is None:
        return None
    _, ours, theirs = cloud
    power = np.square(ours).sum(axis=0), np.square(theirs).sum(axis=0)
    dead = (power[0] <= _DEAD * power[1]) & (power[1] > 0)
    if not dead.any() or dead.all():
        return None
    cut = np.where(dead, 0.0, theirs)
    again = cut / distance.norms(cut)[:, np.newaxis]
    for made, how in ((cut, ""), (again, ", scaled to length 1 again,")):
        near = distance.cosine(ours, made) <= moved.limit
        if (near & (distance.norm_deviation(ours, made) <= moved.norm_limit)).all():
            places = np.flatnonzero(dead)
            which = (
                f"{places[0]} to {places[-1]}"
                if len(places) == np.ptp(places) + 1
                else f"{places[0]} and others"
            )
            return cause.proven(
                f"{len(places)} of {len(dead)} dimensions ({which}) are zero in every vector",
                f"with the same dimensions zeroed{how} the reference's vectors pass both gates",
                next_step="compare the requested and the configured number of dimensions (Matryoshka"
                " truncation)",
            )
    return None


def axis_permutation(moved: movement.Movement) -> Named | None:
    """Recognise dimensions in another order (their signs may be turned too)."""
    cloud = _cloud(moved)
    if cloud is None:
        return None
    rows, ours, theirs = cloud
    found = matching.axes(ours[::2], theirs[::2])
    if found is None:
        return None
    places, signs = found
    made = np.empty_like(ours)
    made[:, places] = ours * signs
    if (places == np.arange(len(places))).all() and (signs > 0).all():
        return None
    if not moved.cured_by(made, rows):
        return None
    turned = int((signs < 0).sum())
    return cause.proven(
        f"with its dimensions {matching.describe(places)} every vector passes both gates",
        "the order was found on every second row; the other half passes with it",
        *((f"{turned} dimensions change their sign too",) if turned else ()),
        next_step="compare how both servers reshape the last hidden state (heads, tensor parallel"
        " shards, layout)",
    )


def rotation(moved: movement.Movement) -> Named | None:
    """Recognise the same vectors in other coordinates: all angles and lengths kept, every direction lost."""
    cloud = _cloud(moved)
    if cloud is None:
        return None
    rows, ours, theirs = cloud
    # With fewer rows than dimensions a rotation can follow much of any small movement: it has to be a far
    # one.
    if np.median(moved.own[rows]) < max(_FAR, _FAR_LIMITS * moved.limit):
        return None
    made, wanted = matching.turned(ours, theirs)
    near = distance.cosine(made, wanted)
    alike = (near <= moved.limit) & (distance.norm_deviation(made, wanted) <= moved.norm_limit)
    if not alike.all() or np.median(near) > movement.CURED * np.median(moved.own[rows]):
        return None
    return cause.proven(
        f"one rotation of the space brings all {int(rows.sum())} vectors through both gates",
        "angles among the vectors are kept, their own are lost (1 − cos median"
        f" {np.median(moved.own[rows]):.2f})",
        next_step="compare the projection or whitening after the network; an index has to be rebuilt to"
        " change it",
    )


def constant_offset(moved: movement.Movement) -> Named | None:
    """Recognise one vector that is added to, or taken from, every row."""
    cloud = _cloud(moved)
    if cloud is None or extent.directions_agree(moved) is not None:
        return None
    rows, ours, theirs = cloud
    for fit, how in ((_added, ""), (_added_and_scaled, ", before the vectors were scaled to length 1")):
        offset, made = fit(ours, theirs)
        if not offset.any() or not moved.cured_by(made, rows):
            continue
        centre = theirs.mean(axis=0)
        cosine = float(offset @ centre / (np.linalg.norm(offset) * np.linalg.norm(centre)))
        which = "negative mean" if cosine < 0 else "mean"
        alike = f"it is the {which} of the vectors (cosine {abs(cosine):.3f}): centring"
        return cause.proven(
            f"without one vector of length {np.linalg.norm(offset):.3g} every row passes both gates{how}",
            "the vector was found on every second row; the other half passes without it",
            *((alike,) if abs(cosine) > _ALIKE else ()),
            next_step="look for a bias, a centring or a whitening step after the network that one side lacks",
        )
    return None


def _added(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    offset = (ours - theirs)[::2].mean(axis=0)
    return offset, ours - offset


def _added_and_scaled(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Find v with ``s_i ours_i = theirs_i + v``, lengths and offset in turns, from every second row."""
    offset = np.zeros(ours.shape[1])
    factor = np.ones(len(ours))
    for _ in range(_ROUNDS):
        wanted = theirs + offset
        factor = np.einsum("nd,nd->n", ours, wanted) / np.einsum("nd,nd->n", ours, ours)
        offset = (ours * factor[:, np.newaxis] - theirs)[::2].mean(axis=0)
    return offset, ours * factor[:, np.newaxis] - offset


def dimension_scale(moved: movement.Movement) -> Named | None:
    """Recognise a factor and an offset of each dimension: whitening, or a scale lost from the last layer."""
    cloud = _cloud(moved)
    if cloud is None:
        return None
    rows, ours, theirs = cloud
    if extent.directions_agree(moved) is not None:
        return None
    x, y = ours[::2], theirs[::2]
    spread = x - x.mean(axis=0)
    power = np.square(spread).sum(axis=0)
    factor = (spread * (y - y.mean(axis=0))).sum(axis=0) / np.where(power > 0, power, 1.0)
    made = (ours - x.mean(axis=0)) * factor + y.mean(axis=0)
    if not moved.cured_by(made, rows):
        return None
    return cause.proven(
        f"with a factor ({factor.min():.3g} to {factor.max():.3g}) and an offset for each dimension every"
        " vector passes both gates",
        "both were found on every second row; the other half passes with them",
        next_step="look for whitening, standardisation or a last layer norm that one side lacks",
    )


def _normalization_contradicted(moved: movement.Movement) -> str | None:
    own = np.abs(np.diag(moved.norm_ratio)[moved.whole] - 1.0)
    if not (own > moved.norm_limit).any():
        return f"lengths agree to {np.max(own, initial=0.0):.1g}"
    if not (moved.own[moved.whole] <= moved.limit).all():
        return "directions moved, not lengths alone"
    return None


TABLE: Final = (
    cause.Cause(
        name="Scale",
        contradiction=cause.unless("no one factor makes the vectors pass", scale),
        signature=scale,
    ),
    cause.Cause(
        name="Normalization",
        contradiction=_normalization_contradicted,
        signature=normalization,
        next="compare the last module of both revisions: one of them scales vectors to length 1",
    ),
    cause.Cause(
        name="Sign",
        contradiction=cause.unless("the opposite vectors do not pass either", sign),
        signature=sign,
    ),
    cause.Cause(
        name="ZeroedDimensions",
        contradiction=cause.unless("zeroed dimensions do not explain it", zeroed_dimensions),
        signature=zeroed_dimensions,
    ),
    cause.Cause(
        name="AxisPermutation",
        contradiction=cause.unless("no order of the dimensions makes the vectors pass", axis_permutation),
        signature=axis_permutation,
        next=_AFTER_NETWORK,
    ),
    cause.Cause(
        name="ConstantOffset",
        contradiction=cause.unless("no one vector added makes them pass", constant_offset),
        signature=constant_offset,
    ),
    cause.Cause(
        name="DimensionScale",
        contradiction=cause.unless("no factors of the dimensions make them pass", dimension_scale),
        signature=dimension_scale,
    ),
    cause.Cause(
        name="Rotation",
        contradiction=cause.unless("no rotation makes the vectors pass", rotation),
        signature=rotation,
        next=_AFTER_NETWORK,
    ),
)
