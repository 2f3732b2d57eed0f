"""What can be seen on the server, and what was to be seen a moment ago: the facts that invariants are about.

Nothing here asks the operator: a mistake of the product can't hide itself.
"""

import dataclasses
import fractions
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from modelrelease.api import constants
from modelrelease.cluster import api
from tests.simulation import faults, kubernetes, nodes
from tests.simulation.people import NAME, NAMESPACE

OPERATOR = constants.FIELD_MANAGER
LOOK_SECONDS = 5.0
"""A turn without faults acts on facts no older than this."""
TURN_SECONDS = 90.0
"""A turn whose calls are slow or fail, and that ends by its deadline, on facts no older than this."""


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """The pod budget since some moment."""

    since: float
    replicas: int
    surge: int
    unavailable: int

    @property
    def ceiling(self) -> int:
        return self.replicas + self.surge

    @property
    def floor(self) -> int:
        return max(0, self.replicas - self.unavailable)


class View:
    """The release, seen from outside."""

    def __init__(self, server: kubernetes.Server, line: faults.Line, name: str = NAME) -> None:
        self.server, self.line, self.name = server, line, name
        self.budgets: list[Budget] = []
        self.overrides: list[tuple[float, Mapping[str, Any]]] = []
        self.disruptions: list[float] = []
        """When a pod began to go, or ceased to be Ready, without the operator's doing."""
        self.products: dict[str, tuple[float, nodes.Product]] = {}
        """What each pod is, by its UID, and since when that can be seen."""

    def now(self) -> float:
        """Return the virtual seconds."""
        return self.server.seconds()

    def look_since(self) -> float:
        """Return how old the facts may be that the operator acts on now."""
        slow = self.now() - self.line.last_fault(self.name) < TURN_SECONDS or self.line.waits(self.name)
        return self.now() - (TURN_SECONDS if slow else LOOK_SECONDS)

    # --- Noting --------------------------------------------------------------------------------------------

    def note(self, write: kubernetes.Write) -> None:
        """Keep what a later question may be about."""
        if write.kind == "ModelRelease" and write.event != "DELETED":
            self._note_release(write.new)
        elif write.kind == "Pod" and write.old is not None and write.actor != nodes.REPLICA_SET:
            lost = nodes.ready(write.old) and (write.event == "DELETED" or not nodes.ready(write.new))
            if lost or (nodes.terminating(write.new) and not nodes.terminating(write.old)):
                self.disruptions.append(self.now())
        if write.kind == "Pod":
            self._note_product(write.new)

    def _note_product(self, pod: api.Object) -> None:
        found, uid = nodes.product(pod, self.gpus()), pod["metadata"]["uid"]
        if found is not None and self.products.get(uid, (0.0, None))[1] != found:
            self.products[uid] = (self.now(), found)

    def _note_release(self, release: api.Object) -> None:
        spec = release["spec"]
        strategy = spec.get("strategy") or {}
        replicas = spec.get("replicas", 1)
        # As of a Deployment: a share of pods is rounded up where it allows more, down where it allows fewer,
        # and what would allow neither allows one fewer.
        surge = math.ceil(_pods(strategy.get("maxSurge", 1), replicas))
        unavailable = math.floor(_pods(strategy.get("maxUnavailable", 0), replicas))
        budget = Budget(self.now(), replicas, surge, unavailable if surge or unavailable else 1)
        if not self.budgets or dataclasses.replace(budget, since=self.budgets[-1].since) != self.budgets[-1]:
            self.budgets.append(budget)
        override = spec.get("override") or {}
        if not self.overrides or self.overrides[-1][1] != override:
            self.overrides.append((self.now(), override))

    def forget(self) -> None:
        """Begin anew: the release was deleted."""
        self.budgets.clear()
        self.overrides.clear()

    # --- Asking about a moment ago -------------------------------------------------------------------------

    def ceiling(self) -> int:
        """Return the largest budget that the operator may still act on."""
        return max((budget.ceiling for budget in self._budgets()), default=0)

    def floor(self) -> int:
        """Return the smallest floor that the operator may still act on."""
        return min((budget.floor for budget in self._budgets()), default=0)

    def _budgets(self) -> list[Budget]:
        since = self.look_since()
        recent = [
            b
            for b, after in zip(self.budgets, [*self.budgets[1:], None], strict=True)
            if after is None or after.since >= since
        ]
        return recent or self.budgets[-1:]

    def said(self, holds: Callable[[Mapping[str, Any]], bool]) -> bool:
        """Return whether something held of the overrides that the operator may still act on."""
        since = self.look_since()
        entries = zip(self.overrides, [*self.overrides[1:], None], strict=True)
        return any(holds(override) for (_, override), after in entries if after is None or after[0] >= since)

    def excused(self, revision: str, check: str, run: Mapping[str, Any]) -> bool:
        """Return whether a check or SLO need not pass: reported only, forced or waived."""
        if run["spec"]["judging"]["enforcement"] == "Observe":
            return True
        return self.said(
            lambda o: (
                (o.get("forced") or {}).get("revision") == revision
                or any(w["revision"] == revision and w["check"] == check for w in o.get("waivers") or ())
            )
        )

    def not_waited_for(self, revision: str, slo: Mapping[str, Any]) -> bool:
        """Return whether an SLO with too little traffic is skipped: as declared, or by an approval."""
        entry = {"revision": revision, "stage": "Infeasible"}
        return slo.get("whenInfeasible") == "Skip" or self.said(
            lambda o: any(entry.items() <= approval.items() for approval in o.get("approvals") or ())
        )

    def shaken(self) -> int:
        """Return how many pods went, or ceased to be Ready, since the operator looked."""
        since = self.look_since()
        return sum(moment >= since for moment in self.disruptions)

    # --- Asking about now ----------------------------------------------------------------------------------

    @property
    def release(self) -> api.Object | None:
        """The ModelRelease."""
        return self.server.find("ModelRelease", NAMESPACE, self.name)

    @property
    def service(self) -> api.Object | None:
        """The live Service."""
        return self.server.find("Service", NAMESPACE, self.name)

    def owns_service(self) -> bool:
        """Return whether the live Service is this release's, not a deleted namesake's."""
        release, service = self.release, self.service
        owners = (service or {}).get("metadata", {}).get("ownerReferences") or ()
        return release is not None and any(o["uid"] == release["metadata"]["uid"] for o in owners)

    def override(self) -> Mapping[str, Any]:
        """Return the overrides."""
        return self.overrides[-1][1] if self.overrides else {}

    def rejected(self) -> set[str]:
        """Return the rejected revisions."""
        return {entry["revision"] for entry in self.override().get("rejected") or ()}

    def pods(self, revision: str | None = None) -> list[api.Object]:
        """Return the serving pods that exist and have not ended by themselves."""
        return [
            pod
            for pod in self.server.of("Pod", self.name)
            if not nodes.is_check(pod) and not nodes.finished(pod) and revision in {None, revision_of(pod)}
        ]

    def ready(self, revision: str) -> int:
        """Return the revision's Ready pods."""
        return sum(map(nodes.ready, self.pods(revision)))

    def exposed(self, service: api.Object | None) -> dict[str, int]:
        """Return the Ready pods that a Service selects, by revision."""
        found: dict[str, int] = {}
        selector = ((service or {}).get("spec") or {}).get("selector") or {}
        for pod in self.pods() if selector else ():
            labels = pod["metadata"].get("labels") or {}
            if nodes.ready(pod) and all(labels.get(key) == value for key, value in selector.items()):
                found[revision_of(pod)] = found.get(revision_of(pod), 0) + 1
        return found

    def gpus(self) -> Mapping[str, str]:
        """Return the product of each node that says it."""
        found = self.server.objects.get("Node", {}).values()
        return {
            node["metadata"]["name"]: node["metadata"]["labels"]["nvidia.com/gpu.product"] for node in found
        }

    def untested(self, revision: str, tested: Collection[nodes.Product], seconds: float) -> list[str]:
        """Return the pods of a revision that have been another product than the tested ones for so long."""
        known = ((pod, self.products.get(pod["metadata"]["uid"])) for pod in self.pods(revision))
        return [
            f"{pod['metadata']['name']} ({', '.join(found[1])})"
            for pod, found in known
            if found is not None
            and not nodes.terminating(pod)
            and found[1] not in tested
            and found[0] <= self.now() - seconds
        ]

    def selects(self, service: api.Object | None, revision: str) -> bool:
        """Return whether a Service's selector finds the revision's pods."""
        selector = ((service or {}).get("spec") or {}).get("selector") or {}
        return bool(selector) and selector.get(constants.LABEL_REVISION, revision) == revision

    def desired(self) -> dict[str, int]:
        """Return what every Deployment asks for, by revision."""
        found = self.server.of("Deployment", self.name)
        return {revision_of(obj): obj["spec"]["replicas"] for obj in found}

    def held(self) -> int:
        """Return the most pods that exist or may come without being asked again, going ones included."""
        desired, total = self.desired(), 0
        owners = {obj["metadata"]["uid"] for obj in self.server.of("Deployment", self.name)}
        present = [pod for pod in self.pods() if pod["metadata"]["ownerReferences"][0]["uid"] in owners]
        for revision in {*desired, *map(revision_of, present)}:
            pods = [pod for pod in present if revision_of(pod) == revision]
            going = sum(map(nodes.terminating, pods))
            total += max(desired.get(revision, 0), len(pods) - going) + going
        return total

    def stored(self, revision: str) -> api.Object | None:
        """Return the revision's ControllerRevision."""
        return self.server.find("ControllerRevision", NAMESPACE, f"{self.name}-{revision}")

    def behaviour(self, revision: str) -> str:
        """Return how the revision behaves."""
        stored = self.stored(revision)
        return nodes.behaviour_of(nodes.image_of(stored["data"]["template"]["spec"])) if stored else ""

    def space(self, revision: str) -> str:
        """Return the vector space that the revision answers in."""
        stored = self.stored(revision)
        return str(stored["data"]["embeddingSpace"]) if stored else ""

    def crosses(self, one: str | None, other: str | None) -> bool:
        """Return whether two stored revisions answer in different vector spaces."""
        spaces = {self.space(name) for name in (one, other) if name and self.stored(name)}
        return len(spaces) > 1

    def wanted(self) -> str | None:
        """Return the stored revision that the spec asks for."""
        release = self.release
        image = nodes.image_of(release["spec"]["template"]["spec"]) if release else ""
        for obj in self.server.of("ControllerRevision", self.name):
            if nodes.image_of(obj["data"]["template"]["spec"]) == image:
                return revision_of(obj)
        return None

    def runs(self) -> list[api.Object]:
        """Return the runs, oldest first."""
        found = self.server.of("ModelReleaseRun", self.name)
        return sorted(found, key=lambda run: int(run["metadata"]["uid"].removeprefix("uid-")))

    def active(self) -> api.Object | None:
        """Return the newest run that is not Done."""
        return next((run for run in reversed(self.runs()) if phase_of(run) != "Done"), None)


def _pods(said: int | str, replicas: int) -> fractions.Fraction:
    """Return the pods of a number, or of a share of the replicas; exact."""
    if isinstance(said, int):
        return fractions.Fraction(said)
    return fractions.Fraction(int(said.removesuffix("%")) * replicas, 100)


def revision_of(obj: Mapping[str, Any]) -> str:
    """Return the revision that an object bears."""
    return str((obj["metadata"].get("labels") or {}).get(constants.LABEL_REVISION, ""))


def phase_of(run: Mapping[str, Any]) -> str:
    """Return the phase of a run."""
    return str((run.get("status") or {}).get("phase", "Queued"))
