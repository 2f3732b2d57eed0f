"""One release of a toy model server: what people do to it, and what they see."""

import copy
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hack.demo import kube, stage

T = TypeVar("T")
TOY = pathlib.Path(__file__).with_name("toy_server.py")
ON_CALL = "on-call"
RUN_SECONDS = 120
"""No run here has more to do than start a few small pods and hold for seconds."""


def toy_source(namespace: str) -> kube.Object:
    """The ConfigMap that every toy server is mounted from."""
    return config_map(namespace, "toy-server", {"server.py": TOY.read_text()})


def config_map(namespace: str, name: str, data: Mapping[str, str]) -> kube.Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(data),
    }


def service(namespace: str, name: str, selector: Mapping[str, str]) -> kube.Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": dict(selector), "ports": [{"port": 80, "targetPort": 8000}]},
    }


def manifest(namespace: str, name: str, image: str) -> kube.Object:
    """The smallest toy release: one replica, one check, no steps."""
    return {
        "apiVersion": "modelrelease.dev/v1alpha1",
        "kind": "ModelRelease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "model": {
                "version": "1",
                "numericClass": "fp32",
                "contract": {"dimensions": 32, "normalized": "Unit"},
            },
            "endpoint": {"protocol": "OpenAIEmbeddings"},
            "strategy": {"drainSeconds": 1, "bakeSeconds": 1},
            "checks": [{"name": "contract", "contract": {}}],
            "checkTemplate": {"maxRequestsPerSecond": 1000},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "containers": [
                        {
                            "name": "server",
                            "image": image,
                            "command": ["python", "/toy/server.py"],
                            "env": [{"name": "TAG", "value": "first"}],
                            "ports": [{"name": "model", "containerPort": 8000}],
                            "readinessProbe": {
                                "httpGet": {"path": "/health", "port": "model"},
                                "periodSeconds": 1,
                                "timeoutSeconds": 5,
                            },
                            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                            "volumeMounts": [{"name": "toy", "mountPath": "/toy"}],
                        }
                    ],
                    "volumes": [{"name": "toy", "configMap": {"name": "toy-server"}}],
                },
            },
        },
    }


class Release(stage.Stage):
    """One release in a namespace that the test has for itself.

    Parameters
    ----------
    on
        The cluster.
    namespace, name
        Of the release.
    spec
        Fields of the spec that differ from the smallest toy release; ``strategy`` is merged.
    """

    def __init__(self, on: stage.Stage, namespace: str, name: str, **spec: Any) -> None:
        super().__init__(on.kube.kubeconfig, on.images, on.say, namespace=namespace, name=name)
        self.manifest = manifest(namespace, name, on.images["checks"])
        self._change(spec)

    # --- What the team does -------------------------------------------------------------------------------

    def _change(self, spec: Mapping[str, Any]) -> None:
        for field, value in spec.items():
            if field == "strategy":
                self.manifest["spec"]["strategy"] |= value
            else:
                self.manifest["spec"][field] = value

    @property
    def pod(self) -> dict[str, Any]:
        """The pod of the manifest, to be edited in place."""
        found: dict[str, Any] = self.manifest["spec"]["template"]["spec"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        """The container of the manifest, to be edited in place."""
        found: dict[str, Any] = self.pod["containers"][0]
        return found

    def serve(self, tag: str, **variables: str) -> None:
        """Write another server into the manifest: a tag, and perhaps a fault."""
        self.container["env"] = [
            {"name": key, "value": value} for key, value in {"TAG": tag, **variables}.items()
        ]

    def commit(self, **spec: Any) -> None:
        """Apply the manifest as it now is."""
        self._change(spec)
        self.kube.apply(self.manifest)

    def commit_run(self, **spec: Any) -> str:
        """Apply the manifest, and return the run that this starts."""
        before = set(self.runs())
        self.commit(**spec)
        return self.new_run(before)

    def release_first(self, **spec: Any) -> str:
        """Apply the manifest for the first time, and return the stable revision."""
        return self.promoted(self.commit_run(**spec))

    def promoted(self, run: str) -> str:
        """Wait until a run has promoted its revision, and that serves with every replica; return it."""
        status = self.wait_done(run, RUN_SECONDS)
        assert status["outcome"] == "Promoted", status
        revision = self.revision_of(run)
        self.wait(f"{revision} to serve", RUN_SECONDS, lambda: self.settled_on(revision))
        return revision

    def settled_on(self, revision: str) -> bool:
        """Whether this revision alone has pods, all Ready and all of them users'."""
        return (
            self.stable() == revision
            and self.selector().get("modelrelease.dev/revision") == revision
            and self.ready(revision) == self.manifest["spec"]["replicas"]
            and len(self.all_pods()) == self.ready(revision)
        )

    def override(self, **fields: Any) -> None:
        """Write spec.override as an engineer on call does."""
        self.kube.apply(
            {
                "apiVersion": "modelrelease.dev/v1alpha1",
                "kind": "ModelRelease",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"override": fields},
            },
            manager=ON_CALL,
        )

    def open_gates(self, revision: str) -> None:
        """Let the pods of a revision, as far as they run, become Ready and answer."""
        for pod in self.pods(revision):
            if pod["status"].get("podIP"):
                self.kube.text(self._pod(pod["metadata"]["name"]) + ":8000/proxy/open")

    def wait(self, what: str, seconds: float, look: Callable[[], T | None]) -> T:
        """Look until something true is seen; a deadline that passes says what the release said."""
        try:
            return super().wait(f"{what} ({self.name})", seconds, look)
        except stage.Failed as error:
            said = (self.release().get("status") or {}).get("message", "nothing")
            raise stage.Failed(f"{error}; {said}") from None

    # --- What people see ------------------------------------------------------------------------------------

    def _pod(self, name: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{name}"

    def revision_of(self, run: str) -> str:
        return str(self.run(run)["spec"]["revision"])

    def status_of(self, run: str) -> dict[str, Any]:
        """Return the status of a run."""
        return dict(self.run(run).get("status") or {})

    def check_of(self, run: str, name: str) -> dict[str, Any]:
        """Return what a check of a run has said."""
        return next((check for check in self.status_of(run).get("checks", []) if check["name"] == name), {})

    def ready(self, revision: str) -> int:
        """Return how many pods of a revision are Ready and stay."""
        return sum(_ready(pod) for pod in self.pods(revision) if not pod["metadata"].get("deletionTimestamp"))

    def uids(self, revision: str) -> set[str]:
        """Return which pods a revision has."""
        return {pod["metadata"]["uid"] for pod in self.pods(revision)}

    def all_pods(self) -> list[kube.Object]:
        """Return every pod of the release that can serve, terminating ones included."""
        selector = f"modelrelease.dev/release={self.name},modelrelease.dev/role=serving"
        return self.kube.items(f"/api/v1/namespaces/{self.namespace}/pods", selector)

    def unfinished_pods(self) -> list[kube.Object]:
        """Return the pods that hold a node's resources, terminating ones included."""
        return [pod for pod in self.all_pods() if pod["status"].get("phase") not in {"Succeeded", "Failed"}]

    def answers(self) -> str:
        """Return the tag of the server that a user of the Service reaches; empty when none answers."""
        path = f"/api/v1/namespaces/{self.namespace}/services/{self.name}:80/proxy/whoami"
        said = self.kube.text(path)
        return "" if said is None else str(json.loads(said)["tag"])

    def condition(self, kind: str) -> dict[str, Any]:
        """Return a condition that is True, else nothing."""
        conditions = (self.release().get("status") or {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), {})

    def wait_reason(self, kind: str, reason: str, seconds: float = RUN_SECONDS) -> str:
        """Wait until a condition is True for a reason, and return its message."""

        def said() -> str | None:
            found = self.condition(kind)
            return str(found["message"]) if found.get("reason") == reason else None

        return self.wait(f"{self.name} to be {kind}, {reason}", seconds, said)

    def events(self, reason: str) -> list[str]:
        """Return the messages of the release's Events of a reason."""
        return [
            event["message"]
            for event in self.kube.items(f"/api/v1/namespaces/{self.namespace}/events")
            if event["involvedObject"]["name"] == self.name and event["reason"] == reason
        ]

    def story(self) -> str:
        """Tell everything that is known about the release, for a test that has failed."""
        found = self.kube.get(f"{kube.GROUP}/namespaces/{self.namespace}/modelreleases/{self.name}") or {}
        seen = {
            "release": _without_noise(found),
            "runs": {
                name: {"spec": _without_judging(run), "status": run.get("status")}
                for name, run in self.runs().items()
            },
        }
        return json.dumps(seen, indent=1)


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _without_noise(release: kube.Object) -> kube.Object:
    shown = copy.deepcopy(release)
    shown.get("metadata", {}).pop("managedFields", None)
    shown.get("spec", {}).pop("template", None)
    return shown


def _without_judging(run: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run["spec"].items() if key != "judging"}
