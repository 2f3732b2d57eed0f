import copy
import time
from collections.abc import Callable
from typing import Any

import pytest

Until = Callable[..., None]
RELEASE = {
    "apiVersion": "modelrelease.dev/v1alpha1",
    "kind": "ModelRelease",
    "spec": {
        "replicas": 2,
        "model": {"version": "1"},
        "endpoint": {"protocol": "OpenAIEmbeddings"},
        "enforcement": "Observe",
        "checks": [],
        "strategy": {"steps": [{"weight": 50, "holdSeconds": 1}], "bakeSeconds": 1, "drainSeconds": 1},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "server",
                        "image": "registry.invalid/model:1",
                        "ports": [{"name": "model", "containerPort": 8000}],
                    }
                ]
            }
        },
    },
}


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    made = copy.deepcopy(RELEASE)
    made["metadata"] = {"name": name}
    made["spec"] |= spec
    return made


def image(tag: str) -> dict[str, Any]:
    """The change of a template that makes another revision."""
    container = {
        **RELEASE["spec"]["template"]["spec"]["containers"][0],
        "image": f"registry.invalid/model:{tag}",
    }
    return {"template": {"spec": {"containers": [container]}}}


def test_a_first_release_is_promoted_and_serves(cluster: Any, operator: Any, until: Until):
    cluster.create(manifest("first"))
    operator.start()
    until(lambda: cluster.stable("first"), "a stable revision")
    until(lambda: cluster.condition("first", "Ready").get("status") == "True", "Ready")
    assert [run["status"]["outcome"] for run in cluster.runs()] == ["Promoted"]
    assert cluster.pinned("first") == cluster.stable("first")
    assert operator.get("/readyz")[0] == 200
    assert operator.get("/healthz")[0] == 200
    assert 'modelrelease_releases{phase="Stable"} 1.0' in operator.get("/metrics")[1]


def test_no_object_has_a_finalizer_and_the_spec_is_nobodys_but_the_users(
    cluster: Any, operator: Any, until: Until
):
    cluster.create(manifest("first"))
    before = cluster.release("first")
    operator.start()
    until(lambda: cluster.stable("first"), "a stable revision")
    after = cluster.release("first")
    assert [obj["metadata"].get("finalizers") for obj in cluster.objects()] == [None] * len(cluster.objects())
    assert after["spec"] == before["spec"]
    assert after["metadata"].get("annotations") == before["metadata"].get("annotations")
    cluster.delete("first")
    until(lambda: "first" not in {obj["metadata"]["name"] for obj in cluster.objects()}, "the deletion")
    until(lambda: cluster.runs() == [], "the children are garbage-collected")
    until(lambda: operator.get("/readyz")[1] == "ok: 0 releases", "the loop ends")


def test_an_idle_release_costs_no_write(cluster: Any, operator: Any, until: Until):
    cluster.create(manifest("idle", replicas=1))
    operator.start()
    until(lambda: cluster.stable("idle"), "a stable revision")
    until(lambda: "Revision" in cluster.release("idle")["status"]["message"], "the story is told")
    until(lambda: cluster.condition("idle", "Reconciling").get("status") == "False", "it is settled")
    time.sleep(3)  # Kubernetes' own controllers come to rest
    before, turns = cluster.versions(), operator.get("/metrics")[1]
    cluster.custom.patch_namespaced_custom_object(
        "modelrelease.dev",
        "v1alpha1",
        cluster.namespace,
        "modelreleases",
        "idle",
        {"metadata": {"labels": {"woken": "yes"}}},
        _content_type="application/merge-patch+json",
    )
    until(
        lambda: operator.get("/metrics")[1].split("turns_total")[-1] != turns.split("turns_total")[-1],
        "a turn",
    )
    time.sleep(5)
    after = cluster.versions()
    release = cluster.release("idle")["metadata"]["uid"]
    assert {uid for uid in after if after[uid] != before.get(uid)} == {release}  # our own label


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.5, 2.5])
def test_an_operator_that_is_killed_on_the_way_goes_on_where_it_was(
    cluster: Any, operator: Any, until: Until, seconds: float
):
    cluster.create(manifest("killed"))
    operator.start()
    until(lambda: cluster.stable("killed"), "a stable revision")
    first = cluster.stable("killed")
    cluster.patch("killed", image("2"))
    until(lambda: len(cluster.runs()) == 2, "a second run")
    time.sleep(seconds)
    operator.kill()
    operator.start()
    until(lambda: cluster.stable("killed") not in {None, first}, "the second revision is promoted", 90)
    assert [run["status"]["outcome"] for run in cluster.runs()] == ["Promoted", "Promoted"]
    until(lambda: cluster.pinned("killed") == cluster.stable("killed"), "traffic is pinned to it")


def test_serving_does_not_need_the_operator(cluster: Any, operator: Any, until: Until):
    cluster.create(manifest("serving"))
    operator.start()
    until(lambda: cluster.pinned("serving"), "the Service")
    operator.kill()
    selector = cluster.core.read_namespaced_service("serving", cluster.namespace).spec.selector
    labels = ",".join(f"{key}={value}" for key, value in selector.items())

    def ready() -> set[str]:
        pods = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=labels).items
        return {
            pod.metadata.name
            for pod in pods
            if pod.metadata.deletion_timestamp is None
            and any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())
        }

    until(ready, "a Ready pod")
    gone = next(iter(ready()))
    cluster.core.delete_namespaced_pod(gone, cluster.namespace, grace_period_seconds=0)
    until(lambda: ready() and gone not in ready(), "another pod takes its place")


def test_a_broken_manifest_is_told_and_hurts_no_other_release(cluster: Any, operator: Any, until: Until):
    volume = {"name": "config", "configMap": {"name": "missing"}}
    broken = manifest("broken")
    broken["spec"]["template"]["spec"]["volumes"] = [volume]
    cluster.create(broken)
    operator.start()
    until(lambda: cluster.condition("broken", "Stalled").get("status") == "True", "Stalled")
    assert cluster.condition("broken", "Stalled")["reason"] == "ConfigMapNotFound"
    assert "missing" in cluster.condition("broken", "Stalled")["message"]
    assert cluster.condition("broken", "Reconciling")["status"] == "False"
    cluster.create(manifest("sound"))
    until(lambda: cluster.stable("sound"), "the other release is promoted")
    assert all(run["spec"]["releaseName"] == "sound" for run in cluster.runs())


def test_an_unknown_prometheus_source_is_told_before_anything_starts(
    cluster: Any, operator: Any, until: Until
):
    slo = {"name": "availability", "objective": "99", "source": "nowhere", "availability": {}}
    cluster.create(manifest("blind", slos=[slo]))
    operator.start()
    until(lambda: cluster.condition("blind", "Stalled").get("status") == "True", "Stalled")
    assert cluster.condition("blind", "Stalled")["reason"] == "UnknownPrometheusSource"
    assert cluster.runs() == []


def test_a_rejected_candidate_is_returned_and_stable_serves(cluster: Any, operator: Any, until: Until):
    strategy = {"steps": [{"weight": 50, "holdSeconds": 600}], "drainSeconds": 1}
    cluster.create(manifest("rejected", strategy=strategy))
    operator.start()
    until(lambda: cluster.stable("rejected"), "a stable revision")
    stable = cluster.stable("rejected")
    cluster.patch("rejected", image("2"))
    until(
        lambda: len(cluster.runs()) == 2 and cluster.runs()[1].get("status", {}).get("phase") == "Holding",
        "a hold",
    )
    candidate = cluster.runs()[1]["spec"]["revision"]
    rejected = [{"revision": candidate, "reason": "worse answers"}]
    cluster.patch("rejected", {"override": {"rejected": rejected}})
    until(lambda: cluster.pinned("rejected") == stable, "traffic is back", 5)
    until(lambda: cluster.runs()[1]["status"]["phase"] == "Done", "the run ends")
    assert cluster.runs()[1]["status"]["outcome"] == "Rejected"
    until(lambda: cluster.condition("rejected", "Ready").get("status") == "True", "Ready")
    assert cluster.stable("rejected") == stable


def test_a_check_is_a_job_of_the_run_and_nothing_serves_before_it_passes(
    cluster: Any, operator: Any, until: Until
):
    strict = manifest("checked", enforcement="Enforce")
    del strict["spec"]["checks"]
    cluster.create(strict)
    operator.start()
    job = until(lambda: cluster.batch.list_namespaced_job(cluster.namespace).items, "a Job")[0]
    assert [owner.kind for owner in job.metadata.owner_references] == ["ModelReleaseRun"]
    assert job.spec.template.spec.automount_service_account_token is False
    assert cluster.runs()[0]["status"]["phase"] == "Checking"
    assert cluster.pinned("checked") is None
    # Nobody runs the check's image here: whatever becomes of the Job, it is no Pass.
    until(lambda: cluster.release("checked")["status"].get("phase") == "Checking", "it is told")
    assert cluster.stable("checked") is None


def test_it_stops_within_seconds(cluster: Any, operator: Any, until: Until):
    operator.start()
    until(lambda: operator.get("/readyz")[0] == 200, "ready")
    code, seconds = operator.terminate()
    assert code == 0
    assert seconds < 8


def test_settings_that_can_not_be_used_end_it_with_a_sentence(operator: Any):
    operator._environment["MODELRELEASE_LOG_LEVEL"] = "loud"
    operator.start()
    assert operator.process.wait(timeout=90) == 2
    assert "logLevel" in operator.log()
