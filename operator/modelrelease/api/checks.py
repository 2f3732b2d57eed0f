"""The probes of the canary: kinds of checks, their gates, and what a check's pod needs."""

import enum
from typing import Annotated, Any, Final

import pydantic

from modelrelease.api import base, pods
from modelrelease.api import custom as customs
from modelrelease.api import evidence_volume as evidence_volumes
from modelrelease.api import fidelity as fidelities
from modelrelease.api import internals as insides
from modelrelease.api import performance as performances
from modelrelease.api import retrieval as retrievals


class Enforcement(enum.StrEnum):
    """Whether verdicts act or are only reported."""

    ENFORCE = "Enforce"
    OBSERVE = "Observe"


class ReferenceRole(enum.StrEnum):
    """Whose recorded outputs the candidate is compared with."""

    ANCHOR = "Anchor"
    STABLE = "Stable"
    RECORDED = "Recorded"
    """Recorded where the model was trained, and shipped with the golden set."""


class GateMetric(enum.StrEnum):
    """What a gate bounds."""

    COSINE_DISTANCE_WORST = "CosineDistanceWorst"
    NORM_DEVIATION_WORST = "NormDeviationWorst"
    REPEAT_DISTANCE_WORST = "RepeatDistanceWorst"
    REPEAT_NORM_DEVIATION_WORST = "RepeatNormDeviationWorst"


class Gate(base.ApiModel):
    """A bound on one metric, in place of the numeric class's."""

    metric: GateMetric
    max: base.DecimalString | None = None


class Probe(base.ApiModel):
    """What every kind of probe is asked with."""

    golden_set: base.DnsLabel | None = None
    """Which of ``goldenSets`` is sent; by default the built-in one of each operation's modality."""
    operations: (
        Annotated[list[base.DnsLabel], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    """Which of ``endpoint.operations`` are asked; by default all."""
    shards: Annotated[int, pydantic.Field(ge=1, le=16)] = 1
    """Into how many Jobs for each pod a large golden set is split; one runs at a time."""


class EmbeddingParity(Probe):
    """The candidate's vectors are those of the references, row by row."""

    references: Annotated[list[ReferenceRole], base.ListSet(), pydantic.Field(min_length=1, max_length=3)] = [
        ReferenceRole.ANCHOR,
        ReferenceRole.STABLE,
    ]
    gates: Annotated[list[Gate], base.ListMap(("metric",)), pydantic.Field(max_length=8)] = pydantic.Field(
        default_factory=list
    )


class ContractCheck(Probe):
    """Every answer keeps ``model.contract``: dimensions, norm, finite, order, count.

    Of operations that draw: what the process draws with is as stated, or as stable recorded it.
    """


class Repeatability(Probe):
    """The same input gives the same vector twice."""

    gates: Annotated[list[Gate], base.ListMap(("metric",)), pydantic.Field(max_length=8)] = pydantic.Field(
        default_factory=list
    )


KINDS: Final = (
    "embedding_parity",
    "contract",
    "repeatability",
    "retrieval",
    "performance",
    "fidelity",
    "internals",
    "custom",
)
"""The fields of a check of which exactly one is set."""


class Check(base.ApiModel):
    """One probe of the canary: a name and exactly one kind."""

    name: base.DnsLabel
    enforcement: Enforcement = Enforcement.ENFORCE
    deadline_seconds: Annotated[int, pydantic.Field(ge=10, le=86_400)] | None = None
    """How long each of its Jobs may take; by default ``checkTemplate.activeDeadlineSeconds``."""
    operation: base.DnsLabel | None = None
    """The only one of ``endpoint.operations`` that is asked: an older form of ``operations``."""
    embedding_parity: EmbeddingParity | None = None
    contract: ContractCheck | None = None
    repeatability: Repeatability | None = None
    retrieval: retrievals.Retrieval | None = None
    performance: performances.Performance | None = None
    fidelity: fidelities.Fidelity | None = None
    internals: insides.Internals | None = None
    custom: customs.Custom | None = None

    @property
    def kind(self) -> str:
        """Name of the field that says what the check is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def probe(self) -> Probe:
        """What is asked, whatever the kind."""
        if self.custom is not None:
            sent = self.custom.job.golden_set if self.custom.job is not None else None
            return Probe(golden_set=sent, operations=self.custom.operations)
        asked = getattr(self, self.kind)
        if isinstance(asked, Probe):
            return asked
        # All of it in one Job: of one search all documents are needed, of one load all requests.
        return Probe(golden_set=asked.golden_set, operations=getattr(asked, "operations", None))

    @property
    def compares(self) -> bool:
        """Whether nothing is judged where there is no reference: such a check is skipped then."""
        return self.embedding_parity is not None or (self.retrieval is not None and self.retrieval.compares)


class CheckTemplate(base.ApiModel):
    """What the namespace needs of a check's pod."""

    service_account_name: base.DnsSubdomain | None = None
    image_pull_secrets: Annotated[list[base.DnsSubdomain], base.ListSet(), pydantic.Field(max_length=8)] = []
    node_selector: Annotated[dict[str, base.LabelValue], pydantic.Field(max_length=16)] = {}
    tolerations: Annotated[
        list[Annotated[dict[str, Any], base.ShapedBy(pods.Toleration)]], pydantic.Field(max_length=16)
    ] = []
    resources: Annotated[dict[str, Any], base.ShapedBy(pods.Resources)] = {}
    labels: Annotated[dict[str, base.LabelValue], pydantic.Field(max_length=16)] = {}
    annotations: Annotated[dict[str, base.AnnotationValue], pydantic.Field(max_length=16)] = {}
    active_deadline_seconds: Annotated[int, pydantic.Field(ge=10, le=86_400)] = 600
    max_requests_per_second: Annotated[int, pydantic.Field(ge=1, le=1000)] = 20
    evidence_volume: evidence_volumes.EvidenceVolume | None = None
    """Where the whole evidence is kept; absent, what fits into ConfigMaps is."""


DEFAULT_CHECKS: Final = (
    Check(name="contract", contract=ContractCheck()),
    Check(name="repeatability", repeatability=Repeatability()),
    Check(name="parity", embedding_parity=EmbeddingParity()),
)
"""The checks of operations that answer with vectors when none are declared."""
DEFAULT_IMAGE_CHECKS: Final = (Check(name="fidelity", fidelity=fidelities.Fidelity()),)
"""The checks of operations that draw when none are declared; no load would fit every generator."""
DEFAULT_GENERATION_CHECKS: Final = (Check(name="contract", contract=ContractCheck()),)
"""The same, where a probe endpoint tells what they draw with and nothing answers with vectors."""
