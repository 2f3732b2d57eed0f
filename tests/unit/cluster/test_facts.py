import datetime
from typing import Any

import pytest

from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cluster import api, facts, manifests
from modelrelease.core import observation, revision

OWNER = manifests.Owner(api.RELEASE, "shop", "embedder", "u-1")
REVISION = "r0123456789"
NOW = "2026-11-20T03:02:11Z"
THEN = datetime.datetime(2026, 11, 20, 3, 2, 11, tzinfo=datetime.UTC)
Selects = observation.Selects


def condition(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": NOW, **more}


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "uid": "p-1",
            "labels": manifests.pod_labels("embedder", REVISION),
            **metadata,
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "m", "ports": [{"name": "model", "containerPort": 8000}]}],
        },
        "status": status,
    }


def test_a_ready_pod():
    found = facts.pod(
        pod(
            {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [condition("PodScheduled"), condition("Ready")],
                "containerStatuses": [
                    {"name": "m", "ready": True, "restartCount": 2, "imageID": "i@sha256:1", "state": {}}
                ],
            }
        ),
        {"n1": "NVIDIA-H200"},
    )
    assert found == observation.Pod(
        name="p",
        uid="p-1",
        revision=REVISION,
        ready=True,
        ip="10.0.0.1",
        port=8000,
        ports=(("model", 8000),),
        scheduled_time=THEN,
        ready_time=THEN,
        containers=(observation.Container("m", ready=True, restarts=2, image_id="i@sha256:1"),),
        accelerator="NVIDIA-H200",
    )


def test_ports_are_known_by_name_a_sidecars_too():
    found = pod({})
    sidecar = {"name": "probe", "ports": [{"name": "probe", "containerPort": 9000}, {"containerPort": 1}]}
    found["spec"]["initContainers"] = [sidecar, {"name": "init"}]
    assert facts.pod(found).ports == (("probe", 9000), ("model", 8000))


def test_a_terminating_pod_is_not_ready_whatever_it_says():
    found = facts.pod(pod({"conditions": [condition("Ready")]}, deletionTimestamp=NOW))
    assert (found.ready, found.terminating, found.ready_time) == (False, True, None)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, {}),
        ({"phase": "Failed"}, {"finished": True}),
        ({"phase": "Succeeded"}, {"finished": True}),
        (
            {"conditions": [condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes")]},
            {"unschedulable_since": THEN, "unschedulable_message": "0/3 nodes"},
        ),
        (
            {"conditions": [condition("PodScheduled", "False", reason="SchedulingGated")]},
            {"scheduling_gated": True},
        ),
        ({"conditions": [condition("DisruptionTarget")]}, {"disrupted": True}),
        ({"reason": "NodeLost"}, {"disrupted": True}),
        ({"reason": "OutOfcpu"}, {}),
    ],
)
def test_why_a_pod_does_not_run(status: dict[str, Any], expected: dict[str, Any]):
    found = facts.pod(pod(status))
    plain = observation.Pod(name="p", uid="p-1", revision=REVISION, port=8000)
    for field in (
        "finished",
        "unschedulable_since",
        "unschedulable_message",
        "scheduling_gated",
        "disrupted",
        "scheduled_time",
    ):
        assert getattr(found, field) == expected.get(field, getattr(plain, field)), field


@pytest.mark.parametrize(
    ("state", "last", "expected"),
    [
        (
            {"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}},
            {},
            {"waiting_reason": "ImagePullBackOff", "waiting_message": "manifest unknown"},
        ),
        (
            {"waiting": {"reason": "CrashLoopBackOff"}},
            {"terminated": {"exitCode": 1, "reason": "Error"}},
            {"waiting_reason": "CrashLoopBackOff", "exit_code": 1, "termination_reason": "Error"},
        ),
        (
            {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            {"terminated": {"exitCode": 1, "reason": "Error"}},
            {"exit_code": 137, "termination_reason": "OOMKilled"},
        ),
        (
            {},
            {"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}},
            {"exit_code": 128, "termination_reason": "StartError", "start_error": "no such file"},
        ),
        (
            {},
            {"terminated": {"exitCode": 1, "reason": "Error", "message": "what it says itself"}},
            {"exit_code": 1, "termination_reason": "Error"},
        ),
    ],
)
def test_containers(state: dict[str, Any], last: dict[str, Any], expected: dict[str, Any]):
    found = facts.container({"name": "m", "state": state, "lastState": last})
    assert found == observation.Container("m", **expected)


def service(name: str, selector: dict[str, str] | None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", **metadata}, "spec": {"selector": selector}}


OURS = {"ownerReferences": [OWNER.reference()]}
LABELS = {"app": "clip", **manifests.pod_labels("embedder", REVISION)}


@pytest.mark.parametrize(
    ("services", "exposing"),
    [
        ([], ()),
        ([service("users", {"app": "clip"})], ("users",)),
        ([service("users", {"app": "clip", "tier": "gold"})], ()),
        ([service("users", {"app": "other"})], ()),
        ([service("headless", {})], ()),
        ([service("external", None)], ()),
        ([service("embedder", {"modelrelease.dev/release": "embedder"}, **OURS)], ()),
        (
            [service("copy", {"modelrelease.dev/release": "embedder"}, **OURS)],
            ("copy",),
        ),
        ([service("embedder", {"app": "clip"}, labels={})], ("embedder",)),
        ([service("b", {"app": "clip"}), service("a", {"modelrelease.dev/role": "serving"})], ("a", "b")),
    ],
)
def test_services_that_would_expose_a_candidate(services: list[dict[str, Any]], exposing: tuple[str, ...]):
    assert facts.exposing_services(OWNER, services, [LABELS]) == exposing


def test_a_hand_labelled_pod_is_seen_too():
    services = [service("users", {"debug": "yes"})]
    assert facts.exposing_services(OWNER, services, [LABELS, LABELS | {"debug": "yes"}]) == ("users",)


@pytest.mark.parametrize(
    ("services", "traffic"),
    [
        ([], observation.Traffic(Selects.NOTHING)),
        ([service("embedder", {"app": "x"})], observation.Traffic(Selects.FOREIGN)),
        ([service("embedder", {"app": "x"}, **OURS)], observation.Traffic(Selects.NOTHING)),
        (
            [service("embedder", {}, ownerReferences=[{"uid": "other", "controller": True}])],
            observation.Traffic(Selects.FOREIGN),
        ),
        *(
            ([service("embedder", manifests.selector("embedder", traffic), **OURS)], traffic)
            for traffic in (
                observation.Traffic(Selects.NOTHING),
                observation.Traffic(Selects.WIDENED),
                observation.Traffic(Selects.PINNED, REVISION),
            )
        ),
        (
            [
                service(
                    "embedder",
                    manifests.selector("embedder", observation.Traffic(Selects.WIDENED)),
                    labels={"modelrelease.dev/release": "embedder"},
                )
            ],
            observation.Traffic(Selects.WIDENED),
        ),
    ],
)
def test_what_the_traffic_object_selects(services: list[dict[str, Any]], traffic: observation.Traffic):
    assert facts.traffic(OWNER, services) == traffic


TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "m", "image": "i:1", "env": [{"name": "A", "value": "1"}]}]},
}


@pytest.mark.parametrize(
    ("live", "same"),
    [
        (TEMPLATE, True),
        (TEMPLATE | {"metadata": {"labels": {"a": "b"}, "creationTimestamp": None}}, True),
        (TEMPLATE | {"spec": TEMPLATE["spec"] | {"nodeSelector": {"a": "b"}}}, False),
        (TEMPLATE | {"metadata": {"labels": {"a": "b"}, "annotations": {"restartedAt": "x"}}}, False),
        (TEMPLATE | {"metadata": {"labels": {"a": "c"}}}, False),
        (TEMPLATE | {"spec": {"containers": [{"name": "m", "image": "i:2"}]}}, False),
        (TEMPLATE | {"spec": {"containers": [*TEMPLATE["spec"]["containers"], {"name": "s"}]}}, False),
    ],
)
def test_hand_edits_of_a_template(live: dict[str, Any], same: bool):
    deployment = {"metadata": {}, "spec": {"template": live}}
    assert facts.template_matches(deployment, TEMPLATE) is same
    accepted = {"annotations": {manifests.ACCEPTED_TEMPLATE: revision.digest(facts.without_nulls(live))}}
    assert facts.template_matches(deployment | {"metadata": accepted}, TEMPLATE)


def test_a_revision_with_everything_that_is_said_of_it():
    obj = {
        "metadata": {
            "name": "embedder-r0123456789",
            "labels": {"modelrelease.dev/revision": REVISION},
            "creationTimestamp": NOW,
            "annotations": {
                manifests.MODEL_VERSION: "2026.11",
                manifests.NUMERIC_CLASS: "bf16",
                manifests.PROMOTED_TIME: "2026-11-20T03:02:11.123Z",
                manifests.FAILED_DIGESTS: '["sha256:a"]',
                manifests.ANCHOR_OF: "space",
                manifests.OUTPUTS: '{"configMap":"c","digest":"sha256:' + "0" * 64 + '"}',
            },
        },
        "data": {"template": TEMPLATE, "embeddingSpace": "space"},
    }
    deployment = {
        "metadata": {},
        "spec": {"replicas": 3, "template": TEMPLATE},
        "status": {
            "conditions": [condition("ReplicaFailure", message="pods is forbidden: exceeded quota: q")]
        },
    }
    found = facts.revision(obj, {REVISION: deployment}, [facts.pod(pod({}))])
    assert found.numeric_class is api_spec.NumericClass.BF16
    assert found.promoted_time == THEN.replace(microsecond=123_000)
    assert found.failed_digests == {"sha256:a"}
    assert found.outputs == (api_run.Reference(config_map="c", digest="sha256:" + "0" * 64),)
    assert (found.anchor_of, found.embedding_space, found.model_version) == ("space", "space", "2026.11")
    assert found.deployment == observation.Deployment(
        desired=3, replica_failure="pods is forbidden: exceeded quota: q"
    )
    assert [p.name for p in found.pods] == ["p"]


@pytest.mark.parametrize("junk", ["", "not json", "{}", "3"])
def test_annotations_that_say_nothing(junk: str):
    obj = {
        "metadata": {
            "labels": {},
            "annotations": {
                manifests.FAILED_DIGESTS: junk,
                manifests.OUTPUTS: junk,
                manifests.NUMERIC_CLASS: junk,
                manifests.PROMOTED_TIME: junk,
            },
        }
    }
    found = facts.revision(obj, {}, [])
    assert (found.failed_digests, found.outputs, found.numeric_class, found.promoted_time) == (
        frozenset(),
        (),
        None,
        None,
    )


def test_a_run_of_another_version_is_a_problem_and_not_dropped():
    with pytest.raises(facts.Unreadable, match="Run x can't be read"):
        facts.run({"metadata": {"name": "x"}, "spec": {"revision": "r1"}, "status": {"phase": "Dancing"}})


@pytest.mark.parametrize(
    ("limits", "gpus"),
    [
        ([{}], 0),
        ([{"nvidia.com/gpu": "2", "cpu": "4"}, {"memory": "1Gi"}], 2),
        ([{"nvidia.com/gpu": 1}, {"amd.com/gpu": "1"}], 2),
        ([{"nvidia.com/mig-1g.10gb": "1"}], 0),
    ],
)
def test_whole_gpus_are_counted(limits: list[dict[str, Any]], gpus: int):
    made = pod({"phase": "Running"})
    made["spec"]["containers"] = [
        {"name": f"c{n}", "resources": {"limits": one}} for n, one in enumerate(limits)
    ]
    assert facts.pod(made).gpus == gpus
