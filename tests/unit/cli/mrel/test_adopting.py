"""``adopt``: what is written at each step, and what is refused with which words."""

import copy
import datetime
import json
from typing import Any

import pytest
import yaml

from modelrelease.api import lint
from modelrelease.cluster import adoption
from tests.unit.cli.mrel import recorded

NOW = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)
WHY = ("--reason", "first week", "--yes")
TARGET = "deployment/clip-server"
OFFER = "modelrelease.dev/release"
DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "clip-server", "namespace": "shop", "resourceVersion": "7"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "clip"}},
        "template": {
            "metadata": {
                "creationTimestamp": None,
                "labels": {"app": "clip", "team": "search"},
                "annotations": {"kubectl.kubernetes.io/restartedAt": "now", "kept": "yes"},
            },
            "spec": {
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 30,
                "securityContext": {},
                "containers": [
                    {
                        "name": "server",
                        "image": "registry.test/team/infinity:0.0.77",
                        "imagePullPolicy": "IfNotPresent",
                        "terminationMessagePath": "/dev/termination-log",
                        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
                        "readinessProbe": {"httpGet": {"path": "/health", "port": "http", "scheme": "HTTP"},
                                           "periodSeconds": 1, "failureThreshold": 3},
                    }
                ],
            },
        },
    },
    "status": {"readyReplicas": 3},
}  # fmt: skip
SERVICE: dict[str, Any] = {
    "kind": "Service",
    "metadata": {"name": "clip", "namespace": "shop", "resourceVersion": "9"},
    "spec": {"selector": {"app": "clip"}, "ports": [{"port": 80, "targetPort": "http"}], "type": "ClusterIP"},
}
RECORD = json.dumps({"selector": {"app": "clip"}, "targetPort": "http", "time": "2026-11-02T07:59:00+00:00"})


def pod(name: str = "clip-server-1", ready: str = "True", **labels: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "uid": name, "labels": {"app": "clip", "team": "search", **labels}},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def changed(obj: dict[str, Any], **paths: Any) -> dict[str, Any]:
    """Return an object with values at paths, such as ``spec__replicas``; None removes."""
    result = copy.deepcopy(obj)
    for path, value in paths.items():
        *above, last = path.split("__")
        place = result
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return result


def taken(**paths: Any) -> dict[str, Any]:
    selector = {
        OFFER: "clip", "modelrelease.dev/role": "serving", "modelrelease.dev/revision": "r0000000001"
    }  # fmt: skip
    said = {
        "metadata__labels": {OFFER: "clip", "team": "search"},
        "metadata__annotations": {adoption.RECORD: RECORD, "kept": "yes"},
        "metadata__ownerReferences": [
            {"kind": "ModelRelease", "name": "clip", "uid": "u", "controller": True}
        ],
        "spec__selector": selector,
    }
    return changed(SERVICE, **{**said, **paths})


def release(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "ModelRelease",
        "metadata": {"name": "clip", "namespace": "shop"},
        "spec": spec,
        "status": {"message": "r0000000001 waits for an approval."},
    }


def on(*objects: dict[str, Any]) -> recorded.Recorded:
    return recorded.Recorded(list(objects))


def say(cluster: recorded.Recorded, *arguments: str, **fields: Any) -> recorded.Said:
    return recorded.call(cluster, "adopt", TARGET, *arguments, now=NOW, **fields)


def at(operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of a JSON patch by path; the first operation is its precondition."""
    first, *rest = operations
    assert (first["op"], first["path"]) == ("test", "/metadata/resourceVersion")
    return {operation["path"]: operation.get("value") for operation in rest}


# --- The manifest -------------------------------------------------------------------------------------------


def test_the_manifest_for_git_is_complete_and_writes_nothing():
    cluster = on(DEPLOYMENT, SERVICE, pod())
    said = say(cluster, "-o", "yaml")
    assert said.code == 0
    made = yaml.safe_load(said.out)
    assert made["metadata"] == {"name": "clip", "namespace": "shop"}
    spec = made["spec"]
    assert spec["replicas"] == 3
    assert spec["model"] == {"version": "0.0.77"}
    assert spec["endpoint"] == {"protocol": "OpenAIEmbeddings", "runtime": "Infinity"}
    assert (spec["enforcement"], spec["strategy"]) == ("Observe", {"approval": "BeforeTraffic"})
    assert spec["service"] == {"port": 80}
    assert spec["template"] == {
        "metadata": {"labels": {"team": "search"}, "annotations": {"kept": "yes"}},
        "spec": {
            "containers": [
                {
                    "name": "server",
                    "image": "registry.test/team/infinity:0.0.77",
                    "ports": [{"name": "model", "containerPort": 8000}],
                    "readinessProbe": {"httpGet": {"path": "/health", "port": "model"}, "periodSeconds": 1},
                }
            ]
        },
    }
    assert [one for one in lint.lint(made) if one.severity == "Error"] == []
    assert "do not bear app=clip" in said.err
    assert "say --protocol" in said.err
    assert cluster.written == []


def test_what_is_known_is_not_guessed():
    said = say(on(DEPLOYMENT, SERVICE), "-o", "json", "--protocol", "TextEmbeddingsInference")
    assert json.loads(said.out)["spec"]["endpoint"]["protocol"] == "TextEmbeddingsInference"
    assert "--protocol" not in said.err


def container(**fields: Any) -> dict[str, Any]:
    result = copy.deepcopy(DEPLOYMENT)
    result["spec"]["template"]["spec"]["containers"] = [{"name": "s", "image": "i", **fields}]
    return result


def sending(to: Any) -> dict[str, Any]:
    return changed(SERVICE, spec__ports=[{"port": 80, "targetPort": to}])


@pytest.mark.parametrize(
    ("deployment", "service", "ports"),
    [
        (container(ports=[{"name": "model", "containerPort": 8000}]), sending(8000), [("model", 8000)]),
        (container(ports=[{"containerPort": 9}, {"containerPort": 8000}]), sending(8000),
         [(None, 9), ("model", 8000)]),
        (container(), sending(8000), [("model", 8000)]),
        (container(), changed(SERVICE, spec__ports=[{"port": 8080}]), [("model", 8080)]),
    ],
)  # fmt: skip
def test_the_port_that_users_reach_is_named(deployment: Any, service: Any, ports: list[Any]):
    said = say(on(deployment, service), "-o", "json")
    assert said.code == 0, said.err
    made = json.loads(said.out)["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert [(port.get("name"), port["containerPort"]) for port in made] == ports


# --- There --------------------------------------------------------------------------------------------------


def test_the_first_step_creates_the_release_and_offers_the_service():
    cluster = on(DEPLOYMENT, changed(SERVICE, metadata__labels={"team": "search"}), pod())
    said = say(cluster, *WHY)
    assert (said.code, said.err) == (0, "")
    (_, manager, dry, made), (_, other, _, operations) = cluster.written
    assert (manager, dry, other) == ("kubectl", False, "modelrelease-adopt")
    assert made["kind"] == "ModelRelease"
    assert at(operations) == {
        "/metadata/labels": {"team": "search", OFFER: "clip"},
        "/metadata/annotations": {"modelrelease.dev/adopted-because": "first week"},
    }
    assert "Users notice nothing" in said.out
    assert "kubectl patch services clip" in said.out


def test_a_release_from_git_is_left_alone():
    cluster = on(DEPLOYMENT, SERVICE, pod(), release())
    assert say(cluster, *WHY).code == 0
    assert [entry[0] for entry in cluster.written] == ["patch"]


def test_a_dry_run_and_a_no_write_nothing():
    cluster = on(DEPLOYMENT, SERVICE, pod())
    said = say(cluster, *WHY, "--dry-run")
    assert [dry for _, _, dry, _ in cluster.written] == [True, True]
    assert "nothing was written" in said.out
    cluster = on(DEPLOYMENT, SERVICE, pod())
    said = say(cluster, "--reason", "x", tty=True, answer="n\n")
    assert (said.code, cluster.written) == (1, [])
    assert say(cluster, "--reason", "x").code == 1
    assert say(cluster).code == 64, "a reason is needed"


def test_what_is_on_its_way_tells_where_it_is():
    cluster = on(DEPLOYMENT, changed(SERVICE, metadata__labels={OFFER: "clip"}), pod(), release())
    said = say(cluster, *WHY)
    assert said.code == 0
    assert "r0000000001 waits for an approval." in said.out
    assert "kubectl mrel approve clip -n shop" in said.out
    assert cluster.written == []


@pytest.mark.parametrize(("replicas", "says"), [(3, "--finish"), (0, "delete it when you trust")])
def test_what_is_taken_over_tells_what_is_left(replicas: int, says: str):
    cluster = on(changed(DEPLOYMENT, spec__replicas=replicas), taken(), release())
    said = say(cluster, *WHY)
    assert (said.code, cluster.written) == (0, [])
    assert says in said.out


def test_on_60_columns_no_sentence_is_cut():
    said = say(on(DEPLOYMENT, SERVICE, pod()), *WHY, width=60)
    sentences = [line for line in said.out.splitlines() if "kubectl patch" not in line]
    assert max(map(len, sentences)) <= 60
    assert "…" not in said.out.replace("-f …", "").replace("adopt …", "")


# --- What is refused ----------------------------------------------------------------------------------------

OWNED = [{"kind": "Rollout", "name": "clip", "uid": "u", "controller": True}]
SCALED = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "clip-hpa"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "clip-server"}},
}


@pytest.mark.parametrize(
    ("objects", "arguments", "says"),
    [
        ((DEPLOYMENT,), (), "no Service selects the pods of deployment/clip-server"),
        ((DEPLOYMENT, changed(SERVICE, spec__selector={"app": "x"})), ("--service", "clip"),
         "does not select the pods of deployment/clip-server: its selector is app=x"),
        ((DEPLOYMENT, SERVICE, changed(SERVICE, metadata__name="other")), (), "name one by --service"),
        ((DEPLOYMENT, SERVICE), ("--service", "gone"), "there is no Service gone"),
        ((DEPLOYMENT, SERVICE, SCALED), (), "HorizontalPodAutoscaler clip-hpa scales"),
        ((DEPLOYMENT, changed(SERVICE, spec__clusterIP="None")), (), "it is headless"),
        ((DEPLOYMENT, changed(SERVICE, spec__sessionAffinity="ClientIP")), (), "session affinity"),
        ((DEPLOYMENT, changed(SERVICE, spec__ports=[{"port": 1}, {"port": 2}])), (), "it has 2 ports"),
        ((changed(DEPLOYMENT, metadata__ownerReferences=OWNED), SERVICE), (), "belongs to Rollout clip"),
        ((DEPLOYMENT, changed(SERVICE, metadata__ownerReferences=OWNED)), (), "Service clip belongs to"),
        ((DEPLOYMENT, changed(SERVICE, metadata__name="c" * 41)), (), "has a name of 41 characters"),
        ((DEPLOYMENT, SERVICE, pod("stranger", team="other"), pod("web", app="clip")), (), None),
        ((changed(DEPLOYMENT, status__readyReplicas=2), SERVICE), (), "has 2 of 3 pods Ready"),
        ((container(ports=[{"name": "model", "containerPort": 1}]), sending(8000)), (),
         "the container port named model is 1, but Service clip sends users to 8000"),
        ((container(), SERVICE), (), "there is no container port named model, and none says"),
        ((DEPLOYMENT, SERVICE), ("--protocol", "GenericJSON"), "the Deployment does not say all"),
    ],
)  # fmt: skip
def test_what_can_not_be_adopted_is_refused_in_one_sentence(
    objects: tuple[dict[str, Any], ...], arguments: tuple[str, ...], says: str | None
):
    cluster = on(*objects)
    said = say(cluster, *arguments, *WHY)
    if says is None:
        assert said.code == 0, said.err
        return
    assert said.code == 1
    assert says in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert cluster.written == []


def test_pods_of_somebody_else_behind_the_service_are_named():
    deployment = changed(DEPLOYMENT, spec__selector={"matchLabels": {"team": "search"}})
    cluster = on(deployment, SERVICE, pod(), pod("stranger", team="shop"))
    said = say(cluster, *WHY)
    assert said.code == 1
    assert "sends users to pods of others too, whom they would not reach any more: stranger" in said.err


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:/Service:shop/clip"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}, "Flux"),
        ({"annotations": {"meta.helm.sh/release-name": "shop"}}, "Helm"),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD"),
        ({"managedFields": [{"manager": "flagger"}]}, "Flagger"),
    ],
)
def test_a_service_that_a_tool_puts_back_has_to_leave_it_first(metadata: dict[str, Any], tool: str):
    service = copy.deepcopy(SERVICE)
    service["metadata"] |= metadata
    cluster = on(DEPLOYMENT, service, pod())
    said = say(cluster, *WHY)
    assert said.code == 1
    assert f"Service clip is kept by {tool}" in said.err
    assert say(cluster, *WHY, "--out-of-git").code == 0


@pytest.mark.parametrize("manager", ["kubectl-client-side-apply", "kube-controller-manager"])
def test_a_person_is_no_tool(manager: str):
    service = changed(SERVICE, metadata__managedFields=[{"manager": manager}])
    status = {"manager": "argocd-controller", "subresource": "status"}
    service["metadata"]["managedFields"].append(status)
    assert say(on(DEPLOYMENT, service, pod()), *WHY).code == 0


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("statefulset/clip", "its pods have names and volumes of their own"),
        ("sts/clip", "its pods have names and volumes of their own"),
        ("rollout/clip", "docs/migrate/argo-rollouts.md"),
        ("rollouts.argoproj.io/clip", "docs/migrate/argo-rollouts.md"),
        ("inferenceservices/clip", "docs/migrate/kserve.md"),
        ("cronjob/clip", "only deployment/NAME"),
        ("deployment/", "only deployment/NAME"),
        ("deployment/nobody", "not found"),
    ],
)
def test_only_a_deployment_is_adopted(target: str, says: str):
    said = recorded.call(on(DEPLOYMENT, SERVICE), "adopt", target, *WHY, now=NOW)
    assert said.code == 1
    assert says in said.err


@pytest.mark.parametrize("target", ["clip-server", "deploy/clip-server", "deployments.apps/clip-server"])
def test_as_kubectl_names_it(target: str):
    assert recorded.call(on(DEPLOYMENT, SERVICE), "adopt", target, *WHY, now=NOW).code == 0


@pytest.mark.parametrize("arguments", [("--finish", "--undo"), ("--finish", "-o", "yaml")])
def test_words_that_contradict_each_other(arguments: tuple[str, ...]):
    assert say(on(DEPLOYMENT, SERVICE), *arguments, *WHY).code == 64


# --- The end, and the way back ------------------------------------------------------------------------------


def test_finish_scales_the_old_pods_away_and_remembers_how_many_they_were():
    cluster = on(DEPLOYMENT, taken(), release(strategy={"drainSeconds": 60}))
    assert say(cluster, "--finish", *WHY).code == 0
    ((_, _, _, operations),) = cluster.written
    assert at(operations) == {
        "/metadata/annotations": {"modelrelease.dev/replicas-before-adoption": "3"},
        "/spec/replicas": 0,
    }


@pytest.mark.parametrize(
    ("service", "drain", "says"),
    [
        (SERVICE, 30, "is not taken over yet"),
        (taken(spec__selector={"app": "clip"}), 30, "is not taken over yet"),
        (taken(), 90, "drain for 30 s more"),
    ],
)
def test_finish_waits_until_nobody_needs_the_old_pods(service: dict[str, Any], drain: int, says: str):
    cluster = on(DEPLOYMENT, service, release(strategy={"drainSeconds": drain}))
    said = say(cluster, "--finish", *WHY)
    assert said.code == 1
    assert says in said.err
    assert cluster.written == []


def test_finish_leaves_a_deployment_to_the_tool_that_keeps_it():
    kept = changed(DEPLOYMENT, metadata__labels={"app.kubernetes.io/managed-by": "Helm"})
    cluster = on(kept, taken(), release())
    said = say(cluster, "--finish", *WHY)
    assert said.code == 1
    assert "kept by Helm: set its replicas to 0 there" in said.err
    assert say(cluster, "--finish", *WHY, "--out-of-git").code == 0


def test_undo_gives_the_service_back_in_one_write():
    cluster = on(DEPLOYMENT, taken(), pod(), pod("clip-server-2", ready="False"), release())
    said = say(cluster, "--undo", *WHY)
    assert said.code == 0, said.err
    ((_, _, _, operations),) = cluster.written
    assert at(operations) == {
        "/spec/selector": {"app": "clip"},
        "/spec/ports/0/targetPort": "http",
        "/metadata/labels": {"team": "search"},
        "/metadata/annotations": {"kept": "yes"},
        "/metadata/ownerReferences": [],
    }
    assert "users reach 1 Ready pod of before" in " ".join(said.out.split())


def test_undo_refuses_to_leave_users_with_nobody():
    gone = changed(
        DEPLOYMENT, metadata__annotations={"modelrelease.dev/replicas-before-adoption": "3"}, spec__replicas=0
    )
    cluster = on(gone, taken(), pod(ready="False"), release())
    said = say(cluster, "--undo", *WHY)
    assert said.code == 1
    assert "kubectl scale deployment clip-server -n shop --replicas=3" in said.err
    assert cluster.written == []


def test_undo_takes_back_an_offer_that_was_not_taken():
    cluster = on(DEPLOYMENT, changed(SERVICE, metadata__labels={OFFER: "clip"}), pod(), release())
    assert say(cluster, "--undo", *WHY).code == 0
    ((_, _, _, operations),) = cluster.written
    assert operations[1:] == [{"op": "remove", "path": "/metadata/labels/modelrelease.dev~1release"}]
    said = say(on(DEPLOYMENT, SERVICE, pod()), "--undo", *WHY)
    assert said.code == 1
    assert "nothing to undo" in said.err
