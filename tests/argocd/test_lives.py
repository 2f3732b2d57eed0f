"""Releases by commits alone, carried out by the real Argo CD with self-heal on."""

import re

import pytest

from modelrelease.cli.mrel import main
from tests.argocd.conftest import Applications
from tests.argocd.gitops import Application, watching
from tests.e2e.release import config_map

SETTLED_SECONDS = 6
"""Six times as long as Argo CD takes here until it heals what it takes for a drift."""


both = pytest.mark.parametrize("options", [(), ("ServerSideApply=true",)], ids=["client-side", "server-side"])
"""By Argo CD's default, and as its documentation advises for what others write to, too."""


def mrel(application: Application, *words: str) -> None:
    """Say a word by the plugin."""
    release = application.release
    kubeconfig = f"--kubeconfig={application.on.kube.kubeconfig}"
    verb, *rest = words
    assert main.run([verb, release.name, "-n", release.namespace, kubeconfig, "--yes", *rest]) == 0


def owners(application: Application) -> dict[str, str]:
    """Return who owns something in ``spec.override``, and how it was written."""
    managed = application.release.release()["metadata"]["managedFields"]
    return {
        entry["manager"]: entry["operation"]
        for entry in managed
        if "f:override" in (entry.get("fieldsV1") or {}).get("f:spec", {})
    }


def given_stable(application: Application) -> str:
    """Commit the release for the first time and return its stable revision."""
    commit = application.commit("Serve the first")
    application.create()
    application.wait_for(commit, "Healthy")
    return application.release.stable()


@both
def test_a_release_is_approved_in_argo_cd_and_nothing_drifts(
    applications: Applications, options: tuple[str, ...]
):
    application = applications("embedder", *options, strategy={"approval": "BeforeFull"})
    release = application.release
    stable = given_stable(application)

    # When the next revision is committed, then people see it move, and wait for them.
    with watching(application) as watcher:
        release.serve("second")
        commit = application.commit("Serve the second")
        application.wait_for(commit, "Suspended")
        health, message = application.wait("the message", lambda: _waiting(application))
        assert message.startswith(f"{health and 'AwaitingApproval'}: ")

        # And a revert of the commit is an end at once: no run, no check.
        runs = set(release.runs())
        back = application.revert()
        application.wait_for(back, "Healthy")
        assert release.stable() == stable
        assert set(release.runs()) == runs

        # And when it is committed again, a person approves it in Argo CD.
        again = application.revert()
        application.wait_for(again, "Suspended")
        application.act("approve")
        application.wait_for(again, "Healthy")
        assert release.stable() != stable
        assert release.answers() == "second"

        # Then Git has taken nothing of the approval back, after every look and every heal.
        syncs = application.syncs()
        application.argocd("app", "get", application.name, "--hard-refresh")
        approvals = release.release()["spec"]["override"]["approvals"]
        assert [entry["reason"] for entry in approvals] == ["by an action in Argo CD"]
        assert any("argocd" in manager for manager in owners(application))
        assert application.syncs() == syncs

    assert watcher.drifted() == []
    assert watcher.healths(commit)[-1] == "Suspended"
    for before, after in (("Suspended", "Healthy"), ("Progressing", "Healthy")):
        healths = watcher.healths(again)
        assert healths.index(before) < len(healths) - 1 - healths[::-1].index(after)
    assert {"ModelRelease", "ModelReleaseRun", "Deployment", "Pod"} <= application.tree()


def _waiting(application: Application) -> tuple[str, str] | None:
    health, message = application.shown()
    return (health, message) if "waits for an approval" in message else None


@both
def test_a_return_is_degraded_with_its_reason_and_no_loop(
    applications: Applications, options: tuple[str, ...]
):
    application = applications("embedder", *options)
    release = application.release
    stable = given_stable(application)
    with watching(application) as watcher:
        release.serve("second")
        release.manifest["spec"]["model"]["contract"]["dimensions"] = 64
        commit = application.commit("Serve vectors of another length")
        application.wait_for(commit, "Degraded")
        health, message = application.shown()
        runs, syncs = set(release.runs()), application.syncs()

        # When a person pauses by the plugin, then it stays, and is not a drift.
        mrel(application, "pause", "--reason=INC-7")
        application.wait("the pause", lambda: release.condition("Paused"))
        application.argocd("app", "get", application.name, "--hard-refresh")
        assert owners(application) == {"modelrelease-override": "Apply" if options else "Update"}
        mrel(application, "resume", "--reason=over")
        application.wait("the resume", lambda: not release.condition("Paused"))

        # Then Argo CD has not tried again, and a revert is healthy without a run.
        assert (set(release.runs()), application.syncs()) == (runs, syncs)
        back = application.revert()
        application.wait_for(back, "Healthy")
        assert (release.stable(), set(release.runs())) == (stable, runs)
        assert release.answers() == "first"

    assert health == "Degraded"
    assert re.match(r"CheckFailed: RolledBack: contract failed.* dimensions", message), message
    assert f"Revision {stable} serves 100 %." in message
    assert watcher.healths(commit)[-1] == "Degraded"
    assert watcher.drifted() == []


def test_a_hook_waits_until_the_release_is_done(applications: Applications):
    application = applications("embedder")
    release = application.release
    release.manifest["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": "1"}
    before = config_map(release.namespace, "before", {"wave": "0"})
    hook = job(release.namespace, application.on.images["checks"])
    application.extra |= {"before": before, "hook": hook}
    commit = application.commit("Serve the first, then tell")
    application.create()
    application.wait_for(commit, "Healthy")
    path = f"/apis/batch/v1/namespaces/{release.namespace}/jobs/told"
    first = application.wait("the hook", lambda: application.on.kube.get(path))

    release.serve("second")
    commit = application.commit("Serve the second, then tell")
    application.wait_for(commit, "Healthy")
    told = application.wait("the second hook", lambda: _another(application, path, first["metadata"]["uid"]))

    application.wait("the end of the operation", lambda: application.operation() == ("Succeeded", commit))
    ended = max(run["status"]["completionTime"] for run in release.runs().values())
    assert told["metadata"]["creationTimestamp"] >= ended[:19] + "Z"
    config = application.on.kube.get(f"/api/v1/namespaces/{release.namespace}/configmaps/before")
    assert config is not None
    assert config["metadata"]["creationTimestamp"] <= release.release()["metadata"]["creationTimestamp"]
    assert release.answers() == "second"


def test_a_hook_behind_an_approval_holds_newer_commits_until_the_operation_is_ended(
    applications: Applications,
):
    application = applications("embedder", strategy={"approval": "BeforeFull"})
    release = application.release
    stable = given_stable(application)
    application.extra["hook"] = job(release.namespace, application.on.images["checks"])
    release.serve("second")
    commit = application.commit("Serve the second, then tell")
    application.wait_for(commit, "Suspended")
    assert application.operation() == ("Running", commit)

    back = application.revert()
    application.wait("the newer commit", lambda: application.seen().commit == back)
    assert application.operation() == ("Running", commit)
    application.argocd("app", "terminate-op", application.name)
    application.wait_for(back, "Healthy")
    assert release.stable() == stable
    assert application.operation() == ("Succeeded", back)


def _another(application: Application, path: str, uid: str) -> dict[str, dict[str, str]] | None:
    found = application.on.kube.get(path)
    return found if found is not None and found["metadata"]["uid"] != uid else None


def job(namespace: str, image: str) -> dict[str, object]:
    """Return a hook that Argo CD runs after a sync."""
    container = {"name": "tell", "image": image, "command": ["python", "-c", "print('released')"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "told",
            "namespace": namespace,
            "annotations": {
                "argocd.argoproj.io/hook": "PostSync",
                "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
            },
        },
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
