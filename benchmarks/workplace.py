"""Where is measured: a namespace of the control plane, an account with the shipped rights, an operator."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import yaml
from kubernetes.client import (
    ApiClient,
    ApiextensionsV1Api,
    AppsV1Api,
    CoreV1Api,
    CustomObjectsApi,
    RbacAuthorizationV1Api,
)

from benchmarks import audit, process
from hack.cluster import paths

ROOT = Path(__file__).resolve().parents[1]
ACCOUNT = "operator"
APPLY = "application/apply-patch+yaml"


class Workplace:
    """A namespace, what may be done in it, and the audit log since it was made.

    Parameters
    ----------
    client
        An administrator's.
    kubeconfig
        The administrator's.
    namespace
        Made for one benchmark.
    folder
        For files.
    log
        The audit log.
    """

    def __init__(
        self, client: ApiClient, kubeconfig: Path, namespace: str, folder: Path, log: audit.AuditLog
    ) -> None:
        self.namespace = namespace
        # Any: manifests are plain dicts here, which the client takes and its types do not.
        self.custom: Any = CustomObjectsApi(client)
        self.core: Any = CoreV1Api(client)
        self.apps: Any = AppsV1Api(client)
        self.log = log
        self._rules: Any = RbacAuthorizationV1Api(client)
        self._admin = kubeconfig
        self._folder = folder

    @property
    def user(self) -> str:
        """The operator's name in the audit log."""
        return f"system:serviceaccount:{self.namespace}:{ACCOUNT}"

    @contextlib.contextmanager
    def operator(self) -> Iterator[process.Operator]:
        """Yield an operator that may do what the shipped ClusterRole says, and nothing else."""
        with self._rights() as kubeconfig:
            made = process.Operator(kubeconfig, self.namespace, self._folder / "operator.log")
            with made:
                yield made

    @contextlib.contextmanager
    def _rights(self) -> Iterator[Path]:
        manifest = yaml.safe_load(
            (ROOT / "manifests" / "base" / "cluster-role.yaml").read_text(encoding="utf-8")
        )
        manifest["metadata"] = {"name": self.namespace}
        binding = {
            "metadata": {"name": self.namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": self.namespace,
            },
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}],
        }
        self.core.create_namespaced_service_account(self.namespace, {"metadata": {"name": ACCOUNT}})
        token = self.core.create_namespaced_service_account_token(ACCOUNT, self.namespace, {"spec": {}})
        admin = yaml.safe_load(self._admin.read_text(encoding="utf-8"))
        admin["users"] = [
            {"name": user["name"], "user": {"token": token.status.token}} for user in admin["users"]
        ]
        path = self._folder / "operator.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(admin), encoding="utf-8")
        with contextlib.ExitStack() as undo:
            self._rules.create_cluster_role(manifest)
            undo.callback(self._rules.delete_cluster_role, self.namespace)
            self._rules.create_cluster_role_binding(binding)
            undo.callback(self._rules.delete_cluster_role_binding, self.namespace)
            yield path


@contextlib.contextmanager
def workplace() -> Iterator[Workplace]:
    """Yield a workplace on the control plane with simulated nodes, started if it is not up; remove it after.

    Raises
    ------
    RuntimeError
        There is no audit log: a cluster that somebody else made is no place for these benchmarks.
    """
    where = paths.ClusterPaths(control_plane=True)
    if paths.given_kubeconfig() is not None:
        raise RuntimeError("requests are counted in the audit log: unset MODELRELEASE_KUBECONFIG")
    if not where.audit_log.exists():
        subprocess.run([sys.executable, "-m", "hack.cluster", "up", "--control-plane"], check=True, cwd=ROOT)
    client = kubernetes.config.new_client_from_config(str(where.kubeconfig))  # type: ignore[no-untyped-call]
    _install(client)
    core: Any = CoreV1Api(client)
    namespace = core.create_namespace({"metadata": {"generateName": "bench-"}}).metadata.name
    try:
        with (
            tempfile.TemporaryDirectory(prefix="modelrelease-bench-") as folder,
            audit.AuditLog(where.audit_log, namespace) as log,
        ):
            yield Workplace(client, where.kubeconfig, namespace, Path(folder), log)
    finally:
        core.delete_namespace(namespace)


def _install(client: ApiClient) -> None:
    """Make the API server know our kinds."""
    definitions: Any = ApiextensionsV1Api(client)
    manifests: list[dict[str, Any]] = [
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "crds").glob("modelrelease*.yaml"))
    ]
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        definitions.patch_custom_resource_definition(
            name, manifest, field_manager="tests", force=True, _content_type=APPLY
        )
        while not any(
            condition.type == "Established" and condition.status == "True"
            for condition in definitions.read_custom_resource_definition(name).status.conditions or ()
        ):
            time.sleep(0.1)
