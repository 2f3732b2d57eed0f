"""Golden sets for tests, valid unless a test breaks them."""

import io
import pathlib
from typing import Any

import numpy as np
import PIL.Image

from canary_checks import result
from canary_checks import vocabulary as v
from canary_checks.golden import files


def text(number: int, content: str, **more: Any) -> files.ItemLine:
    line = {"stratum": "plain", "modality": v.Modality.TEXT} | more
    return files.ItemLine(id=f"p-{number:03}", text=content, **line)


def png(seed: int = 0, size: tuple[int, int] = (8, 8)) -> bytes:
    return encoded(pixels(seed, size))


def pixels(seed: int = 0, size: tuple[int, int] = (8, 8)) -> PIL.Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return PIL.Image.fromarray(values)


def encoded(image: PIL.Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **settings)
    return written.getvalue()


def image(number: int, content: bytes, **more: Any) -> files.ItemLine:
    line = {"stratum": "photo", "modality": v.Modality.IMAGE, "media_type": "image/png"} | more
    return files.ItemLine(id=f"i-{number:03}", blob=result.digest(content), **line)


TEXTS = (text(1, "a cat"), text(2, "A Cat", stratum="cased"))
CASE = files.RelationLine(item="p-002", of="p-001", differs=files.Difference.CASE)


def written(
    folder: pathlib.Path,
    items: tuple[files.ItemLine, ...] = TEXTS,
    relations: tuple[files.RelationLine, ...] = (CASE,),
    blobs: tuple[bytes, ...] = (),
    *,
    flat: bool = False,
    name: str = "T",
) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    for file, content in files.write(name, "1", items, relations, license_name="CC0-1.0").items():
        (folder / file).write_bytes(content)
    if blobs and not flat:
        (folder / "blobs/sha256").mkdir(parents=True)
    for blob in blobs:
        hexadecimal = result.digest(blob).removeprefix("sha256:")
        (folder / (f"sha256-{hexadecimal}" if flat else f"blobs/sha256/{hexadecimal}")).write_bytes(blob)
    return folder
