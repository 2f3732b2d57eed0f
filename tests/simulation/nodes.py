"""What happens to a cluster's objects without the operator: controllers, scheduler, kubelet, Jobs, collector.

How a pod behaves follows from its image, so that a revision is good or bad for good: ``good``, ``slow``,
``crash``, ``hungry`` (asks for more than any node has), ``casing`` (parity fails), ``burn`` (its SLO fails),
``mute``, ``shaky``, ``quiet`` and ``scarce`` (its SLO has no data, breaks at times, has too few requests at
first, or for ever),
``tampered`` (the model's files are not the pinned ones, where some are mounted).
How long something takes follows from the seed and the object's name, so that a life with one event less is
otherwise the same.
"""

import asyncio
import dataclasses
import json
import random
from collections.abc import Mapping
from typing import Any

from modelrelease.cluster import api
from tests.simulation import kubernetes, probes

REPLICA_SET = "replicaset"
"""Who deletes the pods that are no longer asked for."""
Product = tuple[str, str]
"""An image and a GPU."""
VERIFIER = "modelrelease-artifact"
"""Name of the init container that reads the model's files."""
GPUS = {"node-1": "A100", "node-2": "H100"}
"""The product that each node has, where they say so."""
OLDER_SECONDS = 300.0
"""A Job's own deadline, in place of the product's 10 minutes."""


@dataclasses.dataclass(slots=True)
class Weather:
    """How rough the cluster is; a life changes it as it goes."""

    start_seconds: tuple[float, float] = (2.0, 12.0)
    stop_seconds: tuple[float, float] = (1.0, 8.0)
    job_seconds: tuple[float, float] = (1.0, 6.0)
    job_fault: float = 0.0
    """Share of checks that print rubbish, nothing or an old nonce, hang, or are evicted."""
    capacity: int = 12
    """Pods that fit on the nodes."""
    node: str = "node-1"
    """Where pods find a place; another one may have other GPUs."""
    moved: dict[str, int] = dataclasses.field(default_factory=dict)
    """How often a tag was moved to another image, by the image that pods name."""


class Nodes:
    """The rest of Kubernetes."""

    def __init__(self, server: kubernetes.Server, seed: int, weather: Weather) -> None:
        self._server, self._seed, self.weather = server, seed, weather
        self._serial: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._seen = (-1, -1)
        self._collected = -1
        self.said: dict[tuple[str, str, int, str, int], str] = {}
        """What a check really found, by run, check, attempt, UID of the probed pod, and shard."""
        self.mismatched: set[str] = set()
        """Revisions whose files were found to be other ones."""

    def build(self) -> None:
        """Say which GPUs the nodes have."""
        for name, product in GPUS.items():
            labels = {"nvidia.com/gpu.product": product}
            metadata = {"name": name, "namespace": "", "labels": labels}
            self._server.create("Node", {"apiVersion": "v1", "kind": "Node", "metadata": metadata})

    async def run(self) -> None:
        """Live on, one second after the other."""
        while True:
            await asyncio.sleep(1.0)
            now = self._server.seconds()
            due = min(self._due.values(), default=now + 1)
            if due <= now or self._seen != (self._server.version, self.weather.capacity):
                self._seen = (self._server.version, self.weather.capacity)
                self.step()

    def step(self) -> None:
        """Let one second happen."""
        self._collect()
        select = self._server.select
        for deployment in select("Deployment"):
            self._replicas(deployment)
        for job in select("Job"):
            self._job(job)
        for pod in select("Pod"):
            self._pod(pod)
        for deployment in select("Deployment"):
            self._report(deployment)

    def _collect(self) -> None:
        """Delete what has lost its last owner; pods may take their time."""
        if self._collected == self._server.changes:
            return
        self._collected = self._server.changes
        present = {
            obj["metadata"]["uid"] for objects in self._server.objects.values() for obj in objects.values()
        }
        for kind, objects in list(self._server.objects.items()):
            for obj in list(objects.values()):
                owners = obj["metadata"].get("ownerReferences") or ()
                if not owners or any(owner["uid"] in present for owner in owners):
                    continue
                if kind == "Pod":
                    self.delete_pod(obj)
                else:
                    self._server.remove(kind, *api.key_of(obj))

    # --- Deployments ---------------------------------------------------------------------------------------

    def _replicas(self, deployment: api.Object) -> None:
        """Create and delete pods as a ReplicaSet; a changed template replaces them, one at a time."""
        alive = []
        for pod in self._pods_of(deployment):
            if finished(pod):
                self._server.remove("Pod", *api.key_of(pod))
            elif not terminating(pod):
                alive.append(pod)
        surplus = len(alive) - deployment["spec"]["replicas"]
        template = deployment["spec"]["template"]
        stale = [pod for pod in alive if image_of(pod["spec"]) != image_of(template["spec"])]
        if surplus <= 0 and stale and all(map(ready, alive)):
            self.delete_pod(stale[0])
            return
        # Unscheduled, then unready, then the youngest first.
        alive.sort(key=lambda p: (scheduled(p), ready(p), -int(p["metadata"]["annotations"]["serial"])))
        with self._server.as_actor(REPLICA_SET):
            for pod in alive[: max(0, surplus)]:
                self.delete_pod(pod)
        for _ in range(-surplus):
            self._create_pod(deployment)

    def _pods_of(self, owner: api.Object) -> list[api.Object]:
        uid = owner["metadata"]["uid"]
        return [
            pod
            for pod in sorted(self._server.of("Pod", kubernetes.release_of(owner)), key=api.key_of)
            if any(ref["uid"] == uid for ref in pod["metadata"].get("ownerReferences", []))
        ]

    def _create_pod(self, owner: api.Object) -> None:
        metadata, template = owner["metadata"], kubernetes.copied(owner["spec"]["template"])
        serial = self._serial[metadata["name"]] = self._serial.get(metadata["name"], 0) + 1
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        reference |= {"name": metadata["name"], "uid": metadata["uid"], "controller": True}
        self._server.create(
            "Pod",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{metadata['name']}-{serial}",
                    "namespace": metadata["namespace"],
                    "labels": template["metadata"].get("labels", {}),
                    "annotations": {"serial": str(serial)},
                    "ownerReferences": [reference],
                },
                "spec": template["spec"],
                "status": {"phase": "Pending", "conditions": []},
            },
        )

    def _report(self, deployment: api.Object) -> None:
        pods = [pod for pod in self._pods_of(deployment) if not terminating(pod)]
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(map(ready, pods)),
        }
        if deployment.get("status") != status:
            self._server.replace("Deployment", _changed(deployment) | {"status": status})

    # --- Pods ----------------------------------------------------------------------------------------------

    def _pod(self, pod: api.Object) -> None:
        uid = pod["metadata"]["uid"]
        if terminating(pod):
            if self._is_due(uid):
                del self._due[uid]
                self._server.remove("Pod", *api.key_of(pod))
        elif finished(pod) or is_check(pod):
            if not scheduled(pod):
                self._schedule(pod)
        elif not scheduled(pod):
            self._schedule(pod)
        elif not ready(pod) and self._is_due(uid):
            del self._due[uid]
            self._start(pod)

    def _schedule(self, pod: api.Object) -> None:
        serving = [
            p for p in self._server.select("Pod") if scheduled(p) and not finished(p) and not is_check(p)
        ]
        if not is_check(pod) and (len(serving) >= self.weather.capacity or behaviour(pod) == "hungry"):
            said = ("Unschedulable", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
            if not _has(pod, "PodScheduled", "False"):
                self._set(pod, ("PodScheduled", "False", *said))
            return
        name = pod["metadata"]["name"]
        seconds = self._duration(name, self.weather.start_seconds) * (5 if behaviour(pod) == "slow" else 1)
        self._due[pod["metadata"]["uid"]] = self._server.seconds() + seconds
        changed = self._with(pod, ("PodScheduled", "True", "", ""))
        changed["spec"]["nodeName"] = self.weather.node
        changed["status"]["podIP"] = f"10.0.0.{random.Random(name).randrange(1, 250)}"
        self._server.replace("Pod", changed)
        if is_check(pod):
            del self._due[pod["metadata"]["uid"]]

    def _start(self, pod: api.Object) -> None:
        if not self._verified(pod):
            return
        pod = self._server.get("Pod", *api.key_of(pod))
        container = pod["spec"]["containers"][0]
        old = (pod["status"].get("containerStatuses") or [{}])[0]
        status = {
            "name": container["name"],
            "ready": True,
            "restartCount": old.get("restartCount", 0),
            "imageID": self.image_id(container["image"]),
            "state": {"running": {}},
        }
        if behaviour(pod) == "crash":
            status |= {
                "ready": False,
                "restartCount": old.get("restartCount", 0) + 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
            }
            changed = kubernetes.copied(pod)
            self._due[pod["metadata"]["uid"]] = self._server.seconds() + 5.0 * min(8, status["restartCount"])
        else:
            changed = self._with(pod, ("Ready", "True", "", ""))
            changed["status"]["phase"] = "Running"
        changed["status"]["containerStatuses"] = [status]
        self._server.replace("Pod", changed)

    def image_id(self, image: str) -> str:
        """Return what a pod that starts now gets where it names an image."""
        moved = self.weather.moved.get(image, 0)
        return f"sha256:{image}" + (f"-{moved}" if moved else "")

    def _verified(self, pod: api.Object) -> bool:
        """Let the init container read the model's files; at times the first read of a pod breaks."""
        verifier = next((c for c in pod["spec"].get("initContainers") or () if c["name"] == VERIFIER), None)
        old = (pod["status"].get("initContainerStatuses") or [{}])[0]
        if verifier is None or old.get("ready"):
            return True
        restarts = old.get("restartCount", -1) + 1
        digest = verifier["command"][verifier["command"].index("--digest") + 1]
        chance = random.Random(f"{self._seed}/{pod['metadata']['name']}/files")
        outcome, code = "Match", 0
        if behaviour(pod) == "tampered":
            outcome, code = "Mismatch", 1
            self.mismatched.add(pod["metadata"]["labels"]["modelrelease.dev/revision"])
        elif restarts == 0 and chance.random() < self.weather.job_fault:
            outcome, code = "Unreadable", 3
        said = {"schema": "artifact.modelrelease.dev/v1", "outcome": outcome, "message": f"it is {outcome}"}
        said |= {"digest": digest, "files": {"tokenizer.json": "0" * 64}} if code == 0 else {}
        ended = {"terminated": {"exitCode": code, "message": json.dumps(said)}}
        status = {"name": VERIFIER, "restartCount": restarts, "imageID": "sha256:checks", "ready": code == 0}
        back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
        status |= {"state": ended} if code == 0 else {"state": back_off, "lastState": ended}
        changed = kubernetes.copied(pod)
        changed["status"]["initContainerStatuses"] = [status]
        if code:
            self._due[pod["metadata"]["uid"]] = self._server.seconds() + 5.0 * min(8, restarts + 1)
        self._server.replace("Pod", changed)
        return code == 0

    # --- What people, the node and the descheduler do to pods ----------------------------------------------

    def delete_pod(self, pod: api.Object) -> None:
        """Delete a pod as a person does: it terminates first."""
        current = self._server.find("Pod", *api.key_of(pod))
        if current is None or terminating(current):
            return
        if not scheduled(current) or finished(current):
            self._server.remove("Pod", *api.key_of(current))
            return
        changed = self._with(current, ("Ready", "False", "", ""))
        changed["metadata"]["deletionTimestamp"] = kubernetes.wire_time(self._server.now())
        seconds = self._duration(f"{pod['metadata']['name']}/stop", self.weather.stop_seconds)
        self._due[pod["metadata"]["uid"]] = self._server.seconds() + seconds
        self._server.replace("Pod", changed)

    def evict(self, pod: api.Object) -> None:
        """Evict a pod."""
        if not terminating(pod) and not finished(pod):
            self._set(pod, ("DisruptionTarget", "True", "EvictionByEvictionAPI", "evicted"))
            self.delete_pod(pod)

    def lose_readiness(self, pod: api.Object, seconds: float) -> None:
        """Let a Ready pod be unready for a while."""
        if ready(pod):
            changed = self._with(pod, ("Ready", "False", "", ""))
            changed["status"]["containerStatuses"][0]["ready"] = False
            self._due[pod["metadata"]["uid"]] = self._server.seconds() + seconds
            self._server.replace("Pod", changed)

    # --- Jobs ----------------------------------------------------------------------------------------------

    def _job(self, job: api.Object) -> None:
        conditions = job.get("status", {}).get("conditions", [])
        if any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions):
            return
        key, now = job["metadata"]["uid"], self._server.seconds()
        if key + "/end" not in self._due:
            self._due[key + "/end"] = now + job["spec"].get("activeDeadlineSeconds", OLDER_SECONDS)
        pods = [pod for pod in self._pods_of(job) if not finished(pod) and not terminating(pod)]
        if self._is_due(key + "/end"):
            self._end(job, "Failed", "DeadlineExceeded")
            for pod in pods:
                self.delete_pod(pod)
        elif not pods:
            self._create_pod(job)
        elif scheduled(pods[0]):
            due = key + pods[0]["metadata"]["name"]
            if due not in self._due:
                self._due[due] = now + self._duration(pods[0]["metadata"]["name"], self.weather.job_seconds)
            elif self._is_due(due):
                del self._due[due]
                self._finish(job, pods[0])

    def _end(self, job: api.Object, kind: str, reason: str = "") -> None:
        self._due = {key: due for key, due in self._due.items() if not key.startswith(job["metadata"]["uid"])}
        status = {"conditions": [{"type": kind, "status": "True", "reason": reason, "message": ""}]}
        self._server.replace("Job", _changed(job) | {"status": status})

    def _finish(self, job: api.Object, pod: api.Object) -> None:
        environment = pod["spec"]["containers"][0]["env"]
        request = probes.asked({entry["name"]: entry.get("value", "") for entry in environment})
        chance = random.Random(f"{self._seed}/{pod['metadata']['name']}")
        fault = chance.choice(probes.FAULTS) if chance.random() < self.weather.job_fault else ""
        if fault == "hang":
            self._due[job["metadata"]["uid"] + pod["metadata"]["name"]] = float("inf")
            return
        target = self._server.find("Pod", pod["metadata"]["namespace"], request["pod"]["name"])
        alive = target is not None and target["metadata"]["uid"] == request["pod"]["uid"] and ready(target)
        reply = probes.reply(
            request, behaviour(target) if target and alive else "gone", fault, self._server.now()
        )
        asked = request["check"]["name"], request["attempt"], request["pod"]["uid"]
        key = (request["run"], *asked, request["shard"])
        self.said[key] = reply.verdict
        changed = (
            self._with(pod, ("DisruptionTarget", "True", "Preempted", "")) if fault == "evicted" else None
        )
        changed = changed or kubernetes.copied(pod)
        changed["status"]["phase"] = "Failed" if reply.exit_code else "Succeeded"
        ended = {"exitCode": reply.exit_code, "reason": reply.reason, "message": reply.message}
        ended["finishedAt"] = kubernetes.wire_time(self._server.now())
        changed["status"]["containerStatuses"] = [
            {
                "name": changed["spec"]["containers"][0]["name"],
                "ready": False,
                "restartCount": 0,
                "imageID": "sha256:checks",
                "state": {"terminated": ended},
            }
        ]
        changed["metadata"]["annotations"]["simulation/log"] = reply.log
        self._server.replace("Pod", changed)
        if fault != "evicted":  # the failure policy ignores it: there will be another pod
            self._end(job, "Failed" if reply.exit_code else "Complete")

    # --- Helpers -------------------------------------------------------------------------------------------

    def _duration(self, name: str, bounds: tuple[float, float]) -> float:
        return random.Random(f"{self._seed}/{name}").uniform(*bounds)

    def _is_due(self, key: str) -> bool:
        return self._due.get(key, 0.0) <= self._server.seconds()

    def _set(self, pod: api.Object, said: tuple[str, str, str, str]) -> None:
        self._server.replace("Pod", self._with(pod, said))

    def _with(self, pod: api.Object, said: tuple[str, str, str, str]) -> api.Object:
        kind, status, reason, message = said
        changed: api.Object = kubernetes.copied(pod)
        conditions = changed["status"].setdefault("conditions", [])
        old = next((c for c in conditions if c["type"] == kind), None)
        since = kubernetes.wire_time(self._server.now())
        if old is not None and old["status"] == status:
            since = old["lastTransitionTime"]
        now = {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since,
        }
        changed["status"]["conditions"] = [c for c in conditions if c["type"] != kind] + [now]
        return changed


def _changed(obj: api.Object) -> api.Object:
    """Return a shallow copy whose metadata the server may write to."""
    return obj | {"metadata": dict(obj["metadata"])}


def image_of(pod_spec: Mapping[str, Any]) -> str:
    """Return the image of the first container."""
    return str(pod_spec["containers"][0]["image"])


def behaviour_of(image: str) -> str:
    """Return how a pod with this image behaves: the image's name."""
    return image.rpartition("/")[2].partition(":")[0]


def behaviour(pod: Mapping[str, Any]) -> str:
    """Return how the pod behaves."""
    return behaviour_of(image_of(pod["spec"]))


def product(pod: Mapping[str, Any], nodes: Mapping[str, str]) -> Product | None:
    """Return what a pod is: its image and the GPUs of its node; None before it has run.

    Parameters
    ----------
    pod
        A pod.
    nodes
        Products by node.
    """
    statuses = pod["status"].get("containerStatuses")
    if not statuses or not statuses[0].get("imageID"):
        return None
    return statuses[0]["imageID"], nodes.get(pod["spec"].get("nodeName", ""), "")


def _has(pod: Mapping[str, Any], kind: str, status: str) -> bool:
    return any(c["type"] == kind and c["status"] == status for c in pod["status"].get("conditions", []))


def is_check(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod is a check's."""
    return any(ref["kind"] == "Job" for ref in pod["metadata"].get("ownerReferences", []))


def scheduled(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod has a node."""
    return "nodeName" in pod["spec"]


def terminating(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def finished(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod has ended by itself."""
    return pod["status"].get("phase") in {"Succeeded", "Failed"}


def ready(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod is an endpoint of the Services that select it."""
    return not terminating(pod) and _has(pod, "Ready", "True")
