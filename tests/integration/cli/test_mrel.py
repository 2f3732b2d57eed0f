"""The plugin by the real kubectl on a real API server: applied, merged, taken back, refused.

That kubectl finds it, and what signals do to it, is shown by processes; the rest calls what these run.
"""

import contextlib
import http.client
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import (
    ApiClient,
    AppsV1Api,
    CoreV1Api,
    CustomObjectsApi,
    RbacAuthorizationV1Api,
)

from hack.cluster import binaries
from modelrelease.cli.mrel import kubectl, main, shell
from tests.unit.api import rule_cases
from tests.unit.cli.mrel import recorded

GROUP, VERSION, RELEASES = "modelrelease.dev", "v1alpha1", "modelreleases"
STABLE, CANDIDATE = "r5a87d75c60", "r852ce82eee"
WHY = ("--reason", "INC-1", "--yes")


class Person:
    """Somebody at a terminal, in one namespace."""

    def __init__(self, folder: Path, client: ApiClient, kubeconfig: str, namespace: str) -> None:
        self.custom, self.namespace = CustomObjectsApi(client), namespace
        built = binaries.KUBERNETES.target() / "kubectl"
        program = str(built) if built.exists() else shutil.which("kubectl")
        assert program is not None
        self.program = program
        (folder / "kubectl").symlink_to(program)
        plugin = folder / "kubectl-mrel"
        plugin.write_text(
            f'#!/bin/sh\nexec {sys.executable} -m modelrelease.cli.mrel "$@"\n', encoding="utf-8"
        )
        plugin.chmod(0o755)
        operator = Path(__file__).parents[3] / "operator"
        self.environ = {
            "PATH": f"{folder}:/usr/bin:/bin",
            "HOME": str(folder),
            "KUBECONFIG": kubeconfig,
            "PYTHONPATH": os.pathsep.join([str(operator), str(operator.parent)]),
            "COLUMNS": "160",
        }

    def command(self, verb: str, *arguments: str) -> list[str]:
        return ["kubectl", "mrel", verb, *arguments, "-n", self.namespace]

    def by_kubectl(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command(verb, *arguments)
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environ, check=False, timeout=120
        )

    def say(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        here = shell.Shell(
            out=out,
            err=err,
            environ=self.environ,
            connect=lambda options: kubectl.Kubectl(options, self.program),
        )
        where = ("-n", self.namespace, f"--kubeconfig={self.environ['KUBECONFIG']}")
        code = main.run([verb, *where, *arguments], here)
        return subprocess.CompletedProcess([verb, *arguments], code, out.getvalue(), err.getvalue())

    def release(self) -> dict[str, Any]:
        found: dict[str, Any] = self.custom.get_namespaced_custom_object(
            GROUP, VERSION, self.namespace, RELEASES, "embedder"
        )
        return found

    def override(self) -> dict[str, Any]:
        found: dict[str, Any] = self.release()["spec"].get("override", {})
        return found

    def patch(self, body: dict[str, Any], manager: str) -> None:
        self.custom.patch_namespaced_custom_object(
            GROUP,
            VERSION,
            self.namespace,
            RELEASES,
            "embedder",
            body,
            field_manager=manager,
            _content_type="application/merge-patch+json",
        )


@pytest.fixture
def person(tmp_path: Path, api_client: ApiClient, kubeconfig: str, namespace: str) -> Person:
    """Return somebody whose namespace holds what an operator left in the middle of a release."""
    _, objects = recorded.snapshot("holding")
    someone = Person(tmp_path, api_client, kubeconfig, namespace)
    uid = _created(someone, RELEASES, rule_cases.release(name="embedder"))
    for obj in objects:
        metadata = {
            key: obj["metadata"][key] for key in ("name", "labels", "annotations") if key in obj["metadata"]
        }
        made = {key: obj[key] for key in obj if key not in {"metadata", "status"}} | {"metadata": metadata}
        match obj["kind"]:
            case "ModelReleaseRun":
                made["spec"]["releaseUID"] = uid
                _created(someone, "modelreleaseruns", made)
                _status(someone, "modelreleaseruns", metadata["name"], obj["status"])
            case "ControllerRevision":
                made["apiVersion"] = "apps/v1"
                AppsV1Api(api_client).create_namespaced_controller_revision(namespace, made)
            case "ModelRelease":
                _status(someone, RELEASES, "embedder", obj["status"])
    return someone


def _created(someone: Person, plural: str, body: dict[str, Any]) -> str:
    made = someone.custom.create_namespaced_custom_object(
        GROUP, VERSION, someone.namespace, plural, body, field_manager="argocd"
    )
    return str(made["metadata"]["uid"])


def _status(someone: Person, plural: str, name: str, status: dict[str, Any]) -> None:
    someone.custom.patch_namespaced_custom_object_status(
        GROUP,
        VERSION,
        someone.namespace,
        plural,
        name,
        {"status": status},
        field_manager="modelrelease-operator",
        _content_type="application/merge-patch+json",
    )


def test_it_is_a_plugin_and_looks(person: Person):
    said = person.by_kubectl("status", "embedder")
    assert (said.returncode, said.stderr) == (0, "")
    assert f"candidate  {CANDIDATE}" in said.stdout
    for verb in ("list", "history", "explain", "diff"):
        shown = person.say(verb, *(() if verb == "list" else ("embedder",)))
        assert (shown.returncode, shown.stderr) == (0, ""), verb
        assert shown.stdout


def test_words_are_applied_merged_and_taken_back(person: Person):
    assert person.say("pause", "embedder", *WHY).returncode == 0
    assert person.say("reject", "embedder", *WHY).returncode == 0
    assert person.override() == {
        "paused": {"reason": "INC-1"},
        "rejected": [{"revision": CANDIDATE, "reason": "INC-1"}],
    }
    # Another incident, by another manager, which is not taken back with ours.
    other = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "ModelRelease", "metadata": {"name": "embedder"}}
    other["spec"] = {"override": {"rejected": [{"revision": STABLE, "reason": "INC-2"}]}}  # type: ignore[assignment]
    applied = subprocess.run(
        ["kubectl", "apply", "--server-side", "--field-manager=inc-2", "-f", "-", "-n", person.namespace],
        input=json.dumps(other), text=True, capture_output=True, env=person.environ, check=False,
    )  # fmt: skip
    assert applied.returncode == 0, applied.stderr
    assert person.say("resume", "embedder", *WHY).returncode == 0
    assert sorted(entry["revision"] for entry in person.override()["rejected"]) == [STABLE, CANDIDATE]
    assert "paused" not in person.override()
    managers = {
        entry["manager"]
        for entry in person.release()["metadata"]["managedFields"]
        if "f:override" in entry["fieldsV1"].get("f:spec", {})
    }
    assert managers == {"modelrelease-override", "inc-2"}


def test_what_somebody_edited_is_taken_away_too_and_they_are_named(person: Person):
    person.patch({"spec": {"override": {"paused": {"reason": "by hand"}}}}, "kubectl-edit")
    said = person.say("resume", "embedder", *WHY)
    assert said.returncode == 0, said.stderr
    assert "Also set by kubectl-edit" in said.stdout
    assert "paused" not in person.override()


def test_a_sync_of_git_leaves_an_override_alone(person: Person):
    assert person.say("pin", "embedder", "r5a", *WHY).returncode == 0
    manifest = rule_cases.release({"model.version": "2"}, name="embedder")
    # As Argo CD applies it: on the server, and as it does by default.
    for side in (["--server-side", "--force-conflicts"], ["--server-side=false"]):
        synced = subprocess.run(
            ["kubectl", "apply", *side, "--field-manager=argocd", "-f", "-", "-n", person.namespace],
            input=json.dumps(manifest), text=True, capture_output=True, env=person.environ, check=False,
        )  # fmt: skip
        assert synced.returncode == 0, synced.stderr
        assert person.override()["pinned"] == {"revision": STABLE, "reason": "INC-1"}


def test_a_rule_refuses_and_its_message_is_shown(person: Person):
    assert person.say("reject", "embedder", *WHY).returncode == 0
    for dry in ((), ("--dry-run",)):
        said = person.say("force", "embedder", CANDIDATE, *WHY, *dry)
        assert said.returncode == 1
        assert "must not force a revision that is also rejected: remove forced" in said.stderr
    assert "forced" not in person.override()


def test_a_dry_run_writes_nothing(person: Person):
    said = person.say("cancel", "embedder", *WHY, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "nothing was written" in said.stdout
    assert person.override() == {}
    assert person.say("cancel", "embedder", *WHY).returncode == 0
    assert person.say("debug", "embedder", *WHY, "--seconds", "600").returncode == 0
    assert person.override() == {
        "cancelled": {"revision": CANDIDATE, "attempt": 1, "reason": "INC-1"},
        "debug": {"revision": CANDIDATE, "seconds": 600, "reason": "INC-1"},
    }


def test_unknown_release_and_context(person: Person):
    said = person.by_kubectl("status", "nobody")
    assert said.returncode == 1
    assert said.stderr == 'error: modelreleases.modelrelease.dev "nobody" not found\n'
    said = person.by_kubectl("status", "embedder", "--context", "mars")
    assert said.returncode == 1
    assert "mars" in said.stderr


def test_without_permission_the_verb_and_the_resource_are_named(person: Person, api_client: ApiClient):
    name = f"look-{person.namespace}"
    core, rbac = CoreV1Api(api_client), RbacAuthorizationV1Api(api_client)
    core.create_namespaced_service_account(person.namespace, {"metadata": {"name": "looker"}})
    rules = [{"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    rbac.create_namespaced_role(person.namespace, {"metadata": {"name": name}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "looker", "namespace": person.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    rbac.create_namespaced_role_binding(
        person.namespace, {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference}
    )
    token = core.create_namespaced_service_account_token(
        "looker", person.namespace, {"spec": {}}
    ).status.token
    view = ["kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json"]
    shown = subprocess.run(view, capture_output=True, text=True, env=person.environ, check=True).stdout
    config = json.loads(shown)
    config["users"] = [{"name": "looker", "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = "looker"
    path = Path(person.environ["HOME"]) / "looker.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    looking = person.say("status", "embedder", "--kubeconfig", str(path))
    assert looking.returncode == 0, looking.stderr
    assert "Pods may not be read" in looking.stdout
    refused = person.say("pause", "embedder", *WHY, "--kubeconfig", str(path))
    assert refused.returncode == 1
    assert 'cannot patch resource "modelreleases"' in refused.stderr
    assert person.override() == {}


def test_watch_shows_a_change_and_ctrl_c_ends_it(person: Person):
    # Whoever runs the tests in the background ignores Ctrl-C, and so would all that they start.
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *person.command("status", "embedder", "-w")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=person.environ, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert "Holding" in process.stdout.readline()
    person.patch({"spec": {"override": {"paused": {"reason": "seen"}}}}, "kubectl-edit")
    assert "! paused: seen" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # kubectl may end first, and then it may be said that the watch has ended.
    assert (process.returncode, out, "Traceback" in err) == (130, "", False)


def test_wait_ends_when_the_release_does(person: Person):
    waiting = subprocess.Popen(
        person.command("status", "embedder", "--wait"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=person.environ,
    )  # fmt: skip
    assert waiting.stdout is not None
    assert "Holding" in waiting.stdout.readline()
    _released(person)()
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, "")
    assert "Stable" in out


def test_a_change_just_before_the_watch_begins_is_seen(person: Person, tmp_path: Path):
    """The API server is behind a door, where it is released before kubectl's watch gets through."""
    released = _released(person)
    with contextlib.ExitStack() as open_:
        door = ["kubectl", "proxy", "--port=0"]
        proxy = open_.enter_context(
            subprocess.Popen(door, stdout=subprocess.PIPE, text=True, env=person.environ)
        )
        open_.callback(proxy.terminate)
        assert proxy.stdout is not None
        behind = proxy.stdout.readline().split()[-1]
        server = open_.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), _door(behind, released)))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        open_.callback(server.shutdown)
        clusters = [{"name": "door", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}]
        contexts = [{"name": "door", "context": {"cluster": "door"}}]
        config = {"clusters": clusters, "contexts": contexts, "current-context": "door"}
        (tmp_path / "door.json").write_text(json.dumps(config), encoding="utf-8")
        said = person.by_kubectl("status", "embedder", "--wait", "--kubeconfig", str(tmp_path / "door.json"))
    assert (said.returncode, said.stderr) == (0, "")
    assert "Holding" in said.stdout
    assert "Stable" in said.stdout


def _released(person: Person) -> Callable[[], None]:
    status = person.release()["status"]
    for condition in status["conditions"]:
        condition["status"] = "True" if condition["type"] == "Ready" else "False"
    there = {**status, "phase": "Stable", "message": "There.", "observedGeneration": 9}
    return lambda: _status(person, RELEASES, "embedder", there)


def _door(behind: str, before_watch: Callable[[], None]) -> type[BaseHTTPRequestHandler]:
    """Forward what kubectl asks, and do something before the first watch of releases."""
    done = threading.Lock()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if f"/{RELEASES}?" in self.path and "watch=" in self.path and done.acquire(blocking=False):
                before_watch()
            upstream = http.client.HTTPConnection(behind)
            upstream.request("GET", self.path, headers={"Accept": self.headers["Accept"]})
            answer = upstream.getresponse()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.end_headers()
            with contextlib.suppress(OSError):  # kubectl leaves when it has heard enough
                while piece := answer.read1():
                    self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    return Door


def test_a_rejection_is_taken_back_whoever_said_it(person: Person):
    person.patch(
        {"spec": {"override": {"rejected": [{"revision": STABLE, "reason": "INC-2"}]}}}, "kubectl-edit"
    )
    assert person.say("reject", "embedder", *WHY).returncode == 0
    assert person.say("unreject", "embedder", CANDIDATE, *WHY).returncode == 0
    assert [entry["revision"] for entry in person.override()["rejected"]] == [STABLE]
    said = person.say("unreject", "embedder", *WHY)
    assert said.returncode == 0, said.stderr
    assert "Also set by kubectl-edit" in said.stdout
    assert "rejected" not in person.override()
