"""What happens to a cluster's objects without the operator: controllers, scheduler, kubelet, Jobs.

Every second of virtual time a seeded generator decides what moves. How a pod behaves follows from its image,
so that a revision is good or bad for good: ``good``, ``benign``, ``slow``, ``crash``, ``casing`` (parity fails),
``burn`` (its SLO fails), ``hungry`` (asks for more than the node has).
"""

import asyncio
import copy
import dataclasses
import datetime
import json
import random
from collections.abc import Mapping
from typing import Any

from modelrelease.cluster import api
from tests.simulation import kubernetes, probes


@dataclasses.dataclass(frozen=True, slots=True)
class Weather:
    """How rough the cluster is, as probabilities per pod and second."""

    evict: float = 0.0005
    unready: float = 0.001
    recover: float = 0.2
    start_seconds: tuple[float, float] = (2.0, 20.0)
    stop_seconds: tuple[float, float] = (1.0, 15.0)
    job_seconds: tuple[float, float] = (1.0, 10.0)
    job_fault: float = 0.05
    """A check's pod prints rubbish, nothing or an old nonce, or is evicted."""
    capacity: int = 6
    """Pods that fit on the nodes."""


class Nodes:
    """The rest of Kubernetes."""

    def __init__(self, server: kubernetes.Server, chance: random.Random, weather: Weather) -> None:
        self._server, self._chance, self.weather = server, chance, weather
        self._serial = 0
        self._due: dict[str, float] = {}

    async def run(self) -> None:
        """Live on, one second after the other."""
        while True:
            await asyncio.sleep(1.0)
            self.step()

    def step(self) -> None:
        """Let one second happen."""
        for deployment in list(self._server.select("Deployment")):
            self._replicas(deployment)
        for job in list(self._server.select("Job")):
            self._job(job)
        for pod in list(self._server.select("Pod")):
            self._pod(pod)
        for deployment in list(self._server.select("Deployment")):
            self._report(deployment)

    # --- Deployments ------------------------------------------------------------------------------------------

    def _replicas(self, deployment: api.Object) -> None:
        alive = [pod for pod in self._pods_of(deployment) if not _terminating(pod) and not _finished(pod)]
        for pod in self._pods_of(deployment):
            if _finished(pod) and not _terminating(pod):
                self._server.remove("Pod", *api.key_of(pod))
        surplus = len(alive) - deployment["spec"]["replicas"]
        # As a ReplicaSet does: unscheduled, then unready, then the youngest first.
        alive.sort(key=lambda p: (_scheduled(p), _ready(p), -int(p["metadata"]["annotations"]["serial"])))
        for pod in alive[: max(0, surplus)]:
            self._terminate(pod)
        for _ in range(max(0, -surplus)):
            self._create_pod(deployment)

    def _pods_of(self, deployment: api.Object) -> list[api.Object]:
        uid = deployment["metadata"]["uid"]
        return [
            pod
            for pod in self._server.select("Pod", deployment["metadata"]["namespace"])
            if any(ref["uid"] == uid for ref in pod["metadata"].get("ownerReferences", []))
        ]

    def _create_pod(self, owner: api.Object) -> None:
        self._serial += 1
        template = copy.deepcopy(owner["spec"]["template"])
        metadata = owner["metadata"]
        spec = template["spec"]
        self._server.create(
            "Pod",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{metadata['name']}-{self._serial}",
                    "namespace": metadata["namespace"],
                    "labels": template["metadata"].get("labels", {}),
                    "annotations": {"serial": str(self._serial)},
                    "ownerReferences": [
                        {
                            "apiVersion": owner["apiVersion"],
                            "kind": owner["kind"],
                            "name": metadata["name"],
                            "uid": metadata["uid"],
                            "controller": True,
                        }
                    ],
                },
                "spec": spec,
                "status": {"phase": "Pending", "conditions": []},
            },
        )

    def _report(self, deployment: api.Object) -> None:
        pods = [pod for pod in self._pods_of(deployment) if not _terminating(pod)]
        changed = copy.deepcopy(deployment)
        changed["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(_ready(pod) for pod in pods),
        }
        self._server.replace("Deployment", changed)

    # --- Pods -------------------------------------------------------------------------------------------------

    def _pod(self, pod: api.Object) -> None:
        uid = pod["metadata"]["uid"]
        if _terminating(pod):
            if self._is_due(uid + "/stop"):
                self._server.remove("Pod", *api.key_of(pod))
            return
        if _finished(pod):
            return
        if not _scheduled(pod):
            self._schedule(pod)
        elif not pod["status"].get("podIP") or not _ready(pod):
            if self._is_due(uid + "/start"):
                self._start(pod)
        elif "Job" not in {ref["kind"] for ref in pod["metadata"]["ownerReferences"]}:
            self._weather(pod)

    def _schedule(self, pod: api.Object) -> None:
        used = sum(
            1 for other in self._server.select("Pod") if _scheduled(other) and not _finished(other) and _serves(other)
        )
        changed = copy.deepcopy(pod)
        if _serves(pod) and (used >= self.weather.capacity or behaviour(pod) == "hungry"):
            self._condition(changed, "PodScheduled", "False", "Unschedulable", "0/1 nodes: Insufficient nvidia.com/gpu")
            self._server.replace("Pod", changed)
            return
        changed["spec"]["nodeName"] = "node-1"
        self._condition(changed, "PodScheduled", "True")
        changed["status"]["podIP"] = f"10.0.0.{int(pod['metadata'].get('annotations', {}).get('serial', '1')) % 250}"
        self._server.replace("Pod", changed)
        seconds = self._chance.uniform(*self.weather.start_seconds) * (4 if behaviour(pod) == "slow" else 1)
        self._after(pod["metadata"]["uid"] + "/start", seconds)

    def _start(self, pod: api.Object) -> None:
        changed = copy.deepcopy(pod)
        name = changed["spec"]["containers"][0]["name"]
        image = changed["spec"]["containers"][0]["image"]
        status = {"name": name, "ready": True, "restartCount": 0, "imageID": f"sha256:{image}", "state": {"running": {}}}
        old = (changed["status"].get("containerStatuses") or [{}])[0]
        if behaviour(pod) == "crash" and _serves(pod):
            status |= {
                "ready": False,
                "restartCount": old.get("restartCount", 0) + 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
            }
            self._after(pod["metadata"]["uid"] + "/start", 5.0)
        else:
            changed["status"]["phase"] = "Running"
            status["restartCount"] = old.get("restartCount", 0)
            self._condition(changed, "Ready", "True")
        changed["status"]["containerStatuses"] = [status]
        self._server.replace("Pod", changed)

    def _weather(self, pod: api.Object) -> None:
        chance = self._chance.random()
        if chance < self.weather.evict:
            changed = copy.deepcopy(pod)
            self._condition(changed, "DisruptionTarget", "True", "EvictionByEvictionAPI")
            self._server.replace("Pod", changed)
            self._terminate(changed)
        elif chance < self.weather.evict + self.weather.unready:
            changed = copy.deepcopy(pod)
            self._condition(changed, "Ready", "False")
            changed["status"]["containerStatuses"][0]["ready"] = False
            self._server.replace("Pod", changed)
            self._after(pod["metadata"]["uid"] + "/start", self._chance.uniform(1.0, 10.0))

    def _terminate(self, pod: api.Object) -> None:
        current = self._server.find("Pod", *api.key_of(pod))
        if current is None or _terminating(current):
            return
        changed = copy.deepcopy(current)
        changed["metadata"]["deletionTimestamp"] = kubernetes.wire_time(self._server.now())
        self._condition(changed, "Ready", "False")
        self._server.replace("Pod", changed)
        self._after(pod["metadata"]["uid"] + "/stop", self._chance.uniform(*self.weather.stop_seconds))

    def delete_pod(self, pod: api.Object) -> None:
        """Delete a pod as a person does: it terminates first."""
        self._terminate(pod)

    # --- Jobs -------------------------------------------------------------------------------------------------

    def _job(self, job: api.Object) -> None:
        pods = self._pods_of(job)
        conditions = job.get("status", {}).get("conditions", [])
        if any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions):
            return
        if not pods:
            self._create_pod(job)
            return
        pod = pods[0]
        uid = pod["metadata"]["uid"]
        if not _scheduled(pod):
            return
        if uid + "/job" not in self._due:
            self._after(uid + "/job", self._chance.uniform(*self.weather.job_seconds))
        elif self._is_due(uid + "/job"):
            self._finish(job, pod)

    def _finish(self, job: api.Object, pod: api.Object) -> None:
        request = json.loads(
            next(e["value"] for e in pod["spec"]["containers"][0]["env"] if e["name"] == "MODELRELEASE_CHECK_REQUEST")
        )
        fault = self._chance.choice(probes.FAULTS) if self._chance.random() < self.weather.job_fault else ""
        target = next((p for p in self._server.select("Pod") if p["metadata"]["uid"] == request["pod"]["uid"]), None)
        reply = probes.reply(request, behaviour(target) if target else "gone", fault, self._server.now())
        changed = copy.deepcopy(pod)
        changed["status"]["phase"] = "Failed" if reply.exit_code else "Succeeded"
        if fault == "evicted":
            self._condition(changed, "DisruptionTarget", "True", "EvictionByEvictionAPI")
        changed["status"]["containerStatuses"] = [
            {
                "name": changed["spec"]["containers"][0]["name"],
                "ready": False,
                "restartCount": 0,
                "imageID": "sha256:checks",
                "state": {"terminated": {"exitCode": reply.exit_code, "reason": reply.reason, "message": reply.message}},
            }
        ]
        changed["metadata"].setdefault("annotations", {})["simulation/log"] = reply.log
        self._server.replace("Pod", changed)
        done = copy.deepcopy(job)
        kind = "Failed" if reply.exit_code else "Complete"
        done["status"] = {"conditions": [{"type": kind, "status": "True", "reason": "", "message": ""}]}
        self._server.replace("Job", done)

    # --- Helpers ----------------------------------------------------------------------------------------------

    def _after(self, key: str, seconds: float) -> None:
        self._due[key] = self._seconds() + seconds

    def _is_due(self, key: str) -> bool:
        return self._due.get(key, 0.0) <= self._seconds()

    def _seconds(self) -> float:
        return (self._server.now() - kubernetes.EPOCH).total_seconds()

    def _condition(self, pod: api.Object, kind: str, status: str, reason: str = "", message: str = "") -> None:
        conditions = [c for c in pod["status"].get("conditions", []) if c["type"] != kind]
        old = next((c for c in pod["status"].get("conditions", []) if c["type"] == kind), {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        conditions.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": since or kubernetes.wire_time(self._server.now()),
            }
        )
        pod["status"]["conditions"] = conditions


def behaviour(pod: Mapping[str, Any]) -> str:
    """Return how the pod behaves: the first word of its image's name."""
    image = str(pod["spec"]["containers"][0]["image"])
    return image.rpartition("/")[2].partition(":")[0]


def _serves(pod: Mapping[str, Any]) -> bool:
    return "modelrelease.dev/revision" in (pod["metadata"].get("labels") or {}) and not any(
        ref["kind"] == "Job" for ref in pod["metadata"].get("ownerReferences", [])
    )


def _scheduled(pod: Mapping[str, Any]) -> bool:
    return "nodeName" in pod["spec"]


def _terminating(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _finished(pod: Mapping[str, Any]) -> bool:
    return pod["status"].get("phase") in {"Succeeded", "Failed"}


def _ready(pod: Mapping[str, Any]) -> bool:
    return not _terminating(pod) and any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])
    )


def age(obj: Mapping[str, Any], now: datetime.datetime) -> float:
    """Return the seconds since the object was created."""
    return (now - datetime.datetime.fromisoformat(obj["metadata"]["creationTimestamp"])).total_seconds()
