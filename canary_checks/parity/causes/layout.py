"""How texts are batched and how one vector is made of many tokens; and what is not the same twice."""

from typing import Final

import numpy as np

from canary_checks import vocabulary as v
from canary_checks.parity import distance, matching, movement
from canary_checks.parity.causes import cause, extent

# Pooling, measured on a real MiniLM: mean pooling served as CLS against 75 other changes of the same model.
# Damage to the weights makes a token count for more, not less; an added vector leaves its weight as it was; a
# lost layer norm makes it count for more; another space leaves nothing in common once centred.
POOLING_MEDIAN: Final = 0.3
POOLING_OFFSET: Final = 0.5
POOLING_CENTRED: Final = 0.6
POOLING_TOKEN_WEIGHT: Final = 0.8
_NOTHING_IN_COMMON: Final = 0.3
# Mean of a vector's values in units of their root mean square: 0 for any mean of layer-normed tokens, and
# about
# the expected maximum of a few normal values where the largest of each dimension is taken.
_MAXIMUM_MEAN: Final = 0.35
_OTHER_MEAN: Final = 0.12
_GROWTH: Final = 1.05
_SHORT_PIECES: Final = 6
_LONG_PIECES: Final = 20
_NOISE_SHARE: Final = 0.1
_RESTORED: Final = 0.1
_POOLING_NEXT: Final = "compare 1_Pooling/config.json, or the server's pooling option, of both revisions"
_PADDING_NEXT: Final = "send a text alone and beside a longer one: the attention mask must hide the padding"
_DROPOUT_NEXT: Final = "look for dropout left on, or sampling: the model must be in evaluation mode"


def nondeterminism(moved: movement.Movement) -> cause.Named | None:
    """Recognise a server that answers the same request otherwise, by no less than a part of what moved."""
    if moved.repeat is None or not moved.repeat > moved.repeat_limit or matching.order(moved) is not None:
        return None
    far = float(np.median(moved.own[moved.moved & moved.whole])) if (moved.moved & moved.whole).any() else 0.0
    if not np.isfinite(moved.repeat) or moved.repeat < _NOISE_SHARE * far:
        return None
    return cause.likely(
        f"the same request again gives other vectors (1 − cos up to {moved.repeat:.2g}, limit"
        f" {moved.repeat_limit:.1g})",
        f"the rows moved by {far:.2g} (median)",
        next_step=_DROPOUT_NEXT,
        sole=True,
    )


def _nondeterminism_contradicted(moved: movement.Movement) -> str | None:
    return f"asked again, moved rows come back within {moved.repeat:.1g}" if moved.steady else None


def padding(moved: movement.Movement) -> cause.Named | None:
    """Recognise padding that is not hidden: in a request of its own each row is what it should be."""
    trial = moved.trials.get("alone")
    if trial is None or not moved.steady or moved.alone is None or moved.alone <= moved.limit:
        return None
    batch = f"in a batch and alone, the same text gets other vectors (1 − cos up to {moved.alone:.2g})"
    if trial.proves and matching.order(moved) is None:
        return cause.proven(
            batch,
            f"each in a request of its own, all {trial.asked} moved rows pass both gates",
            next_step=_PADDING_NEXT,
        )
    if trial.after <= _RESTORED * trial.before:
        return cause.likely(
            batch,
            f"alone, the rows come nearer (median 1 − cos {trial.before:.2g} to {trial.after:.2g})",
            next_step=_PADDING_NEXT,
            sole=True,
        )
    return None


def _padding_contradicted(moved: movement.Movement) -> str | None:
    if moved.alone is None or not moved.alone <= moved.limit:
        return None
    return f"alone and in a batch, moved rows are the same within {moved.alone:.1g}"


def input_limit(moved: movement.Movement) -> cause.Named | None:
    """Recognise a server that refuses what the other one embeds, or the reverse, where nothing else moved."""
    one_sided = moved.moved & ~moved.paired
    if not one_sided.any() or (moved.moved & moved.paired).any():
        return None
    refused = int((one_sided & np.isnan(moved.ours).all(axis=1)).sum())
    return cause.likely(
        f"the candidate refuses {refused} items that the reference embedded, and embeds"
        f" {int(one_sided.sum()) - refused} that it refused",
        "every item that both embedded passes both gates",
        next_step="compare the longest input that both servers accept, and whether they cut or refuse it",
        sole=True,
    )


def _input_limit_contradicted(moved: movement.Movement) -> str | None:
    one_sided = int((moved.moved & ~moved.paired).sum())
    return None if one_sided else "both sides accept and refuse the same items"


def pooling(moved: movement.Movement) -> cause.Named | None:
    """Recognise another way of making one vector of tokens.

    One token's vector where it was their mean: every row moved far; more than half of the movement is one
    vector; without it the rows still agree; and a single token counts clearly less than it did, as it does
    where it is not averaged in. Damaged or other weights do not show all four. The largest value of each
    dimension where it was their mean, or the reverse: see `_largest`. The last token is not told from
    damaged weights.
    """
    found = _largest(moved) or _diluted(moved)
    if found is not None:
        return found
    shape = moved.shape
    if shape is None or not (
        shape.median >= POOLING_MEDIAN
        and shape.offset_share >= POOLING_OFFSET
        and shape.centred_cosine >= POOLING_CENTRED
        and shape.token_weight <= POOLING_TOKEN_WEIGHT
    ):
        return None
    return cause.likely(
        f"every row moved (1 − cos median {shape.median:.2f})",
        f"{shape.offset_share:.0%} of the movement is one vector, the same for every text",
        f"without it the rows still agree (cosine {shape.centred_cosine:.2f}): the same model speaks",
        f"a single token counts {shape.token_weight:.2f} times as much as in the reference",
        next_step=_POOLING_NEXT,
    )


def _largest(moved: movement.Movement) -> cause.Named | None:
    """Recognise the largest value of each dimension: values are not centred on 0, ever less with more tokens.

    The expected maximum of normal values grows with their number; a constant that is added does not.
    """
    rows, length = moved.whole, extent.pieces(moved)
    short, long = rows & (length <= _SHORT_PIECES), rows & (length >= _LONG_PIECES)
    if extent.everywhere(moved) or not short.any() or not long.any():
        return None
    for side, other, who in (
        (moved.ours, moved.theirs, "candidate"),
        (moved.theirs, moved.ours, "reference"),
    ):
        means, others = _value_means(side), _value_means(other)
        few, many = float(np.median(means[short])), float(np.median(means[long]))
        if few < _MAXIMUM_MEAN or many < _GROWTH * few or abs(float(np.median(others[rows]))) > _OTHER_MEAN:
            continue
        return cause.likely(
            f"the {who}'s values are not centred on 0: their mean is {np.median(means[rows]):.2f} of"
            " their root mean"
            f" square, the other side's {np.median(others[rows]):.2f}",
            f"the more tokens, the farther: {few:.2f} for short texts, {many:.2f} for long ones, as the"
            " largest of"
            " more values is larger",
            next_step=_POOLING_NEXT,
            sole=True,
        )
    return None


def _diluted(moved: movement.Movement) -> cause.Named | None:
    """Recognise an average over a few tokens more or less, such as special tokens that no longer count."""
    slope, shape = extent.decay(moved), moved.shape
    if extent.everywhere(moved) or slope is None or slope > extent.PURE_DILUTION or shape is None:
        return None
    if shape.centred_cosine < POOLING_CENTRED or not extent.contextual(moved):
        return None
    return cause.likely(
        f"the movement falls with the square of the length of a text (slope {slope:.2f})",
        "so the average counts a few tokens more or less, and the states of the others are what they were",
        f"apart from one vector the rows agree (cosine {shape.centred_cosine:.2f})",
        next_step="compare what the pooling counts: special tokens, the prompt (include_prompt), padding",
    )


def _value_means(vectors: movement.Vectors) -> movement.Scalars:
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = distance.norms(vectors) / np.sqrt(vectors.shape[1])
        return np.asarray(vectors.astype(np.float64).mean(axis=1) / scale)


def _pooling_contradicted(moved: movement.Movement) -> str | None:
    untouched = extent.everywhere(moved)
    if untouched is not None or moved.shape is None:
        return untouched
    if moved.shape.centred_cosine < _NOTHING_IN_COMMON:
        return f"the rows have nothing in common (cosine {moved.shape.centred_cosine:.2f} after centring)"
    return None


_TEXT: Final = frozenset({v.Modality.TEXT})

TABLE: Final = (
    cause.Cause(
        name="Nondeterminism",
        contradiction=_nondeterminism_contradicted,
        signature=nondeterminism,
        next=_DROPOUT_NEXT,
    ),
    cause.Cause(
        name="PaddingMask", contradiction=_padding_contradicted, signature=padding, next=_PADDING_NEXT
    ),
    cause.Cause(
        name="InputLimit",
        contradiction=_input_limit_contradicted,
        signature=input_limit,
        next="compare the longest input that both servers accept",
    ),
    cause.Cause(
        name="Pooling",
        contradiction=_pooling_contradicted,
        signature=pooling,
        compatible=frozenset(
            {"Vocabulary", "PromptPrefix", "SpecialTokens", "Weights", "TokenTypes", "Precision"}
        ),
        next=_POOLING_NEXT,
    ),
    cause.Cause(
        name="TokenTypes",
        contradiction=extent.everywhere,
        next="compare the token_type_ids that both servers give to the network",
        modalities=_TEXT,
    ),
)
