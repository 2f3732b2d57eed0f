"""The chart and kustomize install the same objects: whoever changes one changes the other."""

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from tests.integration.chart.rendering import Objects

NAME = "modelrelease-operator"
WRITTEN_BY_HELM = {"app.kubernetes.io/managed-by", "helm.sh/chart"}


def meant(objects: Objects) -> Objects:
    """Return the objects less what only one of the two tools writes, and means nothing."""
    found = {}
    for (kind, namespace, name), said in copy.deepcopy(objects).items():
        if kind == "Namespace":
            continue  # `helm install --create-namespace` makes it
        obj, metadata = said, said["metadata"]
        labels = {k: v for k, v in metadata.get("labels", {}).items() if k not in WRITTEN_BY_HELM}
        obj["metadata"] = {"name": name, "labels": labels} | (
            {"annotations": kept} if (kept := annotations(metadata)) else {}
        )
        if kind == "ConfigMap":
            # kustomize names it by its content, Helm tells the pod of a change by a checksum.
            obj["metadata"]["name"] = re.sub(r"-[a-z0-9]{10}$", "", name)
            obj["data"] = {"config.yaml": yaml.safe_load(obj["data"]["config.yaml"])}
        if kind == "Deployment":
            template = obj["spec"]["template"]
            template["metadata"]["annotations"] = annotations(template["metadata"])
            for volume in template["spec"]["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = re.sub(r"-[a-z0-9]{10}$", "", volume["configMap"]["name"])
        found[kind, namespace, obj["metadata"]["name"]] = obj
    return found


def annotations(metadata: Mapping[str, Any]) -> dict[str, str]:
    ours = {"helm.sh/resource-policy", "checksum/config"}
    return {key: value for key, value in metadata.get("annotations", {}).items() if key not in ours}


PRODUCTION = {
    "metrics": {"annotations": False},
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
}
CASES = {
    "base": ("modelrelease-system", {}),
    "overlays/prometheus-operator": ("modelrelease-system", PRODUCTION),
    "overlays/production": (
        "modelrelease-system",
        PRODUCTION | {"podDisruptionBudget": {"enabled": True}, "networkPolicy": {"enabled": True}},
    ),
}


@pytest.mark.parametrize("folder", CASES)
def test_the_chart_installs_what_kustomize_installs(
    chart: Any, kustomize: Callable[[str], Objects], folder: str
):
    namespace, values = CASES[folder]
    assert_same(meant(chart(namespace, **values)), meant(kustomize(folder)))


def test_namespaced_it_is_the_same_but_for_how_the_operator_is_told(
    chart: Any, kustomize: Callable[[str], Objects]
):
    ours = meant(chart("models", watch={"namespaces": ["models"]}))
    theirs = meant(kustomize("overlays/namespaced"))
    config = ours["ConfigMap", "models", NAME]["data"]["config.yaml"]
    assert config.pop("namespaces") == ["models"]
    (container,) = theirs["Deployment", "models", NAME]["spec"]["template"]["spec"]["containers"]
    own = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert container["env"].pop() == {"name": "MODELRELEASE_NAMESPACES", "valueFrom": own}
    assert_same(ours, theirs)
    kinds = {kind for kind, _, _ in ours}
    assert {"Role", "RoleBinding"} <= kinds
    assert "ClusterRoleBinding" not in kinds


def assert_same(ours: Objects, theirs: Objects) -> None:
    assert sorted(ours) == sorted(theirs)
    for key, obj in ours.items():
        assert obj == theirs[key], key
