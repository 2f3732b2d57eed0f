"""Rows that are no vectors, are not their own, or are all one."""

from typing import Final

import numpy as np

from canary_checks.parity import matching, movement
from canary_checks.parity.causes import cause

_FEWEST_ROWS: Final = 8


def non_finite(moved: movement.Movement) -> cause.Named | None:
    """Recognise rows with values that are no numbers where the reference has numbers."""
    bad = moved.paired & ~np.isfinite(moved.ours).all(axis=1)
    if not bad.any():
        return None
    others = int((moved.moved & ~bad).sum())
    return cause.observed(
        f"{int(bad.sum())} of {int(moved.paired.sum())} vectors hold NaN or infinity",
        f"{others} other rows moved",
        next_step="look for overflow in half precision, and verify the digest of the weights",
    )


def zero_rows(moved: movement.Movement) -> cause.Named | None:
    """Recognise rows of length zero."""
    with np.errstate(invalid="ignore"):
        zero = moved.paired & (moved.ours == 0).all(axis=1)
    if not zero.any():
        return None
    others = int((moved.moved & ~zero).sum())
    return cause.observed(
        f"{int(zero.sum())} of {int(moved.paired.sum())} vectors are zero in every dimension",
        f"{others} other rows moved",
        next_step="look for a fallback, a cache or an error handler that answers with zeros",
    )


def collapsed(moved: movement.Movement) -> cause.Named | None:
    """Recognise a server that gives every text the same vector."""
    rows = moved.whole
    if int(rows.sum()) < _FEWEST_ROWS:
        return None
    inside, theirs = (m[np.ix_(rows, rows)] for m in (moved.candidate, moved.reference))
    if inside.max() > moved.limit or np.median(theirs) <= moved.limit:
        return None
    return cause.observed(
        f"{int(rows.sum())} different items have one and the same vector (worst 1 − cos {inside.max():.1g})",
        f"the reference tells them apart (median {np.median(theirs):.2g})",
        next_step="look for an input that never reaches the network, and for corrupt weights",
    )


def duplicates(moved: movement.Movement) -> cause.Named | None:
    """Recognise rows that hold the vector of another item, though no order of the rows explains them."""
    rows = np.flatnonzero(moved.moved & moved.whole)
    if len(rows) < 2 or matching.order(moved) is not None:  # noqa: PLR2004 - a copy needs an original
        return None
    given = moved.eligible()
    np.fill_diagonal(given, val=False)
    apart = moved.reference > moved.limit
    copies = given & apart
    if not copies[rows].any(axis=1).all():
        return None
    whose = len(set(copies[rows].argmax(axis=1).tolist()))
    if whose * 2 > len(rows):
        return None
    return cause.likely(
        f"{len(rows)} moved rows hold the vectors of {whose} other items",
        next_step="look for a cache keyed too coarsely, or a batch whose first row is repeated",
    )


def row_order(moved: movement.Movement) -> cause.Named | None:
    """Recognise vectors that were given to the wrong items: another order makes every row pass."""
    order = matching.order(moved)
    if order is None:
        return None
    rows = np.flatnonzero(order != np.arange(len(order)))
    same_words = [
        set(moved.items[i].text.lower().split()) & set(moved.items[order[i]].text.lower().split())
        for i in rows
    ]
    if all(same_words) and moved.items[rows[0]].text and not _right_alone(moved):
        return None
    alone = ("asked alone, every moved row is right",) if _right_alone(moved) else ()
    return cause.proven(
        f"in another order every row passes both gates; {len(rows)} rows are not their own",
        f"item {moved.items[rows[0]].id} got the vector of {moved.items[order[rows[0]]].id}",
        *alone,
        next_step="look at how the server sorts, batches and reassembles texts; send one text at a time"
        " until then",
    )


def _right_alone(moved: movement.Movement) -> bool:
    trial = moved.trials.get("alone")
    return trial is not None and trial.proves


def _finite(moved: movement.Movement) -> str | None:
    return None if non_finite(moved) is not None else "every vector is finite"


def _row_order_contradicted(moved: movement.Movement) -> str | None:
    return None if matching.order(moved) is not None else "no order of the rows makes them pass"


TABLE: Final = (
    cause.Cause(name="NonFinite", contradiction=_finite, signature=non_finite),
    cause.Cause(
        name="ZeroRows", contradiction=cause.unless("no vector is zero", zero_rows), signature=zero_rows
    ),
    cause.Cause(
        name="Collapsed",
        contradiction=cause.unless("different items have different vectors", collapsed),
        signature=collapsed,
    ),
    cause.Cause(
        name="RowOrder",
        contradiction=_row_order_contradicted,
        signature=row_order,
        next="send one text at a time and in a batch, and compare the order of the vectors",
    ),
    cause.Cause(
        name="DuplicateRows",
        contradiction=cause.unless("the moved rows are not copies of others", duplicates),
        signature=duplicates,
    ),
)
