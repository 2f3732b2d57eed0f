"""Paired distances between embeddings, exact enough to see faults eight decades below 1.

`1 - dot(a, b)` of unit vectors in single precision bottoms out near 2e-7. Here everything is float64, and the
cosine distance comes from the difference of the directions: ``1 - cos = |a/|a| - b/|b||^2 / 2``.
"""

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Scalars = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def directions(vectors: Vectors) -> npt.NDArray[np.float64]:
    """Scale rows to length 1.

    Parameters
    ----------
    vectors
        Shape ``[n, d]``.

    Returns
    -------
    Shape ``[n, d]``, float64; a row of length zero or with a value that is not finite becomes NaN.
    """
    exact = np.asarray(vectors, dtype=np.float64)
    lengths = norms(exact)[:, np.newaxis]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(lengths > 0, exact / lengths, np.nan))


def norms(vectors: Vectors) -> Scalars:
    """Return the Euclidean length of each row of ``[n, d]``, float64, NaN where a value is not finite."""
    exact = np.asarray(vectors, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", exact, exact))
    return np.where(np.isfinite(lengths), lengths, np.nan)


def cosine(a: Vectors, b: Vectors) -> Scalars:
    """Measure ``1 - cos`` of each pair of rows.

    Parameters
    ----------
    a, b
        Shape ``[n, d]`` both.

    Returns
    -------
    Shape ``[n]``, float64, from 0 (same direction) to 2 (opposite); NaN where a row has no direction.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"cannot pair {a.shape} with {b.shape}")
    return _half_squares(directions(a) - directions(b))


def every_pair(a: Vectors, b: Vectors) -> Scalars:
    """Measure ``1 - cos`` of every row of one side against every row of another.

    Parameters
    ----------
    a, b
        Shapes ``[n, d]`` and ``[m, d]``.

    Returns
    -------
    Shape ``[n, m]``, float64; NaN where a row has no direction. As exact as `cosine`, in memory of ``m d``.
    """
    ours, theirs = directions(a), directions(b)
    return (
        np.stack([_half_squares(row - theirs) for row in ours]) if len(ours) else np.empty((0, len(theirs)))
    )


def norm_deviation(a: Vectors, b: Vectors) -> Scalars:
    """Measure ``| |a| / |b| - 1 |`` of each pair of rows.

    Parameters
    ----------
    a, b
        Shape ``[n, d]`` both; `b` is the reference.

    Returns
    -------
    Shape ``[n]``, float64, 0 where the lengths are equal; NaN where a length is not finite or the reference's
    is 0.
    """
    reference = norms(b)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(reference > 0, np.abs(norms(a) / reference - 1.0), np.nan)


def unit_deviation(vectors: Vectors) -> Scalars:
    """Return ``| |a| - 1 |`` of each row of ``[n, d]``, float64."""
    return np.abs(norms(vectors) - 1.0)


def finite_rows(vectors: Vectors) -> Flags:
    """Return which rows of ``[n, d]`` hold finite values only and are not zero."""
    return np.asarray(np.isfinite(vectors).all(axis=1) & (norms(vectors) > 0))


def _half_squares(differences: npt.NDArray[np.float64]) -> Scalars:
    return 0.5 * np.asarray(np.einsum("nd,nd->n", differences, differences))
