"""A candidate's rows against a reference's: which are compared, how they are judged, which failed."""

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import request, schema
from canary_checks import vocabulary as v
from canary_checks.parity import distance, gates, neighbours, numeric, reference

AGAINST: Final[dict[v.Role, gates.Against]] = {
    v.Role.STABLE: "Stable",
    v.Role.ANCHOR: "Anchor",
    v.Role.RECORDED: "Recorded",
}


NEIGHBOURS: Final = 10
"""Of how many nearest neighbours the overlap is measured."""


@dataclasses.dataclass(frozen=True)
class Opponent:
    """A reference and what role it plays."""

    party: schema.Party
    role: gates.Against
    numeric_class: v.NumericClass
    recorded: reference.Recording


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The candidate's rows against one reference.

    Attributes
    ----------
    ours
        Shape ``[n, d]``: the candidate's rows, float32.
    cosine, norm
        Shape ``[n]``: ``1 - cos`` and norm-ratio deviation; NaN where a row has none.
    paired
        Shape ``[n]``: rows that both sides embedded.
    failed
        Shape ``[n]``: rows beyond a limit, or embedded by one side only.
    overlap
        Shape ``[m]`` of the paired rows that have a direction: which share of its nearest neighbours a row
        has on both sides. Evidence and no gate: a rotation leaves it at 1.
    """

    opponent: Opponent
    gates: tuple[schema.Gate, ...]
    ours: npt.NDArray[np.float32]
    cosine: npt.NDArray[np.float64]
    norm: npt.NDArray[np.float64]
    paired: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    overlap: npt.NDArray[np.float64]
    cosine_limit: float
    norm_limit: float

    @property
    def comparable(self) -> bool:
        """Whether both sides have vectors of one length, so that rows have distances."""
        return not any(gate.metric == gates.DIMENSIONS for gate in self.gates)


@dataclasses.dataclass(frozen=True)
class Known:
    """A reference as it was read, before it is known which of its rows a probe needs."""

    role: v.Role
    revision: v.Revision
    numeric_class: v.NumericClass
    reference: reference.Reference


def load(asked: request.CheckRequest) -> list[Known]:
    """Read the references of a request.

    Parameters
    ----------
    asked
        The request; each reference is a file that is mounted beside the check.

    Returns
    -------
    The references in the order of the request.

    Raises
    ------
    CheckError
        ``ReferenceMissing``, ``ReferenceUnreadable`` or ``ReferenceMismatch``.
    """
    return [
        Known(
            role=source.role,
            revision=source.revision,
            numeric_class=source.numeric_class,
            reference=reference.load(source.path, source.digest),
        )
        for source in asked.references
    ]


def compare(
    vectors: npt.NDArray[np.float32],
    refused: npt.NDArray[np.bool_],
    opponent: Opponent,
    pair_class: v.NumericClass,
    limits: gates.Limits,
) -> Comparison:
    """Judge a candidate's rows against one reference.

    Parameters
    ----------
    vectors
        Shape ``[n, d]``, float32; NaN in the rows that were refused.
    refused
        Shape ``[n]``: which items the candidate refused.
    opponent
        A reference with the same items.
    pair_class
        Numeric class of the pair; a reference of a worse class loosens it.
    limits
        The limits of the request.

    Returns
    -------
    The gates and the distances behind them; of vectors with another number of dimensions only the gate that
    says so.
    """
    recorded = opponent.recorded
    if vectors.shape[1] != recorded.outputs.shape[1]:
        return _other_dimensions(vectors, refused, opponent)
    tolerance = numeric.TOLERANCES[numeric.worse([pair_class, opponent.numeric_class])]
    one_sided = refused ^ recorded.refused
    paired = ~(refused | recorded.refused)
    cosine = distance.cosine(vectors, recorded.outputs)
    norm = distance.norm_deviation(vectors, recorded.outputs)
    noise = recorded.noise or (None, None)
    cosine_limit = limits.of(
        gates.COSINE_DISTANCE_WORST,
        numeric.calibrated(tolerance.cosine_distance, noise[0]),
    )
    norm_limit = limits.of(gates.NORM_DEVIATION_WORST, numeric.calibrated(tolerance.norm_deviation, noise[1]))
    samples = int(paired.sum())
    judged = [
        gates.at_most(
            gates.COSINE_DISTANCE_WORST,
            gates.worst(cosine[paired]),
            cosine_limit,
            samples=samples,
            against=opponent.role,
        ),
        gates.at_most(
            gates.NORM_DEVIATION_WORST,
            gates.worst(norm[paired]),
            norm_limit,
            samples=samples,
            against=opponent.role,
        ),
    ]
    if refused.any() or recorded.refused.any():
        judged.append(
            gates.exactly(
                "RefusedByOneSide",
                int(one_sided.sum()),
                0,
                samples=len(one_sided),
                against=opponent.role,
            )
        )
    overlap = neighbours.overlap(vectors[paired], recorded.outputs[paired], NEIGHBOURS)
    within = (cosine <= cosine_limit.value) & (norm <= norm_limit.value)
    return Comparison(
        opponent=opponent,
        gates=tuple(judged),
        ours=vectors,
        cosine=cosine,
        norm=norm,
        paired=paired,
        failed=one_sided | (paired & ~within),
        overlap=overlap[np.isfinite(overlap)],
        cosine_limit=cosine_limit.value,
        norm_limit=norm_limit.value,
    )


def _other_dimensions(
    vectors: npt.NDArray[np.float32], refused: npt.NDArray[np.bool_], opponent: Opponent
) -> Comparison:
    recorded = opponent.recorded
    paired = ~(refused | recorded.refused)
    blank = np.full(len(vectors), np.nan)
    dimensions = gates.exactly(
        gates.DIMENSIONS,
        vectors.shape[1],
        recorded.outputs.shape[1],
        samples=int(paired.sum()),
        against=opponent.role,
    )
    tolerance = numeric.TOLERANCES[opponent.numeric_class]
    return Comparison(
        opponent=opponent,
        gates=(dimensions,),
        ours=vectors,
        cosine=blank,
        norm=blank,
        paired=paired,
        failed=paired | (refused ^ recorded.refused),
        overlap=np.empty(0),
        cosine_limit=tolerance.cosine_distance,
        norm_limit=tolerance.norm_deviation,
    )
