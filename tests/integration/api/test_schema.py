"""Defaults, subresources and merging, as a real API server does them."""

import datetime

import pytest

from modelrelease.api import crd, parse, run, spec, status
from tests.integration.api.conftest import Objects, Refused
from tests.unit.api import rule_cases

NOW = datetime.datetime(2026, 11, 21, 8, tzinfo=datetime.UTC)
REVISION = "r0123456789"


def test_unknown_fields_are_refused(dry_releases: Objects) -> None:
    with pytest.raises(Refused, match=r'unknown field "spec\.strategy\.maxSurges"'):
        dry_releases.create(rule_cases.release({"strategy.maxSurges": 1}), dry_run=True)


def test_the_template_keeps_what_only_kubernetes_knows(dry_releases: Objects) -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "one"}]
    stored = dry_releases.create(rule_cases.release({"template.spec.resourceClaims": claims}), dry_run=True)
    assert stored["spec"]["template"]["spec"]["resourceClaims"] == claims


@pytest.mark.parametrize("case", rule_cases.CASES, ids=str)
def test_the_servers_defaults_are_pydantics(case: rule_cases.Case, dry_releases: Objects) -> None:
    stored = dry_releases.create(case.good, dry_run=True)["spec"]
    assert stored == parse.defaulted(spec.ReleaseSpec.model_validate(case.good["spec"]))


@pytest.mark.parametrize("kind", ["contract", "embeddingParity", "fidelity", "performance", "repeatability"])
def test_what_is_written_without_settings_can_be_applied_again(kind: str, releases: Objects) -> None:
    # Server-side apply takes an empty object away with an empty list that was defaulted into it.
    protocol = "OpenAIImages" if kind == "fidelity" else "OpenAIEmbeddings"
    operations = [{"name": "asked", "protocol": protocol}]
    release = rule_cases.release(
        {"checks": [{"name": "one", kind: {}}], "endpoint": {"operations": operations}}
    )
    releases.apply(release, "team")
    release["spec"]["model"]["version"] = "2"
    assert kind in releases.apply(release, "team")["spec"]["checks"][0]


def test_nothing_on_call_is_written_by_default(dry_releases: Objects) -> None:
    assert "override" not in dry_releases.create(rule_cases.release(), dry_run=True)["spec"]


def test_null_is_absent(dry_releases: Objects) -> None:
    release = rule_cases.release()
    release["spec"]["checks"] = None
    release["spec"]["strategy"] = {"maxSurge": None}
    stored = dry_releases.create(release, dry_run=True)["spec"]
    assert "checks" not in stored
    assert stored["strategy"]["maxSurge"] == 1


def full_status() -> status.ReleaseStatus:
    condition = status.condition(
        (), "Ready", status.ConditionStatus.TRUE, "ServingStable", "It serves.", generation=1, now=NOW
    )
    return status.ReleaseStatus(
        observed_generation=1,
        conditions=[condition],
        phase="Stable",
        message="Revision r0123456789 serves 100 %.",
        stable=status.StableStatus(revision=REVISION, model_version="1", promoted_time=NOW),
        candidate=status.CandidateStatus(revision=REVISION, model_version="1"),
        weight=25,
        verdict="Pass",
        current_run="minilm-r0123456789-1",
        feasibility=[
            status.ObjectiveFeasibility(
                name="latency", reachable=True, requests_per_second="2.11", seconds_needed=57, message="So."
            )
        ],
        replicas=3,
        selector="modelrelease.dev/release=minilm",
        history=[
            status.HistoryEntry(
                revision=REVISION, attempt=1, outcome=run.Outcome.PROMOTED, completion_time=NOW
            )
        ],
    )


def test_status_is_written_apart_and_whole(releases: Objects) -> None:
    written = full_status().model_dump(mode="json", by_alias=True, exclude_none=True)
    created = releases.create(rule_cases.release() | {"status": written})
    assert created["status"] == {"observedGeneration": status.UNSEEN}
    stored = releases.set_status("minilm", written)
    assert stored["status"] == written
    assert stored["metadata"]["generation"] == created["metadata"]["generation"]
    assert status.ReleaseStatus.model_validate(stored["status"]) == full_status()


def test_an_autoscaler_reads_and_writes_scale(releases: Objects) -> None:
    releases.create(rule_cases.release())
    releases.set_status("minilm", full_status().model_dump(mode="json", by_alias=True, exclude_none=True))
    scale = releases.scale("minilm", 7)
    assert scale["status"] == {"replicas": 3, "selector": "modelrelease.dev/release=minilm"}
    assert releases.get("minilm")["spec"]["replicas"] == 7


def test_no_rule_stands_in_the_way_of_an_autoscaler(releases: Objects) -> None:
    strategy = {"maxSurge": 0, "maxUnavailable": "50%", "canary": {"replicas": 2}, "steps": [{"weight": 50}]}
    releases.create(rule_cases.release({"strategy": strategy}))
    for replicas in (4, 1, 0):
        releases.scale("minilm", replicas)


def test_two_people_reject_two_revisions(releases: Objects) -> None:
    releases.create(rule_cases.release())
    for manager, revision in (("ann", "r0000000001"), ("bob", "r0000000002")):
        mine = {
            "apiVersion": rule_cases.RELEASE["apiVersion"],
            "kind": rule_cases.RELEASE["kind"],
            "metadata": {"name": "minilm"},
            "spec": {"override": {"rejected": [{"revision": revision, "reason": manager}]}},
        }
        stored = releases.apply(mine, manager)
    parsed = parse.parse_release(stored)
    assert {(r.revision, r.reason) for r in parsed.override.rejected} == {
        ("r0000000001", "ann"),
        ("r0000000002", "bob"),
    }


def test_git_applies_without_undoing_what_people_on_call_wrote(releases: Objects) -> None:
    releases.apply(rule_cases.release(), "git")
    releases.merge("minilm", {"spec": {"override": {"paused": {"reason": "incident 42"}}}})
    stored = releases.apply(rule_cases.release({"model.version": "2"}), "git")
    assert stored["spec"]["override"] == {"paused": {"reason": "incident 42"}}
    assert stored["spec"]["model"]["version"] == "2"


def release_run() -> dict[str, object]:
    parsed = parse.parse_release(rule_cases.release()).spec
    assert isinstance(parsed, spec.ReleaseSpec)
    judging = run.Judging(
        model=parsed.model,
        endpoint=parsed.endpoint,
        strategy=parsed.strategy,
        checks=list(parsed.all_checks()),
        check_template=parsed.check_template,
        slos=parsed.slos,
        enforcement=parsed.enforcement,
        on_inconclusive=parsed.on_inconclusive,
        on_error=parsed.on_error,
    )
    snapshot = run.RunSpec(
        release_name="minilm",
        releaseUID="0f0e",
        revision=REVISION,
        attempt=1,
        mode=run.Mode.FIRST,
        judging_digest=f"sha256:{'0' * 64}",
        judging=judging,
    )
    return {
        "apiVersion": rule_cases.RELEASE["apiVersion"],
        "kind": "ModelReleaseRun",
        "metadata": {"name": f"minilm-{REVISION}-1"},
        "spec": snapshot.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def test_a_run_is_stored_as_it_was_written_and_never_changes(runs: Objects) -> None:
    wanted = release_run()
    stored = runs.create(wanted)
    assert stored["status"] == {"phase": "Queued"}, "people see a phase before the first transition"
    assert stored["spec"] == wanted["spec"]
    name = stored["metadata"]["name"]
    with pytest.raises(Refused) as refused:
        runs.merge(name, {"spec": {"attempt": 2}})
    assert refused.value.causes == [("spec", f"Invalid value: {crd.RUN_IMMUTABLE}")]
    status_written = run.RunStatus(phase=run.Phase.CHECKING, start_time=NOW).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    assert runs.set_status(name, status_written)["status"] == status_written
