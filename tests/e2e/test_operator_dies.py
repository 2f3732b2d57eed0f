"""The operator is killed, is away, or has lost what it wrote: the same ends, and users notice nothing."""

import datetime

import pytest

from tests.e2e.conftest import Releases
from tests.e2e.operator_pod import OperatorPod
from tests.e2e.release import RUN_SECONDS, Release, service

pytestmark = pytest.mark.alone

HOLD_SECONDS = 45
HALF = [{"weight": 50, "holdSeconds": HOLD_SECONDS}]


def test_killed_in_every_phase_it_judges_the_same_and_holds_no_longer_and_no_shorter(
    releases: Releases, operator: OperatorPod
) -> None:
    # Given a release in every phase of its life.
    queued, starting = releases("queued"), releases("starting")
    checking = releases("checking")
    del checking.manifest["spec"]["checks"]
    shifting = releases("shifting", replicas=3, strategy={"steps": [{"weight": 67, "holdSeconds": 1}]})
    holding = releases("holding", replicas=2, strategy={"steps": HALF})
    baking = releases("baking", strategy={"bakeSeconds": HOLD_SECONDS})
    returning = releases("returning", replicas=2, strategy={"steps": HALF, "drainSeconds": HOLD_SECONDS})
    stable = releases.all_stable()

    queued.kube.apply(service(queued.namespace, "legacy", {"app": "queued"}))
    faults = {"starting": "ready", "checking": "answers", "shifting": "ready"}
    runs: dict[str, str] = {}
    for release in releases.made:
        release.serve("second", GATED=faults.get(release.name, ""))
        runs[release.name] = release.commit_run()
    _open_until(shifting, runs["shifting"], ("Shifting", 1))
    holding.wait_phase(runs["holding"], "Holding", 1, RUN_SECONDS)
    baking.wait_phase(runs["baking"], "Holding", 1, RUN_SECONDS)
    returning.wait_phase(runs["returning"], "Holding", 1, RUN_SECONDS)
    returning.reject(returning.revision_of(runs["returning"]), "INC-1", "users complain")
    returning.wait_phase(runs["returning"], "Returning", 1, 30)
    returning.wait("its drain to begin", 30, lambda: _where(returning, runs["returning"])[2])
    expected = {
        "queued": ("Queued", 0),
        "starting": ("Starting", 0),
        "checking": ("Checking", 0),
        "shifting": ("Shifting", 1),
        "holding": ("Holding", 1),
        "baking": ("Holding", 1),
        "returning": ("Returning", 1),
    }
    before = {release.name: _where(release, runs[release.name]) for release in releases.made}
    assert {name: (phase, step) for name, (phase, step, _) in before.items()} == expected

    # When the operator is killed, then each is where it was, its clock too.
    operator.kill(releases.namespace)
    assert {release.name: _where(release, runs[release.name]) for release in releases.made} == before

    # When it is killed again on the way, then each ends as if nothing had happened.
    queued.kube.delete(f"/api/v1/namespaces/{queued.namespace}/services/legacy")
    for release in (starting, checking, shifting):
        release.open_gates(release.revision_of(runs[release.name]))
    operator.kill(releases.namespace)
    _open_until(shifting, runs["shifting"], ("Done", 2))
    for release in releases.made:
        status = release.wait_done(runs[release.name], RUN_SECONDS)
        assert status["outcome"] == ("Rejected" if release is returning else "Promoted"), release.name
        assert [check["attempt"] for check in status["checks"]] == [1] * len(status["checks"])
        assert {check["verdict"] for check in status["checks"]} == {"Pass"}
        assert len(release.runs()) == 2, "no run was started twice"
    assert len(checking.status_of(runs["checking"])["checks"]) == 3
    for release in (holding, baking, returning):
        held = _seconds(before[release.name][2], release.status_of(runs[release.name])["completionTime"])
        assert HOLD_SECONDS <= held < HOLD_SECONDS + 40, release.name
    returning.wait("stable to be alone", 60, lambda: returning.settled_on(stable["returning"]))


def _where(release: Release, run: str) -> tuple[str, int, str | None]:
    status = release.status_of(run)
    # A run that was only created has no status yet: it is queued.
    return status.get("phase", "Queued"), status.get("step", 0), (status.get("clock") or {}).get("startTime")


def _open_until(release: Release, run: str, wanted: tuple[str, int]) -> None:
    """Open the gate of each new pod until the run is there; the pods of the wanted phase stay shut."""

    def there() -> bool:
        if _where(release, run)[:2] == wanted:
            return True
        release.open_gates(release.revision_of(run))
        return False

    release.wait(f"{run} to be {wanted}", RUN_SECONDS, there)


def _seconds(start: str | None, end: str) -> float:
    assert start is not None
    return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(start)).total_seconds()


def test_stable_pods_that_are_replaced_serve_again_without_the_operator(
    releases: Releases, operator: OperatorPod
) -> None:
    settled = releases("settled", replicas=2)
    split = releases("split", replicas=2, strategy={"steps": [{"weight": 50, "holdSeconds": 3600}]})
    stable = releases.all_stable()
    split.serve("second")
    run = split.commit_run()
    split.wait_phase(run, "Holding", 1, RUN_SECONDS)
    candidate = split.revision_of(run)
    selected = split.selector()

    with operator.stopped():
        before = {release.name: release.uids(stable[release.name]) for release in releases.made}
        for release in releases.made:
            label = f"modelrelease.dev/revision={stable[release.name]}"
            release.kubectl("-n", release.namespace, "delete", "pod", "-l", label)
        for release, pods in ((settled, 2), (split, 1)):
            release.wait(
                "stable's pods to be back",
                60,
                lambda r=release, n=pods: (
                    r.ready(stable[r.name]) == n and not r.uids(stable[r.name]) & before[r.name]
                ),
            )
        settled.wait("its users to reach both", 30, lambda: len(_endpoints(settled)) == 2)
        assert settled.answers() == "first"
        split.wait("its users to reach both revisions", 30, lambda: len(_endpoints(split)) == 2)
        assert split.ready(candidate) == 1

    # And nothing was to be made up for.
    settled.wait("quiet", 30, lambda: settled.settled_on(stable["settled"]))
    assert len(settled.runs()) == 1
    assert split.selector() == selected
    assert split.status_of(run)["phase"] in {"Holding", "Shifting"}


def _endpoints(release: Release) -> list[str]:
    """Return the addresses that the release's Service sends users to."""
    slices = release.kube.items(
        f"/apis/discovery.k8s.io/v1/namespaces/{release.namespace}/endpointslices",
        f"kubernetes.io/service-name={release.name}",
    )
    return [
        endpoint["addresses"][0]
        for found in slices
        for endpoint in found.get("endpoints") or []
        if endpoint["conditions"].get("ready")
    ]


def test_a_wiped_status_is_never_taken_for_a_first_release(releases: Releases, operator: OperatorPod) -> None:
    # Given releases with a second revision promoted, and one on its way.
    wiped, restored, unmarked = releases("wiped"), releases("restored"), releases("unmarked")
    under_way = releases("under-way", replicas=2, strategy={"steps": [{"weight": 50, "holdSeconds": 5}]})
    first = releases.all_stable()
    runs = {}
    for release in releases.made:
        release.serve("second", GATED="ready" if release is under_way else "")
        runs[release.name] = release.commit_run()
    second = {r.name: r.promoted(runs[r.name]) for r in (wiped, restored, unmarked)}
    pods = {r.name: r.uids(second[r.name]) for r in (wiped, restored, unmarked)}

    # When what the operator has written is lost.
    with operator.stopped():
        for release in releases.made:
            _wipe(release, "modelrelease", release.name)
        for release in (wiped, under_way):
            for run in release.runs():
                _wipe(release, "modelreleaserun", run)
        for release in (restored, unmarked):
            release.kubectl("-n", release.namespace, "delete", "modelreleaserun", *release.runs())
        kind, mark = "controllerrevision", "modelrelease.dev/promoted-time-"
        label = ("-l", "modelrelease.dev/release=unmarked")
        unmarked.kubectl("-n", unmarked.namespace, "annotate", kind, *label, mark)

    # Then the right revision is stable, by its mark, with the pods that it had.
    for release in (wiped, restored):
        release.wait("stable to be known", 60, lambda r=release: r.stable() == second[r.name])
        release.wait("quiet", 60, lambda r=release: r.settled_on(second[r.name]))
    # Where the marks are lost too, nobody guesses.
    message = unmarked.wait_reason("Stalled", "StateUnknown", 60)
    assert second["unmarked"] in message
    for release in (wiped, restored, unmarked):
        assert release.uids(second[release.name]) == pods[release.name]
        assert release.answers() == "second"
        modes = {run["spec"]["revision"]: run["spec"]["mode"] for run in release.runs().values()}
        assert "First" not in {mode for name, mode in modes.items() if name != first[release.name]}

    # And the run that was under way begins again, as what it was.
    assert under_way.run(runs["under-way"])["spec"]["mode"] == "Full"
    assert under_way.answers() == "first"
    _open_until(under_way, runs["under-way"], ("Done", 2))
    under_way.promoted(runs["under-way"])
    assert under_way.answers() == "second"


def _wipe(release: Release, kind: str, name: str) -> None:
    release.kubectl(
        "-n",
        release.namespace,
        "patch",
        kind,
        name,
        "--subresource=status",
        "--type=merge",
        '-p={"status":null}',
    )
