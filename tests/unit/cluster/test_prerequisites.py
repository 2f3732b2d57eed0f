"""What a template names, and what of it is not there."""

from typing import Any

import pytest

from modelrelease.cluster import api, prerequisites

CLAIM = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}


def template(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [container or {}], **spec}}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({}, []),
        ({"serviceAccountName": "default"}, []),
        ({"serviceAccountName": "gpu"}, [(api.SERVICE_ACCOUNT, "gpu")]),
        ({"priorityClassName": "high"}, [(api.PRIORITY_CLASS, "high")]),
        ({"runtimeClassName": "nvidia"}, [(api.RUNTIME_CLASS, "nvidia")]),
        ({"volumes": [CLAIM, CLAIM | {"name": "again"}]}, [(api.PERSISTENT_VOLUME_CLAIM, "models")]),
        ({"volumes": [{"name": "scratch", "ephemeral": {}}, {"name": "tmp", "emptyDir": {}}]}, []),
        ({"imagePullSecrets": [{"name": "absent"}]}, []),
    ],
)
def test_what_must_exist(spec: dict[str, Any], named: list[tuple[api.Kind, str]]):
    assert list(prerequisites.named(template(**spec))) == named


def test_it_is_said_where_it_must_be():
    assert "PriorityClass high, which is not in the cluster" in prerequisites.absent(
        api.PRIORITY_CLASS, "high", "shop"
    )
    assert "ServiceAccount gpu, which is not in namespace shop" in prerequisites.absent(
        api.SERVICE_ACCOUNT, "gpu", "shop"
    )


def environment(kind: str, key: str, **more: Any) -> dict[str, Any]:
    return {"env": [{"name": "A", "valueFrom": {f"{kind}KeyRef": {"name": "p", "key": key, **more}}}]}


def items(*keys: str) -> list[dict[str, str]]:
    return [{"key": key, "path": key} for key in keys]


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (template(environment("configMap", "text")), ""),
        (template(environment("configMap", "other")), "other"),
        (template(environment("configMap", "binary")), "binary"),
        (template(environment("configMap", "other", optional=True)), ""),
        (template(initContainers=[environment("configMap", "other")]), "other"),
        (template({"env": [{"name": "A", "value": "b"}], "envFrom": [{"configMapRef": {"name": "p"}}]}), ""),
        (template(volumes=[{"configMap": {"name": "p"}}]), ""),
        (template(volumes=[{"configMap": {"name": "p", "items": items("text", "binary")}}]), ""),
        (template(volumes=[{"configMap": {"name": "p", "items": items("text", "other")}}]), "other"),
        (template(volumes=[{"configMap": {"name": "p", "items": items("other"), "optional": True}}]), ""),
        (
            template(
                volumes=[{"projected": {"sources": [{"configMap": {"name": "p", "items": items("x")}}]}}]
            ),
            "x",
        ),
        (template(volumes=[{"configMap": {"name": "absent", "items": items("other")}}]), ""),
    ],
)
def test_keys_of_a_config_map(found: dict[str, Any], key: str):
    maps = {"p": {"data": {"text": ""}, "binaryData": {"binary": ""}}}
    said = prerequisites.missing_key(found, maps)
    assert bool(said) is bool(key)
    assert not key or f"key {key} of ConfigMap p, which does not have it: add it" in said


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (template(environment("secret", "token")), ""),
        (template(environment("secret", "other")), "other"),
        (template(volumes=[{"secret": {"secretName": "p", "items": items("other")}}]), "other"),
        (
            template(volumes=[{"projected": {"sources": [{"secret": {"name": "p", "items": items("x")}}]}}]),
            "x",
        ),
        (template(volumes=[{"secret": {"secretName": "unread", "items": items("other")}}]), ""),
    ],
)
def test_keys_of_a_secret(found: dict[str, Any], key: str):
    said = prerequisites.missing_secret_key(found, {"p": ["token"]})
    assert bool(said) is bool(key)
    assert not key or f"key {key} of Secret p" in said
