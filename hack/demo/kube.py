"""What a person at a terminal can read and write: a thin, synchronous view of the API server."""

import json
import pathlib
from typing import Any, Final

import urllib3.exceptions
import yaml
from kubernetes import config
from kubernetes.client import exceptions

GROUP: Final = "/apis/modelrelease.dev/v1alpha1"
GITOPS: Final = "kubectl"
_APPLY: Final = "application/apply-patch+yaml"

Object = dict[str, Any]


class Unreachable(Exception):
    """The API server did not answer, or answered with an error that is not 404."""


class Kube:
    """Raw JSON requests to one API server.

    Parameters
    ----------
    kubeconfig
        Path of a kubeconfig whose current context is the cluster.
    """

    def __init__(self, kubeconfig: pathlib.Path) -> None:
        self.kubeconfig = kubeconfig
        self._client = config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]

    def get(self, path: str) -> Object | None:
        """Return the object or list at a path, or None when it does not exist."""
        text = self._call("GET", path)
        return None if text is None else json.loads(text)

    def text(self, path: str) -> str | None:
        """Return what a proxied pod answers at a path, or None when it does not answer."""
        try:
            return self._call("GET", path)
        except Unreachable:
            return None

    def apply(self, obj: Object, *, manager: str = GITOPS) -> Object:
        """Server-side apply, as ``kubectl apply --server-side`` does."""
        text = self._call("PATCH", path_of(obj), body=obj, manager=manager)
        if text is None:
            raise Unreachable(f"{path_of(obj)}: not found")
        return dict(json.loads(text))

    def delete(self, path: str) -> None:
        """Delete the object at a path in the background; one that is gone is fine."""
        self._call("DELETE", path)

    def items(self, path: str, selector: str = "") -> list[Object]:
        """Return the items of a list."""
        query = f"?labelSelector={selector}" if selector else ""
        found = self.get(path + query)
        return list(found["items"]) if found else []

    def _call(self, method: str, path: str, body: Object | None = None, manager: str = "") -> str | None:
        headers = {"Accept": "application/json"}
        query: list[tuple[str, str]] = []
        if manager:
            headers["Content-Type"] = _APPLY
            query = [("fieldManager", manager), ("force", "true")]
        try:
            response = self._client.call_api(
                *self._client.param_serialize(
                    method,
                    path,
                    query_params=query,
                    header_params=headers,
                    body=body,
                    auth_settings=["BearerToken"],
                ),
                _request_timeout=20,
            )
            data = response.read()
        except exceptions.ApiException as error:
            if error.status == 404:
                return None
            raise Unreachable(f"{method} {path}: {error.status} {_message(error)}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"{method} {path}: {error}") from error
        if not 200 <= response.status < 300:
            if response.status == 404:
                return None
            raise Unreachable(f"{method} {path}: {response.status} {data[:500]!r}")
        return str(data.decode())


def _message(error: exceptions.ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


_PLURALS: Final = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "ModelRelease": GROUP + "/namespaces/{}/modelreleases",
}


def path_of(obj: Object) -> str:
    """Return the path of an object of a kind that the demo applies."""
    metadata = obj["metadata"]
    return _PLURALS[obj["kind"]].format(metadata.get("namespace", "")) + "/" + str(metadata["name"])


def load(path: pathlib.Path) -> Object:
    """Return the one object of a manifest."""
    return dict(yaml.safe_load(path.read_text()))
