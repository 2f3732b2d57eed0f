"""What ImageV1 promises, looked at with Pillow; and images that are refused."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.golden import folder, images, pack, selection
from canary_checks.golden.difference import Difference
from hack.golden import profiles
from tests.unit.canary_checks import golden_sets as sets

GOLDEN = pack.builtin("ImageV1")
SHOWN = selection.select(GOLDEN, v.Modality.IMAGE)
ORIENTATION = 0x0112


def opened(item: pack.Item) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(GOLDEN.content(item)))


def of_stratum(name: str) -> list[PIL.Image.Image]:
    found = [opened(item) for item in SHOWN.items if item.stratum == name]
    assert found, name
    return found


def test_the_content_of_image_v1_never_changes():
    assert (GOLDEN.name, GOLDEN.version, GOLDEN.license) == ("ImageV1", "1", "CC0-1.0")
    assert GOLDEN.digest == "sha256:7b76eebf46b4946333737fee3bc2655b8e43221c9219280608e02b5ceddf84fd"


def test_image_v1_is_large_enough_and_small_enough():
    assert len(SHOWN.items) >= 200
    assert sum(item.must_include for item in SHOWN.items) >= 20
    assert len({item.blob for item in SHOWN.items}) == len(SHOWN.items)
    files = [file for file in (folder.PACKS / "ImageV1").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 3_000_000


def test_every_relation_is_true_and_every_property_of_images_has_twins():
    # Unlike the built-in one, a folder's relations are proven by decoding.
    assert folder.read(folder.PACKS / "ImageV1").digest == GOLDEN.digest
    of_images = list(Difference)[list(Difference).index(Difference.EXIF) :]
    assert {relation.differs for relation in GOLDEN.relations} >= set(of_images)


def test_every_image_is_decoded_and_is_what_it_says():
    for item in SHOWN.items:
        sent = SHOWN.input(item)
        assert isinstance(sent, inputs.Image)
        image = opened(item)
        assert PIL.Image.MIME[image.format or ""] == sent.media_type
        assert image.convert("RGB").size[0] <= 480


def test_strata_isolate_what_they_are_named_for():
    assert {image.size for image in of_stratum("native")} == {(224, 224)}
    assert {image.size for image in of_stratum("native-336")} == {(336, 336)}
    assert all(image.width == image.height != 224 for image in of_stratum("square"))
    assert all(image.width >= 2 * image.height for image in of_stratum("wide"))
    assert all(image.height >= 2 * image.width for image in of_stratum("tall"))
    assert {image.mode for image in of_stratum("grey")} == {"L"}
    assert {image.mode for image in of_stratum("palette")} == {"P"}
    assert all(max(image.size) <= 48 for image in of_stratum("tiny"))
    for name in ("saturated", "saturated-twin"):
        for image in of_stratum(name):
            red, _, blue = np.asarray(image.convert("RGB"), dtype=np.float64).mean(axis=(0, 1))
            assert abs(red - blue) > 60


def test_only_the_strata_of_metadata_carry_any():
    for item in SHOWN.items:
        picture = images.decode(GOLDEN.content(item))
        assert (picture.orientation != 1) == (item.stratum == "exif"), item
        assert picture.has_alpha == (item.stratum == "alpha"), item
        assert (picture.profile is not None) == (item.stratum == "icc"), item
    turns = {image.getexif()[ORIENTATION] for image in of_stratum("exif")}
    assert turns == {3, 6, 8}


def test_sixteen_bits_are_sixteen_bits():
    deep = [GOLDEN.content(item) for item in SHOWN.items if item.stratum == "deep"]
    assert deep
    assert all(content[24] == 16 for content in deep)


def test_photographs_have_the_spectrum_of_photographs():
    slopes = []
    for image in of_stratum("native"):
        grey = np.asarray(image.convert("L"), dtype=np.float64)
        power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
        across = np.hypot(*np.meshgrid(np.fft.fftfreq(224), np.fft.fftfreq(224)))
        bands = [(2**-n / 2, 2**-n) for n in range(2, 6)]
        means = [power[(across > low) & (across <= high)].mean() for low, high in bands]
        slopes.append(np.polyfit(np.log([high for _, high in bands]), np.log(means), 1)[0])
    assert -3.2 < np.median(slopes) < -1.6  # power of 1/f^2, as in natural images


def test_a_profile_changes_what_is_seen():
    srgb = PIL.ImageCms.createProfile("sRGB")
    grey = PIL.Image.new("RGB", (1, 1), (200, 100, 50))
    for profile in (profiles.SWAPPED, profiles.WIDE):
        read = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = PIL.ImageCms.profileToProfile(grey, read, srgb)
        assert shown is not None
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(grey)).max() > 10


def test_captions_belong_to_pictures_and_texts_can_be_asked():
    paired = [item for item in SHOWN.items if item.pair is not None]
    assert len(paired) == 24
    for item in paired:
        caption = GOLDEN.by_id[item.pair]
        assert caption.pair == item.id
        assert caption.modality is v.Modality.TEXT
    texts = selection.select(GOLDEN, v.Modality.TEXT).items
    assert {"plain", "cased", "accented-lower", "long"} <= {item.stratum for item in texts}
    assert len({item.text for item in texts}) == len(texts)


def bomb(width: int, height: int) -> bytes:
    """Make a PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    shape = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", shape) + packed + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000), (2_000_000_000, 1)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(size):
    with pytest.raises(ValueError, match=r"pixels, more than|can be read"):
        images.header(bomb(*size), "image/png")


def test_a_text_chunk_that_swells_is_refused():
    info = sets.encoded(sets.pixels())
    swollen = zlib.compress(b"a" * (80 << 20), 9)
    chunk = b"zTXt" + b"k\0\0" + swollen
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    content = info[:33] + framed + info[33:]
    with pytest.raises(ValueError, match=r"can be read|damaged"):
        images.decode(content)


def test_a_film_is_no_picture():
    frames = [sets.pixels(n) for n in range(3)]
    content = sets.encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(ValueError, match="more than one picture"):
        images.header(content, "image/webp")


@given(st.binary(max_size=200), st.sampled_from(["image/png", "image/jpeg", "image/webp"]))
def test_rubbish_is_refused_and_never_a_crash(content, media_type):
    with pytest.raises(ValueError, match=r"it is no|it holds|it has"):
        images.header(content, media_type)


WHOLE = {
    "PNG": sets.encoded(sets.pixels(1, (24, 20))),
    "JPEG": sets.encoded(sets.pixels(1, (24, 20)), "JPEG"),
    "WEBP": sets.encoded(sets.pixels(1, (24, 20)), "WEBP"),
}


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_image_is_refused_or_decoded_and_never_a_crash(kind, place, byte):
    changed = bytearray(WHOLE[kind])
    changed[place % len(changed)] = byte
    try:
        picture = images.decode(bytes(changed))
    except ValueError:
        return
    assert picture.stored.width * picture.stored.height <= images.PIXELS_LIMIT


def lossless(image: PIL.Image.Image, **settings: object) -> bytes:
    return sets.encoded(image, **settings)


PICTURE = sets.pixels(2, (32, 32))
WIDE = sets.pixels(3, (48, 32))


@pytest.mark.parametrize(
    ("item", "twin", "fits"),
    [
        (PICTURE, PICTURE.transpose(0), {"Flip"}),
        (PICTURE, PICTURE.transpose(5), {"Transposed"}),
        (PICTURE, PIL.Image.fromarray(np.asarray(PICTURE)[:, :, ::-1].copy()), {"Channels"}),
        (PICTURE, PICTURE.convert("L"), {"Grey"}),
        (PICTURE.convert("L"), PICTURE.convert("L").convert("RGB"), {"Storage"}),
        (WIDE, images.squared(WIDE, 16, Difference.SQUASHED), {"Squashed"}),
        (WIDE, images.squared(WIDE, 16, Difference.CENTRE_CROPPED), {"CentreCropped"}),
        (WIDE, images.squared(WIDE, 16, Difference.LETTERBOXED), {"Letterboxed"}),
        (PICTURE, PICTURE.resize((16, 16), 3), {"ResizedBicubic"}),
        (PICTURE, PICTURE.resize((16, 16), 2), {"ResizedBilinear"}),
        (PICTURE, PICTURE.resize((12, 12), 1), {"ResizedLanczos"}),
        (PICTURE, PICTURE.resize((12, 12), 0), {"ResizedNearest"}),
        (PICTURE, images.unsmoothed(PICTURE, 12), {"ResizedUnsmoothed"}),
        (PICTURE, PICTURE.rotate(90), set()),
        (PICTURE, sets.pixels(9, (32, 32)), set()),
        (PICTURE, sets.pixels(9, (31, 32)), set()),
    ],
)
def test_an_image_differs_from_its_twin_in_one_property(item, twin, fits):
    one, other = lossless(item), lossless(twin)
    assert {d.value for d in Difference if images.differ_only_in(d, one, other)} == fits
    assert not any(images.differ_only_in(d, one, one) for d in Difference)


def test_a_new_edge_and_a_little_noise_are_told_apart():
    values = np.asarray(WIDE).copy()
    edge, noise = values.copy(), values.copy()
    edge[:, :8] = 255 - edge[:, :8]
    noise[values < 250] += 2
    assert images.differ_only_in(Difference.CROP, lossless(WIDE), lossless(PIL.Image.fromarray(edge)))
    assert not images.differ_only_in(Difference.CROP, lossless(WIDE), lossless(PIL.Image.fromarray(noise)))
    assert images.differ_only_in(Difference.NOISE, lossless(WIDE), lossless(PIL.Image.fromarray(noise)))
    assert not images.differ_only_in(Difference.NOISE, lossless(WIDE), lossless(PIL.Image.fromarray(edge)))
