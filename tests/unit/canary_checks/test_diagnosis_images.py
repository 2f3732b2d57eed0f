"""The diagnosis on a small vision transformer that is served whole, and with one thing broken at a time."""

import asyncio
import dataclasses
import functools
import time
from collections.abc import Sequence

import numpy as np
import PIL.Image
import pytest

from canary_checks import inputs, schema
from canary_checks import vocabulary as v
from canary_checks.golden import pack
from canary_checks.parity import diagnosis, distance, experiments, inquiry, movement, numeric
from canary_checks.parity.causes import pictures
from hack.faults import image_faults, image_model, minilm
from tests.unit.canary_checks import few_images

GOLDEN, ITEMS = few_images.WHOLE, few_images.ITEMS
ASKED = [GOLDEN.input(item) for item in ITEMS]


def embed(model: image_model.Model, asked: Sequence[inputs.Input]) -> movement.Vectors:
    return model.embed([one.content for one in asked if isinstance(one, inputs.Image)])


@functools.cache
def reference() -> movement.Vectors:
    return embed(image_faults.right(), ASKED)


def compared(candidate: movement.Vectors) -> movement.Movement:
    tolerance = numeric.TOLERANCES[v.NumericClass.FP32]
    near = distance.cosine(candidate, reference()) <= tolerance.cosine_distance
    return movement.measure(
        ITEMS,
        candidate,
        reference(),
        paired=np.ones(len(ITEMS), dtype=np.bool_),
        moved=~near,
        limit=tolerance.cosine_distance,
        norm_limit=tolerance.norm_deviation,
        repeat=0.0,
        alone=0.0,
        repeat_limit=tolerance.repeat_distance,
        relations=GOLDEN.pack.relations,
    )


def diagnosed(model: image_model.Model, *, may_ask: bool = True) -> schema.DiagnosisReport:
    moved = compared(embed(model, ASKED))
    assert moved.moved.any()
    found = diagnosis.diagnose(moved)
    if found.confidence is v.Confidence.PROVEN or not may_ask:
        return found

    async def ask(asked: Sequence[inputs.Input], _: int) -> movement.Vectors:
        return embed(model, asked)

    budget = experiments.Budget(1200, time.monotonic() + 60)
    return diagnosis.diagnose(asyncio.run(inquiry.inquire(moved, ASKED, ask, budget, 8)))


@pytest.mark.parametrize(
    ("fault", "cause", "said"),
    [
        ("bilinear instead of bicubic (PIL, antialias)", "ResizeFilter", "(ResizedBilinear)"),
        ("RGB/BGR swap", "ChannelOrder", "(Channels)"),
        ("EXIF rotation ignored (90deg)", "Exif", "(Exif)"),
        ("alpha dropped", "Alpha", "(AlphaDropped)"),
        ("centre-crop missing (squash resize)", "Crop", "(Squashed)"),
        ("grey-scale converted", "Greyscale", "(Grey)"),
    ],
)
def test_twins_that_are_what_a_wrong_server_sees_prove_it(fault: str, cause: str, said: str) -> None:
    found = diagnosed(image_faults.FAULTS[fault](), may_ask=False)
    assert (found.cause, found.confidence) == (cause, v.Confidence.PROVEN)
    assert said in found.evidence[0]
    assert cause not in {one.cause for one in found.excluded}


@pytest.mark.parametrize(
    ("fault", "cause", "said"),
    [
        ("crop off by one pixel", "Crop", "brought to 224 pixels (bicubic, cropped)"),
        ("HWC read as CHW (reshape, no transpose)", "AxisLayout", "planes stored as pixels"),
    ],
)
def test_pictures_that_undo_a_fault_prove_it(fault: str, cause: str, said: str) -> None:
    found = diagnosed(image_faults.FAULTS[fault]())
    assert (found.cause, found.confidence) == (cause, v.Confidence.PROVEN)
    assert said in found.evidence[0]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("OpenAI-CLIP mean/std", "MeanStd"),
        ("0..255 input not scaled", "ValueScale"),
    ],
)
def test_values_are_undone_as_far_as_256_levels_go(fault: str, cause: str) -> None:
    found = diagnosed(image_faults.FAULTS[fault]())
    assert (found.cause, found.confidence) == (cause, v.Confidence.LIKELY)


def test_another_model_is_unknown_and_says_what_is_excluded() -> None:
    found = diagnosed(image_model.Model(image_model.Variant(seed=5)))
    assert found.cause == "Unknown"
    assert "Weights" in found.left
    assert {"Exif", "Alpha", "ChannelOrder", "ResizeFilter"} <= {one.cause for one in found.excluded}


def test_half_precision_moves_nothing_at_its_class() -> None:
    half = image_model.Model(image_model.Variant(operand=minilm.fp16, result=minilm.fp16))
    moved = distance.cosine(embed(half, ASKED[::3]), reference()[::3])
    assert (moved <= numeric.TOLERANCES[v.NumericClass.FP16].cosine_distance).all()
    assert moved.max() > numeric.TOLERANCES[v.NumericClass.FP32].cosine_distance


@pytest.mark.parametrize(
    ("both", "left"),
    [
        (image_model.Variant(upright=False, background=None), {"Exif", "Alpha"}),
        (
            image_model.Variant(upright=False, resize=image_model.pillow(PIL.Image.Resampling.BILINEAR)),
            {"Exif", "ResizeFilter"},
        ),
    ],
)
def test_two_faults_are_not_called_one(both: image_model.Variant, left: set[str]) -> None:
    # The candidate's own twins tell what it makes of a tag, whatever else it does.
    found = diagnosed(image_model.Model(both))
    assert found.cause == "Unknown"
    assert set(found.left) >= left


def test_a_picture_is_stored_as_the_reference_sees_it() -> None:
    row = next(row for row, item in enumerate(ITEMS) if item.stratum == "alpha")
    whites = {
        one.item: one.of for one in GOLDEN.pack.relations if one.differs is pack.Difference.ALPHA_ON_WHITE
    }
    album = pictures.Album(ASKED, pictures.Taken(ground="white"))
    twin = next(place for place, item in enumerate(ITEMS) if item.id == whites[ITEMS[row].id])
    assert album.seen(row).tobytes() == album.seen(twin).tobytes()


def test_large_golden_sets_are_not_decoded_for_a_diagnosis() -> None:
    large = [dataclasses.replace(ASKED[0], content=bytes(1 << 26)), ASKED[0]]
    assert not pictures.Album(large, pictures.Taken()).pictures
