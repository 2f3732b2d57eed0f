"""Images as generators answer them: what is refused, what is measured, and how texts are compared."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_checks.fidelity import picture, reading, spelling
from hack.images.renderer import server
from tests.unit.canary_checks import golden_sets as sets


def animated(kind: str) -> bytes:
    written = io.BytesIO()
    frames = [PIL.Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(written, kind, save_all=True, append_images=frames[1:])
    return written.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def claiming(width: int, height: int, *, between: bytes = b"") -> bytes:
    """A PNG of a few bytes that says it is enormous, as a bomb does."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 200))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + between + body + chunk(b"IEND", b"")


def swollen(name: bytes, before: bytes) -> bytes:
    """A PNG of 8 × 8 pixels with 64 MiB in a chunk beside them."""
    return claiming(8, 8, between=chunk(name, before + zlib.compress(bytes(1 << 26), 9)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no a JPEG, PNG or WebP"),
        (b"<svg/>", "no a JPEG, PNG or WebP"),
        (sets.encoded(sets.pixels(1), "GIF"), "no a JPEG, PNG or WebP"),
        (sets.png(1, (64, 64))[:200], "damaged"),
        (sets.encoded(sets.pixels(1, (64, 64)), "JPEG")[:-80], "damaged"),
        (animated("WEBP"), "more than one picture"),
        (animated("PNG"), "more than one picture"),
        (claiming(5000, 4000), "5000 × 4000 pixels"),
        (claiming(60_000, 60_000), "can be read"),
        (swollen(b"zTXt", b"a\0\0"), "can be read"),
        (swollen(b"iTXt", b"a\0\1\0\0\0"), "can be read"),
        (swollen(b"iCCP", b"a\0\0"), "can be read"),
    ],
    ids=[
        "empty",
        "svg",
        "gif",
        "truncated",
        "truncated JPEG",
        "animated",
        "animated PNG",
        "enormous",
        "bomb",
        "text bomb",
        "international text bomb",
        "profile bomb",
    ],
)
def test_what_is_no_sound_image_is_refused_with_a_sentence(content, said):
    with pytest.raises(ValueError, match=said):
        picture.decode(content)


def test_transparency_is_shown_on_white():
    clear = sets.encoded(PIL.Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert picture.decode(clear).getpixel((0, 0)) == (255, 255, 255)


def test_an_image_is_measured_as_it_is():
    plain = picture.look(PIL.Image.new("RGB", (100, 60), (200, 100, 50)))
    assert (plain.size, plain.mean, plain.levels) == ((100, 60), (200, 100, 50), 1)
    assert plain.saturation == pytest.approx(0.75)
    noise = picture.look(sets.pixels(3, (100, 60)))
    assert abs(noise.smoothness) < 0.1
    drawn = picture.look(server.draw(server.Asked("a wall", 1, (100, 60), 1), server.Quality()))
    assert drawn.smoothness > 0.9


def test_the_spread_of_a_blank_image_is_nothing():
    assert picture.look(PIL.Image.new("RGB", (64, 64), (128, 30, 9))).spread == pytest.approx(0, abs=1e-3)


def test_contrast_is_that_of_the_ink_and_its_ground():
    def of(ink: int) -> float:
        image = PIL.Image.new("RGB", (100, 40), (255, 255, 255))
        PIL.ImageDraw.Draw(image).rectangle((20, 10, 40, 30), fill=(ink, ink, ink))
        return picture.contrast(image, [reading.Word("X", 90, 10, 5, 60, 30)])

    assert of(0) == pytest.approx(21)
    assert of(230) < 1.5
    # A box that lies outside of the image shows nothing.
    image = PIL.Image.new("RGB", (10, 10))
    assert picture.contrast(image, [reading.Word("X", 90, 50, 50, 0, 0)]) == 1


@pytest.mark.parametrize("count", range(1, 9))
def test_discs_on_a_plain_ground_are_counted(count):
    asked = server.Asked(f"{server.NUMBERS[count]} dark discs", 5, (256, 256), 1)
    assert picture.count_objects(server.draw(asked, server.Quality()), ()) == count


def test_there_is_nothing_on_an_empty_ground():
    assert picture.count_objects(PIL.Image.new("RGB", (64, 64), (200, 190, 180)), ()) == 0


def test_words_are_no_objects():
    image = server.draw(server.Asked('three discs and "WORDS"', 5, (512, 512), 1), server.Quality())
    word = reading.Word("WORDS", 90, 30, 45, 460, 60)
    assert picture.count_objects(image, [word]) == 3


def test_a_margin_is_the_smallest_of_the_four():
    words = [reading.Word("a", 90, 20, 10, 30, 10), reading.Word("b", 90, 60, 10, 35, 70)]
    assert picture.margin((100, 100), words) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("expected", "read", "rate"),
    [
        ("OPEN LATE", "open  late", 0),
        ("“Café” – it’s", '"café" - it\'s', 0),
        ("OPEN", "", 1),
        ("OPEN LATE", "OPEN LATF", 1 / 9),
        ("AB", "ABABAB", 2),
    ],
)
def test_a_text_is_compared_after_folding_what_is_no_fault(expected, read, rate):
    assert spelling.error_rate(expected, read) == pytest.approx(rate)


@given(st.text(min_size=1).filter(lambda text: spelling.folded(text) != ""), st.text(max_size=30))
def test_an_error_rate_is_zero_for_the_same_text_only(expected, read):
    assert spelling.error_rate(expected, expected) == 0
    assert (spelling.error_rate(expected, read) == 0) == (spelling.folded(expected) == spelling.folded(read))
    assert 0 <= spelling.words_right(expected, read) <= 1


def test_words_are_right_in_their_order():
    assert spelling.words_right("mind the step", "mind step") == pytest.approx(2 / 3)
    assert spelling.words_right("mind the step", "step the mind") < 1


@pytest.mark.parametrize(
    ("text", "script"), [("Hotel 7", "latin"), ("Привет", "cyrillic"), ("雨 a", "cjk"), ("123", "other")]
)
def test_the_script_of_a_text_is_that_of_most_letters(text, script):
    assert spelling.script(text) == script


def test_a_table_of_words_is_read_at_the_size_of_the_image():
    head = "level\tleft\ttop\twidth\theight\tconf\ttext\n"
    rows = '5\t20\t10\t60\t30\t95.5\t"OPEN\n5\t1\t1\t2\t2\t12\tnoise\n4\t0\t0\t0\t0\t-1\t\n'
    found = reading.parse(head + rows, 2.0)
    assert found.text == '"OPEN'
    assert found.words[0] == reading.Word('"OPEN', 95.5, 10, 5, 30, 15)


def test_similar_sketches_are_near():
    one = np.zeros((32, 32, 3), np.uint8)
    assert picture.distance(one, one) == 0
    assert picture.distance(one, one + np.uint8(255)) == 1
