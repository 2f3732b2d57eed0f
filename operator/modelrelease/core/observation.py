"""What a turn knows: facts that the shell read, already free of Kubernetes' dicts.

Everything here is frozen; the core decides from these facts, the run's status and ``now`` alone.
"""

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """The state of one container of a pod."""

    name: str
    ready: bool = False
    restarts: int = 0
    waiting_reason: str = ""
    waiting_message: str = ""
    exit_code: int | None = None
    """Of the last termination, present or previous."""
    termination_reason: str = ""
    start_error: str = ""
    """Why its process could not be started the last time, in the container runtime's words."""
    image_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ArtifactReport:
    """What a pod has read of the model's files before its server starts."""

    matches: bool
    mismatches: bool
    """They are other ones than the pinned; neither when they could not be read."""
    message: str
    digest: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Digest by name, of as many as there was room for, those of the contract first."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """One pod of one revision."""

    name: str
    uid: str
    revision: str
    ready: bool = False
    terminating: bool = False
    finished: bool = False
    """Phase Succeeded or Failed: it holds no resources any more."""
    ip: str = ""
    port: int = 0
    """Number of the container port named ``model``."""
    ports: tuple[tuple[str, int], ...] = ()
    """Name and number of every named container port."""
    scheduled_time: datetime.datetime | None = None
    ready_time: datetime.datetime | None = None
    unready_time: datetime.datetime | None = None
    """When it ceased to be Ready, or was first seen not to be."""
    unschedulable_since: datetime.datetime | None = None
    unschedulable_message: str = ""
    scheduling_gated: bool = False
    disrupted: bool = False
    """DisruptionTarget: evicted, preempted or its node is lost."""
    containers: tuple[Container, ...] = ()
    artifact: ArtifactReport | None = None
    """None without a mounted artifact, or until it has been read."""
    accelerator: str = ""
    """GPU product of its node, or empty."""
    gpus: int = 0
    """How many GPUs it has to itself."""
    pull_secrets: tuple[str, ...] = ()
    """Names of the Secrets that its images are pulled with."""


@dataclasses.dataclass(frozen=True, slots=True)
class Deployment:
    """The Deployment of one revision."""

    desired: int
    template_matches: bool = True
    """False when a hand edit made the template differ from the ControllerRevision."""
    replica_failure: str = ""
    """Message of the ReplicaFailure condition: quota or admission refused a pod."""


@dataclasses.dataclass(frozen=True, slots=True)
class Revision:
    """A ControllerRevision with its Deployment and pods."""

    name: str
    model_version: str = ""
    embedding_space: str = ""
    numeric_class: api_spec.NumericClass | None = None
    """Said of it when it was last promoted."""
    created_time: datetime.datetime | None = None
    promoted_time: datetime.datetime | None = None
    failed_digests: frozenset[str] = frozenset()
    """Judging digests under which the revision has failed."""
    anchor_of: str = ""
    """Embedding space whose Anchor its outputs are."""
    outputs: tuple[api_run.Reference, ...] = ()
    """What its checks recorded when it was last promoted: one for each check and shard."""
    artifact: api_run.ArtifactStatus | None = None
    """The model's files when it was last promoted."""
    deployment: Deployment | None = None
    pods: tuple[Pod, ...] = ()


class Selects(enum.StrEnum):
    """What the traffic object selects."""

    NOTHING = "Nothing"
    PINNED = "Pinned"
    WIDENED = "Widened"
    FOREIGN = "Foreign"
    """A Service of this name exists that is not ours."""
    OFFERED = "Offered"
    """It is given to the release to be taken over, and still selects what it did before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """The one object that decides which pods users reach."""

    selects: Selects
    revision: str = ""
    """The revision pinned to."""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckPart:
    """What one Job of a check left: one result per (pod UID, shard, attempt)."""

    check: str
    attempt: int
    pod_uid: str
    """Of the candidate pod that was probed."""
    finished: bool
    portion: int = 0
    """Which of the check's portions was sent."""
    verdict: Verdict | None = None
    reason: str = ""
    message: str = ""
    nonce: str = ""
    skipped: bool = False
    disrupted: bool = False
    """The Job's pod was evicted: no verdict, tried again."""
    diagnosis: api_run.Diagnosis | None = None
    gates: tuple[api_run.GateStatus, ...] = ()
    strata: tuple[str, ...] = ()
    requests: int = 0
    evidence: str = ""
    outputs: api_run.Reference | None = None
    """Durably stored outputs of the candidate, when the check recorded them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """A ModelReleaseRun."""

    name: str
    spec: api_run.RunSpec
    status: api_run.RunStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why the manifest cannot be acted on, in the words of reasons.py."""

    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Desired:
    """What the spec wants, resolved: its revision and what that would be judged by."""

    revision: str
    judging_digest: str
    judging: api_run.Judging
    stored: bool
    """Whether the ControllerRevision exists already."""


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """The ModelRelease: live fields, which act at once, and what it wants."""

    name: str
    uid: str
    generation: int
    replicas: int
    max_surge: int
    max_unavailable: int
    """Both resolved to pods."""
    override: api_spec.Override
    desired: Desired | None
    """None when the spec cannot be resolved; then ``problem`` says why."""
    problem: Problem | None = None
    revision_history_limit: int = 5
    run_history_limit: int = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """One consistent look at a release and everything that belongs to it."""

    release: Release
    revisions: Mapping[str, Revision]
    traffic: Traffic
    runs: tuple[Run, ...] = ()
    """Oldest first; at most one is not Done."""
    parts: tuple[CheckPart, ...] = ()
    """Of the active run's checks."""
    slos: tuple[api_run.SloStatus, ...] = ()
    """Judged for this turn; empty outside Holding."""
    recovery: tuple[api_run.SloStatus, ...] = ()
    """Judged of stable for this turn, after a return that an objective has caused."""
    exposed_by: tuple[str, ...] = ()
    """Foreign Services whose selectors match the candidate's pods."""
    offer_problem: str = ""
    """Why a Service that is offered can't be taken over."""
    config_drift: tuple[str, ...] = ()
    """Secrets that the template refers to and that changed since the revision was stored."""
