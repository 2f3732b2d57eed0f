"""What the pods of a revision say, asked before any deadline: who is to blame, and for what they wait.

Capacity, quota, disruption and an unreachable registry are never "a bad model". A crash loop, a lack of
memory or an image that does not exist are the revision's own.
"""

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from modelrelease.api import constants, reasons
from modelrelease.api import run as api_run
from modelrelease.core import observation, refusals

Problem = observation.Problem

CRASHES_MAX: Final = 3
"""So many restarts after an error are a crash loop."""
YIELD_SECONDS: Final = 60.0
"""So long a stable pod may be Unschedulable before the canary makes room."""

_IMAGE_WAITS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_UNREACHABLE: Final = re.compile(
    r"dial tcp|no such host|timeout|timed out|connection re|tls:|x509|oauth|authenti|authoriz|denied"
    r"|toomanyrequests|too many requests|status(?: code)?:? 5\d\d|\beof\b|unavailable"
)
_NOT_FOUND: Final = re.compile(
    r"not found|manifest unknown|name unknown|does not exist|invalid reference|no match for platform"
    r"|couldn't parse image"
)
_UNFIT: Final = re.compile(r"didn't match Pod's node affinity|untolerated taint")
_LOST_TRACK: Final = frozenset({"ContainerStatusUnknown", "Unknown"})
"""The kubelet or its node was restarted: the container's end is nobody's crash."""


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """The pods of one revision, counted and classified."""

    revision: str
    desired: int = 0
    alive: int = 0
    terminating: int = 0
    scheduled: int = 0
    ready: int = 0
    blame: Problem | None = None
    """What the revision itself did wrong."""
    waiting: Problem | None = None
    """What wanted pods wait for before they can even start: no deadline of a start runs meanwhile."""
    refused: Problem | None = None
    """That, where it does not pass until somebody changes the manifest or makes what it names."""
    scheduled_time: datetime.datetime | None = None
    """When its last pod was scheduled."""
    unready_since: datetime.datetime | None = None
    """Since when the scheduled pod that is late longest is not Ready."""
    unschedulable_since: datetime.datetime | None = None
    """Since when the scheduler finds no place for one of its pods."""
    message: str = ""
    """One sentence for people; empty when all is well."""

    @property
    def present(self) -> bool:
        """Whether it has pods, or may get some without being asked again."""
        return self.desired > 0 or self.alive > 0 or self.terminating > 0


def classify(revision: observation.Revision, now: datetime.datetime) -> Standing:
    """Count and classify the pods of a revision.

    Parameters
    ----------
    revision
        The revision with its Deployment and pods.
    now
        The present; a pod that claims a later time counts from now.
    """
    present = [pod for pod in revision.pods if not pod.finished]
    alive = [pod for pod in present if not pod.terminating]
    scheduled = [pod.scheduled_time for pod in alive if pod.scheduled_time is not None]
    ready = sum(pod.ready for pod in alive)
    desired = revision.deployment.desired if revision.deployment else 0
    blame = _blame(alive)
    refused = waiting = None
    if ready < desired:
        refused = _refused(revision, alive)
        waiting = refused or _waiting(revision, alive)
    return Standing(
        revision=revision.name,
        desired=desired,
        alive=len(alive),
        terminating=len(present) - len(alive),
        scheduled=len(scheduled),
        ready=ready,
        blame=blame,
        waiting=waiting,
        refused=refused,
        scheduled_time=max(scheduled, default=None),
        unready_since=_earliest((_unready_since(pod) for pod in alive), now),
        unschedulable_since=_earliest((pod.unschedulable_since for pod in alive), now),
        message=_message(blame or waiting, alive, ready, desired),
    )


def _earliest(times: Iterable[datetime.datetime | None], now: datetime.datetime) -> datetime.datetime | None:
    return min((min(time, now) for time in times if time is not None), default=None)


def _unready_since(pod: observation.Pod) -> datetime.datetime | None:
    """Return since when a pod is late: one that was Ready before, since it ceased to be."""
    if pod.ready or pod.disrupted or pod.scheduled_time is None:
        return None
    return max(pod.scheduled_time, pod.unready_time or pod.scheduled_time)


def _message(problem: Problem | None, alive: Sequence[observation.Pod], ready: int, desired: int) -> str:
    if problem is not None:
        return problem.message
    if ready >= desired:
        return ""
    details = (
        f"container {container.name} waits: {container.waiting_reason} {container.waiting_message}".rstrip()
        for pod in alive
        for container in pod.containers
        if container.waiting_reason
    )
    return reasons.not_ready(ready, desired, next(details, ""))


# --- Blame --------------------------------------------------------------------------------------------------


def _blame(alive: Sequence[observation.Pod]) -> Problem | None:
    here = [pod for pod in sorted(alive, key=lambda pod: pod.name) if not pod.disrupted]
    exact = (_artifact_blame(pod) for pod in here)
    found = (_container_blame(container, pod) for pod in here for container in pod.containers)
    return next((problem for problem in (*exact, *found) if problem is not None), None)


def _artifact_blame(pod: observation.Pod) -> Problem | None:
    """One look is enough: other files do not become the meant ones by starting again."""
    read = pod.artifact
    if read is None or not read.mismatches or pod.ready:
        return None
    return Problem(reasons.ARTIFACT_MISMATCH, reasons.artifact_mismatch(read.message))


def _container_blame(container: observation.Container, pod: observation.Pod) -> Problem | None:
    if container.termination_reason == "OOMKilled":
        return Problem(reasons.OUT_OF_MEMORY, reasons.out_of_memory(container.name))
    code = 0 if container.termination_reason in _LOST_TRACK else container.exit_code or 0
    if code != 0 and container.restarts >= CRASHES_MAX:
        unread = pod.artifact if container.name == constants.ARTIFACT_CONTAINER else None
        said = reasons.artifact_unreadable(unread.message) if unread is not None else ""
        why = reasons.shortened(container.start_error, 300)
        return Problem(
            reasons.CRASH_LOOP, said or reasons.crash_loop(container.name, container.restarts, code, why)
        )
    if _image_missing(container):
        said = _image_message("There is no such image", container)
        return Problem(reasons.IMAGE_NOT_FOUND, f"{said} Correct its name in the template, or push it.")
    return None


def _image_missing(container: observation.Container) -> bool:
    """Whether the registry answered and does not have the image."""
    if container.waiting_reason not in _IMAGE_WAITS:
        return False
    if container.waiting_reason == "InvalidImageName":
        return True
    said = container.waiting_message.lower()
    return _UNREACHABLE.search(said) is None and _NOT_FOUND.search(said) is not None


def _image_message(what: str, container: observation.Container) -> str:
    said = container.waiting_message or container.waiting_reason
    return reasons.sentence(f"{what}: container {container.name}: {reasons.shortened(said, 300)}")


# --- Refused ------------------------------------------------------------------------------------------------


def _refused(revision: observation.Revision, alive: Sequence[observation.Pod]) -> Problem | None:
    """Return the first reason that no waiting cures, from a pod that is not made to one that can't start."""
    here = [pod for pod in sorted(alive, key=lambda pod: pod.name) if not pod.disrupted]
    told = (problem for pod in here for problem in _refusals(pod))
    created = refusals.of_creation(_missing(revision, len(alive)))
    return created or next((problem for problem in told if problem is not None), None)


def _refusals(pod: observation.Pod) -> Iterator[Problem | None]:
    yield refusals.of_placement(pod.unschedulable_message)
    for container in pod.containers:
        yield refusals.of_container(container)
        if container.waiting_reason in _IMAGE_WAITS and not _image_missing(container):
            yield refusals.of_pull(container, pod.pull_secrets)


def _missing(revision: observation.Revision, alive: int) -> str:
    """Return why wanted pods do not exist; empty when they do, or nobody says."""
    deployment = revision.deployment
    return "" if deployment is None or alive >= deployment.desired else deployment.replica_failure


# --- Waiting ------------------------------------------------------------------------------------------------


def _waiting(revision: observation.Revision, alive: Sequence[observation.Pod]) -> Problem | None:
    """Return the first no-blame reason, from a pod that does not exist to one that can't pull its image."""
    return (
        _not_created(revision, len(alive))
        or _gated(alive)
        or _unschedulable(alive)
        or _disrupted(revision)
        or _image_unavailable(alive)
        or _not_placed(revision, alive)
    )


def _not_created(revision: observation.Revision, alive: int) -> Problem | None:
    said = _missing(revision, alive)
    if not said:
        return None
    reason = reasons.QUOTA_EXCEEDED if refusals.is_quota(said) else reasons.CANARY_STARTING
    return Problem(reason, reasons.sentence(f"No pod was created: {said}"))


def _gated(alive: Sequence[observation.Pod]) -> Problem | None:
    names = sorted(pod.name for pod in alive if pod.scheduling_gated)
    if not names:
        return None
    return Problem(
        reasons.SCHEDULING_GATED, f"Pod {names[0]} is held back by a scheduling gate, such as a queue's."
    )


def _unschedulable(alive: Sequence[observation.Pod]) -> Problem | None:
    pods = sorted((pod for pod in alive if pod.unschedulable_since is not None), key=lambda pod: pod.name)
    if not pods:
        return None
    said = pods[0].unschedulable_message
    # Too few GPUs, processors or memory pass by themselves; a taint or an affinity may never.
    reason = reasons.WAITING_FOR_CAPACITY if "Insufficient " in said else reasons.UNSCHEDULABLE
    message = reasons.sentence(f"No node for pod {pods[0].name}: {said or 'the scheduler finds none'}")
    unfit = reason == reasons.UNSCHEDULABLE and _UNFIT.search(said) is not None
    return Problem(reason, reasons.unfit_nodes(message) if unfit else message)


def _disrupted(revision: observation.Revision) -> Problem | None:
    """Return that a pod is being evicted; its replacement then speaks for itself."""
    names = sorted(pod.name for pod in revision.pods if pod.disrupted and not pod.finished)
    if not names:
        return None
    return Problem(reasons.DISRUPTED, f"Pod {names[0]} was evicted or its node is lost: it is replaced.")


def _image_unavailable(alive: Sequence[observation.Pod]) -> Problem | None:
    for pod in sorted(alive, key=lambda pod: pod.name):
        for container in pod.containers:
            if container.waiting_reason in _IMAGE_WAITS and not _image_missing(container):
                return Problem(
                    reasons.IMAGE_UNAVAILABLE, _image_message("The image can't be pulled now", container)
                )
    return None


def _not_placed(revision: observation.Revision, alive: Sequence[observation.Pod]) -> Problem | None:
    desired = revision.deployment.desired if revision.deployment else 0
    missing = max(0, desired - len(alive)) + sum(pod.scheduled_time is None for pod in alive)
    if missing == 0:
        return None
    return Problem(reasons.CANARY_STARTING, f"{reasons.counted(missing, 'pod')} not scheduled yet.")


# --- Questions that guards ask ------------------------------------------------------------------------------


def yield_needed(stable: Standing, now: datetime.datetime) -> bool:
    """Return whether a canary that serves nobody must make room for a stable pod.

    It stays so for as long as stable waits, whether or not the canary still has pods: else the canary would
    come back at once and take the place that it gave up.
    """
    since = stable.unschedulable_since
    return since is not None and (now - since).total_seconds() >= YIELD_SECONDS


def warm(
    revision: observation.Revision, warmup_seconds: int, now: datetime.datetime
) -> tuple[observation.Pod, ...]:
    """Return the pods that have been Ready for the warm-up, sorted by name."""
    warmup = datetime.timedelta(seconds=warmup_seconds)
    return tuple(
        pod
        for pod in sorted(revision.pods, key=lambda pod: pod.name)
        if pod.ready
        and not (pod.terminating or pod.finished)
        and (not warmup_seconds or (pod.ready_time is not None and pod.ready_time + warmup <= now))
    )


def checked(pod: observation.Pod) -> api_run.CheckedPod:
    """Record the product that a pod is: its images and its GPU."""
    images = sorted(_images(pod))
    return api_run.CheckedPod(name=pod.name, uid=pod.uid, image_ids=images[:16], accelerator=pod.accelerator)


def _images(pod: observation.Pod) -> set[str]:
    """Return the images that make up the product; ours, which only reads its files, is no part of it."""
    own = [c for c in pod.containers if c.name != constants.ARTIFACT_CONTAINER]
    return {container.image_id for container in own if container.image_id}


def mixed(checked_pods: Sequence[api_run.CheckedPod]) -> Problem | None:
    """Return that the tested pods are not one product: their images differ."""
    first = next(iter(checked_pods), None)
    other = next((p for p in checked_pods if first is not None and p.image_ids != first.image_ids), None)
    if first is None or other is None:
        return None
    return Problem(reasons.IMAGE_DRIFT, reasons.mixed_images(first.name, other.name))


def drift(checked_pods: Sequence[api_run.CheckedPod], pods: Iterable[observation.Pod]) -> Problem | None:
    """Return how a pod differs from the product that was tested, as ImageDrift or HardwareUntested.

    Without tested pods (a return to a promoted revision) nothing can differ.
    """
    if not checked_pods:
        return None
    several = mixed(checked_pods)
    if several is not None:
        return several
    images = {image for tested in checked_pods for image in tested.image_ids}
    accelerators = {tested.accelerator for tested in checked_pods}
    for pod in sorted(pods, key=lambda pod: pod.name):
        if pod.terminating or pod.finished or pod.scheduled_time is None:
            continue
        strange = sorted(_images(pod) - images)
        if strange:
            return Problem(
                reasons.IMAGE_DRIFT, f"Pod {pod.name} runs {strange[0]}, which no check has tested."
            )
        if pod.accelerator not in accelerators:
            return Problem(
                reasons.HARDWARE_UNTESTED,
                f"Pod {pod.name} runs on {pod.accelerator or 'an unknown accelerator'}, "
                f"checks ran on {', '.join(sorted(accelerators)) or 'none'}.",
            )
    return None
