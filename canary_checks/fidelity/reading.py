"""Reading the text in an image, with Tesseract: a program of its own, bounded in time, without files."""

import asyncio
import csv
import dataclasses
import io
import os
import shutil
from collections.abc import Sequence
from typing import Final

import PIL.Image

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.fidelity import spelling

PROGRAM: Final = "tesseract"
_SECONDS: Final = 60.0
_LEAST_CONFIDENCE: Final = 40.0
"""Below, Tesseract guesses at textures; garbled letters keep more than 90."""
_UPSCALED: Final = 2
_SMALL: Final = 700
"""Longer sides than this are read as they are first: most letters are large enough."""
_LARGE: Final = 1200
"""Longer sides than this are never enlarged."""
_LONGEST: Final = 4096
# Of the page layouts and thresholds that were measured, each finds texts that the others miss: isolated words
# on large grounds need the adaptive threshold (2), a line close to other shapes the single block (6).
_WAYS: Final = (("3", "0"), ("3", "2"), ("6", "2"))
# One thread for each process: they run side by side.
_ENVIRONMENT: Final = {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"}


@dataclasses.dataclass(frozen=True)
class Word:
    """A word as it was read; the box is in pixels of the image."""

    text: str
    confidence: float
    left: float
    top: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True)
class Reading:
    """The words of an image, in reading order."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words with one space between them."""
        return " ".join(word.text for word in self.words)


def require() -> None:
    """Prove that text can be read here at all.

    Raises
    ------
    CheckError
        ``OcrMissing``: without the program there is no score, and none is made up.
    """
    if shutil.which(PROGRAM) is None:
        raise failure.CheckError(
            "OcrMissing",
            f"{PROGRAM} is not installed, so no text in an image can be read (package tesseract-ocr)",
        )


async def look_for(expected: str, image: PIL.Image.Image) -> Reading:
    """Read an image of which it is known what it should say.

    Parameters
    ----------
    expected
        The text that should be there.
    image
        Of any mode; read at its native size, or enlarged.

    Returns
    -------
    The reading that is nearest to the text: ways of reading are tried until one finds it exactly. A text that
    is not there is found by none.

    Raises
    ------
    CheckError
        ``OcrMissing``, or ``OcrFailed``: the program fails on every way, or takes too long.
    """
    found: list[tuple[float, Reading]] = []
    scale, page = 0.0, b""
    for layout, threshold in _WAYS:
        wanted = _scale(max(image.size), first=not found)
        if wanted != scale:
            scale, page = wanted, await asyncio.to_thread(_page, image, wanted)
        reading = await _read(page, scale, ("--psm", layout, "-c", f"thresholding_method={threshold}"))
        found.append((spelling.error_rate(expected, reading.text), reading))
        if found[-1][0] == 0:
            break
    return min(found, key=lambda one: one[0])[1]


def _scale(longer: int, *, first: bool) -> float:
    """Return by how much an image is enlarged, by its longer side."""
    if longer <= (_SMALL if first else _LARGE):
        return float(_UPSCALED)
    return min(1.0, _LONGEST / longer)


def _page(image: PIL.Image.Image, scale: float) -> bytes:
    """Return the enlarged image as grey PNM, which takes no time to write."""
    grey = image.convert("L")
    if scale != 1.0:
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, PIL.Image.Resampling.LANCZOS)
    written = io.BytesIO()
    grey.save(written, "PPM")
    return written.getvalue()


async def _read(page: bytes, scale: float, options: Sequence[str]) -> Reading:
    command = (PROGRAM, "stdin", "stdout", "-l", "eng", *options, "tsv")
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(os.environ) | _ENVIRONMENT
        )
    except OSError as error:
        raise failure.CheckError("OcrMissing", f"{PROGRAM} cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(_SECONDS):
            told, complained = await process.communicate(page)
    except TimeoutError as error:
        raise failure.CheckError(
            "OcrFailed", f"{PROGRAM} did not read an image within {_SECONDS:g} s"
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = v.sentence(complained.decode("utf-8", "replace"), 160)
        raise failure.CheckError("OcrFailed", f"{PROGRAM} ended with {process.returncode}: {said}")
    return parse(told.decode("utf-8", "replace"), scale)


def parse(table: str, scale: float) -> Reading:
    """Read Tesseract's table.

    Parameters
    ----------
    table
        Tab-separated, with a head.
    scale
        By how much the image was enlarged.

    Returns
    -------
    The words that it is sure enough of.
    """
    rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    words = []
    for row in rows:
        text = (row.get("text") or "").strip()
        if text and float(row["conf"]) >= _LEAST_CONFIDENCE:
            box = (float(row[side]) / scale for side in ("left", "top", "width", "height"))
            words.append(Word(text, float(row["conf"]), *box))
    return Reading(tuple(words))
