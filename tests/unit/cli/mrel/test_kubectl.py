"""kubectl as a process: what is asked of it, what its errors become, and that nothing of it stays behind."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modelrelease.cli.mrel import kubectl, port

SCRIPT = """#!/bin/sh
echo "$@" >> {log}
{body}
"""


def program(tmp_path: Path, body: str) -> kubectl.Kubectl:
    path = tmp_path / "kubectl"
    path.write_text(SCRIPT.format(log=tmp_path / "log", body=body), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return kubectl.Kubectl(("--context=eu",), str(path))


def asked(tmp_path: Path) -> str:
    return (tmp_path / "log").read_text(encoding="utf-8").strip()


def test_an_object(tmp_path: Path):
    cluster = program(tmp_path, """echo '{"kind": "ModelRelease"}'""")
    assert cluster.get(port.RELEASES, "embedder") == {"kind": "ModelRelease"}
    assert asked(tmp_path) == (
        "get modelreleases.v1alpha1.modelrelease.dev embedder -o json --show-managed-fields "
        "--request-timeout=30s --context=eu"
    )


def test_a_list(tmp_path: Path):
    cluster = program(tmp_path, """echo '{"items": [{"kind": "Pod"}]}'""")
    assert cluster.select([port.PODS, port.RUNS], "a=b", everywhere=True) == [{"kind": "Pod"}]
    assert " -l a=b -A " in asked(tmp_path)


def test_an_apply_reads_the_object_and_forces_nothing_but_its_own_fields(tmp_path: Path):
    cluster = program(tmp_path, "cat")
    assert cluster.apply({"kind": "ModelRelease"}, "mine", dry_run=True) == {"kind": "ModelRelease"}
    said = asked(tmp_path)
    assert said.startswith("apply --server-side --field-manager=mine --force-conflicts -f - ")
    assert "--dry-run=server" in said


FORBIDDEN = (
    'modelreleases.modelrelease.dev "embedder" is forbidden: User "jo" cannot patch resource "modelreleases" '
    'in API group "modelrelease.dev" in the namespace "search"'
)


@pytest.mark.parametrize(
    ("stderr", "kind", "message"),
    [
        (f"Error from server (Forbidden): {FORBIDDEN}", port.Failed, FORBIDDEN),
        ('Error from server (NotFound): pods "x" not found', port.NotFound, 'pods "x" not found'),
        ("Error from server (Conflict): Operation cannot be fulfilled", port.Conflict, "Operation cannot be"),
        ('error: context "mars" does not exist', port.Failed, 'context "mars" does not exist'),
        (
            "E1121 17:00:00.1 1 memcache.go:265] couldn't get it\nThe connection was refused",
            port.Failed,
            "The connection was refused",
        ),
        (
            'error: the server doesn\'t have a resource type "modelreleases"',
            port.Failed,
            "the cluster does not serve modelreleases.v1alpha1.modelrelease.dev, which this plugin speaks",
        ),
        ("", port.Failed, "kubectl failed and did not say why"),
    ],
)
def test_errors_are_kubectls_own(tmp_path: Path, stderr: str, kind: type[port.Failed], message: str):
    (tmp_path / "said").write_text(stderr, encoding="utf-8")
    with pytest.raises(kind) as caught:
        program(tmp_path, f"cat {tmp_path}/said >&2; exit 1").get(port.PODS, "x")
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_kubectl():
    cluster = kubectl.Kubectl(program="/nowhere/kubectl")
    for call in (lambda: cluster.get(port.PODS, "x"), lambda: next(cluster.watch(port.PODS))):
        with pytest.raises(port.Failed, match="install kubectl"):
            call()


def test_no_json(tmp_path: Path):
    with pytest.raises(port.Failed, match="not JSON"):
        program(tmp_path, "echo hello").get(port.PODS, "x")


EVENTS = """cat <<'END'
{
    "type": "ADDED",
    "object": {
        "kind": "Pod"
    }
}
{"type": "MODIFIED", "object": {"kind": "Pod"}}
END
"""


def test_a_watch_goes_on_after_it_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kubectl, "_AGAIN_SECONDS", 0.0)
    watched = program(tmp_path, f"{EVENTS}\necho 'error: gone' >&2").watch(port.PODS, selector="a=b")
    found = [next(watched) for _ in range(4)]
    assert [change.kind for change in found] == ["ADDED", "MODIFIED", "LOST", "ADDED"]
    assert found[2].message == "gone"
    watched.close()  # type: ignore[attr-defined]


def test_nothing_stays_behind(tmp_path: Path):
    cluster = program(tmp_path, f"{EVENTS}\nexec sleep 600")
    heard: list[str] = []
    seen = threading.Event()

    def listen() -> None:
        for change in cluster.watch(port.PODS):
            heard.append(change.kind)
            if len(heard) == 2:
                seen.set()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert seen.wait(30)
    (child,) = cluster._children
    began = time.monotonic()
    cluster.close()
    assert child.wait(30) != 0
    assert time.monotonic() - began < 30


def test_it_is_a_plugin_of_kubectl_that_starts_without_the_operators_libraries():
    code = (
        "import sys; from modelrelease.cli.mrel import main; main.run(['status', '--help']); "
        "slow = ('kopf', 'kubernetes', 'aiohttp', 'numpy', 'torch', 'rich', 'modelrelease.api.spec'); "
        "print([name for name in slow "
        "if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "-w, --watch" in done.stdout


def test_ctrl_c_says_nothing_from_the_first_moment_on(tmp_path: Path):
    """The first library that it reads is one during which somebody presses Ctrl-C."""
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    # A job in a shell's background, as a run of all tests may be, inherits SIGINT ignored.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "modelrelease.cli.mrel", "status", "-w"]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
