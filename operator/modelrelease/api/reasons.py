"""Every reason that conditions, Events and runs can show, and the sentences that go with them, in one place.

A reason is a CamelCase word that programs match and that has a page in the runbook. A message is for people:
full sentences, the name of the thing that is wrong, and what to do where that is known.
"""

from collections.abc import Iterable
from typing import Final

from modelrelease.api import constants

# --- A revision serves --------------------------------------------------------------------------------------

SERVING_STABLE: Final = "ServingStable"
SERVING_CANDIDATE: Final = "ServingCandidate"
"""The final shift has happened: the candidate serves everything and bakes."""
NOT_SERVING: Final = "NotServing"
"""A stable revision is known, but none of its pods is Ready."""
NO_STABLE: Final = "NoStable"
"""Nothing was promoted yet, so nothing serves."""
SCALED_TO_ZERO: Final = "ScaledToZero"

# --- How a run ends -----------------------------------------------------------------------------------------

FIRST_RELEASE: Final = "FirstRelease"
PROMOTED: Final = "Promoted"
ROLLED_BACK: Final = "RolledBack"
CHECK_FAILED: Final = "CheckFailed"
SLO_FAILED: Final = "SloFailed"
REJECTED: Final = "Rejected"
CANCELLED: Final = "Cancelled"
SUPERSEDED: Final = "Superseded"
RETURNED: Final = "Returned"
RECOVERED: Final = "Recovered"
"""After a return, stable meets the objective that the candidate had failed."""
NOT_FIXED_BY_RETURN: Final = "NotFixedByReturn"
"""After a return, stable fails the same objective: the candidate was not, or not alone, the cause."""
RECOVERY_UNDECIDED: Final = "RecoveryUndecided"

# --- Pods that do not start: capacity and platform, never the model -----------------------------------------

CANARY_STARTING: Final = "CanaryStarting"
WAITING_FOR_CAPACITY: Final = "WaitingForCapacity"
QUOTA_EXCEEDED: Final = "QuotaExceeded"
UNSCHEDULABLE: Final = "Unschedulable"
SCHEDULING_GATED: Final = "SchedulingGated"
DISRUPTED: Final = "Disrupted"
IMAGE_UNAVAILABLE: Final = "ImageUnavailable"
YIELDED: Final = "Yielded"
CAPACITY_DEADLINE: Final = "CapacityDeadline"

CAPACITY: Final = frozenset(
    {
        WAITING_FOR_CAPACITY,
        QUOTA_EXCEEDED,
        UNSCHEDULABLE,
        SCHEDULING_GATED,
        DISRUPTED,
        IMAGE_UNAVAILABLE,
        YIELDED,
        CAPACITY_DEADLINE,
    }
)
"""What never blames the model, and is tried again without limit."""

# --- Pods that do not start: the revision -------------------------------------------------------------------

CRASH_LOOP: Final = "CrashLoop"
OUT_OF_MEMORY: Final = "OutOfMemory"
IMAGE_NOT_FOUND: Final = "ImageNotFound"
STARTUP_DEADLINE: Final = "StartupDeadline"
ARTIFACT_MISMATCH: Final = "ArtifactMismatch"
"""The model's files are not the ones that are pinned: exact, so it is remembered as a Fail."""

# --- Checks and objectives ----------------------------------------------------------------------------------

CHECK_DISRUPTED: Final = "CheckDisrupted"
CHECK_NO_RESULT: Final = "CheckNoResult"
CHECK_FOREIGN_RESULT: Final = "CheckForeignResult"
"""The result's nonce is not the one that the Job was given."""
CHECK_INCOMPLETE: Final = "CheckIncomplete"
"""Some pods were measured and others were not."""
CHECK_DEADLINE: Final = "CheckDeadline"
ACCELERATOR_OUT_OF_BOUNDS: Final = "AcceleratorOutOfBounds"
ACCELERATOR_UNKNOWN: Final = "AcceleratorUnknown"
CHECK_ERROR_DEADLINE: Final = "CheckErrorDeadline"
TOO_FEW_REQUESTS: Final = "TooFewRequests"
"""NoData that time cures: it holds the step, and the clock goes on."""
NOT_LIVE: Final = "NotLive"
"""NoData of an SLO before any user meets the candidate: only its feasibility is told."""
SLO_INFEASIBLE: Final = "SloInfeasible"
"""Too little traffic to pass before the deadline."""
INCONCLUSIVE_DEADLINE: Final = "InconclusiveDeadline"
NO_DATA_DEADLINE: Final = "NoDataDeadline"
ERROR_DEADLINE: Final = "ErrorDeadline"
JUDGING_BROKE: Final = "JudgingBroke"
"""An Error that is ours, or a source that never answered."""
UNKNOWN_PROMETHEUS_SOURCE: Final = "UnknownPrometheusSource"
UNKNOWN_NOTIFICATION_TARGET: Final = "UnknownNotificationTarget"
REFERENCE_NOT_RECORDED: Final = "ReferenceNotRecorded"
IMAGE_DRIFT: Final = "ImageDrift"
HARDWARE_UNTESTED: Final = "HardwareUntested"

# --- A run goes on ------------------------------------------------------------------------------------------

RUN_STARTED: Final = "RunStarted"
QUEUED: Final = "Queued"
CHECKING: Final = "Checking"
AWAITING_APPROVAL: Final = "AwaitingApproval"
SHIFTING: Final = "Shifting"
HOLDING: Final = "Holding"
BAKING: Final = "Baking"
RETURNING: Final = "Returning"
RELOADING: Final = "Reloading"
WEIGHT_ROUNDED: Final = "WeightRounded"
ADOPTING: Final = "Adopting"
"""Users reach the pods of before, until stable can serve them all."""
RETRY_LATER: Final = "RetryLater"
RETRIES_EXHAUSTED: Final = "RetriesExhausted"

# --- Why nothing can go on ----------------------------------------------------------------------------------

CANARY_EXPOSED: Final = "CanaryExposed"
NAME_CONFLICT: Final = "NameConflict"
INVALID_SPEC: Final = "InvalidSpec"
INVALID_TEMPLATE: Final = "InvalidTemplate"
CONFIG_MAP_NOT_FOUND: Final = "ConfigMapNotFound"
SECRET_NOT_FOUND: Final = "SecretNotFound"
OBJECT_NOT_FOUND: Final = "ObjectNotFound"
"""A ServiceAccount, PersistentVolumeClaim, PriorityClass or RuntimeClass."""
POD_REJECTED: Final = "PodRejected"
"""The Deployment was accepted, and its pods are refused."""
CUT_OVER_REQUIRED: Final = "CutOverRequired"
STATE_UNKNOWN: Final = "StateUnknown"
REVISION_NOT_FOUND: Final = "RevisionNotFound"
NO_ROOM_FOR_CANARY: Final = "NoRoomForCanary"
NOTHING_TO_RETURN_TO: Final = "NothingToReturnTo"
REFUSED: Final = "Refused"
"""The API server refuses a write."""

UNSTARTABLE: Final = frozenset({IMAGE_UNAVAILABLE, OBJECT_NOT_FOUND, POD_REJECTED, SECRET_NOT_FOUND})
"""For what an attempt may end that could not start: no model is blamed, and it is tried without limit."""

# --- People -------------------------------------------------------------------------------------------------

PAUSED: Final = "Paused"
NOT_PAUSED: Final = "NotPaused"
NO_OVERRIDE: Final = "NoOverride"
PINNED: Final = "Pinned"
FORCED: Final = "Forced"
WAIVED: Final = "Waived"
OVERRIDE_REMOVED: Final = "OverrideRemoved"
CANARY_KEPT: Final = "CanaryKept"
"""A person wants to look at the canary, should it fail."""

# --- Conditions of a quiet release --------------------------------------------------------------------------

SETTLED: Final = "Settled"
"""Nothing is under way."""
NOT_STALLED: Final = "NotStalled"
CONFIG_DRIFT: Final = "ConfigDrift"
TEMPLATE_REVERTED: Final = "TemplateReverted"
ARTIFACT_UNVERIFIED: Final = "ArtifactUnverified"


# --- Sentences ----------------------------------------------------------------------------------------------


def sentence(text: str) -> str:
    """Return the text with an end: what others said seldom has a full stop."""
    text = " ".join(text.split())
    return text if not text or text[-1] in ".!?…" else f"{text}."


def shortened(text: str, limit: int) -> str:
    """Return the text cut to the API's bound, visibly."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def counted(count: int, noun: str) -> str:
    """Return ``1 pod`` or ``2 pods``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def serves(revision: str, weight: int = 100) -> str:
    """Say who serves users."""
    return f"Revision {revision} serves {weight} %."


def cancelled(revision: str, why: str) -> str:
    """Say that a person has ended the attempts at a revision without a judgement of it."""
    until = "It is tried again when spec.override.retry asks for it, or when it changes."
    return f"{revision} was cancelled: {sentence(why)} {until}"


def promoted(revision: str, words: list[str]) -> str:
    """Say that a revision is stable, and what people said for it."""
    return " ".join([f"{revision} is stable.", *(sentence(word[:1].upper() + word[1:]) for word in words)])


def never_live(revision: str) -> str:
    """Say that no user met the candidate."""
    return f"No user request reached {revision}."


def returned(candidate: str, stable: str | None) -> str:
    """Say that a return has ended."""
    back = f"All traffic is on {stable}" if stable else "Nothing serves yet"
    return f"{back}; {candidate} takes none."


def recovered(stable: str, objectives: list[str], seconds: int) -> str:
    """Say that a return has cured what it was for."""
    return f"{stable} meets {', '.join(objectives)} again, judged for {seconds} s since all traffic was back."


def not_fixed(stable: str, objective: str, said: str) -> str:
    """Say that a return has cured nothing."""
    return sentence(
        f"{stable} fails {objective}, too, so the return has not fixed it: look at what both revisions "
        f"share, such as inputs, dependencies and nodes. Of {stable}: {said}"
    )


def recovery_undecided(stable: str, seconds: int, said: str) -> str:
    """Say that nobody knows whether a return has cured anything."""
    return sentence(f"Within {seconds} s after the return {stable} could not be judged: {said}")


def was_live(revision: str) -> str:
    """Say that some users met the candidate."""
    return f"{revision} served some requests before they were returned."


def not_ready(ready: int, desired: int, detail: str = "") -> str:
    """Say how many pods are missing."""
    tail = f": {detail}" if detail else ""
    return sentence(f"{ready} of {counted(desired, 'pod')} Ready{tail}")


def crash_loop(container: str, restarts: int, exit_code: int, start_error: str = "") -> str:
    """Say that a container keeps dying, and why its process could not even be started."""
    last = f"exit code {exit_code}{f': {start_error}' if start_error else ''}"
    return sentence(f"Container {container} crashed {restarts} times, at last with {last}")


def artifact_mismatch(said: str) -> str:
    """Say that the model's files are not the pinned ones, in the words of who has read them."""
    return sentence(f"The model's files are not the ones that model.artifact pins: {said}")


def artifact_unreadable(said: str) -> str:
    """Say that the model's files could not be read before the server starts."""
    return sentence(f"The model's files can't be read, so no server starts: {said}")


def artifact_unverified(uri: str) -> str:
    """Say that nobody knows which files the server pulls."""
    return (
        f"{uri} names no commit, so the server may pull other files at any restart, and no check would know: "
        f"append @ and the 40 digits of the commit, and make the server pull it."
    )


def changed_files(names: Iterable[str]) -> str:
    """Say which files of the model differ from stable's."""
    return f"Files that differ from stable's: {', '.join(names)}."


def mixed_images(one: str, other: str) -> str:
    """Say that one revision runs two products."""
    return (
        f"Pods {one} and {other} of the same revision run different images, so there is no one product to "
        f"judge: a tag was moved. Pin the image by its digest."
    )


def out_of_memory(container: str) -> str:
    """Say that a container was killed for its memory."""
    return f"Container {container} was killed: it used more memory than its limit."


def exposed(services: tuple[str, ...]) -> str:
    """Say which foreign Services would send users to the canary."""
    names = ", ".join(services)
    return (
        f"No canary is started: the selector of Service {names} matches its pods, so users would reach it. "
        f"Narrow that selector, or change the template's labels."
    )


def not_found(named: str, what: str, where: str) -> str:
    """Say that something a manifest names does not exist, and what to change."""
    return f"{named} {what}, which is not in {where}: create it there, or correct the name."


def names_nothing(what: str, where: str) -> str:
    """Say that something the pod template names does not exist."""
    return not_found("The template refers to", what, where)


def no_key(what: str, key: str) -> str:
    """Say that a ConfigMap or Secret lacks what the template takes from it."""
    return f"The template refers to key {key} of {what}, which does not have it: add it, or correct its name."


def pod_rejected(said: str) -> str:
    """Say that the API server accepts the Deployment and refuses its pods, in its words."""
    return f"Its pods are refused: {sentence(said)} Correct the template, or the policy that says so."


def container_rejected(container: str, said: str) -> str:
    """Say that a node does not start a container as the template wants it, in its words."""
    refused = sentence(f"A node refuses to start container {container}: {said}")
    return f"{refused} Correct the template, or create what it names."


def pull_denied(container: str, said: str, secrets: Iterable[str]) -> str:
    """Say that the registry gives the image to nobody with these credentials, or does not have it."""
    named = ", ".join(secrets)
    using = f"the Secret that imagePullSecrets names ({named})" if named else "set imagePullSecrets"
    refused = sentence(f"The registry refuses the image of container {container}: {said}")
    return f"{refused} Check the image's name and {using}."


def unfit_nodes(message: str) -> str:
    """Say what to compare, where no node is what the template asks for."""
    return f"{message} Compare nodeSelector, affinity and tolerations with the nodes' labels and taints."


def name_conflict(name: str) -> str:
    """Say that the release's Service name is taken."""
    return (
        f"Service {name} exists and is not this release's: hand it over with the label "
        f"{constants.LABEL_RELEASE}={name} (kubectl mrel adopt), or rename one of them."
    )


def not_adoptable(name: str, why: str) -> str:
    """Say why a Service that was offered stays as it is."""
    return f"Service {name} is not taken over, and selects what it did before: {why}."


def adopting(name: str, ready: int, replicas: int) -> str:
    """Say what users reach while a Service is being adopted."""
    return (
        f"Service {name} still selects the pods of before; it is taken over once stable has "
        f"{counted(replicas, 'Ready pod')}: {ready} so far."
    )


def no_room(max_surge: int, max_unavailable: int) -> str:
    """Say that the budget leaves no pod for the canary."""
    budget = f"maxSurge {max_surge} + maxUnavailable {max_unavailable}"
    return f"There is no room for a canary: {budget} must be at least 1."


def cut_over(stable_space: str, candidate_space: str) -> str:
    """Say that two vector spaces cannot share traffic."""
    return (
        f"The embedding space changes from {stable_space} to {candidate_space}: "
        f"answers of both can't be mixed, so traffic stays until a cut-over."
    )


def retrieval_proven(checks: list[str]) -> str:
    """Say that known queries find what they should in the new space."""
    return f"Within the new space {', '.join(checks)} passed."


def retrieval_unproven(checks: list[str]) -> str:
    """Say that nothing proves what the new space finds, because no check does, or these did not pass."""
    why = f"{', '.join(checks)} did not pass" if checks else "no retrieval check is declared"
    return f"Parity does not apply, and {why}: that the new space finds what users search for is not proven."


def awaiting_approval(stage: str, revision: str) -> str:
    """Say that a person is asked."""
    return f"{revision} waits for an approval ({stage}) in spec.override.approvals."


def weight_rounded(declared: int, attained: int, replicas: int) -> str:
    """Say that pods cannot split traffic so finely."""
    pods = counted(replicas, "replica")
    return f"A weight of {declared} % can't be attained with {pods}: {attained} % is used."


def config_drift(names: tuple[str, ...]) -> str:
    """Say which Secrets changed under the running revision."""
    return f"Secret {', '.join(names)} changed since the revision was stored: pods that restart will differ."


def template_reverted(revision: str) -> str:
    """Say that a hand edit was undone."""
    return f"The Deployment of {revision} was edited by hand: it is set back to what was verified."
