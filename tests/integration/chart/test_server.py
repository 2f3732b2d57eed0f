"""What a real API server makes of what Helm renders."""

import json
import subprocess
from pathlib import Path

from kubernetes.client import ApiClient, CoreV1Api

from hack.helm import programs, schema
from tests.integration.chart import rendering

EVERYTHING = {
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "secretMounts": ["alerts"],
    "prometheus": {
        "sources": [{"name": "a", "url": "https://a.example", "bearerToken": {"secret": "a"}}],
    },
}
RESTRICTED = "pod-security.kubernetes.io/enforce"


def test_the_api_server_takes_every_object_as_it_is(
    chart: rendering.Chart, namespace: str, kubeconfig: str, api_client: ApiClient
):
    watch = {"namespaces": [namespace], "readNodes": True}
    kubectl = Path(kubeconfig).parent / "bin" / "kubectl"
    command = [str(kubectl) if kubectl.exists() else "kubectl", "--kubeconfig", kubeconfig, "apply"]
    for values in (EVERYTHING, EVERYTHING | {"watch": watch}):
        rendered = chart.text(namespace, values)
        done = subprocess.run(
            [
                *command,
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "--validate=strict",
                "-f",
                "-",
            ],
            input=rendered,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == len(rendering.by_name(rendered))


def test_its_pod_is_restricted(chart: rendering.Chart, namespace: str, api_client: ApiClient):
    core = CoreV1Api(api_client)
    core.patch_namespace(namespace, {"metadata": {"labels": {RESTRICTED: "restricted"}}})
    objects = chart(namespace, **EVERYTHING)
    spec = objects["Deployment", namespace, "modelrelease-operator"]["spec"]["template"]["spec"]
    del spec["serviceAccountName"]
    pod = {"metadata": {"name": "operator"}, "spec": spec}
    core.create_namespaced_pod(namespace, pod, dry_run="All")


def test_a_package_holds_what_the_checkout_links_to(chart: rendering.Chart, tmp_path: Path):
    done = programs.run(programs.HELM, "package", schema.CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    words = ("template", "modelrelease", package, "-n", "modelrelease-system", "--kube-version", "1.35.0")
    done = programs.run(programs.HELM, *words, "--values", "-", stdin=json.dumps({}))
    assert "symbolic link" not in done.stderr
    assert rendering.by_name(done.stdout) == chart()


def test_the_notes_say_what_is_served(chart: rendering.Chart, kubeconfig: str):
    words = ("install", "modelrelease", schema.CHART, "--dry-run=client", "--values", "-")
    values = {"watch": {"namespaces": ["search", "ranking"]}, "crds": {"install": False}}
    done = programs.run(programs.HELM, *words, "--kubeconfig", kubeconfig, stdin=json.dumps(values))
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "search, ranking" in notes
    assert "default" in notes, "the Prometheus source"


def test_lint_finds_nothing(chart: rendering.Chart):
    done = programs.run(programs.HELM, "lint", "--strict", schema.CHART)
    assert done.returncode == 0, done.stdout
