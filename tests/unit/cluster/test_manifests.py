import pytest

from modelrelease.api import spec as api_spec
from modelrelease.cluster import api, manifests
from modelrelease.core import observation

OWNER = manifests.Owner(api.RELEASE, "shop", "embedder", "u-1")
REVISION = "r0123456789"
Selects = observation.Selects


def test_a_template_keeps_the_users_words_and_gets_our_labels():
    template = {
        "metadata": {
            "labels": {
                "app": "clip",
                "app.kubernetes.io/instance": "argo",
                "modelrelease.dev/revision": "mine",
            },
            "annotations": {"a": "b", "argocd.argoproj.io/tracking-id": "x"},
        },
        "spec": {"containers": [{"name": "m"}]},
    }
    rendered = manifests.rendered_template(template, "embedder", REVISION)
    assert rendered["metadata"] == {
        "labels": {
            "app": "clip",
            "modelrelease.dev/release": "embedder",
            "modelrelease.dev/revision": REVISION,
            "modelrelease.dev/role": "serving",
        },
        "annotations": {"a": "b"},
    }
    assert rendered["spec"] == template["spec"]
    assert template["metadata"]["labels"]["modelrelease.dev/revision"] == "mine", (
        "the user's object is not changed"
    )


def test_a_deployment_starts_without_pods_and_can_never_exceed_the_budget_by_itself():
    spec = manifests.deployment(OWNER, REVISION, {"spec": {}})["spec"]
    assert spec["replicas"] == 0
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert spec["revisionHistoryLimit"] == 0
    assert spec["selector"]["matchLabels"] == {
        "modelrelease.dev/release": "embedder",
        "modelrelease.dev/revision": REVISION,
    }


@pytest.mark.parametrize(
    ("traffic", "revision"),
    [
        (observation.Traffic(Selects.PINNED, REVISION), REVISION),
        (observation.Traffic(Selects.WIDENED), None),
        (observation.Traffic(Selects.NOTHING), "none"),
    ],
)
def test_the_selector_moves_traffic(traffic: observation.Traffic, revision: str | None):
    selector = manifests.selector("embedder", traffic)
    assert selector.pop("modelrelease.dev/revision", None) == revision
    assert selector == {"modelrelease.dev/release": "embedder", "modelrelease.dev/role": "serving"}


def test_the_service_follows_the_named_port_and_the_users_settings():
    settings = api_spec.Service(
        port=8080, type=api_spec.ServiceType.NODE_PORT, annotations={"lb": "internal"}
    )
    service = manifests.service(OWNER, settings, observation.Traffic(Selects.WIDENED))
    assert service["spec"]["ports"] == [
        {"name": "model", "port": 8080, "protocol": "TCP", "targetPort": "model"}
    ]
    assert service["spec"]["type"] == "NodePort"
    assert service["spec"]["sessionAffinity"] == "None"
    assert service["metadata"]["annotations"] == {"lb": "internal"}


@pytest.mark.parametrize(("declared", "allowed"), [(0, 1), (1, 1), (3, 3)])
def test_a_budget_always_lets_a_drain_end(declared: int, allowed: int):
    assert manifests.disruption_budget(OWNER, REVISION, declared)["spec"]["maxUnavailable"] == allowed


def test_every_child_belongs_to_the_release_and_says_so():
    source = {"metadata": {"name": "prompts"}, "data": {"a": "b"}}
    traffic = observation.Traffic(Selects.WIDENED)
    children = [
        manifests.controller_revision(OWNER, REVISION, 1, {"x": 1}, "v1"),
        manifests.deployment(OWNER, REVISION, {}),
        manifests.service(OWNER, api_spec.Service(), traffic),
        manifests.disruption_budget(OWNER, REVISION, 1),
        manifests.config_map_copy(OWNER, REVISION, 0, source),
        manifests.run(OWNER, "embedder-r0123456789-1", {}, REVISION),
    ]
    for child in children:
        assert OWNER.owns(child)
        assert child["metadata"]["labels"]["modelrelease.dev/release"] == "embedder"
        assert child["metadata"]["namespace"] == "shop"
        (reference,) = child["metadata"]["ownerReferences"]
        assert reference["controller"] is True
        assert reference["blockOwnerDeletion"] is True


def test_a_copy_is_immutable_and_carries_only_contents():
    source = {
        "metadata": {"name": "prompts", "labels": {"x": "y"}},
        "data": {"a": "b"},
        "binaryData": {"c": "ZA=="},
    }
    copied = manifests.config_map_copy(OWNER, REVISION, 2, source)
    assert copied["metadata"]["name"] == "embedder-r0123456789-2"
    assert copied["immutable"] is True
    assert (copied["data"], copied["binaryData"]) == ({"a": "b"}, {"c": "ZA=="})
    assert "x" not in copied["metadata"]["labels"]
