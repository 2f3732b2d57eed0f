"""Pixel tensors: distances in normalised units, and counterfactuals that name one cause and never two."""

import dataclasses

import numpy as np
import PIL.Image
import pytest

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.golden import pack, selection
from canary_checks.trace import pixels, rendering
from tests.unit.canary_checks import sample_servers

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
PROVEN, LIKELY = v.Confidence.PROVEN, v.Confidence.LIKELY


def plain(count: int = 3) -> dict[str, pixels.Array]:
    """Photos of 48 × 48 pixels, [3, H, W], 0 to 1."""
    return {
        f"i-{n}": np.asarray(sample_servers.photo(n, (48, 48)), dtype=np.float32).transpose(2, 0, 1) / 255
        for n in range(count)
    }


def normalised(images, mean=MEAN, std=STD):
    centre, spread = (np.array(x, np.float32)[:, None, None] for x in (mean, std))
    return {name: (image - centre) / spread for name, image in images.items()}


A = normalised(plain())


def changed(change, images=A):
    return {name: np.ascontiguousarray(change(image)) for name, image in images.items()}


@pytest.mark.parametrize(
    ("b", "cause", "words"),
    [
        (changed(lambda x: x[::-1]), "ChannelOrder", "reverse order"),
        (normalised(changed(lambda x: x[::-1], plain())), "ChannelOrder", "wrong channels"),
        (changed(lambda x: x[:, :, ::-1]), "Flip", "left to right"),
        (changed(lambda x: x[:, ::-1]), "Flip", "top to bottom"),
        (changed(lambda x: np.rot90(x, 1, (1, 2))), "Exif", "90°"),
        (changed(lambda x: x.transpose(0, 2, 1)), "AxisLayout", "height and width"),
        (changed(lambda x: x.transpose(1, 2, 0)), "AxisLayout", "other end"),
        (changed(lambda x: x.transpose(1, 2, 0).reshape(x.shape)), "AxisLayout", "memory of HWC"),
        (plain(), "MeanStd", "does not normalise its values of 0 to 1"),
        (changed(lambda x: x * 255, plain()), "MeanStd", "does not normalise its values of 0 to 255"),
        (normalised(plain(), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), "MeanStd", "error"),
        (normalised(plain(), MEAN[::-1], STD[::-1]), "MeanStd", "error"),
        (normalised(A), "MeanStd", "error"),
        (changed(lambda x: x * 2), "ValueScale", "error"),
        (normalised(changed(lambda x: x * 255, plain())), "ValueScale", "255 times"),
        (normalised(changed(lambda x: x / 255, plain())), "ValueScale", "before mean and std"),
        (
            normalised(changed(lambda x: np.repeat(x.mean(0, keepdims=True), 3, 0), plain())),
            "Greyscale",
            "mix",
        ),
    ],
)
def test_a_change_that_explains_every_pixel_is_the_proven_cause(b, cause, words) -> None:
    found = pixels.explain(A, b, MEAN, STD)
    assert found is not None
    assert (found.cause, found.confidence) == (cause, PROVEN)
    assert any(words in sentence for sentence in found.evidence), found.evidence


def test_what_grey_images_cannot_tell_apart_is_not_claimed() -> None:
    grey = changed(lambda x: np.repeat(x[:1], 3, 0), plain())
    found = pixels.explain(normalised(grey), normalised(grey, (0.1, 0.2, 0.3), (0.5, 0.4, 0.3)), MEAN, STD)
    assert found is not None
    assert found.confidence is LIKELY
    assert "cannot tell it from" in found.evidence[-1]


def test_a_scale_is_not_told_from_a_mean_where_nobody_says_the_mean() -> None:
    b = normalised(changed(lambda x: x * 255, plain()), (0.5,) * 3, (0.5,) * 3)
    found = pixels.explain(normalised(plain(), (0.5,) * 3, (0.5,) * 3), b)
    assert found is not None
    assert found.confidence is LIKELY


@pytest.mark.parametrize(
    "b",
    [
        dict(zip(A, list(A.values())[::-1], strict=True)),
        changed(lambda x: x + np.random.default_rng(0).normal(0, 0.3, x.shape).astype(np.float32)),
        changed(lambda x: x**3),
        changed(lambda x: x * np.nan),
        changed(lambda x: x[:, :10]),
        changed(lambda x: x.ravel()),
    ],
    ids=["other items", "noise", "curve", "NaN", "shape", "flat"],
)
def test_what_no_change_explains_is_not_explained(b) -> None:
    assert pixels.explain(A, b, MEAN, STD) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.0, "Pass"),
        (0.01, "Pass"),
        (0.0101, "Inconclusive"),
        (0.02, "Inconclusive"),
        (0.021, "Fail"),
        (float("nan"), "Fail"),
        (float("inf"), "Fail"),
    ],
)
def test_between_the_two_limits_nothing_is_certain(error, expected) -> None:
    assert pixels.verdict_of(error) == expected


@pytest.mark.parametrize("scale", [1 / 0.27, 1.0, 255.0], ids=["normalised", "unit", "bytes"])
def test_the_error_does_not_depend_on_the_range_of_the_tensor(scale) -> None:
    a = changed(lambda x: (x - (0.5 if scale == 1 / 0.27 else 0.0)) * scale, plain())
    b = changed(lambda x: x + 0.027 * scale, a)
    assert pixels.compare(a, b).worst == pytest.approx(0.1, rel=0.02)


def contents(pictures) -> dict[str, bytes]:
    return {f"i-{n}": sample_servers.png(picture) for n, picture in enumerate(pictures)}


SIZES = [(240, 180), (150, 200)]
PHOTOS = contents(sample_servers.photo(n, size) for n, size in enumerate(SIZES))


def rendered(of, recipe):
    return normalised({name: rendering.render(one, recipe, 96, 96) / 255 for name, one in of.items()})


@pytest.mark.parametrize("believed", [rendering.Recipe(110), rendering.Recipe(96, "bilinear")])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"interpolation": "lanczos"}, "ResizeFilter"),
        ({"interpolation": "nearest"}, "ResizeFilter"),
        ({"antialias": False}, "Antialias"),
        ({"resize": 120}, "Crop"),
        ({"resize": rendering.SQUASH}, "Crop"),
        ({"shift": (1, 0)}, "Crop"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_step_of_preprocessing_that_differs_is_proven_on_the_image(believed, fault, cause) -> None:
    a, b = rendered(PHOTOS, believed), rendered(PHOTOS, dataclasses.replace(believed, **fault))
    found = rendering.explain(a, b, PHOTOS, [120])
    assert found is not None
    assert (found.cause, found.confidence) == (cause, PROVEN)


def test_an_orientation_that_is_not_followed_is_proven_on_the_image() -> None:
    turned = {}
    for n, size in enumerate(SIZES):
        exif = PIL.Image.Exif()
        exif[0x0112] = 6
        turned[f"i-{n}"] = sample_servers.png(sample_servers.photo(n, size), exif=exif)
    a = rendered(turned, rendering.Recipe(110))
    b = rendered(turned, rendering.Recipe(110, exif=False))
    found = rendering.explain(a, b, turned)
    assert found is not None
    assert (found.cause, found.confidence) == ("Exif", PROVEN)


def test_what_lies_behind_transparent_pixels_is_proven_on_the_image() -> None:
    clear = []
    for n, size in enumerate(SIZES):
        picture = sample_servers.photo(n, size).convert("RGBA")
        picture.putalpha(sample_servers.photo(n + 10, size).convert("L"))
        clear.append(picture)
    a = rendered(contents(clear), rendering.Recipe(110, alpha="White"))
    b = rendered(contents(clear), rendering.Recipe(110, alpha="Dropped"))
    found = rendering.explain(a, b, contents(clear))
    assert found is not None
    assert (found.cause, found.confidence) == ("Alpha", PROVEN)


def test_preprocessing_that_is_none_of_the_usual_is_not_explained() -> None:
    # One photo is the easiest to explain by chance, and the quickest.
    one = dict(list(PHOTOS.items())[:1])
    a = rendered(one, rendering.Recipe(110))
    noise = np.random.default_rng(0).normal(0, 0.5, (3, 96, 96)).astype(np.float32)
    mad = {name: x + noise for name, x in a.items()}
    assert rendering.explain(a, mad, one) is None
    assert rendering.explain(mad, {name: x[::-1] for name, x in mad.items()}, one) is None


def test_a_colour_profile_that_is_ignored_is_proven_on_the_image() -> None:
    golden = selection.select(pack.builtin("ImageV1"), v.Modality.IMAGE)
    tagged = [item for item in golden.items if item.stratum == "icc"][:2]
    profiled = {
        item.id: given.content for item in tagged if isinstance(given := golden.input(item), inputs.Image)
    }
    a = rendered(profiled, rendering.Recipe(96, profile=True))
    found = rendering.explain(a, rendered(profiled, rendering.Recipe(96)), profiled)
    assert found is not None
    assert found.cause == "ColourProfile"
