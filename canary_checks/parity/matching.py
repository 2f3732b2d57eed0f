"""Finding the order of rows, the order of axes, or the rotation that takes one set of vectors to another."""

from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.parity import movement

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
_MOST_OPEN: Final = 0.1


def order(moved: movement.Movement) -> Places | None:
    """Find whose vector each item got: a one-to-one assignment in which every row passes both gates.

    Parameters
    ----------
    moved
        The distances.

    Returns
    -------
    Shape ``[n]``: of item i the item whose vector it got; None when there is no such assignment, or when
    every row is its own.
    """
    rows = np.flatnonzero(moved.whole)
    if not moved.moved[rows].any():
        return None
    given = moved.eligible()[np.ix_(rows, rows)]
    # Rows that are their own keep their place unless another row needs it.
    taken = np.full(len(rows), -1, dtype=np.intp)
    own = np.flatnonzero(np.diag(given))
    taken[own] = own
    for i in np.flatnonzero(~np.diag(given)):
        if not _augment(int(i), given, taken, set()):
            return None
    whose = np.arange(len(moved.items), dtype=np.intp)
    for j, i in enumerate(taken):
        whose[rows[i]] = rows[j]
    return whose


def _augment(i: int, given: npt.NDArray[np.bool_], taken: Places, seen: set[int]) -> bool:
    """Find a place for row i, moving others along if need be (Kuhn's algorithm)."""
    for j in np.flatnonzero(given[i]).tolist():
        if j in seen:
            continue
        seen.add(j)
        if taken[j] < 0 or _augment(int(taken[j]), given, taken, seen):
            taken[j] = i
            return True
    return False


def axes(ours: Floats, theirs: Floats) -> tuple[Places, Floats] | None:
    """Find which axis of the reference each axis of the candidate is, up to its sign.

    Parameters
    ----------
    ours, theirs
        Shape ``[n, d]`` both.

    Returns
    -------
    Shape ``[d]`` both: the axis, and 1 or −1; None when too many are not each other's
    nearest.
    """
    inner = ours.T @ theirs
    powers = np.square(ours).sum(axis=0)[:, np.newaxis] + np.square(theirs).sum(axis=0)
    apart = powers - 2 * np.abs(inner)
    places = apart.argmin(axis=1)
    mutual = apart.argmin(axis=0)[places] == np.arange(len(places))
    open_ = np.flatnonzero(~mutual)
    if len(open_) > _MOST_OPEN * len(places):
        return None
    # Axes that are nearly zero everywhere are nearly alike: the nearest first, whichever are left.
    free = sorted(set(range(len(places))) - set(places[mutual].tolist()))
    nearest = apart[np.ix_(open_, np.array(free, dtype=np.intp))].min(axis=1) if len(open_) else open_
    for row in open_[np.argsort(nearest)]:
        places[row] = free.pop(int(apart[row, free].argmin()))
    return places, np.where(inner[np.arange(len(places)), places] < 0, -1.0, 1.0)


def describe(places: Places) -> str:
    """Say in a few words what order of axes this is."""
    d = len(places)
    plain = np.arange(d)
    if (places == plain).all():
        return "in their places and some signs turned"
    if (places == plain[::-1]).all():
        return "reversed"
    for shift in (int(places[0]), d - int(places[0])):
        if (np.roll(plain, -shift) == places).all():
            return f"shifted by {min(shift, d - shift)}"
    for rows in range(2, d // 2 + 1):
        if d % rows == 0 and (plain.reshape(rows, d // rows).T.reshape(-1) == places).all():
            return f"read as {d // rows} × {rows} and not as {rows} × {d // rows} (interleaved)"
    return f"in another order ({int((places != plain).sum())} of {d} are not in their place)"


def turned(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Rotate one set of vectors as near as possible to another (orthogonal Procrustes).

    Parameters
    ----------
    ours, theirs
        Shape ``[n, d]`` both.

    Returns
    -------
    Both in coordinates of at most n dimensions, in which the first is rotated: distances and lengths in them
    are those of the whole space. With fewer rows than dimensions they coincide exactly when all angles and
    lengths within both sets do.
    """
    own = [np.linalg.qr(side.T)[0] for side in (ours, theirs)]
    a, b = ours @ own[0], theirs @ own[1]
    left, _, right = np.linalg.svd(a.T @ b)
    return a @ (left @ right), b
