"""One attempt to release one candidate: the ModelReleaseRun, the only machine state."""

import enum
from typing import Annotated

import pydantic

from modelrelease.api import artifact, base, golden_set, slo_state, spec
from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as endpoints
from modelrelease.api.verdict import Verdict


class Mode(enum.StrEnum):
    """What a run has to prove."""

    FIRST = "First"
    """No stable exists: absolute checks only, no steps, no bake."""
    FULL = "Full"
    FAST = "Fast"
    """Return to a revision of the rollback window: no checks and no steps, one bake."""
    RELOAD = "Reload"
    """A rejected stable is replaced: no checks, steps, SLOs or bake."""


class Phase(enum.StrEnum):
    """Where a run is; the life is :mod:`modelrelease.core.lifecycle`."""

    QUEUED = "Queued"
    STARTING = "Starting"
    CHECKING = "Checking"
    SHIFTING = "Shifting"
    HOLDING = "Holding"
    RETURNING = "Returning"
    DONE = "Done"


class Outcome(enum.StrEnum):
    """How a run ended, or will end once all traffic is back."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    REJECTED = "Rejected"
    CANCELLED = "Cancelled"
    SUPERSEDED = "Superseded"


class JudgedGoldenSet(golden_set.GoldenSet):
    """A golden set as it was when the run was created."""

    contents: base.Digest | None = None
    """Of the ConfigMap that it comes from, so that an edit of it is judged anew."""


class Judging(base.ApiModel):
    """Everything a run is judged by, as it was when the run was created."""

    model: spec.Model
    endpoint: endpoints.Endpoint
    strategy: spec.Strategy
    checks: Annotated[list[api_checks.Check], pydantic.Field(max_length=16)]
    check_template: api_checks.CheckTemplate
    slos: Annotated[list[spec.Slo], pydantic.Field(max_length=16)]
    enforcement: api_checks.Enforcement
    on_inconclusive: spec.Policy
    on_error: spec.Policy
    golden_sets: Annotated[list[JudgedGoldenSet], pydantic.Field(max_length=8)] = []
    """The sets that checks name."""


class RunSpec(base.ApiModel):
    """The snapshot; immutable."""

    release_name: base.DnsLabel
    release_uid: Annotated[str, pydantic.Field(max_length=64)] = pydantic.Field(alias="releaseUID")
    revision: base.RevisionName
    """The candidate."""
    stable: base.RevisionName | None = None
    """The stable revision when the run began."""
    stable_numeric_class: spec.NumericClass | None = None
    attempt: Annotated[int, pydantic.Field(ge=1, le=10_000)]
    mode: Mode
    judging_digest: base.Digest
    judging: Judging


class Clock(base.ApiModel):
    """A stopwatch that can be stopped: it counts only the time that counts."""

    start_time: base.Time
    stopped_since: base.Time | None = None
    stopped_seconds: Annotated[int, pydantic.Field(ge=0, le=315_360_000)] = 0


class CheckedPod(base.ApiModel):
    """The product that was tested: later candidate pods must be this one."""

    name: Annotated[str, pydantic.Field(max_length=253)]
    uid: Annotated[str, pydantic.Field(max_length=64)]
    image_ids: Annotated[list[Annotated[str, pydantic.Field(max_length=512)]], pydantic.Field(max_length=16)]
    accelerator: Annotated[str, pydantic.Field(max_length=128)] = ""


class GateStatus(base.ApiModel):
    """One bound and what was measured; numbers as strings for people."""

    metric: Annotated[str, pydantic.Field(max_length=64)]
    verdict: Verdict
    observed: Annotated[str, pydantic.Field(max_length=24)] = ""
    operator: Annotated[str, pydantic.Field(max_length=2)] = "<="
    limit: Annotated[str, pydantic.Field(max_length=24)] = ""
    against: Annotated[str, pydantic.Field(max_length=16)] = ""
    samples: base.Count = 0


class Diagnosis(base.ApiModel):
    """The cause that a parity failure is blamed on."""

    cause: Annotated[str, pydantic.Field(max_length=64)]
    confidence: Annotated[str, pydantic.Field(max_length=16)]


class CheckStatus(base.ApiModel):
    """What one check said, aggregated over its parts."""

    name: base.DnsLabel
    verdict: Verdict | None = None
    """None while the check has not spoken."""
    skipped: bool = False
    """Nothing to compare with yet: a state, not a verdict."""
    reason: Annotated[str, pydantic.Field(max_length=64)] = ""
    message: Annotated[str, pydantic.Field(max_length=512)] = ""
    attempt: Annotated[int, pydantic.Field(ge=1, le=10_000)] = 1
    undecided: Annotated[int, pydantic.Field(ge=0, le=10_000)] = 0
    """Earlier attempts on these pods that measured and could not decide."""
    nonce: Annotated[str, pydantic.Field(max_length=64)] = ""
    start_time: base.Time | None = None
    completion_time: base.Time | None = None
    diagnosis: Diagnosis | None = None
    gates: Annotated[list[GateStatus], pydantic.Field(max_length=8)] = []
    strata: Annotated[list[Annotated[str, pydantic.Field(max_length=64)]], pydantic.Field(max_length=16)] = []
    """Strata of the golden set that moved."""
    requests: base.Count = 0
    """Requests the check sent to the candidate."""
    evidence: Annotated[str, pydantic.Field(max_length=253)] = ""
    """Name of the evidence ConfigMap, or empty when it was lost."""


class SloStatus(base.ApiModel):
    """What one objective said last."""

    name: base.DnsLabel
    verdict: Verdict
    reason: Annotated[str, pydantic.Field(max_length=64)] = ""
    message: Annotated[str, pydantic.Field(max_length=512)] = ""
    requests: base.Count = 0
    bad: base.Count = 0
    observed_time: base.Time
    feasibility: slo_state.SloFeasibility | None = None
    state: slo_state.SloState | None = None
    """The evidence so far; recorded about once a minute, what is newer is counted again."""
    looks: Annotated[list[slo_state.SloLook], pydantic.Field(max_length=16)] = []
    """How the evidence came about: thinned out, about evenly in time, the newest last."""


class Reference(base.ApiModel):
    """Recorded outputs that outlive the run."""

    config_map: Annotated[str, pydantic.Field(max_length=253)]
    parts: Annotated[int, pydantic.Field(ge=1, le=8)] = 1
    """In how many ConfigMaps they lie: that one, and ones with -2, -3 … after its name."""
    digest: base.Digest
    check: Annotated[str, pydantic.Field(max_length=63)] = ""
    """Which check recorded them; empty in what an older operator stored."""
    golden_set: Annotated[str, pydantic.Field(max_length=71)] = ""
    """Digest of the golden set that they are the outputs for."""
    portion: Annotated[int, pydantic.Field(ge=0, le=63)] = 0
    portions: Annotated[int, pydantic.Field(ge=1, le=64)] = 1
    """Of how many portions of the check they are the one numbered ``portion``."""
    terms: Annotated[str, pydantic.Field(max_length=71)] = ""
    """Digest of the load, where what was recorded is performance; empty for outputs."""


class ArtifactFile(base.ApiModel):
    """A file of the model that the contract names."""

    name: Annotated[str, pydantic.Field(max_length=128)]
    digest: Annotated[str, pydantic.Field(max_length=71)] = ""
    """Empty when the pods did not report it: it was named after they were made, and is large."""


class ArtifactStatus(base.ApiModel):
    """The model's files, as the pods have read them before their servers started."""

    digest: base.Digest
    files: Annotated[list[ArtifactFile], pydantic.Field(max_length=16)] = []
    """Those of ``model.contract.files``."""
    changed_files: Annotated[list[artifact.FileName], pydantic.Field(max_length=16)] = []
    """Those whose content is not stable's."""


class PhaseRecord(base.ApiModel):
    """When a phase began."""

    phase: Phase
    step: Annotated[int, pydantic.Field(ge=0, le=32)] = 0
    time: base.Time
    weight: Annotated[int, pydantic.Field(ge=0, le=100)] = 0
    """Percent of traffic that the candidate was meant to have by then, as pods can split it."""


class RecoveryVerdict(enum.StrEnum):
    """Whether a return has cured what it was for."""

    RECOVERED = "Recovered"
    NOT_FIXED_BY_RETURN = "NotFixedByReturn"
    """Stable fails the same objective: the cause is not the candidate alone, such as a drift of inputs."""
    UNDECIDED = "Undecided"
    """Too little was seen in time, or something else began."""


class Recovery(base.ApiModel):
    """Stable, judged again after an objective has failed: it tells, and decides nothing."""

    since: base.Time
    """When all traffic was seen to be back."""
    pods: Annotated[list[Annotated[str, pydantic.Field(max_length=253)]], pydantic.Field(max_length=16)] = []
    """Names of the stable pods that are judged."""
    verdict: RecoveryVerdict | None = None
    seconds: base.Count | None = None
    """From the return to the verdict."""
    message: Annotated[str, pydantic.Field(max_length=512)] = ""


class RunStatus(base.ApiModel):
    """The machine state. Written by transitions only; everything shown elsewhere is derived."""

    phase: Phase = Phase.QUEUED
    step: Annotated[int, pydantic.Field(ge=0, le=32)] = 0
    """1-based; ``len(steps) + 1`` is the final shift to 100 % and its bake."""
    clock: Clock | None = None
    """Of the phase; in Holding it starts when the step is effective, and stands still in silence."""
    silent_since: base.Time | None = None
    """Since when an SLO has said Error or NoData in this hold."""
    live_since: base.Time | None = None
    """When the traffic object first selected the candidate."""
    outcome: Outcome | None = None
    failed: bool = False
    """The end was a Fail, which is remembered for (revision, judging digest)."""
    keep_pods: bool = False
    """The next run tries the same revision: the canary stays loaded."""
    reason: Annotated[str, pydantic.Field(max_length=64)] = ""
    message: Annotated[str, pydantic.Field(max_length=1024)] = ""
    checks: Annotated[list[CheckStatus], pydantic.Field(max_length=16)] = []
    slos: Annotated[list[SloStatus], pydantic.Field(max_length=16)] = []
    checked_pods: Annotated[list[CheckedPod], pydantic.Field(max_length=64)] = []
    live_pods: Annotated[
        list[Annotated[str, pydantic.Field(max_length=253)]], pydantic.Field(max_length=64)
    ] = []
    """Names of candidate pods that took live traffic: whose series are judged."""
    baseline_pods: Annotated[
        list[Annotated[str, pydantic.Field(max_length=253)]], pydantic.Field(max_length=64)
    ] = []
    """Names of stable pods that take traffic beside them, as many: what they are compared with."""
    artifact: ArtifactStatus | None = None
    """What the candidate's pods have verified, where the model has a mounted artifact."""
    outputs: Reference | None = None
    """The candidate's recorded outputs, the first of ``recorded``: the next Stable reference."""
    recorded: Annotated[list[Reference], pydantic.Field(max_length=256)] = []
    """The recorded outputs of every check and shard."""
    phases: Annotated[list[PhaseRecord], pydantic.Field(max_length=48)] = []
    """When each phase began, for reports alone; of more, those in the middle are left out."""
    recovery: Recovery | None = None
    """Set by a return that an objective has caused."""
    start_time: base.Time | None = None
    completion_time: base.Time | None = None
    updated_time: base.Time | None = None
    """The latest persisted now: time never runs backwards."""
