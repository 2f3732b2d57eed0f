"""A Deployment and its Service are adopted under load, and given back: no request fails, ever."""

import io
import json
from typing import Any

from hack.demo import kube, stage
from modelrelease.cli.mrel import kubectl, main, shell
from tests.e2e.conftest import Releases
from tests.e2e.release import Release, service

OLD = "clip-server"
LABELS = {"app": OLD}
REPLICAS = 2
WHY = ("--reason", "first week", "--yes")
PER_SECOND = 20
GRACE_SECONDS = 30
DRAINS = "10"
"""Seconds that a pod serves on when it ends: on a busy machine, the node's proxy hears of it late."""
LEAST_REQUESTS = 400
"""All that happens here takes longer than 20 seconds."""


def _deployment(release: Release) -> kube.Object:
    """The toy server as somebody ran it before there was an operator; it lets its users go when it ends."""
    template = json.loads(json.dumps(release.manifest["spec"]["template"]))
    template["metadata"] = {"labels": LABELS}
    template["spec"]["terminationGracePeriodSeconds"] = GRACE_SECONDS
    (container,) = template["spec"]["containers"]
    container["env"] = [{"name": "TAG", "value": "old"}, {"name": "DRAINS", "value": DRAINS}]
    container["ports"] = [{"containerPort": 8000}]
    container["readinessProbe"]["httpGet"]["port"] = 8000
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OLD, "namespace": release.namespace},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": LABELS}, "template": template},
    }


def _load(on: stage.Stage, release: Release) -> kube.Object:
    """Half keep-alive, half new connections, until it is told to end."""
    pod = on.sample("load.yaml")
    pod["metadata"]["namespace"] = release.namespace
    (container,) = pod["spec"]["containers"]
    container["env"] = [
        {"name": "LOADGEN_URL", "value": f"http://{release.name}.{release.namespace}.svc/v1/embeddings"},
        {"name": "LOADGEN_RATE", "value": str(PER_SECOND)},
    ]
    return pod


def _adopt(release: Release, *arguments: str) -> str:
    code, said = _answer(release, *arguments)
    assert code == 0, said
    return said


def _answer(release: Release, *arguments: str) -> tuple[int, str]:
    """Say `kubectl mrel adopt` as somebody in front of this cluster."""
    out, err = io.StringIO(), io.StringIO()
    program = release.kubectl_program
    here = shell.Shell(
        out=out, err=err, environ={}, connect=lambda options: kubectl.Kubectl(options, program)
    )
    where = ("--namespace", release.namespace, "--kubeconfig", str(release.kube.kubeconfig))
    code = main.run(["adopt", f"deployment/{OLD}", *arguments, *where], here)
    return code, out.getvalue() or err.getvalue()


def test_a_live_deployment_is_adopted_and_given_back_without_a_failed_request(
    on: stage.Stage, releases: Releases
) -> None:
    # Given a Deployment behind a Service, whose users ask all the time.
    release = releases("clip")
    namespace = release.namespace
    release.kubectl("apply", "-f", "-", stdin=json.dumps(_deployment(release)))
    release.kube.apply(service(namespace, "clip", LABELS))
    release.kubectl("-n", namespace, "rollout", "status", f"deployment/{OLD}", "--timeout=180s")
    release.kube.apply(_load(on, release))
    release.wait("the load to be answered", 60, lambda: '"ok"' in _said(release))

    # When its manifest is committed, one new pod is judged beside it, and nobody is sent there.
    release.manifest = json.loads(_adopt(release, "-o", "json"))
    spec = release.manifest["spec"]
    assert (spec["enforcement"], spec["replicas"]) == ("Observe", REPLICAS)
    spec["model"] |= {"numericClass": "fp32", "contract": {"dimensions": 32, "normalized": "Unit"}}
    spec |= {
        "checks": [{"name": "contract", "contract": {}}],
        "checkTemplate": {"maxRequestsPerSecond": 1000},
    }
    spec["strategy"] |= {"drainSeconds": 5, "bakeSeconds": 1}
    release.pod["terminationGracePeriodSeconds"] = GRACE_SECONDS
    release.serve("new", DRAINS=DRAINS)
    release.commit()
    assert "is offered" not in _adopt(release, *WHY)
    release.wait_reason("Paused", "AwaitingApproval")
    (run,) = release.runs()
    revision = release.revision_of(run)
    assert release.check_of(run, "contract")["verdict"] == "Pass"
    assert release.answers() == "old"
    assert "kubectl mrel approve" in _adopt(release, *WHY)

    # When a person approves it, it gets its pods and then, in one write, the Service.
    release.override(approvals=[{"revision": revision, "stage": "BeforeTraffic", "reason": "it is the same"}])
    release.promoted(run)
    assert release.answers() == "new"
    release.wait("connections to drain", 30, lambda: _finished(release))
    release.wait("the old pods to go", 60, lambda: not _old_pods(release))
    assert release.condition("Ready")

    # When it is given back, users reach the old pods again, and the release can go.
    release.kubectl("-n", namespace, "scale", "deployment", OLD, f"--replicas={REPLICAS}")
    release.kubectl("-n", namespace, "rollout", "status", f"deployment/{OLD}", "--timeout=180s")
    _adopt(release, "--undo", *WHY)
    release.wait("the old pods to answer", 30, lambda: release.answers() == "old")
    release.wait_reason("Stalled", "NameConflict")
    release.kubectl(
        "-n", namespace, "delete", "modelrelease", "clip", "--cascade=foreground", "--timeout=180s"
    )
    assert release.answers() == "old"

    # Then no request has failed in all that time.
    said = _ended(release)
    assert (said["outcomes"], said["skipped"]) == ({"200": said["sent"]}, 0)
    assert said["sent"] > LEAST_REQUESTS


def _finished(release: Release) -> bool:
    """Say --finish until it is done: it refuses while connections drain."""
    code, said = _answer(release, "--finish", *WHY)
    assert code == 0 or "drain" in said, said
    return code == 0


def _old_pods(release: Release) -> list[kube.Object]:
    return release.kube.items(f"/api/v1/namespaces/{release.namespace}/pods", f"app={OLD}")


def _said(release: Release) -> str:
    """Return what the load has printed so far, if it has begun."""
    return release.kube.text(f"/api/v1/namespaces/{release.namespace}/pods/load/log") or ""


def _ended(release: Release) -> dict[str, Any]:
    """End the load, and return what it counted in all."""
    ending = ("exec", "load", "--", "python", "-c", "import os; os.kill(1, 15)")
    release.kubectl("-n", release.namespace, *ending)
    return release.wait("the load to end", 30, lambda: _final(_said(release)))


def _final(said: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return next((line for line in lines if line["final"]), {})
