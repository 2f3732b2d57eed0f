"""The rules of the fidelity check over outcomes that are made up; and outcomes as a file."""

import math

import numpy as np
import pytest
import safetensors.numpy

from canary_checks import failure, request
from canary_checks.fidelity import composition_gates, limits, outcomes, recording, strata, text_gates
from canary_checks.fidelity.outcomes import Column
from canary_checks.golden import pack
from canary_checks.probes import fidelity
from hack.golden import prompt_v1

PROMPTS = pack.builtin("PromptV1")


def made(count: int, **columns: object) -> outcomes.Outcomes:
    values = np.full((count, len(outcomes.COLUMNS)), np.nan, dtype=np.float32)
    for name, column in columns.items():
        values[:, outcomes.COLUMNS.index(Column[name])] = column
    return outcomes.Outcomes(
        items=tuple(f"p-{n:03}" for n in range(count)),
        values=values,
        states=np.zeros(count, dtype=np.uint8),
        thumbnails=(b"",) * count,
    )


def texts(right: int, count: int) -> outcomes.Outcomes:
    return made(count, ERROR_RATE=[0.0] * right + [0.5] * (count - right))


def verdicts(
    found: outcomes.Outcomes, stable: outcomes.Outcomes | None, *gates: request.GateOverride
) -> dict:
    judged = text_gates.judge(found, stable, limits.Limits(gates))
    return {(gate.metric, gate.against): gate.verdict for gate in judged}


@pytest.mark.parametrize(
    ("right", "count", "verdict"),
    [
        (17, 17, "Pass"),
        (15, 15, "Inconclusive"),
        (90, 100, "Pass"),
        (86, 100, "Inconclusive"),
        (172, 200, "Pass"),
        (84, 100, "Inconclusive"),
        (63, 100, "Fail"),
        (0, 10, "Fail"),
        (8, 10, "Inconclusive"),
    ],
)
def test_the_share_of_right_texts_is_judged_by_its_interval(right, count, verdict):
    assert verdicts(texts(right, count), None) == {("TextFidelity", "Absolute"): verdict}


@pytest.mark.parametrize(
    ("before", "after", "count", "verdict"),
    [
        (100, 95, 100, "Pass"),
        (100, 94, 100, "Fail"),
        (99, 93, 99, "Inconclusive"),
        (92, 92, 100, "Pass"),
        (92, 97, 100, "Pass"),
    ],
)
def test_a_drop_fails_only_over_a_hundred_prompts(before, after, count, verdict):
    found = verdicts(texts(after, count), texts(before, count))
    assert found["TextFidelity", "Stable"] == verdict


def test_a_declared_limit_takes_the_place_of_the_default():
    strict = request.GateOverride(metric="TextFidelity", min="0.99", max_drop="0.2")
    found = verdicts(texts(90, 100), texts(100, 100), strict)
    assert found["TextFidelity", "Absolute"] == "Fail"
    assert found["TextFidelity", "Stable"] == "Pass"
    most = request.GateOverride(metric="CharacterErrorRate", max="0.01")
    assert verdicts(texts(90, 100), None, most)["CharacterErrorRate", "Absolute"] == "Fail"


@pytest.mark.parametrize(
    "override",
    [
        request.GateOverride(metric="CosineDistanceWorst", max="1"),
        request.GateOverride(metric="TextFidelity", max="1"),
        request.GateOverride(metric="MaskLeak", max="-1"),
    ],
)
def test_a_limit_that_would_be_ignored_is_refused(override):
    with pytest.raises(failure.CheckError) as caught:
        limits.Limits([override])
    assert caught.value.reason == "InvalidRequest"


def test_a_share_that_may_be_too_low_asks_for_a_ticket():
    judged = text_gates.judge(texts(82, 100), None, limits.Limits(()))
    assert any("ticket" in said for said in fidelity.sentences(judged))
    certain = text_gates.judge(texts(63, 100), None, limits.Limits(()))
    assert not any("ticket" in said for said in fidelity.sentences(certain))


def test_pictures_of_another_seed_are_no_cast_and_a_cast_is_one():
    items = PROMPTS.items[:100]
    picked = np.random.default_rng(4)
    base = picked.uniform(80, 200, 100)
    stable = made(
        100, RED=base, GREEN=base, BLUE=base, SATURATION=0.3, LEVELS=200.0, SPREAD=40.0, SMOOTHNESS=0.99
    )
    other = picked.uniform(80, 200, 100)
    benign = made(
        100, RED=other, GREEN=other, BLUE=other, SATURATION=0.3, LEVELS=200.0, SPREAD=40.0, SMOOTHNESS=0.99
    )
    warm = made(
        100, RED=base + 6, GREEN=base, BLUE=base, SATURATION=0.3, LEVELS=170.0, SPREAD=40.0, SMOOTHNESS=0.99
    )

    def failed(found: outcomes.Outcomes) -> set[str]:
        judged = composition_gates.judge(found, stable, items, limits.Limits(()))
        return {gate.metric for gate in judged if gate.verdict == "Fail" and gate.against == "Stable"}

    assert failed(benign) == set()
    assert failed(warm) == {"ColourCast", "UniqueLevels"}


def test_a_prompt_and_its_small_edit_are_one_picture_for_its_colours():
    twins = tuple(item for item in PROMPTS.items if item.twin is not None)
    known = {item.id: item for item in PROMPTS.items}
    items = (*(known[item.twin.of] for item in twins), *twins)
    common = {"SATURATION": 0.3, "LEVELS": 200.0, "SPREAD": 40.0, "SMOOTHNESS": 0.99}
    half = np.random.default_rng(1).uniform(80, 200, len(twins))
    shifts = {"RED": np.concatenate([half, half]), "GREEN": 100.0, "BLUE": 100.0}
    stable = made(len(items), RED=100.0, GREEN=100.0, BLUE=100.0, **common)
    found = made(len(items), **(common | shifts))
    cast = next(
        gate
        for gate in composition_gates.judge(found, stable, items, limits.Limits(()))
        if gate.metric == "ColourCast"
    )
    assert cast.samples == len(twins)


@pytest.mark.parametrize(
    ("leaks", "verdict"),
    [((0.0, 1.9 / 255, math.nan), "Pass"), ((0.0, 2.2 / 255, math.nan), "Fail"), ((math.nan,) * 3, None)],
)
def test_one_leaking_mask_is_a_leak(leaks, verdict):
    found = made(3, SPREAD=40.0, SMOOTHNESS=0.9, MASK_LEAK=leaks)
    judged = composition_gates.judge(found, None, PROMPTS.items[:3], limits.Limits(()))
    assert {gate.metric: gate.verdict for gate in judged}.get("MaskLeak") == verdict


def test_strata_tell_along_each_axis_where_texts_are_wrong():
    items = tuple(item for item in PROMPTS.items if item.drawn is not None and item.drawn.text is not None)
    wrong = [float(item.generation.width == 768) for item in items]
    told = {one.name: one for one in strata.summarise(items, made(len(items), ERROR_RATE=wrong))}
    assert told["resolution:768x768"].failed == told["resolution:768x768"].items
    assert told["resolution:512x512"].failed == 0
    assert {name.partition(":")[0] for name in told} == {"script", "length", "letters", "resolution"}


def test_the_content_of_prompt_v1_never_changes():
    assert (PROMPTS.name, PROMPTS.version, PROMPTS.license) == ("PromptV1", "1", "CC0-1.0")
    assert PROMPTS.digest == "sha256:0c32d3ff6c48bb6de490ec7561095859d374d75d4987ae848b7370dea4fa2fbe"
    asked = prompt_v1.texts()
    assert [(one.id, one.text) for one in asked] == [
        (item.id, item.text) for item in PROMPTS.items if item.id in {line.id for line in asked}
    ]
    assert len(asked) >= 100
    titles = [
        line.expect.drawn.text for line in asked if line.expect is not None and line.expect.drawn is not None
    ]
    assert len(set(titles)) == len(titles)


def encoded(found: outcomes.Outcomes) -> bytes:
    return recording.encode(
        PROMPTS, {"images": found}, revision="r1", numeric_class=fidelity.v.NumericClass.FP16
    )


def test_outcomes_are_read_as_they_were_written():
    found = made(3, ERROR_RATE=[0.0, 0.5, math.nan])
    found = outcomes.Outcomes(found.items, found.values, found.states, (b"a", b"", b"bc"))
    back = recording.decode(encoded(found))
    read = recording.fitting(back, "images", PROMPTS, found.items)
    assert np.array_equal(read.values, found.values, equal_nan=True)
    assert (read.items, read.thumbnails) == (found.items, found.thumbnails)
    with pytest.raises(failure.CheckError, match="record them again"):
        recording.fitting(back, "other", PROMPTS, found.items)


def test_thumbnails_never_grow_beyond_their_budget():
    found = made(4)
    large = outcomes.Outcomes(found.items, found.values, found.states, (b"x" * (200 << 10),) * 4)
    assert len(encoded(large)) < recording.THUMBNAILS_BYTES + 10_000


def test_a_file_that_is_no_record_is_refused_with_a_sentence():
    good = encoded(made(3))
    tensors = safetensors.numpy.load(good)
    foreign = safetensors.numpy.save(tensors, {"reference": "{}"})
    fewer = safetensors.numpy.save(
        tensors | {"states/images": np.zeros(2, np.uint8)}, {"outcomes": header_of(good)}
    )
    for content in (b"", b"x" * 100, good[:-5], foreign, fewer):
        with pytest.raises(failure.CheckError) as caught:
            recording.decode(content)
        assert caught.value.reason == "ReferenceUnreadable"


def header_of(content: bytes) -> str:
    return recording.decode(content).header.model_dump_json(by_alias=True)
