"""Blame: which cause explains what moved, which causes the evidence rules out, and which are left.

Each cause is one line of a table, by family: what contradicts it and, where it can be named, its signature.
`Proven` means that a counterfactual was applied to vectors or texts and every gate passed. `Likely` means
that the signature fits and nothing else does. Where the evidence fits two causes the answer is `Unknown`.
"""

from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.parity import distance, movement
from canary_checks.parity.causes import (
    arithmetic,
    cause,
    extent,
    layout,
    naming,
    pixels,
    rows,
    texts,
    tokens,
    vectors,
)

UNKNOWN: Final = naming.UNKNOWN
Cause = cause.Cause[movement.Movement]
DIMENSIONS: Final = "Dimensions"
"""The one cause that is found before rows can be compared."""
TABLE: Final = (
    *rows.TABLE,
    *vectors.TABLE,
    *texts.TABLE,
    *tokens.TABLE,
    *pixels.TABLE,
    *layout.TABLE,
    *arithmetic.TABLE,
)


def causes(modality: v.Modality) -> tuple[Cause, ...]:
    """Return the causes that can befall one modality."""
    return tuple(one for one in TABLE if modality in one.modalities)


def diagnose(moved: movement.Movement) -> schema.DiagnosisReport:
    """Name the cause of a movement, or say what is excluded and what is left.

    Parameters
    ----------
    moved
        The distances of a comparison in which at least one row is beyond a limit, and what the candidate
        answered when it was asked otherwise.

    Returns
    -------
    A named cause with its confidence, or `Unknown`; never more than the evidence carries.
    """
    table = causes(extent.modality(moved))
    fitting = [(one, named) for one in table if one.signature and (named := one.signature(moved)) is not None]
    fitting.sort(key=lambda pair: (not pair[1].fact, pair[1].confidence is not v.Confidence.PROVEN))
    chosen = next(((one, named) for one, named in fitting if named.sole), None)
    contradicted = {one.name: one.contradiction(moved) for one in table}
    if chosen is None:
        chosen = _without_rivals(fitting, contradicted)
    return naming.report(table, contradicted, chosen, seen=_what_moved(moved))


def other_dimensions(
    ours: movement.Vectors, theirs: movement.Vectors, *, limit: float, norm_limit: float
) -> schema.DiagnosisReport:
    """Say what vectors of another length are: the first dimensions of the reference's, or another model's.

    Parameters
    ----------
    ours, theirs
        Shapes ``[n, d]`` and ``[n, e]``, float32: rows that both sides have.
    limit, norm_limit
        On ``1 - cos`` and on the norm-ratio deviation.

    Returns
    -------
    `Proven` when the longer vectors, cut to the length of the shorter, pass both gates.
    """
    width = min(ours.shape[1], theirs.shape[1])
    who = "reference" if theirs.shape[1] > width else "candidate"
    short, long = ours[:, :width], theirs[:, :width]
    for made, how in ((long, ""), (distance.directions(long), " and scaled to length 1")):
        near = distance.cosine(short, made) <= limit
        if near.size and (near & (distance.norm_deviation(short, made) <= norm_limit)).all():
            return schema.DiagnosisReport(
                cause=DIMENSIONS,
                confidence=v.Confidence.PROVEN,
                evidence=naming.remarks(
                    f"the {who}'s vectors, cut to their first {width} dimensions{how}, are the other's",
                ),
                next=naming.remarks("compare the requested and the configured number of dimensions"),
            )
    return schema.DiagnosisReport(
        cause=UNKNOWN,
        confidence=v.Confidence.UNKNOWN,
        evidence=naming.remarks(
            f"{ours.shape[1]} dimensions against {theirs.shape[1]}, and none are the same"
        ),
        left=(DIMENSIONS, "Weights"),
        next=naming.remarks("another model has another space: declare it, and compare retrieval within it"),
    )


def _without_rivals(
    fitting: list[tuple[Cause, cause.Named]], contradicted: dict[str, str | None]
) -> tuple[Cause, cause.Named] | None:
    """Return the only cause whose signature fits, if every rival is contradicted or known to look alike."""
    if len(fitting) != 1:
        return None
    one, named = fitting[0]
    left = {name for name, because in contradicted.items() if because is None}
    return (one, named) if one.name in left and left - {one.name} <= one.compatible else None


def _what_moved(moved: movement.Movement) -> list[str]:
    strata = list(dict.fromkeys(item.stratum for item in moved.items))
    counts = [(s, int(moved.moved[moved.rows(s)].sum()), len(moved.rows(s))) for s in strata]
    lines = ["moved: " + (", ".join(f"{s} {n}/{of}" for s, n, of in counts if n) or "none")]
    if any(not n for _, n, _ in counts):
        lines.append("untouched: " + ", ".join(s for s, n, _ in counts if not n))
    if moved.shape is not None:
        lines.append(
            f"1 − cos median {moved.shape.median:.2g}; {moved.shape.offset_share:.0%} of the movement is one"
            f" vector; without it the rows agree to a cosine of {moved.shape.centred_cosine:.2f}"
        )
    nearest = min(moved.trials.items(), key=lambda pair: pair[1].after, default=None)
    if nearest is not None and nearest[1].after < nearest[1].before:
        lines.append(
            f"nearest trial: {nearest[0]} (median 1 − cos {nearest[1].before:.2g} to {nearest[1].after:.2g})"
        )
    return lines
