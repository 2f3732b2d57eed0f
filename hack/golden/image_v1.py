"""Make the golden set ImageV1: ``python -m hack.golden.image_v1``.

The files are committed; a name never changes content, so this is run again only to make another set. All is
drawn from seeds. Encoders differ between versions of Pillow: the files were written with 13.0.
"""

import io
import itertools
import pathlib
import shutil
import struct
import zlib
from typing import Final

import numpy as np
import PIL.Image
import PIL.ImageCms

from canary_checks import result
from canary_checks import vocabulary as v
from canary_checks.golden import files, folder, images, pack
from canary_checks.golden.difference import Difference
from hack.golden import pictures, profiles

NATIVE: Final = 224
_LONGEST: Final = 126
_ORIENTATION: Final = 0x0112
_SYMMETRIC: Final = [8 + 3 * (row + column) for row in range(8) for column in range(8)]
TARGET: Final = folder.PACKS / "ImageV1"


class Set:
    """The set as it grows."""

    def __init__(self) -> None:
        self.items: dict[str, files.ItemLine] = {}
        self.relations: list[files.RelationLine] = []
        self.blobs: dict[str, bytes] = {}

    def image(
        self, name: str, stratum: str, content: bytes, media: files.MediaType, *, must: bool = False
    ) -> str:
        """Add an encoded image."""
        digest = result.digest(content)
        assert digest not in self.blobs, f"{name} is there already"
        self.blobs[digest] = content
        self._add(
            files.ItemLine(
                id=name,
                stratum=stratum,
                modality=v.Modality.IMAGE,
                blob=digest,
                media_type=media,
                must_include=must,
            )
        )
        return name

    def text(self, name: str, stratum: str, text: str, *, must: bool = False) -> str:
        """Add a text."""
        self._add(
            files.ItemLine(id=name, stratum=stratum, modality=v.Modality.TEXT, text=text, must_include=must)
        )
        return name

    def png(
        self,
        name: str,
        stratum: str,
        image: PIL.Image.Image,
        *,
        profile: bytes | None = None,
        must: bool = False,
    ) -> str:
        """Add an image without loss."""
        return self.image(name, stratum, png(image, profile), "image/png", must=must)

    def jpeg(
        self, name: str, stratum: str, image: PIL.Image.Image, *, quality: int, must: bool = False
    ) -> str:
        """Add an image as a camera would store it, with 4:2:0 colours."""
        return self.image(name, stratum, jpeg(image, quality=quality), "image/jpeg", must=must)

    def differs(self, item: str, of: str, how: Difference) -> None:
        """State a relation."""
        self.relations.append(files.RelationLine(item=item, of=of, differs=how))

    def pair(self, image: str, text: str) -> None:
        """Join an image and its caption."""
        self.items[image] = self.items[image].model_copy(update={"pair": text})
        self.items[text] = self.items[text].model_copy(update={"pair": image})

    def write(self, target: pathlib.Path) -> pack.Pack:
        """Replace a folder by the set, and prove every relation."""
        shutil.rmtree(target, ignore_errors=True)
        (target / "blobs/sha256").mkdir(parents=True)
        written = files.write("ImageV1", "1", self.items.values(), self.relations, license_name="CC0-1.0")
        for name, content in written.items():
            (target / name).write_bytes(content)
        for digest, content in self.blobs.items():
            (target / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(content)
        return folder.read(target)

    def _add(self, line: files.ItemLine) -> None:
        assert line.id not in self.items, line.id
        self.items[line.id] = line


def png(image: PIL.Image.Image, profile: bytes | None = None) -> bytes:
    """Encode without loss."""
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True, **({"icc_profile": profile} if profile else {}))
    return written.getvalue()


def jpeg(image: PIL.Image.Image, *, quality: int) -> bytes:
    """Encode as a camera does, with 4:2:0 colours."""
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality, optimize=True)
    return written.getvalue()


def turnable_jpeg(image: PIL.Image.Image, orientation: int | None = None) -> bytes:
    """Encode so that a turned picture loses the same: full colours, a table that is its own transpose."""
    written = io.BytesIO()
    exif = PIL.Image.Exif()
    if orientation is not None:
        exif[_ORIENTATION] = orientation
    image.save(written, "JPEG", qtables=[_SYMMETRIC, _SYMMETRIC], subsampling=0, optimize=True, exif=exif)
    return written.getvalue()


def png16(image: PIL.Image.Image) -> bytes:
    """Encode with 16 bits per channel, which Pillow reads and does not write; the low bytes are not zero."""
    values = np.asarray(image).astype(np.uint16) * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    shape = struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", shape)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def _photos(made: Set) -> None:
    for n in range(1, 41):
        size = [(320, 240), (300, 200), (288, 216), (240, 320), (256, 192)][n % 5]
        made.jpeg(f"p-{n:03}", "photo", pictures.photo(f"p{n}", *size), quality=72, must=n <= 3)
    for n in range(1, 21):
        made.jpeg(f"n-{n:03}", "native", pictures.photo(f"n{n}", NATIVE, NATIVE), quality=75, must=n <= 3)
    for n in range(1, 5):
        made.jpeg(f"m-{n:03}", "native-336", pictures.photo(f"m{n}", 336, 336), quality=70)
    for n in range(1, 11):
        side = (280, 300, 360)[n % 3]
        made.jpeg(f"q-{n:03}", "square", pictures.photo(f"q{n}", side, side), quality=70, must=n <= 2)
    for n in range(1, 9):
        made.jpeg(f"w-{n:03}", "wide", pictures.photo(f"w{n}", 480, 160), quality=72, must=n <= 2)
        made.jpeg(f"t-{n:03}", "tall", pictures.photo(f"t{n}", 160, 420), quality=72, must=n <= 2)
    for n in range(1, 9):
        grey = pictures.photo(f"g{n}", 300, 225).convert("L")
        made.jpeg(f"g-{n:03}", "grey", grey, quality=75, must=n <= 2)
    for n, side in enumerate((1, 2, 8, 12, 16, 24, 32, 48), 1):
        made.png(f"z-{n:03}", "tiny", pictures.leaves(f"z{n}", side, side, 12))


def _colours(made: Set) -> None:
    for n in range(1, 9):
        palette = pictures.WARM if n % 2 else pictures.COLD
        image = pictures.leaves(f"c{n}", NATIVE, NATIVE, 10, palette)
        item = made.png(f"c-{n:03}", "saturated", image, must=n <= 2)
        swapped = PIL.Image.fromarray(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))
        made.differs(item, made.png(f"c-{n + 100:03}", "saturated-twin", swapped), Difference.CHANNELS)
        if n <= 4:
            grey = image.convert("L")
            made.differs(item, made.png(f"c-{n + 200:03}", "grey", grey), Difference.GREY)
            stored = made.png(f"c-{n + 300:03}", "grey-twin", grey.convert("RGB"))
            made.differs(f"c-{n + 200:03}", stored, Difference.STORAGE)


def _detail(made: Set) -> None:
    for n in range(1, 11):
        side = (NATIVE, 448, 300)[n % 3]
        made.png(f"d-{n:03}", "detail", pictures.fine_lines(f"d{n}", side), must=n <= 2)
    lines = (
        "OPEN LATE\nevery day",
        "no entry\n12 : 30",
        "Fresh bread\n2.50",
        "EXIT\nthis way",
        "7 8 9\n4 5 6",
        "north\nplatform 3",
    )
    for n, words in enumerate(lines, 1):
        made.png(f"h-{n:03}", "sign", pictures.sign(f"h{n}", (NATIVE, 320)[n % 2], words))
    sizes = (448, 448, 336, 300)
    for n, side in enumerate(sizes, 1):
        image = pictures.leaves(f"r{n}", side, side, 8)
        image.paste(pictures.fine_lines(f"d{n + 20}", side // 2), (side // 8, side // 4))
        item = made.png(f"r-{n:03}", "resize", image, must=n <= 2)
        filters = {
            Difference.RESIZED_BICUBIC: PIL.Image.Resampling.BICUBIC,
            Difference.RESIZED_BILINEAR: PIL.Image.Resampling.BILINEAR,
            Difference.RESIZED_LANCZOS: PIL.Image.Resampling.LANCZOS,
            Difference.RESIZED_NEAREST: PIL.Image.Resampling.NEAREST,
        }
        for place, (how, filtered) in enumerate(filters.items(), 1):
            twin = made.png(
                f"r-{100 * place + n:03}", "resize-twin", image.resize((NATIVE, NATIVE), filtered)
            )
            made.differs(item, twin, how)
        made.differs(
            item,
            made.png(f"r-{500 + n}", "resize-twin", images.unsmoothed(image, NATIVE)),
            Difference.RESIZED_UNSMOOTHED,
        )


def _places(made: Set) -> None:
    """Add crops, mirrored and shifted twins."""
    for n, size in enumerate([(448, 160), (400, 200), (160, 440), (224, 448)], 1):
        image = pictures.leaves(f"x{n}", *size, 24)
        item = made.png(f"x-{n:03}", "wide" if size[0] > size[1] else "tall", image, must=n in {1, 3})
        for place, how in enumerate(
            (Difference.SQUASHED, Difference.CENTRE_CROPPED, Difference.LETTERBOXED), 1
        ):
            twin = made.png(f"x-{100 * place + n:03}", "crop-twin", images.squared(image, NATIVE, how))
            made.differs(item, twin, how)
        made.differs(item, made.png(f"x-{400 + n}", "crop-twin", _reframed(image, f"x{n}")), Difference.CROP)
    for n in range(1, 4):
        image = pictures.leaves(f"y{n}", NATIVE, NATIVE, 16)
        item = made.png(f"y-{n:03}", "crop", image, must=n == 1)
        made.differs(item, made.png(f"y-{100 + n}", "crop-twin", _reframed(image, f"y{n}")), Difference.CROP)
    for n in range(1, 5):
        image = pictures.leaves(f"f{n}", NATIVE + 1, NATIVE, 16)
        here, there = image.crop((0, 0, NATIVE, NATIVE)), image.crop((1, 0, NATIVE + 1, NATIVE))
        item = made.png(f"f-{n:03}", "asymmetric", here, must=n <= 2)
        mirrored = here.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        turned = here.transpose(PIL.Image.Transpose.TRANSPOSE)
        for place, (changed, how) in enumerate(
            [(mirrored, Difference.FLIP), (turned, Difference.TRANSPOSED), (there, Difference.SHIFT)], 1
        ):
            made.differs(item, made.png(f"f-{100 * place + n}", "asymmetric-twin", changed), how)
    for n in range(1, 5):
        image = pictures.leaves(f"k{n}", NATIVE, NATIVE, 12)
        item = made.png(f"k-{n:03}", "near-duplicate", image)
        values = np.asarray(image).astype(np.int16)
        random = pictures.random_of(f"k{n}/noise")
        touched = random.random(values.shape[:2]) < 0.004 * n
        noisy = np.clip(values + 2 * touched[:, :, np.newaxis], 0, 255).astype(np.uint8)
        twin = made.png(f"k-{100 + n}", "near-duplicate", PIL.Image.fromarray(noisy))
        made.differs(twin, item, Difference.NOISE)


def _reframed(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    """Change what a centre crop throws away, and nothing else."""
    width, height = image.size
    side = min(width, height) if width != height else int(width * 0.86)
    left, top = (width - side) // 2, (height - side) // 2
    other = pictures.leaves(name + "/frame", width, height, 20)
    other.paste(image.crop((left, top, left + side, top + side)), (left, top))
    return other


def _turned(made: Set) -> None:
    """Add photographs that only their EXIF tag turns upright."""
    turns = {
        3: PIL.Image.Transpose.ROTATE_180,
        6: PIL.Image.Transpose.ROTATE_90,
        8: PIL.Image.Transpose.ROTATE_270,
    }
    for n, (orientation, turn) in enumerate([*turns.items()] * 2, 1):
        # A multiple of 8 on both sides: then a turned JPEG has the same blocks, turned.
        upright = pictures.photo(f"e{n}", 256, 192)
        stored = upright.transpose(turn)
        tagged = turnable_jpeg(stored, orientation)
        item = made.image(f"e-{n:03}", "exif", tagged, "image/jpeg", must=n <= 3)
        ignored = made.image(f"e-{100 + n}", "exif-twin", turnable_jpeg(stored), "image/jpeg")
        heeded = made.image(f"e-{200 + n}", "exif-twin", turnable_jpeg(upright), "image/jpeg")
        made.differs(item, heeded, Difference.UPRIGHT)
        made.differs(item, ignored, Difference.EXIF)


def _transparent(made: Set) -> None:
    """Add pictures that are seen through, and what they look like on a ground."""
    for n in range(1, 7):
        image = pictures.transparent(f"a{n}", NATIVE)
        item = made.png(f"a-{n:03}", "alpha", image, must=n <= 2)
        grounds = {Difference.ALPHA_ON_WHITE: (255,) * 3, Difference.ALPHA_ON_BLACK: (0,) * 3}
        for place, (how, ground) in enumerate(grounds.items(), 1):
            sheet = PIL.Image.new("RGBA", image.size, (*ground, 255))
            shown = PIL.Image.alpha_composite(sheet, image).convert("RGB")
            made.differs(item, made.png(f"a-{100 * place + n}", "alpha-twin", shown), how)
        dropped = made.png(f"a-{300 + n}", "alpha-twin", image.convert("RGB"))
        made.differs(item, dropped, Difference.ALPHA_DROPPED)


def _profiled(made: Set) -> None:
    """Add pictures whose colours their profile says."""
    srgb = PIL.ImageCms.createProfile("sRGB")
    for n in range(1, 7):
        profile = profiles.SWAPPED if n % 2 else profiles.WIDE
        image = pictures.leaves(f"i{n}", NATIVE, NATIVE, 12)
        item = made.png(f"i-{n:03}", "icc", image, profile=profile, must=n <= 2)
        shown = PIL.ImageCms.profileToProfile(image, PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb)
        assert shown is not None
        del shown.info["icc_profile"]
        made.differs(item, made.png(f"i-{100 + n}", "icc-twin", image), Difference.COLOUR_PROFILE)
        made.differs(item, made.png(f"i-{200 + n}", "icc-twin", shown), Difference.CONVERTED)


def _stored(made: Set) -> None:
    """Add pictures that are stored in unusual ways."""
    for n in range(1, 5):
        image = pictures.leaves(f"l{n}", 240, 180, 10)
        few = image.quantize(24)
        item = made.png(f"l-{n:03}", "palette", few, must=n == 1)
        made.differs(item, made.png(f"l-{100 + n}", "storage-twin", few.convert("RGB")), Difference.STORAGE)
    for n in range(1, 3):
        image = pictures.leaves(f"b{n}", NATIVE, NATIVE, 8)
        item = made.image(f"b-{n:03}", "deep", png16(image), "image/png")
        made.differs(item, made.png(f"b-{100 + n}", "storage-twin", image), Difference.STORAGE)


def _captioned(made: Set) -> None:
    """Add pictures that a caption can name, and their captions."""
    named = itertools.product(pictures.SHAPES, pictures.INKS, pictures.GROUNDS)
    for n, (shape, ink, ground) in enumerate(itertools.islice(named, 24), 1):
        number = 1 + n % 4
        picture = pictures.shapes(f"s{n}", NATIVE, number=number, shape=shape, ink=ink, ground=ground)
        image = made.png(f"s-{n:03}", "shapes", picture, must=n <= 2)
        plural = "s" if number > 1 else ""
        words = f"{pictures.NUMBERS[number]} {ink} {shape}{plural} on a {ground} ground"
        made.pair(image, made.text(f"v-{n:03}", "plain", words))


def _texts(made: Set) -> None:
    """Add the texts of TextV1 for the text tower, as far as the longest input of such towers goes."""
    source = pack.builtin("TextV1")
    kept = {item.id: f"{item.id[:2]}8{item.id[-2:]}" for item in source.items if item.words <= _LONGEST}
    for item in source.items:
        if item.id in kept:
            made.text(kept[item.id], item.stratum, item.text, must=item.must_include)
    for relation in source.relations:
        if {relation.item, relation.of} <= kept.keys():
            made.differs(kept[relation.item], kept[relation.of], relation.differs)
    # CLIP reads 77 tokens: 75 words, and one more.
    words = source.by_id["l-012"].text.split()
    made.text("l-850", "long", " ".join(words[:75]))
    made.text("l-851", "long", " ".join(words[:76]))
    made.differs("l-850", "l-805", Difference.LENGTH)
    made.differs("l-851", "l-850", Difference.ONE_WORD)


def main() -> None:
    """Write the set and say what it is."""
    made = Set()
    for part in (
        _photos,
        _colours,
        _detail,
        _places,
        _turned,
        _transparent,
        _profiled,
        _stored,
        _captioned,
        _texts,
    ):
        part(made)
    written = made.write(TARGET)
    shown = [item for item in written.items if item.modality is v.Modality.IMAGE]
    size = sum(len(content) for content in made.blobs.values())
    print(
        f"{len(shown)} images, {len(written.items) - len(shown)} texts, {size / 1e6:.2f} MB, {written.digest}"
    )


if __name__ == "__main__":
    main()
