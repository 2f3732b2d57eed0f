"""What people do to a release while a run is under way."""

from tests.e2e.conftest import Releases
from tests.e2e.release import RUN_SECONDS, Release, config_map


def given_a_canary_that_loads(release: Release) -> tuple[str, str]:
    """Release for the first time, then start a second revision that is not Ready before its gate opens.

    Returns
    -------
    The stable revision, and the run of the second one.
    """
    stable = release.release_first()
    release.serve("second", GATED="ready")
    run = release.commit_run()
    release.wait_phase(run, "Starting", 0, RUN_SECONDS)
    release.wait("the canary to load", 60, lambda: len(release.pods(release.revision_of(run))) == 1)
    return stable, run


def test_a_third_revision_takes_the_place_of_the_second(releases: Releases) -> None:
    release = releases("embedder")
    stable, second = given_a_canary_that_loads(release)

    release.serve("third")
    third = release.commit_run()

    assert release.status_of(second)["outcome"] == "Superseded"
    assert release.run(third)["spec"]["stable"] == stable
    promoted = release.promoted(third)
    assert promoted not in {stable, release.revision_of(second)}
    assert release.answers() == "third"


def test_an_edit_back_to_stable_needs_no_check_and_no_hold(releases: Releases) -> None:
    holding = releases("holding", replicas=2, strategy={"steps": [{"weight": 50, "holdSeconds": 3600}]})
    loading = releases("loading")
    stable, run = given_a_canary_that_loads(loading)
    old = holding.release_first()
    before = holding.uids(old)
    holding.serve("second")
    held = holding.commit_run()
    holding.wait_phase(held, "Holding", 1, RUN_SECONDS)

    for release in (holding, loading):
        release.serve("first")
        release.commit()

    for release, back, under_way in ((holding, old, held), (loading, stable, run)):
        status = release.wait_done(under_way, 30)
        assert status["outcome"] == "Cancelled"
        release.wait("stable to be alone", 60, lambda r=release, b=back: r.settled_on(b))
        assert set(release.runs()) >= {under_way}
        assert len(release.runs()) == 2, "going back is no run"
        assert release.answers() == "first"
    assert holding.uids(old) & before, "a stable pod that could stay has stayed"


def test_a_release_deleted_in_a_run_leaves_nothing_and_its_name_is_free(releases: Releases) -> None:
    release = releases("embedder")
    _, run = given_a_canary_that_loads(release)

    release.kube.delete(
        f"/apis/modelrelease.dev/v1alpha1/namespaces/{release.namespace}/modelreleases/embedder"
    )

    release.wait("everything of it to go", 120, lambda: not children(release))
    release.serve("again")
    again = release.commit_run()
    assert release.run(again)["spec"]["mode"] == "First"
    assert again != run
    release.promoted(again)
    assert release.answers() == "again"


def children(release: Release) -> list[str]:
    """Return what bears the release's name or label, besides itself."""
    own = f"modelrelease.dev/release={release.name}"
    core, apps = (f"{root}/namespaces/{release.namespace}" for root in ("/api/v1", "/apis/apps/v1"))
    labelled = [f"{core}/{kind}" for kind in ("pods", "services", "configmaps")]
    labelled += [f"{apps}/{kind}" for kind in ("deployments", "replicasets", "controllerrevisions")]
    labelled += [f"/apis/batch/v1/namespaces/{release.namespace}/jobs"]
    found = [item["metadata"]["name"] for path in labelled for item in release.kube.items(path, own)]
    return found + list(release.runs())


def test_replicas_changed_in_a_run_are_followed_within_the_budget(releases: Releases) -> None:
    strategy = {"steps": [{"weight": 50, "holdSeconds": 10}], "bakeSeconds": 5}
    release = releases("embedder", replicas=2, strategy=strategy)
    stable = release.release_first()
    release.serve("second")
    run = release.commit_run()
    candidate = release.revision_of(run)
    release.wait_phase(run, "Holding", 1, RUN_SECONDS)
    most = []

    def watched() -> bool:
        most.append(len(release.unfinished_pods()))
        return release.ready(stable) + release.ready(candidate) >= 4

    release.commit(replicas=4)
    release.wait("4 Ready pods", 60, watched)
    assert release.ready(candidate) >= 1

    def done() -> bool:
        most.append(len(release.unfinished_pods()))
        return release.status_of(run).get("phase") == "Done"

    release.wait("the run to end", RUN_SECONDS, done)
    assert release.promoted(run) == candidate
    assert max(most) <= 4 + 1, "replicas + maxSurge, terminating pods counted"

    # An autoscaler writes the same field by /scale.
    release.kubectl("-n", release.namespace, "scale", "modelrelease/embedder", "--replicas=1")
    release.manifest["spec"]["replicas"] = 1
    release.wait("one pod to be left", 60, lambda: release.settled_on(candidate))
    assert len(release.runs()) == 2, "scaling is no run"


def test_an_edited_config_map_is_a_new_revision_and_stable_keeps_its_own(releases: Releases) -> None:
    # Given a server that reads its tag from a ConfigMap.
    release = releases("embedder", strategy={"approval": "BeforeFull"})
    release.container["env"] = [
        {"name": "TAG", "valueFrom": {"configMapKeyRef": {"name": "prompts", "key": "tag"}}}
    ]
    release.kube.apply(config_map(release.namespace, "prompts", {"tag": "first"}))
    stable = release.release_first()
    before, known = release.uids(stable), set(release.runs())

    # When only the ConfigMap is edited.
    release.kube.apply(config_map(release.namespace, "prompts", {"tag": "second"}))

    # Then that is a candidate, and stable's pods do not change.
    run = release.new_run(known)
    candidate = release.revision_of(run)
    release.wait_reason("Paused", "AwaitingApproval")
    assert candidate != stable
    assert release.uids(stable) == before

    # Nor when they are replaced.
    release.kubectl("-n", release.namespace, "delete", "pod", "-l", f"modelrelease.dev/revision={stable}")
    release.wait("stable to be back", 60, lambda: release.ready(stable) == 1)
    assert not release.uids(stable) & before
    release.wait("stable to answer", 30, lambda: release.answers() == "first")

    release.override(approvals=[{"revision": candidate, "stage": "BeforeFull", "reason": "as meant"}])
    release.promoted(run)
    assert release.answers() == "second"
