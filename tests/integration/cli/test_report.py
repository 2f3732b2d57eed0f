"""``kubectl mrel report`` by the real kubectl: what an operator left, and who may read how much of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api, RbacAuthorizationV1Api

from tests.integration.cli import test_mrel
from tests.unit.report import lives, pages

RUNS, RELEASES = "modelreleaseruns", test_mrel.RELEASES
KEPT = ("name", "labels", "annotations")


@pytest.fixture
def someone(tmp_path: Path, api_client: ApiClient, kubeconfig: str, namespace: str) -> test_mrel.Person:
    """Return somebody whose namespace holds what is left of a run that a check has ended."""
    person = test_mrel.Person(tmp_path, api_client, kubeconfig, namespace)
    core, uid = CoreV1Api(api_client), ""
    for obj in lives.left("parity").objects:
        metadata = {key: obj["metadata"][key] for key in KEPT if key in obj["metadata"]}
        made: dict[str, Any] = {
            key: value for key, value in obj.items() if key not in {"metadata", "status"}
        } | {"metadata": metadata}
        match obj["kind"]:
            case "ModelRelease":
                uid = test_mrel._created(person, RELEASES, made)
                test_mrel._status(person, RELEASES, metadata["name"], obj["status"])
            case "ModelReleaseRun":
                made["spec"]["releaseUID"] = uid
                test_mrel._created(person, RUNS, made)
                test_mrel._status(person, RUNS, metadata["name"], obj["status"])
            case "ControllerRevision":
                AppsV1Api(api_client).create_namespaced_controller_revision(namespace, made)
            case "ConfigMap":
                core.create_namespaced_config_map(namespace, made)
            case "Event":
                made["involvedObject"] |= {"namespace": namespace, "uid": uid}
                core.create_namespaced_event(namespace, made)
    return person


def test_a_run_is_reported_from_what_is_on_the_server(someone: test_mrel.Person):
    said = someone.say("report", "embedder", "-o", "json")
    assert (said.returncode, said.stderr) == (0, "")
    report = json.loads(said.stdout)
    assert (report["outcome"], report["reason"]) == ("RolledBack", "CheckFailed")
    assert report["checks"][0]["results"][0]["diagnosis"]["cause"] == "Casing"
    assert [one["phase"] for one in report["phases"]] == ["Queued", "Starting", "Checking", "Returning"]
    assert "CheckFailed" in [one["what"] for one in report["moments"]]
    assert report["changes"]
    assert report["missing"] == []
    page = pages.Page(someone.say("report", report["attempt"]["run"], "-o", "html").stdout)
    assert report["sentence"] in page.text
    assert "Postmortem" in someone.say("report", "embedder", "--postmortem").stdout


def test_whoever_may_not_read_evidence_is_told_so_in_the_report(
    someone: test_mrel.Person, api_client: ApiClient, namespace: str
):
    rbac = RbacAuthorizationV1Api(api_client)
    kinds = {"modelrelease.dev": [RELEASES, RUNS], "apps": ["controllerrevisions"]}
    rules = [{"apiGroups": [group], "resources": kinds[group], "verbs": ["get", "list"]} for group in kinds]
    rbac.create_namespaced_role(namespace, {"metadata": {"name": "sees"}, "rules": rules})
    rbac.create_namespaced_role_binding(
        namespace,
        {
            "metadata": {"name": "sees"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sees"},
            "subjects": [{"kind": "ServiceAccount", "name": "jo", "namespace": namespace}],
        },
    )
    token = CoreV1Api(api_client)
    token.create_namespaced_service_account(namespace, {"metadata": {"name": "jo"}})
    made = token.create_namespaced_service_account_token(
        "jo", namespace, {"spec": {"expirationSeconds": 600}}
    )
    _log_in(someone, made.status.token)
    said = someone.say("report", "embedder", "-o", "json")
    assert (said.returncode, said.stderr) == (0, "")
    missing = " ".join(json.loads(said.stdout)["missing"])
    assert 'Evidence could not be read: configmaps is forbidden: User "system:serviceaccount:' in missing
    assert "Events could not be read: events is forbidden" in missing
    assert "are not kept" not in missing


def _log_in(person: test_mrel.Person, token: str) -> None:
    """Be somebody else: the same cluster, by a token."""
    file = Path(person.environ["KUBECONFIG"])
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": token}
    own = Path(person.environ["HOME"]) / "kubeconfig"
    own.write_text(yaml.safe_dump(config), encoding="utf-8")
    person.environ["KUBECONFIG"] = str(own)
