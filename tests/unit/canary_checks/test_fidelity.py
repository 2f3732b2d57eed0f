"""The whole fidelity check against real servers that draw: what passes, and which gate sees which fault."""

import asyncio
from typing import Any

import pytest

from canary_checks import request, result, runner
from canary_checks import vocabulary as v
from canary_checks.cli import app
from canary_checks.fidelity import recording
from hack.images.renderer import server
from tests.unit.canary_checks import golden_sets as sets
from tests.unit.canary_checks import prompts

TITLES = 17
WITH_EDITS = [
    {"name": "images", "protocol": "OpenAIImages"},
    {"name": "edits", "protocol": "OpenAIImages", "path": "/v1/images/edits"},
]


def check(asked: Any) -> runner.Outcome:
    return asyncio.run(runner.run(asked))


def stable_of(url: str) -> dict[str, Any]:
    source = {"revision": "r0", "url": url, "numeric_class": v.NumericClass.FP32}
    return {"live": request.LiveSource(**source, max_requests_per_second=100)}


def failed(outcome: runner.Outcome) -> set[str]:
    return {gate.metric for gate in outcome.result.gates if gate.verdict != "Pass"}


def test_texts_are_judged_alone_and_against_what_was_recorded_of_stable(tmp_path):
    folder = sets.written(tmp_path / "set", tuple(prompts.titles(TITLES)), ())
    with server.serving() as stable:
        before = check(prompts.ask(stable.url, folder, record=True))
    assert before.result.verdict == "Pass", before.result.message
    kept = result.parse_evidence(result.EVIDENCE_PREFIX + before.evidence)
    assert kept is not None
    assert kept.reference is not None
    file = tmp_path / "stable.safetensors"
    file.write_bytes(kept.reference.content())
    source = {"role": "Stable", "revision": "r0", "path": str(file), "digest": kept.reference.digest}
    with server.serving(server.Quality(garbled=0.7)) as candidate:
        asked = prompts.ask(candidate.url, folder, references=[source | {"numericClass": "fp32"}])
        found = check(asked).result
    assert found.verdict == "Fail"
    text = next(gate for gate in found.gates if gate.metric == "TextFidelity")
    assert (text.verdict, text.against, text.samples) == ("Fail", "Absolute", TITLES)
    # Too few to say so of a drop: that takes a hundred.
    drop = [g.verdict for g in found.gates if (g.metric, g.against) == ("TextFidelity", "Stable")]
    assert drop == ["Inconclusive"]
    assert {s.name: s.items for s in found.strata}["script:latin"] == TITLES
    # The contact sheet: the same prompt as both sides drew it.
    assert found.pictures
    assert all(pair.stable and pair.candidate and "title" in pair.caption for pair in found.pictures)
    assert found.worst[0].values["characterErrorRate"] > found.worst[0].values["characterErrorRateOfStable"]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"lost_objects": 1}, {"ObjectCountAccuracy"}),
        ({"cast": 14}, {"ColourCast"}),
        ({"saturation": 2.5}, {"SaturationShift"}),
        ({"levels": 8}, {"UniqueLevels"}),
        ({"blank": 0.3}, {"BlankImages"}),
        ({"noise": 0.3}, {"NoiseImages"}),
        ({"refused": 0.3}, {"RefusedPrompts"}),
        ({"unstable": True}, {"PromptDistanceMedian", "PromptDistanceP95"}),
        ({"leaks": 9}, {"MaskLeak"}),
        ({"seed_offset": 7}, set()),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_fault_of_composition_is_seen_by_its_own_gate(tmp_path, fault, seen):
    folder = prompts.plain_set(tmp_path / "set")
    with server.serving() as stable, server.serving(server.Quality(**fault)) as candidate:
        asked = prompts.ask(candidate.url, folder, operations=WITH_EDITS, **prompts.live(stable.url))
        found = check(asked).result
    broken = {gate.metric for gate in found.gates if gate.verdict == "Fail"}
    assert seen <= broken, found.message
    assert found.verdict == ("Fail" if seen else "Pass"), found.message


def test_a_chain_is_judged_after_its_last_stage(tmp_path):
    folder = sets.written(tmp_path / "set", tuple(prompts.titles(TITLES)), ())
    draft = {"name": "draft", "protocol": "OpenAIImages"}
    refine = {"name": "refine", "protocol": "OpenAIImages", "after": "draft"}
    with server.serving(server.Quality(draft=True)) as pipeline, server.serving() as elsewhere:
        # The refiner stands behind a Service of its own.
        stages = [draft, refine | {"url": elsewhere.url}]
        whole = check(prompts.ask(pipeline.url, folder, operations=stages))
        drawn = (pipeline.images, elsewhere.images)
    assert whole.result.verdict == "Pass", whole.result.message
    assert drawn == (TITLES, TITLES)
    assert {m.operation for m in whole.result.measurements if m.metric == "StageMilliseconds"} == {
        "draft",
        "refine",
    }


def test_a_server_that_refuses_everything_is_an_error(tmp_path):
    folder = sets.written(tmp_path / "set", tuple(prompts.discs(3)), ())
    with server.serving(server.Quality(refused=1.0)) as candidate:
        found = check(prompts.ask(candidate.url, folder)).result
    assert (found.verdict, found.reason) == ("Error", "NothingDrawn")
    assert "safety system" in found.message


def test_without_a_reader_there_is_no_score(tmp_path, monkeypatch):
    folder = sets.written(tmp_path / "set", tuple(prompts.titles(1)), ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with server.serving() as candidate:
        found = check(prompts.ask(candidate.url, folder)).result
    assert (found.verdict, found.reason, found.gates) == ("Error", "OcrMissing", ())


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        ([{"name": "a", "protocol": "OpenAIEmbeddings"}], "answers with vectors"),
        ([{"name": "a", "protocol": "OpenAIImages", "after": "b"}], "comes after b, which is not asked"),
        (
            [
                {"name": "a", "protocol": "OpenAIImages", "after": "b"},
                {"name": "b", "protocol": "OpenAIImages", "after": "a"},
            ],
            "in a circle",
        ),
        (
            [{"name": "a", "protocol": "OpenAIImages", "path": "/v1/images/edits"}],
            "no prompt that a could draw",
        ),
    ],
)
def test_operations_that_cannot_be_drawn_with_are_an_error(tmp_path, operations, said):
    folder = sets.written(tmp_path / "set", tuple(prompts.discs(1)), ())
    found = check(prompts.ask("http://127.0.0.1:9", folder, operations=operations)).result
    assert found.verdict == "Error"
    assert said in found.message


def test_a_reference_of_other_prompts_is_no_error_and_no_pass_and_live_stable_stands_in(tmp_path):
    one = sets.written(tmp_path / "one", tuple(prompts.discs(2)), ())
    other = sets.written(tmp_path / "other", tuple(prompts.discs(3)), ())
    with server.serving() as candidate:
        made = check(prompts.ask(candidate.url, one, record=True))
        kept = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
        assert kept is not None
        assert kept.reference is not None
        file = tmp_path / "one.safetensors"
        file.write_bytes(kept.reference.content())
        source = {"role": "Stable", "revision": "r0", "path": str(file), "digest": kept.reference.digest}
        references = [source | {"numericClass": "fp32"}]
        asked = prompts.ask(candidate.url, other, references=references, record=True)
        found = check(asked)
        beside = check(asked.model_copy(update=stable_of(candidate.url)))
    assert (found.result.verdict, found.result.reason) == ("NoData", "ReferenceOutdated")
    assert "this check draws 3 items of T 1" in found.result.message
    assert "waive this check once" in found.result.message
    # What is absolute was judged, and what was drawn is the record of the next one.
    assert {gate.metric for gate in found.result.gates if gate.verdict == "Pass"} >= {"BlankImages"}
    assert found.content.recorded is not None
    assert recording.decode(found.content.recorded).operations["images"].items == ("p-100", "p-101", "p-102")
    assert recording.load(str(file), None).header.pack == "T"
    assert beside.result.verdict == "Pass", beside.result.message
    assert "stable was asked live, because the outcomes of" in beside.result.message
    assert beside.result.references[0].recorded_time is None


def test_the_command_line_compares_two_servers(tmp_path, capsys):
    folder = str(prompts.plain_set(tmp_path / "set"))
    record = str(tmp_path / "stable.safetensors")
    with server.serving() as stable, server.serving(server.Quality(cast=20)) as candidate:
        check_ = ("check", "fidelity", "--golden-set", folder, "--max-requests-per-second", "100")
        both = app.main([*check_, "--candidate", candidate.url, "--stable", stable.url])
        kept = app.main([*check_, "--candidate", stable.url, "--record", record])
        later = app.main([*check_, "--candidate", candidate.url, "--reference", record])
        loose = ("--gate", "ColourCast=30", "--gate", "SaturationShift=1")
        looser = app.main([*check_, "--candidate", candidate.url, "--reference", record, *loose])
        twice = app.main([*check_, "parity", "--candidate", candidate.url, "--stable", stable.url])
    said = capsys.readouterr()
    assert (both, kept, later, looser, twice) == (1, 0, 1, 0, 64), said
    assert "ColourCast" in said.out
    assert "alone" in said.err
