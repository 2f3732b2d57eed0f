"""What one Job of a check is about: which pod, which attempt of which check, and what it is compared with."""

import dataclasses
import hashlib
from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.api import run as api_run
from modelrelease.checks import evidence_volume
from modelrelease.core import live_load, observation, portions, references

OUTPUTS_KEY: Final = "outputs.safetensors"
OWN_KIND: Final = "Job"
"""Of a team's own check: what it answers moves no reference."""
LEAD_SECONDS: Final = 10
"""A check ends itself this much before its Job is ended, so that it can say why."""
_NAME_MAX: Final = 63


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """The one pod that a Job probes, and for which attempt of which check."""

    run: observation.Run
    run_uid: str
    namespace: str
    check: api_checks.Check
    attempt: int
    pod: observation.Pod
    portion: int = 0
    """Which of the check's portions (:mod:`modelrelease.core.portions`)."""
    embedding_space: str = ""
    """Of the candidate."""
    live: live_load.Seen | None = None
    """What was seen of users' requests, where the check asks for it."""

    @property
    def deadline_seconds(self) -> int:
        """How long the Job may take."""
        return self.check.deadline_seconds or self.run.spec.judging.check_template.active_deadline_seconds

    @property
    def owner(self) -> evidence_volume.Owner:
        """Whose evidence it is."""
        return evidence_volume.Owner(self.namespace, self.run.spec.release_name, self.portion)

    @property
    def nonce(self) -> str:
        """What the answer has to carry."""
        return nonce(self.run_uid, self.check.name, self.attempt, self.pod.uid, self.portion)

    @property
    def asked(self) -> portions.Portion:
        """What the Job sends."""
        return portions.portions(self.run.spec.judging, self.check)[self.portion]


@dataclasses.dataclass(frozen=True, slots=True)
class Opponents:
    """What the candidate is compared with."""

    recorded: tuple[references.Recorded, ...] = ()
    live: references.LiveStable | None = None
    """Asked by the check only where no record of stable fits."""


def opponents(observed: observation.Observation, subject: Subject) -> Opponents:
    """Return what a Job compares its pod with, as far as it exists."""
    return Opponents(
        references.recorded(observed, subject.run, subject.check, subject.portion),
        references.live_stable(observed, subject.run, subject.check),
    )


def nonce(run_uid: str, check: str, attempt: int, pod_uid: str, portion: int = 0) -> str:
    """Return the nonce of one probe: known again after a crash, and never that of another one."""
    parts = [run_uid, check, str(attempt), pod_uid, *([str(portion)] if portion else [])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def name(run: str, check: str, attempt: int, pod_uid: str, portion: int = 0) -> str:
    """Return the Job's name: at most 63 characters, different for every probe."""
    full = f"{run}-{check}-{attempt}-{hashlib.sha256(pod_uid.encode()).hexdigest()[:6]}"
    full += f"-{portion}" if portion else ""
    if len(full) <= _NAME_MAX:
        return full
    short = hashlib.sha256(full.encode()).hexdigest()[:10]
    return f"{full[: _NAME_MAX - len(short) - 1].rstrip('-.')}-{short}"


def url(pod: observation.Pod) -> str:
    """Return the address of a pod's model port."""
    return f"http://{host(pod)}:{pod.port}"


def host(pod: observation.Pod) -> str:
    """Return a pod's address as it stands in a URL."""
    return f"[{pod.ip}]" if ":" in pod.ip else pod.ip


def mount_path(known: references.Recorded) -> str:
    """Return where a reference is mounted in the check's container."""
    return f"/references/{known.role.value.lower()}"


def parts(stored: api_run.Reference) -> list[tuple[str, str]]:
    """Return the ConfigMaps that hold recorded outputs, each with its key: the names that files get."""
    more = range(2, stored.parts + 1)
    return [
        (stored.config_map, OUTPUTS_KEY),
        *((f"{stored.config_map}-{number}", f"{OUTPUTS_KEY}.{number}") for number in more),
    ]
