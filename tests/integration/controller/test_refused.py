"""A template whose Deployment is accepted and whose pods are not: what people read, and how it goes on."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes.client import AdmissionregistrationV1Api, ApiClient, CoreV1Api

from tests.integration.controller.test_process import image, manifest

Until = Callable[..., Any]
ABSENT = {
    "account": ({"serviceAccountName": "absent"}, "ServiceAccount absent"),
    "claim": ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "absent"}}]}, "Claim absent"),
    "priority": ({"priorityClassName": "absent"}, "PriorityClass absent"),
    "runtime": ({"runtimeClassName": "absent"}, "RuntimeClass absent"),
}
REFUSED = {
    "limit": ({"resources": {"limits": {"memory": "2Gi"}}}, "maximum memory usage per Container is 1Gi"),
    "security": ({"securityContext": {"privileged": True}}, 'violates PodSecurity "baseline:latest"'),
    "policy": ({"env": [{"name": "REFUSE", "value": "me"}]}, "REFUSE is not allowed here"),
}
AGAIN_SECONDS = 400.0
"""A ReplicaSet waits as long again as it was refused before, on a busy machine minutes."""
BASELINE = "pod-security.kubernetes.io/enforce"
GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}


def second(container: dict[str, Any]) -> dict[str, Any]:
    """The change of a template that makes another revision, with this in its container."""
    changed = image("2")
    changed["template"]["spec"]["containers"][0] |= container
    return changed


class Rules:
    """What refuses pods in a namespace: a LimitRange, pod security, a quota and a policy."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._core, self._admission = CoreV1Api(client), AdmissionregistrationV1Api(client)
        self.namespace = self._name = namespace

    def set(self) -> None:
        limits = [{"type": "Container", "max": {"memory": "1Gi"}, "default": {"memory": "64Mi"}}]
        self._core.create_namespaced_limit_range(
            self.namespace, {"metadata": {"name": "small"}, "spec": {"limits": limits}}
        )
        self._core.create_namespaced_resource_quota(
            self.namespace, {"metadata": {"name": "gpus"}, "spec": {"hard": {"requests.nvidia.com/gpu": "0"}}}
        )
        self._core.patch_namespace(self.namespace, {"metadata": {"labels": {BASELINE: "baseline"}}})
        resources = [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ]
        unset = "object.spec.containers.all(c, !has(c.env) || c.env.all(e, e.name != 'REFUSE'))"
        self._admission.create_validating_admission_policy(
            {
                "metadata": {"name": self._name},
                "spec": {
                    "matchConstraints": {"resourceRules": resources},
                    "validations": [{"expression": unset, "message": "REFUSE is not allowed here"}],
                },
            }
        )
        here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}
        self._admission.create_validating_admission_policy_binding(
            {
                "metadata": {"name": self._name},
                "spec": {
                    "policyName": self._name,
                    "validationActions": ["Deny"],
                    "matchResources": here,
                },
            }
        )

    def lift(self) -> None:
        self._core.delete_namespaced_limit_range("small", self.namespace)
        self._core.delete_namespaced_resource_quota("gpus", self.namespace)
        self._core.patch_namespace(self.namespace, {"metadata": {"labels": {BASELINE: None}}})
        self.forget()

    def forget(self) -> None:
        """Delete what is the cluster's, once or twice."""
        selector = f"metadata.name={self._name}"
        self._admission.delete_collection_validating_admission_policy_binding(field_selector=selector)
        self._admission.delete_collection_validating_admission_policy(field_selector=selector)


@pytest.fixture
def rules(api_client: ApiClient, namespace: str) -> Iterator[Rules]:
    made = Rules(api_client, namespace)
    yield made
    made.forget()


def stalled(cluster: Any, name: str) -> dict[str, Any] | None:
    found: dict[str, Any] = cluster.condition(name, "Stalled")
    return found if found.get("status") == "True" else None


def condition(cluster: Any, name: str, reason: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = (cluster.release(name).get("status") or {}).get("conditions") or []
    return next((c for c in found if (c["status"], c["reason"]) == ("True", reason)), None)


def events(cluster: Any, name: str, reason: str) -> list[str]:
    found = cluster.core.list_namespaced_event(cluster.namespace).items
    return [e.message for e in found if (e.involved_object.name, e.reason) == (name, reason)]


def test_an_object_that_is_not_there_is_named_before_anything_starts(
    cluster: Any, operator: Any, until: Until
):
    for name, (spec, _) in ABSENT.items():
        broken = manifest(name)
        broken["spec"]["template"]["spec"] |= spec
        cluster.create(broken)
    operator.start()
    for name, (_, said) in ABSENT.items():
        told = until(lambda name=name: stalled(cluster, name), "Stalled")
        assert told["reason"] == "ObjectNotFound"
        assert f"{said}, which is not in" in told["message"]
        until(lambda name=name: events(cluster, name, "ObjectNotFound"), "its Event")
    assert cluster.runs() == [], "the operator's own role lets it see"

    # When the manifest is corrected, it goes on.
    cluster.patch("priority", {"template": {"spec": {"priorityClassName": None}}})
    until(lambda: cluster.stable("priority"), "it is promoted")


@pytest.mark.timeout(900)
def test_pods_that_are_refused_stall_the_release_until_they_are_not(
    cluster: Any, operator: Any, until: Until, rules: Rules
):
    # Given a stable release, and then rules of the namespace.
    cluster.create(manifest("security"))
    operator.start()
    first = until(lambda: cluster.stable("security"), "a stable revision")
    rules.set()

    # When its next revision breaks them, and others do from the start.
    names = [*REFUSED, "quota"]
    for name in names:
        container = REFUSED[name][0] if name in REFUSED else GPU
        if name == "security":
            cluster.patch(name, second(container))
        else:
            cluster.create(manifest(name, **second(container)))

    # Then each says what to change and stable serves; a quota is nobody's fault, and is waited for.
    for name, (_, said) in REFUSED.items():
        told = until(lambda name=name: stalled(cluster, name), f"{name} is Stalled")
        assert told["reason"] == "PodRejected"
        assert said in told["message"]
        until(lambda name=name: events(cluster, name, "PodRejected"), "its Event")
    assert cluster.condition("security", "Ready")["status"] == "True"
    assert cluster.pinned("security") == first
    waits = until(lambda: condition(cluster, "quota", "QuotaExceeded"), "it waits")
    assert waits["type"] == "Reconciling"
    assert "exceeded quota: gpus" in waits["message"]
    assert stalled(cluster, "quota") is None

    # When the rules are lifted, all go on by themselves, and as the same attempt.
    rules.lift()
    for name in names:
        promoted = f"{name}'s revision is promoted"
        until(lambda name=name: cluster.stable(name) not in {None, first}, promoted, AGAIN_SECONDS)
    assert {run["spec"]["attempt"] for run in cluster.runs()} == {1}
