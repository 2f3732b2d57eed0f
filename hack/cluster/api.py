"""A small client for the cluster's API server: the tool needs no more than get, apply and patch."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any

from hack.cluster.paths import ClusterPaths
from hack.cluster.steps import StepError

PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "EndpointSlice": "endpointslices",
    "Namespace": "namespaces",
    "Node": "nodes",
    "Service": "services",
}
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Api:
    """Talk to the API server as the administrator."""

    def __init__(self, paths: ClusterPaths) -> None:
        config = json.loads(paths.kubeconfig.read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        self._address = cluster["server"].removeprefix("https://")
        self._token = config["users"][0]["user"]["token"]
        self._context = ssl.create_default_context(cafile=cluster["certificate-authority"])

    def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """Send one request.

        Returns
        -------
        tuple
            The status (0 when nothing answered) and the decoded answer.
        """
        connection = http.client.HTTPSConnection(self._address, timeout=10, context=self._context)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()
        if answer.headers.get("Content-Type", "").startswith("application/json"):
            return answer.status, json.loads(text)
        return answer.status, text

    def ready(self) -> bool:
        """Tell whether the API server serves."""
        return self.request("GET", "/readyz")[0] == http.HTTPStatus.OK

    def found(self, path: str) -> bool:
        """Tell whether an object is there."""
        return self.request("GET", path)[0] == http.HTTPStatus.OK

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Make an object be as in the manifest (server-side apply)."""
        group = manifest["apiVersion"]
        metadata = manifest["metadata"]
        parts = ["/api" if "/" not in group else "/apis", group]
        if "namespace" in metadata:
            parts += ["namespaces", metadata["namespace"]]
        parts += [PLURALS[manifest["kind"]], metadata["name"]]
        path = f"{'/'.join(parts)}?fieldManager=hack-cluster&force=true"
        self._change(path, manifest, APPLY)

    def patch_status(self, path: str, status: Mapping[str, Any]) -> None:
        """Merge fields into an object's status."""
        self._change(f"{path}/status", {"status": status}, MERGE)

    def _change(self, path: str, body: object, content_type: str) -> None:
        status, answer = self.request("PATCH", path, body, content_type)
        if status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED):
            raise StepError(
                f"the API server refused {path.partition('?')[0]}: {status}",
                "read the end of kube-apiserver.log in the state folder's logs, then run `up` again",
                str(answer)[:2000],
            )
