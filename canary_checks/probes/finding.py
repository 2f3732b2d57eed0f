"""What a probe found, before it is bound to the question that was asked."""

import dataclasses

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.parity import comparison, reference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """The part of a result that a probe knows.

    Attributes
    ----------
    verdict, reason, message, gates
        The judgement and why.
    measurements, strata, worst, diagnosis, series
        What explains it.
    references
        The revisions that were compared with.
    items_used
        How many golden items were sent.
    recorded
        The golden outputs, when recording was asked for.
    pictures
        Thumbnails of the worst images beside stable's.
    payload
        A reference of another kind, as the file that is kept.
    phases
        Milliseconds of the parts of the check that others must know, such as ``load``, which is the last one.
    comparisons
        The rows behind the judgement, for what is measured across operations; no part of a result.
    """

    verdict: v.Verdict
    reason: str
    message: str
    gates: tuple[schema.Gate, ...]
    items_used: int
    measurements: tuple[schema.Measurement, ...] = ()
    strata: tuple[schema.Stratum, ...] = ()
    worst: tuple[schema.WorstItem, ...] = ()
    diagnosis: schema.DiagnosisReport | None = None
    series: dict[str, tuple[v.Number, ...]] = dataclasses.field(default_factory=dict)
    references: tuple[schema.Party, ...] = ()
    recorded: reference.Recording | None = None
    pictures: tuple[schema.PicturePair, ...] = ()
    payload: bytes | None = None
    phases: dict[str, int] = dataclasses.field(default_factory=dict)
    comparisons: tuple[comparison.Comparison, ...] = ()
