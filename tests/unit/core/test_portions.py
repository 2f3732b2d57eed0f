"""Which Jobs a check is split into, what each is compared with, and when the whole has spoken."""

import dataclasses
from typing import Any

import pytest

from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.core import judgement, lifecycle, observation, portions, presentation, references, traffic
from modelrelease.core.situation import Situation
from tests.unit.core import given
from tests.unit.core.given import CANDIDATE, NOW, STABLE

CLIP = {
    "endpoint": {
        "operations": [
            {"name": "text", "protocol": "OpenAIEmbeddings"},
            {"name": "image", "protocol": "OpenAIEmbeddings", "modality": "Image"},
            {"name": "query", "protocol": "OpenAIEmbeddings"},
        ]
    }
}
GOLDEN = {"goldenSets": [{"name": "pairs", "volume": {"secret": {"secretName": "pairs"}}}]}


def split(probe: dict[str, Any], judging: dict[str, Any], **check: Any) -> list[tuple[Any, ...]]:
    found = given.judging(checks=[{"name": "p", "embeddingParity": probe, **check}], **judging)
    return [
        (
            portion.index,
            [operation.name for operation in portion.operations],
            portion.builtin or (portion.golden_set.name if portion.golden_set else None),
            f"{portion.shard}/{portion.shards}",
        )
        for portion in portions.portions(found, found.checks[0])
    ]


def test_one_protocol_is_one_job():
    assert split({}, {}) == [(0, ["embeddings"], "TextV1", "0/1")]


def test_each_modality_gets_its_own_built_in_set():
    assert split({}, CLIP) == [
        (0, ["text", "query"], "TextV1", "0/1"),
        (1, ["image"], "ImageV1", "0/1"),
    ]


def test_a_named_set_holds_items_of_every_modality():
    assert split({"goldenSet": "pairs"}, CLIP | GOLDEN) == [(0, ["text", "image", "query"], "pairs", "0/1")]


def test_operations_choose():
    assert split({"operations": ["image"]}, CLIP) == [(0, ["image"], "ImageV1", "0/1")]
    assert split({}, CLIP, operation="query") == [(0, ["query"], "TextV1", "0/1")]


DRAWING = {
    "endpoint": {
        "operations": [
            {"name": "text", "protocol": "OpenAIEmbeddings"},
            {"name": "large", "protocol": "OpenAIImages", "after": "refine"},
            {"name": "draft", "protocol": "OpenAIImages"},
            {"name": "refine", "protocol": "OpenAIImages", "after": "draft"},
        ]
    }
}


def drawn(**check: Any) -> list[tuple[list[str], str]]:
    found = given.judging(checks=[{"name": "p", **check}], **DRAWING)
    return [
        ([one.name for one in portion.operations], portion.builtin)
        for portion in portions.portions(found, found.checks[0])
    ]


def test_prompts_go_to_operations_that_draw_and_texts_to_the_others():
    assert drawn(fidelity={}) == [(["large", "draft", "refine"], "PromptV1")]
    assert drawn(repeatability={}) == [(["text"], "TextV1")]
    assert drawn(performance={}) == [(["text"], "TextV1"), (["large", "draft", "refine"], "PromptV1")]


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("large", ["large", "draft", "refine"]),
        ("refine", ["draft", "refine"]),
        ("draft", ["draft"]),
    ],
)
def test_an_operation_brings_what_it_comes_after(named: str, asked: list[str]):
    assert drawn(fidelity={"operations": [named]}) == [(asked, "PromptV1")]
    assert drawn(performance={"operations": [named]}) == [(asked, "PromptV1")]


def test_shards_split_each_set():
    assert split({"shards": 2}, CLIP) == [
        (0, ["text", "query"], "TextV1", "0/2"),
        (1, ["text", "query"], "TextV1", "1/2"),
        (2, ["image"], "ImageV1", "0/2"),
        (3, ["image"], "ImageV1", "1/2"),
    ]


# --- One after the other ------------------------------------------------------------------------------------

SHARDED: dict[str, Any] = {"checks": [{"name": "parity", "embeddingParity": {"shards": 3}}]}


def kept(portion: int) -> api_run.Reference:
    return api_run.Reference(
        config_map=f"c{portion}", digest=given.DIGEST, check="parity", portion=portion, portions=3
    )


def part(portion: int, verdict: Verdict = Verdict.PASS, pod: int = 0) -> observation.CheckPart:
    return given.part(
        verdict, portion=portion, pod_uid=f"uid-{CANDIDATE}-{pod}", outputs=kept(portion), requests=5
    )


def checking(*parts: observation.CheckPart, pods: int = 1, **status: object) -> observation.Observation:
    tested = [
        api_run.CheckedPod(name=f"{CANDIDATE}-{n}", uid=f"uid-{CANDIDATE}-{n}", image_ids=["sha256:one"])
        for n in range(pods)
    ]
    run = given.run("Checking", judging=SHARDED, checked_pods=tested, **status)
    stable = given.revision(STABLE, 2, promoted=5_000, outputs=tuple(kept(n) for n in range(3)))
    return given.observed(
        [run], candidate=pods, revisions=[stable, given.revision(CANDIDATE, pods)], parts=parts
    )


def jobs(observed: observation.Observation) -> list[tuple[str, int]]:
    return [(job.pod.name, job.portion) for job in traffic.wanted_of(observed, NOW).jobs]


def test_each_pod_is_asked_one_portion_at_a_time():
    one, two = f"{CANDIDATE}-0", f"{CANDIDATE}-1"
    assert jobs(checking(pods=2)) == [(one, 0), (two, 0)]
    assert jobs(checking(part(0), pods=2)) == [(one, 1), (two, 0)]
    assert jobs(checking(part(0), part(0, pod=1), part(1), pods=2)) == [(one, 2), (two, 1)]
    assert jobs(checking(*map(part, range(3)), pods=2)) == [(two, 0)]


def test_a_portion_whose_job_was_deleted_waits_for_the_one_that_runs():
    running = dataclasses.replace(part(1), finished=False, verdict=None)
    assert jobs(checking(running)) == [(f"{CANDIDATE}-0", 1)]
    assert jobs(checking(part(1))) == [(f"{CANDIDATE}-0", 0)]


def test_a_check_speaks_when_every_portion_has():
    assert lifecycle.transition(checking(part(0), part(1)), NOW) is None
    following = lifecycle.transition(checking(*map(part, range(3))), NOW)
    assert following is not None
    (check,) = following.checks
    assert (check.verdict, check.requests) == (Verdict.PASS, 15)
    assert following.recorded == [kept(0), kept(1), kept(2)]
    assert following.outputs == kept(0)


def test_one_portion_that_fails_is_enough():
    following = lifecycle.transition(checking(part(1, Verdict.FAIL)), NOW)
    assert following is not None
    assert (following.phase, following.failed) == (api_run.Phase.RETURNING, True)


@pytest.mark.parametrize("worse", [Verdict.ERROR, Verdict.NO_DATA])
def test_one_portion_that_measured_nothing_is_no_pass(worse: Verdict):
    following = lifecycle.transition(checking(part(0), part(1, worse), part(2)), NOW)
    assert following is not None
    assert following.checks[0].verdict is worse


def test_no_traffic_before_every_portions_outputs_are_stored():
    passed = [api_run.CheckStatus(name="parity", verdict=Verdict.PASS, completion_time=NOW)]
    lacking = checking(checks=passed, recorded=[kept(0), kept(2)], outputs=kept(0))
    assert lifecycle.transition(lacking, NOW) is None
    here = Situation.of(lacking, NOW)
    assert here is not None
    assert judgement.unfinished(here, passed[0]), "it is asked again"
    assert "not stored" in presentation.present(lacking, NOW, None).message
    whole = checking(checks=passed, recorded=[kept(n) for n in range(3)], outputs=kept(0))
    following = lifecycle.transition(whole, NOW)
    assert following is not None
    assert following.phase is api_run.Phase.SHIFTING


def test_a_check_that_is_only_reported_holds_nothing_up():
    two = {"checks": [*SHARDED["checks"], {"name": "b", "enforcement": "Observe", "embeddingParity": {}}]}
    said = [
        api_run.CheckStatus(name="parity", verdict=Verdict.PASS, completion_time=NOW),
        api_run.CheckStatus(name="b", verdict=Verdict.ERROR, completion_time=NOW),
    ]
    observed = checking(checks=said, recorded=[kept(n) for n in range(3)])
    run = dataclasses.replace(
        observed.runs[0],
        spec=observed.runs[0].spec.model_copy(update={"judging": given.judging(**two)}),
    )
    here = Situation.of(dataclasses.replace(observed, runs=(run,)), NOW)
    assert here is not None
    assert judgement.outputs_stored(here)


# --- What it is compared with -------------------------------------------------------------------------------


def reference(**more: Any) -> api_run.Reference:
    return api_run.Reference.model_validate({"configMap": "c", "digest": given.DIGEST, **more})


def compared(
    probe: dict[str, Any], *outputs: api_run.Reference, space: str = "space", **judging: Any
) -> tuple[list[str], bool]:
    """Return the ConfigMaps of the recorded references, and whether live stable has to be asked."""
    run = given.run("Checking", judging={"checks": [{"name": "p", "embeddingParity": probe}]} | judging)
    stable = given.revision(STABLE, 2, promoted=5_000, outputs=outputs, embedding_space=space)
    observed = given.observed([run], candidate=1, revisions=[stable])
    check = run.spec.judging.checks[0]
    return (
        [known.outputs.config_map for known in references.recorded(observed, run, check)],
        references.asks_stable(observed, run, check),
    )


OTHER = "sha256:" + "f" * 64
NAMED = {
    "goldenSets": [{"name": "a", "volume": {"secret": {"secretName": "s"}}, "digest": given.OTHER_DIGEST}]
}


@pytest.mark.parametrize(
    ("outputs", "judging", "found"),
    [
        ([], {}, []),
        ([reference()], {}, ["c"]),
        ([reference(check="p")], {}, ["c"]),
        ([reference(check="q")], {}, []),
        ([reference(check="p", portion=1, portions=2)], {}, []),
        ([reference(check="p", goldenSet=OTHER)], NAMED, []),
        ([reference(check="p", goldenSet=given.OTHER_DIGEST)], NAMED, ["c"]),
        ([reference(check="q", goldenSet=given.OTHER_DIGEST)], NAMED, ["c"]),
    ],
)
def test_stable_is_asked_only_where_no_record_fits(
    outputs: list[api_run.Reference], judging: dict[str, Any], found: list[str]
):
    probe = {"goldenSet": "a"} if judging else {}
    assert compared(probe, *outputs, **judging) == (found, not found)


def test_stable_in_another_vector_space_is_nothing_to_compare_with():
    assert compared({}, reference(check="p"), space="other") == ([], False)
    assert compared({"references": ["Anchor"]}) == ([], False)


def test_where_stable_is_asked_one_check_runs_at_a_time():
    recorded = checking(pods=2)
    assert len(jobs(recorded)) == 2
    stable = given.revision(STABLE, 2, promoted=5_000)
    bare = dataclasses.replace(recorded, revisions=dict(recorded.revisions) | {STABLE: stable})
    assert jobs(bare) == [(f"{CANDIDATE}-0", 0)]
    done = dataclasses.replace(bare, parts=tuple(map(part, range(3))))
    assert jobs(done) == [(f"{CANDIDATE}-1", 0)]
    gone = given.revision(STABLE, 0, promoted=5_000)
    assert len(jobs(dataclasses.replace(bare, revisions=dict(bare.revisions) | {STABLE: gone}))) == 2


# --- Another vector space -----------------------------------------------------------------------------------


def crossing(*checks: api_run.CheckStatus, **status: object) -> observation.Observation:
    run = given.run(
        "Checking",
        checks=list(checks),
        judging={"checks": [{"name": "contract", "contract": {}}, {"name": "parity", "embeddingParity": {}}]},
        **status,
    )
    stable = given.revision(STABLE, 2, promoted=5_000, embedding_space="old")
    return given.observed([run], candidate=1, revisions=[stable])


def test_checks_run_and_then_a_cut_over_is_required_without_any_traffic():
    contract = api_run.CheckStatus(name="contract", verdict=Verdict.PASS, completion_time=NOW)
    skipped = api_run.CheckStatus(name="parity", skipped=True, completion_time=NOW)
    observed = crossing(contract, skipped, outputs=reference())
    assert lifecycle.transition(observed, NOW) is None
    assert traffic.wanted_of(observed, NOW).traffic == given.pinned(STABLE)
    shown = presentation.present(observed, NOW, None)
    stalled = next(entry for entry in shown.conditions if entry.type == "Stalled")
    assert (stalled.status.value, stalled.reason) == ("True", "CutOverRequired")


def test_a_fail_in_another_vector_space_is_a_fail():
    failed = given.part(Verdict.FAIL, check="contract", outputs=None)
    following = lifecycle.transition(dataclasses.replace(crossing(), parts=(failed,)), NOW)
    assert following is not None
    assert following.reason == "CheckFailed"


@pytest.mark.parametrize("mode", ["Fast", "Reload"])
def test_a_revert_across_vector_spaces_says_so_too(mode: str):
    run = given.run("Starting" if mode == "Fast" else "Checking", mode=mode)
    stable = given.revision(STABLE, 2, promoted=5_000, embedding_space="old")
    candidate = given.revision(CANDIDATE, 1, promoted=9_000)
    observed = given.observed([run], revisions=[stable, candidate])
    assert lifecycle.transition(observed, NOW) is None
    shown = presentation.present(observed, NOW, None)
    assert next(entry.reason for entry in shown.conditions if entry.type == "Stalled") == "CutOverRequired"
