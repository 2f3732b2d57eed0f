"""What the operator asks of a check: one request, for one pod, given to a Job as JSON."""

from decimal import Decimal
from typing import Annotated, Literal, Self

import pydantic

from canary_checks import known_queries, operation, probing
from canary_checks import vocabulary as v
from canary_checks.evidence import terms
from canary_checks.internals import asked as inside
from canary_checks.performance import replay

DecimalText = Annotated[
    str, pydantic.StringConstraints(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,15})?([eE]-?[0-9]{1,2})?$")
]
ProbeKind = Literal[
    v.CheckKind.CONTRACT,
    v.CheckKind.EMBEDDING_PARITY,
    v.CheckKind.REPEATABILITY,
    v.CheckKind.RETRIEVAL,
    v.CheckKind.PERFORMANCE,
    v.CheckKind.FIDELITY,
    v.CheckKind.INTERNALS,
]


class CheckIdentity(v.Model):
    """Which check of which configuration; `config_digest` binds the result to what was asked."""

    name: v.Name
    kind: ProbeKind
    config_digest: v.Digest


class PodIdentity(v.Model):
    """The pod that is probed; another UID under the same name is another pod."""

    name: v.Name
    uid: v.Uid


class Subject(v.Model):
    """The revision whose pod is probed."""

    revision: v.Revision


class GoldenSet(v.Model):
    """Which golden set to send: one that ships with the checks, or a mounted folder and what it must hold."""

    builtin: Literal["TextV1", "ImageV1", "PromptV1"] | None = None
    path: Annotated[str, pydantic.StringConstraints(pattern=r"^/[^\x00]{1,1023}$")] | None = None
    digest: v.Digest | None = None
    """Of the set; an other one is an error. None accepts what is there and reports its digest."""

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.builtin is None) is (self.path is None):
            raise ValueError("a golden set is either builtin or at a path")
        return self


class ReferenceSource(v.Model):
    """A recorded reference, mounted as a safetensors file; `digest` is that of the whole file."""

    role: Literal[v.Role.STABLE, v.Role.ANCHOR, v.Role.RECORDED]
    revision: v.Revision
    path: Annotated[str, pydantic.StringConstraints(pattern=r"^/[^\x00]{1,1023}$")]
    digest: v.Digest
    numeric_class: v.NumericClass


class LiveSource(v.Model):
    """A pod of stable that takes users' traffic: asked only where no record of it can be used, and gently."""

    role: Literal[v.Role.STABLE] = v.Role.STABLE
    revision: v.Revision
    url: Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
    numeric_class: v.NumericClass
    max_requests_per_second: Annotated[int, pydantic.Field(ge=1, le=100)] = 2
    urls: Annotated[
        dict[v.Name, Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]],
        pydantic.Field(max_length=8),
    ] = pydantic.Field(default_factory=dict)
    """Of operations that go through another port or Service: where stable's are asked, by name."""


class Contract(v.Model):
    """Absolute statements about the outputs; an absent one is not judged."""

    dimensions: Annotated[int, pydantic.Field(ge=1, le=65_536)] | None = None
    normalized: Literal["Unit", "None"] | None = None
    max_input_tokens: Annotated[int, pydantic.Field(ge=1, le=10_000_000)] | None = None
    preprocess: probing.Pinned | None = None
    """Fields of the preprocessing contract that the process must state so."""
    environment: probing.Pinned | None = None
    """Packages and accelerator, by dotted name."""
    generation: probing.GenerationPins | None = None
    """What a generator draws with, by dotted name, such as ``scheduler.beta_schedule``."""


class GateOverride(v.Model):
    """A limit that replaces a default one; decimal strings, as Kubernetes APIs have no floats."""

    metric: v.CamelWord
    min: DecimalText | None = None
    max: DecimalText | None = None
    min_ratio: DecimalText | None = None
    max_ratio: DecimalText | None = None
    max_drop: DecimalText | None = None
    max_rise: DecimalText | None = None

    @pydantic.model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not self.limits():
            raise ValueError("a gate needs at least one limit")
        return self

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by their name in the manifest."""
        names = ("min", "max", "minRatio", "maxRatio", "maxDrop", "maxRise")
        values = (self.min, self.max, self.min_ratio, self.max_ratio, self.max_drop, self.max_rise)
        return {n: float(Decimal(text)) for n, text in zip(names, values, strict=True) if text is not None}


class CheckRequest(v.Model):
    """One probe of one pod: what to send, what to compare with, and how the answer is bound to the question.

    `numeric_class` is the pair's: the worse of the candidate's and stable's. `record` asks for the golden
    outputs in the evidence, as a reference for later runs.
    """

    schema_version: Literal["checks.modelrelease.dev/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    check: CheckIdentity
    run: v.Name
    attempt: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]
    nonce: v.Nonce
    pod: PodIdentity
    shard: Annotated[int, pydantic.Field(ge=0, le=63)] = 0
    shards: Annotated[int, pydantic.Field(ge=1, le=64)] = 1
    """Of how many shares of the golden set this probe sends the one numbered `shard`."""
    url: Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
    operations: Annotated[tuple[operation.Operation, ...], pydantic.Field(min_length=1, max_length=8)]
    subject: Subject
    numeric_class: v.NumericClass
    golden_set: GoldenSet
    references: Annotated[tuple[ReferenceSource, ...], pydantic.Field(max_length=3)] = ()
    live: LiveSource | None = None
    """Where Stable's outputs come from when no reference of that role fits the golden set."""
    embedding_space: v.Short | None = None
    """Of the candidate: names the reference that a golden set ships for it."""
    recorded: bool = False
    """Also compare with the reference that the golden set ships for this space and class, if it has one."""
    contract: Contract = Contract()
    probe: probing.ProbeEndpoint | None = None
    """Where the candidate tells of itself; None asks nothing and claims nothing."""
    retrieval: known_queries.Retrieval | None = None
    """How known queries are searched with: of the kind `Retrieval`, whose defaults None means."""
    performance: replay.Performance | None = None
    """The load that is replayed: of the kind `Performance`, which needs it, and of no other."""
    internals: inside.Internals | None = None
    """How the model's files are run: of the kind `Internals`, which needs it, and of no other."""
    evidence: terms.Evidence | None = None
    """The volume for the whole evidence; None leaves it in the log alone."""
    gates: Annotated[tuple[GateOverride, ...], pydantic.Field(max_length=16)] = ()
    record: bool = False
    record_statements: bool = True
    """With `record`: also what the server tells of itself, which a contract check compares with."""
    deadline_seconds: Annotated[int, pydantic.Field(ge=1, le=86_400)]
    max_requests_per_second: Annotated[int, pydantic.Field(ge=1, le=10_000)] | None = None

    @pydantic.model_validator(mode="after")
    def _roles_are_distinct(self) -> Self:
        roles = [reference.role for reference in self.references]
        if len(set(roles)) != len(roles):
            raise ValueError("references must have distinct roles")
        if len({gate.metric for gate in self.gates}) != len(self.gates):
            raise ValueError("gates must have distinct metrics")
        if len({one.name for one in self.operations}) != len(self.operations):
            raise ValueError("operations must have distinct names")
        if self.shard >= self.shards:
            raise ValueError(f"there is no shard {self.shard} of {self.shards}")
        if self.retrieval is not None and self.check.kind is not v.CheckKind.RETRIEVAL:
            raise ValueError("retrieval belongs to a check of the kind Retrieval")
        if (self.check.kind is v.CheckKind.PERFORMANCE) is (self.performance is None):
            raise ValueError("performance belongs to a check of the kind Performance, which needs it")
        if (self.check.kind is v.CheckKind.INTERNALS) is (self.internals is None):
            raise ValueError("internals belongs to a check of the kind Internals, which needs it")
        if self.performance is not None and (self.live is not None or self.max_requests_per_second):
            raise ValueError("a performance check asks no live stable, and its load is not throttled")
        return self
