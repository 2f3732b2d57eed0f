"""What a user declares: the ``spec`` of a ModelRelease.

A field says what this revision *is*, never what a change does. Cross-field rules live in
:mod:`modelrelease.api.rules`, written once for the API server (CEL) and for the offline linter.
"""

import enum
from typing import Annotated, Any

import pydantic

from modelrelease.api import artifact as artifacts
from modelrelease.api import base, golden_set, pods, series
from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as endpoints
from modelrelease.api import generation as generations
from modelrelease.api import preprocess as preprocesses


class NumericClass(enum.StrEnum):
    """The arithmetic a revision serves with; bounds how far equal models may differ."""

    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"
    INT8 = "int8"


class Normalized(enum.StrEnum):
    """Whether the vectors have unit length."""

    UNIT = "Unit"
    NONE = "None"


class ServiceType(enum.StrEnum):
    """How the Service is reached."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class TrafficProvider(enum.StrEnum):
    """What splits traffic."""

    REPLICAS = "Replicas"


class Approval(enum.StrEnum):
    """Where a run waits for a person."""

    NONE = "None"
    BEFORE_TRAFFIC = "BeforeTraffic"
    BEFORE_FULL = "BeforeFull"


class Stage(enum.StrEnum):
    """What a person lets a revision pass."""

    BEFORE_TRAFFIC = "BeforeTraffic"
    BEFORE_FULL = "BeforeFull"
    INFEASIBLE = "Infeasible"
    """SLOs that can't pass at the present traffic; one that fails still returns the release."""


class WhenInfeasible(enum.StrEnum):
    """What happens when an SLO can't pass before the deadline, because there is too little traffic."""

    HOLD = "Hold"
    """Until a person approves the stage Infeasible, or traffic rises."""
    SKIP = "Skip"
    """The SLO is not waited for; it can still fail."""
    ROLL_BACK = "RollBack"


class OnSupersede(enum.StrEnum):
    """What a third revision does to a run that is under way."""

    CANCEL = "Cancel"
    QUEUE = "Queue"


class Policy(enum.StrEnum):
    """What happens when a deadline passes without a Pass or a Fail."""

    ROLL_BACK = "RollBack"
    HOLD = "Hold"


class ModelContract(base.ApiModel):
    """Absolute statements about every answer; needed when there is no stable to compare with."""

    dimensions: Annotated[int, pydantic.Field(ge=1, le=65_536)] | None = None
    normalized: Normalized | None = None
    max_input_tokens: Annotated[int, pydantic.Field(ge=1, le=10_000_000)] | None = None
    files: artifacts.FileNames | None = None
    """Files of the artifact that must exist; their digests are recorded and compared with stable's."""
    preprocess: preprocesses.Preprocess | None = None
    """What the served process must state by ``endpoint.probe``; a change to what is stated is expected."""
    environment: preprocesses.Environment | None = None
    """Likewise versions of packages and facts of the accelerator, such as packages.torch."""
    generation: generations.Generation | None = None
    """Likewise what a generator draws or writes with: there a change that nothing states fails."""


class Model(base.ApiModel):
    """What the revision is said to be; of its identity are only ``embeddingSpace`` and ``artifact``."""

    version: Annotated[str, pydantic.Field(min_length=1, max_length=63)]
    served_name: Annotated[str, pydantic.Field(min_length=1, max_length=253)] | None = None
    """The ``model`` of requests; by default the first one the server lists."""
    numeric_class: NumericClass = NumericClass.BF16
    embedding_space: base.DnsLabel | None = None
    """Identity of the vector space; by default the release's name, so every change is judged."""
    artifact: artifacts.Artifact | None = None
    """The model's files, where they are not part of the image."""
    contract: ModelContract = ModelContract()


class Service(base.ApiModel):
    """The Service that users call: named like the release, owned by the operator."""

    port: Annotated[int, pydantic.Field(ge=1, le=65_535)] = 80
    type: ServiceType = ServiceType.CLUSTER_IP
    annotations: Annotated[dict[str, base.AnnotationValue], pydantic.Field(max_length=32)] = {}


class Canary(base.ApiModel):
    """The candidate's first pods, before any user meets them."""

    replicas: Annotated[int, pydantic.Field(ge=1, le=64)] = 1
    startup_deadline_seconds: Annotated[base.Seconds, pydantic.Field(ge=1)] = 900
    """From scheduled to Ready."""
    capacity_deadline_seconds: Annotated[base.Seconds, pydantic.Field(ge=1)] = 14_400
    """Until scheduled; never blames the model."""
    warmup_seconds: base.Seconds = 0
    retain_failed_seconds: base.Seconds = 0
    """How long the pods of a failed candidate stay for a look, within the budget, without traffic."""


class Traffic(base.ApiModel):
    """How live traffic is moved."""

    provider: TrafficProvider = TrafficProvider.REPLICAS


class Step(base.ApiModel):
    """A share of live traffic, and how long it is watched."""

    weight: Annotated[int, pydantic.Field(ge=1, le=99)]
    """Ceiling in percent; with Replicas the nearest attainable share is used and published."""
    hold_seconds: base.Seconds = 600


class RetryPolicy(base.ApiModel):
    """Retries of runs that ended without a Fail."""

    limit: Annotated[int, pydantic.Field(ge=0, le=100)] = 3
    backoff_seconds: base.Seconds = 600


class RollbackWindow(base.ApiModel):
    """How far back a revert needs neither checks nor steps."""

    revisions: Annotated[int, pydantic.Field(ge=0, le=20)] = 3


class Deadlines(base.ApiModel):
    """How long a run waits for evidence; each kind of silence has its own clock."""

    check_seconds: Annotated[base.Seconds, pydantic.Field(ge=1)] = 3600
    """Until every check has a Pass or a Fail."""
    inconclusive_seconds: Annotated[base.Seconds, pydantic.Field(ge=1)] = 3600
    """Beyond a step's hold, for an SLO with data but without enough evidence."""
    no_data_seconds: Annotated[base.Seconds, pydantic.Field(ge=1)] = 3600
    error_seconds: Annotated[base.Seconds, pydantic.Field(ge=1)] = 3600


class Strategy(base.ApiModel):
    """How a candidate becomes stable."""

    max_surge: base.IntOrString = 1
    max_unavailable: base.IntOrString = 0
    canary: Canary = Canary()
    traffic: Traffic = Traffic()
    steps: Annotated[list[Step], pydantic.Field(max_length=16)] = []
    bake_seconds: base.Seconds = 300
    approval: Approval = Approval.NONE
    drain_seconds: base.Seconds = 30
    on_supersede: OnSupersede = OnSupersede.CANCEL
    retry_policy: RetryPolicy = RetryPolicy()
    rollback_window: RollbackWindow = RollbackWindow()
    deadlines: Deadlines = Deadlines()


class Availability(base.ApiModel):
    """The share of requests that the server did not fail."""


class Latency(base.ApiModel):
    """The share of requests answered within a threshold."""

    threshold_milliseconds: Annotated[int, pydantic.Field(ge=1, le=3_600_000)]


class Slo(base.ApiModel):
    """An objective judged from Prometheus while the candidate takes live traffic."""

    name: base.DnsLabel
    objective: base.DecimalString
    """Percent of good requests, above 0 and below 100, such as "99.9"."""
    source: base.DnsLabel = "default"
    """Which of the installation's Prometheus sources."""
    operation: base.DnsLabel | None = None
    minimum_requests: Annotated[int, pydantic.Field(ge=20, le=1_000_000)] = 200
    when_infeasible: WhenInfeasible = WhenInfeasible.HOLD
    """Acts at once, and restarts nothing."""
    availability: Availability | None = None
    latency: Latency | None = None
    prometheus: series.OwnSeries | None = None
    """Series of your own, where no runtime's metrics say it."""
    runtime: endpoints.Runtime | None = None
    """Whose metrics count the requests, such as a proxy in the pod; by default endpoint.runtime."""


class Paused(base.ApiModel):
    """No forward transition; returns and evidence go on."""

    reason: base.Reason


class RevisionOverride(base.ApiModel):
    """An override bound to one revision."""

    revision: base.RevisionName
    reason: base.Reason


class ApprovalOverride(RevisionOverride):
    """A person lets the revision pass a gate."""

    stage: Stage


class Waiver(RevisionOverride):
    """Promote although this check or SLO fails."""

    check: base.DnsLabel


class Retry(RevisionOverride):
    """The run that is judged must be of this attempt or a later one."""

    attempt: Annotated[int, pydantic.Field(ge=1, le=10_000)]


class Cancelled(RevisionOverride):
    """The revision's attempts up to this one end, and none begins by itself; it is not rejected."""

    attempt: Annotated[int, pydantic.Field(ge=1, le=10_000)]


class Debug(RevisionOverride):
    """The canary of a failed run stays for a look, within the budget and without traffic."""

    seconds: Annotated[base.Seconds, pydantic.Field(ge=60, le=86_400)]


class Override(base.ApiModel):
    """On call only, never in Git. Every entry says why and is bound to a revision, or visibly sticky."""

    # Nothing is defaulted in the stored object: what nobody wrote is absent.
    paused: Paused | None = None
    pinned: RevisionOverride | None = None
    """Serve this revision, whatever the spec says."""
    rejected: Annotated[
        list[RevisionOverride], base.ListMap(("revision",)), pydantic.Field(max_length=32)
    ] = pydantic.Field(default_factory=list)
    """Never serve these revisions, also when one of them is stable."""
    approvals: Annotated[
        list[ApprovalOverride], base.ListMap(("revision", "stage")), pydantic.Field(max_length=16)
    ] = pydantic.Field(default_factory=list)
    waivers: Annotated[list[Waiver], base.ListMap(("revision", "check")), pydantic.Field(max_length=32)] = (
        pydantic.Field(default_factory=list)
    )
    forced: RevisionOverride | None = None
    """Promote this revision, whatever its verdicts say."""
    retry: Retry | None = None
    cancelled: Cancelled | None = None
    debug: Debug | None = None


Replicas = Annotated[int, pydantic.Field(ge=0, le=10_000)]
RevisionHistoryLimit = Annotated[int, pydantic.Field(ge=1, le=50)]
GoldenSets = Annotated[list[golden_set.GoldenSet], base.ListMap(("name",)), pydantic.Field(max_length=8)]
RunHistoryLimit = Annotated[int, pydantic.Field(ge=1, le=100)]


class ReleaseSpec(base.ApiModel):
    """The desired product and how it is released."""

    replicas: Replicas = 1
    model: Model
    endpoint: endpoints.Endpoint
    service: Service = Service()
    template: Annotated[dict[str, Any], base.ShapedBy(pods.Template)]
    """A PodTemplateSpec whose serving container names a port ``model``."""
    strategy: Strategy = Strategy()
    golden_sets: GoldenSets = []
    """The team's own golden sets, which checks name."""
    checks: (
        Annotated[list[api_checks.Check], base.ListMap(("name",)), pydantic.Field(max_length=16)] | None
    ) = None
    """Absent: the defaults of what the operations answer with. Empty: only with enforcement Observe."""
    check_template: api_checks.CheckTemplate = api_checks.CheckTemplate()
    slos: Annotated[list[Slo], base.ListMap(("name",)), pydantic.Field(max_length=16)] = []
    enforcement: api_checks.Enforcement = api_checks.Enforcement.ENFORCE
    on_inconclusive: Policy = Policy.ROLL_BACK
    on_error: Policy = Policy.HOLD
    revision_history_limit: RevisionHistoryLimit = 5
    run_history_limit: RunHistoryLimit = 10
    override: Override = pydantic.Field(default_factory=Override)

    def all_checks(self) -> tuple[api_checks.Check, ...]:
        """Return the declared checks, or the defaults of what the operations answer with."""
        if self.checks is not None:
            return tuple(self.checks)
        draw = [operation.draws for operation in self.endpoint.all_operations()]
        return (
            *(() if all(draw) else api_checks.DEFAULT_CHECKS),
            *(api_checks.DEFAULT_IMAGE_CHECKS if any(draw) else ()),
            # Only a probe endpoint tells what images are made with; elsewhere `contract` is there already.
            *(api_checks.DEFAULT_GENERATION_CHECKS if all(draw) and self.endpoint.probe is not None else ()),
        )
