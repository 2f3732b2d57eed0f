"""The operator as a process of its own, against a real API server whose node is simulated."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import (
    ApiClient,
    ApiException,
    AppsV1Api,
    BatchV1Api,
    CoreV1Api,
    CustomObjectsApi,
    RbacAuthorizationV1Api,
)

BASE = Path(__file__).parents[3] / "manifests" / "base"
GROUP, VERSION = "modelrelease.dev", "v1alpha1"
Object = dict[str, Any]


class Cluster:
    """What the tests see of one namespace."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self.custom = CustomObjectsApi(client)
        self.core = CoreV1Api(client)
        self.apps = AppsV1Api(client)
        self.batch = BatchV1Api(client)

    def release(self, name: str) -> Object:
        found: Object = self.custom.get_namespaced_custom_object(
            GROUP, VERSION, self.namespace, "modelreleases", name
        )
        return found

    def create(self, manifest: Object) -> None:
        self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, "modelreleases", manifest)

    def patch(self, name: str, spec: Object) -> None:
        self.custom.patch_namespaced_custom_object(
            GROUP,
            VERSION,
            self.namespace,
            "modelreleases",
            name,
            {"spec": spec},
            _content_type="application/merge-patch+json",
        )

    def delete(self, name: str) -> None:
        self.custom.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, "modelreleases", name)

    def runs(self) -> list[Object]:
        found = self.custom.list_namespaced_custom_object(GROUP, VERSION, self.namespace, "modelreleaseruns")
        return sorted(found["items"], key=lambda run: str(run["metadata"]["creationTimestamp"]))

    def stable(self, name: str) -> str | None:
        stable: str | None = (self.release(name).get("status") or {}).get("stable", {}).get("revision")
        return stable

    def pinned(self, name: str) -> str | None:
        """The revision that the live Service sends users to; None while it is not there, or widened."""
        try:
            service = self.core.read_namespaced_service(name, self.namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        revision: str | None = service.spec.selector.get(f"{GROUP}/revision")
        return revision

    def condition(self, name: str, kind: str) -> Object:
        conditions = (self.release(name).get("status") or {}).get("conditions") or []
        return next((found for found in conditions if found["type"] == kind), {})

    def objects(self) -> list[Object]:
        """Every object of the namespace that the operator may have written."""
        sanitize = self.core.api_client.sanitize_for_serialization
        lists = (
            self.core.list_namespaced_service,
            self.core.list_namespaced_config_map,
            self.apps.list_namespaced_deployment,
            self.apps.list_namespaced_controller_revision,
        )
        built_in = [sanitize(item) for listed in lists for item in listed(self.namespace).items]
        return [*built_in, *self.runs(), *self._releases()]

    def _releases(self) -> list[Object]:
        found: list[Object] = self.custom.list_namespaced_custom_object(
            GROUP, VERSION, self.namespace, "modelreleases"
        )["items"]
        return found

    def versions(self) -> dict[str, str]:
        """The resourceVersion of each object: it changes with every write."""
        return {obj["metadata"]["uid"]: obj["metadata"]["resourceVersion"] for obj in self.objects()}


class Operator:
    """``python -m modelrelease`` for one namespace."""

    def __init__(self, kubeconfig: str, namespace: str, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._log = log
        self._environment = os.environ | {
            "KUBECONFIG": kubeconfig,
            "MODELRELEASE_CHECKS_IMAGE": "checks:test",
            "MODELRELEASE_NAMESPACES": namespace,
            "MODELRELEASE_HEALTH_HOST": "127.0.0.1",
            "MODELRELEASE_HEALTH_PORT": str(self.port),
        }
        self._environment.pop("POD_ID", None)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelrelease"], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it as a lost node does: nothing is tidied up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def terminate(self) -> tuple[int, float]:
        """End it as the kubelet does; return exit code and seconds."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=90), time.monotonic() - began

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except urllib.error.URLError as error:
            return 0, str(error)

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")


@pytest.fixture
def cluster(api_client: ApiClient, namespace: str) -> Cluster:
    return Cluster(api_client, namespace)


@pytest.fixture(scope="session")
def role(api_client: ApiClient) -> Iterator[str]:
    """The ClusterRole that is shipped, under a name of its own."""
    rules = RbacAuthorizationV1Api(api_client)
    manifest = yaml.safe_load((BASE / "cluster-role.yaml").read_text(encoding="utf-8"))
    manifest["metadata"] = {"generateName": "test-operator-"}
    name: str = rules.create_cluster_role(manifest).metadata.name
    yield name
    rules.delete_cluster_role(name)


@pytest.fixture
def rights(
    api_client: ApiClient, kubeconfig: str, namespace: str, role: str, tmp_path: Path
) -> Iterator[str]:
    """A kubeconfig of somebody who may do what the ClusterRole says, and nothing else."""
    core, rules = CoreV1Api(api_client), RbacAuthorizationV1Api(api_client)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "operator"}})
    token = core.create_namespaced_service_account_token("operator", namespace, {"spec": {}}).status.token
    binding = {
        "metadata": {"generateName": "test-operator-"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    }
    name = rules.create_cluster_role_binding(binding).metadata.name
    admin = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    admin["users"] = [{"name": user["name"], "user": {"token": token}} for user in admin["users"]]
    path = tmp_path / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(admin), encoding="utf-8")
    yield str(path)
    rules.delete_cluster_role_binding(name)


@pytest.fixture
def operator(rights: str, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    made = Operator(rights, namespace, tmp_path / "operator.log")
    yield made
    made.kill()
    if made.process is not None:
        assert "forbidden" not in made.log()
        sys.stdout.write(made.log())  # pytest shows it when the test fails


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a state of the API server, never for an amount of time; return what was seen.

    A Job can be gone a moment later: what a test says of it, it says of the answer that it waited for.
    """

    def wait(holds: Callable[[], Any], what: str, seconds: float = 180.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (seen := holds()):
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
            time.sleep(0.1)
        return seen

    return wait
