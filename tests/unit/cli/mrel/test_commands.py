"""What a person types, and what comes of it: words, questions, refusals, bad input."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelrelease.cli.mrel import port, watching
from tests.unit.cli.mrel import recorded

NOW = datetime.datetime(2026, 1, 1, 1, tzinfo=datetime.UTC)
WHY = ("--reason", "INC-1")


def on(name: str, **fields: Any) -> tuple[recorded.Recorded, datetime.datetime]:
    now, objects = recorded.snapshot(name)
    return recorded.Recorded(objects, **fields), now


def release_of(cluster: recorded.Recorded) -> dict[str, Any]:
    return next(obj for obj in cluster.objects if obj["kind"] == "ModelRelease")


def overridden(cluster: recorded.Recorded) -> dict[str, Any]:
    ((_, _, _, applied),) = cluster.written
    found: dict[str, Any] = applied["spec"]["override"]
    return found


# --- Words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "arguments", "expected"),
    [
        ("approval", ("approve",), {"approvals": [{"revision": "r852ce82eee", "stage": "BeforeFull"}]}),
        (
            "approval",
            ("approve", "r85", "--stage", "BeforeTraffic"),
            {"approvals": [{"revision": "r852ce82eee", "stage": "BeforeTraffic"}]},
        ),
        ("checking", ("reject",), {"rejected": [{"revision": "r852ce82eee"}]}),
        ("checking", ("rollback",), None),
        ("holding", ("rollback",), {"rejected": [{"revision": "r852ce82eee"}]}),
        ("baking", ("rollback",), {"rejected": [{"revision": "r852ce82eee"}]}),
        ("two-promoted", ("rollback",), {"rejected": [{"revision": "r78d8ca65ad"}]}),
        ("stable", ("rollback",), None),
        ("stable", ("reject",), None),
        ("rolled-back", ("retry",), {"retry": {"revision": "r81f41ad71e", "attempt": 2}}),
        ("checking", ("retry",), None),
        ("rolled-back", ("force", "81f"), {"forced": {"revision": "r81f41ad71e"}}),
        ("holding", ("cancel",), {"cancelled": {"revision": "r852ce82eee", "attempt": 1}}),
        ("stable", ("cancel",), None),
        ("reloading", ("cancel",), None),
        ("checking", ("debug",), {"debug": {"revision": "r852ce82eee", "seconds": 3600}}),
        (
            "rolled-back",
            ("debug", "r81", "--seconds", "600"),
            {"debug": {"revision": "r81f41ad71e", "seconds": 600}},
        ),
        ("stable", ("debug",), None),
        ("stable", ("pause",), {"paused": {}}),
        ("stable", ("resume",), None),
        ("stable", ("unpin",), None),
        ("two-promoted", ("pin", "r852"), {"pinned": {"revision": "r852ce82eee"}}),
        ("two-promoted", ("pin", "r"), None),
        ("two-promoted", ("pin", "rfff"), None),
    ],
)
def test_a_word_is_one_field(objects: str, arguments: tuple[str, ...], expected: dict[str, Any] | None):
    cluster, now = on(objects)
    verb, *rest = arguments
    said = recorded.call(cluster, verb, "embedder", *rest, *WHY, "--yes", now=now)
    if expected is None:
        assert said.code == 1
        assert said.err.startswith("error: ")
        assert "internal" not in said.err
        assert cluster.written == []
        return
    assert (said.code, said.err) == (0, "")
    for field, value in expected.items():
        found = overridden(cluster)[field]
        entry = found[0] if isinstance(value, list) else found
        assert entry == {**(value[0] if isinstance(value, list) else value), "reason": "INC-1"}


def test_a_resume_is_applied_without_the_pause_or_patched_away():
    cluster, now = on("paused")
    said = recorded.call(cluster, "resume", "embedder", *WHY, "--yes", now=now)
    assert said.code == 0
    # The simulation's people edit: nobody applied it, so nothing owns it and an apply leaves it.
    ((verb, manager, dry, _),) = cluster.written
    assert (verb, manager, dry) == ("apply", "modelrelease-override", False)


@pytest.mark.parametrize(
    ("answer", "code", "written"), [("y\n", 0, 1), ("Yes\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("", 1, 0)]
)
def test_it_is_asked_once(answer: str, code: int, written: int):
    cluster, now = on("stable")
    said = recorded.call(cluster, "pause", "embedder", *WHY, now=now, tty=True, answer=answer)
    assert (said.code, len(cluster.written)) == (code, written)
    assert said.err.count("Go on?") == 1


@pytest.mark.parametrize(("answer", "written"), [("y\n", 0), ("r81f41ad71e\n", 1)])
def test_to_force_the_revision_has_to_be_typed(answer: str, written: int):
    cluster, now = on("rolled-back")
    recorded.call(cluster, "force", "embedder", *WHY, now=now, tty=True, answer=answer)
    assert len(cluster.written) == written


def test_nobody_to_ask_is_no_yes():
    cluster, now = on("stable")
    said = recorded.call(cluster, "pause", "embedder", *WHY, now=now)
    assert said.code == 1
    assert "add --yes" in said.err
    assert cluster.written == []


def test_a_dry_run_asks_the_server_and_nobody_else():
    cluster, now = on("stable")
    said = recorded.call(cluster, "pause", "embedder", *WHY, "--dry-run", now=now)
    assert said.code == 0
    assert [dry for _, _, dry, _ in cluster.written] == [True]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 513])
def test_a_reason_is_a_reason(reason: str):
    cluster, now = on("stable")
    assert recorded.call(cluster, "pause", "embedder", "--reason", reason, "--yes", now=now).code == 64
    assert recorded.call(cluster, "pause", "embedder", "--yes", now=now).code == 64
    assert cluster.written == []


def test_somebody_else_writes_at_the_same_time():
    cluster, now = on("stable", refusals=[port.Conflict("modified")] * 2)
    assert recorded.call(cluster, "pause", "embedder", *WHY, "--yes", now=now).code == 0
    assert len(cluster.written) == 1


def test_what_the_api_server_refuses_is_said_in_its_words():
    cluster, now = on("stable", refusals=[port.Failed("spec.override: must not pin a rejected revision")])
    said = recorded.call(cluster, "pause", "embedder", *WHY, "--yes", now=now)
    assert (said.code, said.err) == (1, "error: spec.override: must not pin a rejected revision\n")


# --- Bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "history", "explain", "diff", "pause"])
def test_an_unknown_release(verb: str):
    cluster, now = on("stable")
    rest = [*WHY, "--yes"] if verb == "pause" else []
    said = recorded.call(cluster, verb, "nobody", *rest, now=now)
    assert said.code == 1
    assert said.out == ""
    assert said.err == f'error: {port.RELEASES} "nobody" not found\n'


def test_what_may_not_be_read_is_left_out_or_said():
    cluster, now = on("holding", forbidden=frozenset({port.PODS, port.DEPLOYMENTS}))
    said = recorded.call(cluster, "status", "embedder", now=now)
    assert said.code == 0
    assert "Pods may not be read" in said.out
    cluster, now = on("holding", forbidden=frozenset({port.RUNS}))
    said = recorded.call(cluster, "status", "embedder", now=now)
    assert said.code == 1
    assert "cannot list resource" in said.err


def test_what_history_tells_of_a_run_ends_before_the_next_sentence():
    cluster, now = on("rolled-back")
    for obj in cluster.objects:
        if obj["kind"] == "ModelReleaseRun" and obj["status"].get("outcome") == "RolledBack":
            obj["status"]["message"] = "parity failed: 1 row moved"
    said = recorded.call(cluster, "history", "embedder", now=now, width=160)
    assert "parity failed: 1 row moved. No user request reached it." in said.out


def test_pages_are_linked_where_they_are_published():
    cluster, now = on("rolled-back")
    published = {"MREL_PAGES": "https://docs.example/{page}.html"}
    said = recorded.call(cluster, "explain", "embedder", "-o", "json", now=now, environ=published)
    told = "\n".join(json.loads(said.out)["next"])
    assert "https://docs.example/causes/Casing.html" in told
    assert "https://docs.example/reasons/CheckFailed.html" in told
    assert "docs/reasons" not in told
    wrong = recorded.call(
        cluster, "explain", "embedder", now=now, environ={"MREL_PAGES": "https://docs.example/"}
    )
    assert (wrong.code, wrong.out) == (1, "")
    assert wrong.err == "error: MREL_PAGES must hold {page}, such as https://docs.example/{page}.html\n"


def test_kubectl_gets_its_own_options():
    cluster, now = on("stable")
    recorded.call(cluster, "list", "-n", "search", "--context", "eu", "--kubeconfig", "k", now=now)
    assert cluster.options == ("--namespace=search", "--context=eu", "--kubeconfig=k")


def test_a_status_of_another_version():
    cluster, now = on("holding")
    status = release_of(cluster)["status"]
    status["novelty"] = {"a": 1}
    status["conditions"][0]["novel"] = "x"
    said = recorded.call(cluster, "status", "embedder", now=now)
    assert said.code == 0
    assert "another version; not shown: novelty, conditions.0.novel" in " ".join(said.out.split()).replace(
        "conditions.0.novel, novelty", "novelty, conditions.0.novel"
    )
    status["conditions"] = "none"
    said = recorded.call(cluster, "status", "embedder", now=now)
    assert said.code == 1
    assert "the operator there is of another version than this plugin" in said.err


def silent(seconds: float) -> tuple[recorded.Recorded, datetime.datetime]:
    cluster, now = on("baking")
    metadata = release_of(cluster)["metadata"]
    metadata["generation"] += 1
    written = (now - datetime.timedelta(seconds=seconds)).isoformat()
    metadata["managedFields"] = [{"manager": "argocd", "time": written}]
    return cluster, now


def test_a_silent_operator():
    cluster, now = silent(300)
    said = " ".join(recorded.call(cluster, "status", "embedder", now=now, width=160).out.split())
    assert "has not answered for 5 min. Serving is not affected" in said
    assert "kubectl -n search scale deployment embedder-r5a87d75c60 --replicas=4" in said
    assert "kubectl -n search patch service embedder -p" in said
    cluster, now = silent(60)
    said = recorded.call(cluster, "status", "embedder", now=now).out
    assert "Serving is not affected" not in said
    assert "may be about the one before" in " ".join(said.split())


@pytest.mark.parametrize(("ready", "minutes", "told"), [(1, 9, False), (0, 9, True), (0, 1, False)])
def test_an_operator_without_a_pod(ready: int, minutes: int, told: bool):
    cluster, now = on("stable")
    since = (now - datetime.timedelta(minutes=minutes)).isoformat()
    status = {"readyReplicas": ready, "conditions": [{"type": "Available", "lastTransitionTime": since}]}
    cluster.objects.append({"kind": "Deployment", "metadata": {"name": "operator"}, "status": status})
    said = recorded.call(cluster, "status", "embedder", now=now)
    assert ("Serving is not affected" in " ".join(said.out.split())) is told


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("status",), ("pin", "embedder"), ("status", "a", "-o", "xml")]
)
def test_usage(arguments: tuple[str, ...]):
    said = recorded.call(recorded.Recorded([]), *arguments, now=NOW)
    assert said.code == 64
    assert said.err.startswith("usage: ")


# --- Waiting and watching -----------------------------------------------------------------------------------


def with_conditions(release: dict[str, Any], **conditions: str) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(release))
    for condition in changed["status"]["conditions"]:
        condition["status"] = conditions.get(condition["type"], condition["status"])
    return changed


@pytest.mark.parametrize(
    ("start", "conditions", "code"),
    [
        ("promoted", {}, 0),
        ("rolled-back", {}, 1),
        ("holding", {"Reconciling": "False"}, 0),
        ("holding", {"Reconciling": "False", "Stalled": "True"}, 1),
    ],
)
def test_wait_ends_as_the_release_does(start: str, conditions: dict[str, str], code: int):
    cluster, now = on(start)
    release = release_of(cluster)
    cluster.changes = [
        port.Change("ADDED", release),
        port.Change("LOST", {}, "connection refused"),
        port.Change("MODIFIED", with_conditions(release, **conditions)),
    ]
    said = recorded.call(cluster, "status", "embedder", "--wait", now=now)
    assert said.code == code
    assert cluster.closed


def test_an_old_success_is_not_the_one_that_is_waited_for():
    cluster, now = on("promoted")
    release_of(cluster)["metadata"]["generation"] += 1
    said = recorded.call(cluster, "status", "embedder", "--wait", "--timeout", "0.2", now=now)
    assert said.code == 1
    assert "was not released within 0.2 s" in said.err


def test_a_release_that_is_deleted_while_it_is_watched():
    cluster, now = on("holding")
    cluster.changes = [port.Change("DELETED", release_of(cluster))]
    said = recorded.call(cluster, "status", "embedder", "-w", now=now)
    assert said.code == 1
    assert said.err == "error: embedder was deleted\n"
    # In a pipe each new state is one line.
    assert said.out.startswith("00:02:10  Holding  r852ce82eee takes 25 %")


def test_a_watch_is_drawn_over_itself():
    cluster, now = on("holding")
    cluster.changes = [port.Change("DELETED", release_of(cluster))]
    said = recorded.call(cluster, "status", "embedder", "-w", now=now, tty=True)
    assert "\x1b[" in said.out
    assert "at least 3 min left" in said.out


def test_ctrl_c_ends_cleanly(monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "follow", interrupted)
    cluster, now = on("holding")
    said = recorded.call(cluster, "status", "embedder", "-w", now=now)
    assert (said.code, said.err, cluster.closed) == (130, "", True)


# --- diff ---------------------------------------------------------------------------------------------------


def test_diff_by_prefix_and_between_contexts():
    cluster, now = on("two-promoted")
    said = recorded.call(cluster, "diff", "embedder", "r5a", "r78", "-o", "json", now=now)
    found = json.loads(said.out)
    assert (found["before"], found["after"]) == ("r5a87d75c60", "r78d8ca65ad")
    assert {"area": "image", "what": "containers[server].image", "before": "registry/good:0",
            "after": "registry/good:2"} in found["changes"]  # fmt: skip
    said = recorded.call(cluster, "diff", "embedder", "--context", "eu", "--context", "us", now=now)
    assert said.out.startswith("eu r78d8ca65ad -> us r78d8ca65ad\n")
    assert "No difference" in said.out
    said = recorded.call(cluster, "diff", "embedder", "r5", "--context", "eu", "--context", "us", now=now)
    assert said.code == 64


# --- lint ---------------------------------------------------------------------------------------------------

GOOD = Path(__file__).parents[4] / "manifests" / "samples" / "1-first-release.yaml"


def linted(*arguments: str) -> recorded.Said:
    return recorded.call(recorded.Recorded([]), "lint", *arguments, now=NOW, width=160)


def test_lint_says_what_the_operator_would_do():
    said = linted(str(GOOD))
    assert said.code == 0
    assert "1 canary pod beside 2 → 3 checks (contract, repeatability, parity) → 33 % for 60 s" in said.out
    assert said.out.endswith("1 release: none wrong.\n")


def test_lint_for_production():
    said = linted(str(GOOD), "--production", "-o", "json")
    assert said.code == 1
    wrong = {path for level, path, _ in json.loads(said.out)[0]["findings"] if level == "Error"}
    assert wrong == {
        "metadata.annotations[modelrelease.dev/owner]",
        "metadata.annotations[modelrelease.dev/runbook]",
        "metadata.annotations[modelrelease.dev/model-card]",
        "spec.goldenSets",
        "spec.template.spec.containers[0].image",
    }


def test_lint_tells_what_a_pass_needs():
    said = linted(str(GOOD))
    told = " ".join(said.out.split())
    assert "availability: a Pass needs 1920 requests of the first step, so 1.6 per second" in told
    assert "say with --rps how many there are" in told


def test_lint_at_a_traffic_tells_what_shows_and_when_a_pass_is_reached():
    said = linted(str(GOOD), "--rps", "20")
    assert said.code == 0
    assert "availability, 33 % for 60 s: At 6.6 requests/s the smallest fault that shows is about" in said.out
    assert "Pass takes about" in said.out
    few = linted(str(GOOD), "--rps", "embeddings=0.05", "-o", "json")
    found = json.loads(few.out)[0]
    assert few.code == 0
    assert "Pass can't be reached in the 61 min left" in found["objectives"][0]
    assert ["Warning", "spec.slos[0]"] in [entry[:2] for entry in found["findings"]]


@pytest.mark.parametrize(
    ("rps", "says"),
    [
        ("many", "--rps many is neither requests per second"),
        ("0", "--rps 0 is neither"),
        ("nan", "--rps nan is neither"),
        ("embed=-1", "--rps embed=-1 is neither"),
        ("tower=3", "--rps tower=…: no such operation, only"),
    ],
)
def test_lint_refuses_a_traffic_that_is_none(rps: str, says: str):
    said = linted(str(GOOD), "--rps", rps)
    assert said.code == 1
    assert said.err.startswith(f"error: {says}")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("prometheus:9090", "--prometheus must be an http or https URL with a host"),
        ("http://127.0.0.1:9", "Prometheus source 'lint' at 127.0.0.1:9 cannot be reached"),
    ],
)
def test_lint_tells_when_there_is_no_prometheus(url: str, says: str):
    said = linted(str(GOOD), "--prometheus", url)
    assert said.code == 1
    assert said.err.startswith(f"error: {says}")


def test_lint_of_a_folder(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "good.yaml").write_text(GOOD.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "other.yml").write_text("kind: Service\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text(": : :", encoding="utf-8")
    assert linted(str(tmp_path)).code == 0
    (tmp_path / "broken.yaml").write_text("a: [", encoding="utf-8")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.yaml").write_text("[" * 10_000, encoding="utf-8")
    said = linted(str(tmp_path))
    assert said.code == 1
    assert said.out.count("is not YAML") + said.out.count("is nested too deeply") == 2
    assert "can't be read: is not UTF-8" in said.out


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"modelrelease.dev/notfiy": "chat"}, "is read by nobody: write modelrelease.dev/notify"),
        ({"modelreleases.dev/owner": "me"}, "is read by nobody: write modelrelease.dev/owner"),
        ({"modelrelease.dev/notify": "chat mail"}, "names 'chat mail', which can't be a target"),
        ({"modelrelease.dev/notify": "a" * 64}, "which can't be a target"),
        ({"modelrelease.dev/notify": " ,"}, "names nobody"),
        ({"modelrelease.dev/notify": ",".join("abcdefghi")}, "names more than 8 targets: the first 8 count"),
        ({"modelrelease.dev/notify": "chat, mail", "argocd.argoproj.io/sync-wave": "1"}, ""),
        ({"modelrelease.dev/owner": "me", "modelrelease.dev/runbook": "x", "example.com/owner": "me"}, ""),
    ],
)
def test_lint_finds_an_annotation_that_nobody_reads(tmp_path: Path, annotations: dict[str, str], says: str):
    manifest = yaml.safe_load(GOOD.read_text(encoding="utf-8"))
    manifest["metadata"]["annotations"] = annotations
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    said = linted(str(tmp_path), "-o", "json")
    assert said.code == 0, "the API server takes it"
    found = [text for _, path, text in json.loads(said.out)[0]["findings"] if "annotations" in path]
    assert len(found) == bool(says)
    assert says in "".join(found)


@pytest.mark.parametrize("what", ["missing.yaml", "empty"])
def test_lint_of_nothing(tmp_path: Path, what: str):
    (tmp_path / "empty").mkdir()
    said = linted(str(tmp_path / what))
    assert said.code == 1
    assert said.err.startswith("error: ")
