"""ModelReleases on a real API server."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest
from kubernetes.client import ApiClient, ApiException, CustomObjectsApi

from modelrelease.api import constants

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The API server refused: what the user reads."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(answer.get("message", ""))
        self.causes = [
            (cause.get("field", ""), cause["message"])
            for cause in (answer.get("details") or {}).get("causes", ())
        ]


@dataclasses.dataclass(frozen=True)
class Objects:
    """The objects of one kind in one namespace."""

    api: CustomObjectsApi
    namespace: str
    plural: str

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        return self._call(
            self.api.create_namespaced_custom_object,
            body=obj,
            field_validation="Strict",
            **({"dry_run": "All"} if dry_run else {}),
        )

    def apply(self, obj: Mapping[str, Any], manager: str) -> dict[str, Any]:
        return self._call(
            self.api.patch_namespaced_custom_object,
            name=obj["metadata"]["name"],
            body=obj,
            field_manager=manager,
            _content_type=APPLY,
        )

    def merge(self, name: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        return self._call(self.api.patch_namespaced_custom_object, name=name, body=patch, _content_type=MERGE)

    def set_status(self, name: str, status: Mapping[str, Any]) -> dict[str, Any]:
        return self._call(
            self.api.patch_namespaced_custom_object_status,
            name=name,
            body={"status": status},
            _content_type=MERGE,
        )

    def scale(self, name: str, replicas: int) -> dict[str, Any]:
        return self._call(
            self.api.patch_namespaced_custom_object_scale,
            name=name,
            body={"spec": {"replicas": replicas}},
            _content_type=MERGE,
        )

    def get(self, name: str) -> dict[str, Any]:
        return self._call(self.api.get_namespaced_custom_object, name=name)

    def _call(self, method: Any, **arguments: Any) -> dict[str, Any]:
        where = {
            "group": constants.GROUP,
            "version": constants.VERSION,
            "namespace": self.namespace,
            "plural": self.plural,
        }
        try:
            return method(**where, **arguments)
        except ApiException as error:
            raise Refused(json.loads(error.body)) from error


@pytest.fixture
def releases(api_client: ApiClient, namespace: str) -> Objects:
    return Objects(CustomObjectsApi(api_client), namespace, constants.RELEASE_PLURAL)


@pytest.fixture
def runs(api_client: ApiClient, namespace: str) -> Objects:
    return Objects(CustomObjectsApi(api_client), namespace, constants.RUN_PLURAL)


@pytest.fixture(scope="session")
def dry_releases(api_client: ApiClient) -> Objects:
    """Releases that are only tried: nothing is stored, so no namespace of one's own is needed."""
    return Objects(CustomObjectsApi(api_client), "default", constants.RELEASE_PLURAL)
