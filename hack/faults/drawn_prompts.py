"""The prompts that the faults of generators are measured with: as few and small as their gates allow.

100 titles, because a share needs them before a drop may fail; discs to count, small edits, and masks. At 256
pixels a whole check takes seconds, and not the minutes of `PromptV1`, whose prompts look alike.
"""

import enum
import pathlib
from collections.abc import Iterator
from typing import Any, Final

from canary_checks import vocabulary as v
from canary_checks.golden import difference, drawing, files

TITLES: Final = 100
DISCS: Final = 24
EDITS: Final = 12
MASKS: Final = 4
_SIZE: Final = (256, 128)
_WORDS: Final = (
    "OPEN",
    "HOTEL",
    "BREAD",
    "COFFEE",
    "MUSEUM",
    "GARDEN",
    "Summer",
    "Winter",
    "Autumn",
    "Orchard",
    "Village",
)
_COUNTS: Final = ("one", "two", "three", "four", "five", "six")


class Kind(enum.StrEnum):
    """Which prompts: reading titles takes minutes, so a fault that no title shows is not asked for any."""

    TITLES = "Titles"
    SHAPES = "Shapes"
    ALL = "All"


def written(folder: pathlib.Path, kind: Kind) -> pathlib.Path:
    """Write a golden set into a new folder, and return that."""
    folder.mkdir()
    edits = [] if kind is Kind.TITLES else list(_edits())
    items = (
        *(() if kind is Kind.SHAPES else _titles()),
        *(() if kind is Kind.TITLES else (*_discs(), *(item for item, _ in edits), *_masks())),
    )
    relations = tuple(relation for _, relation in edits)
    for name, content in files.write("DrawnFaults", "1", items, relations, license_name="CC0-1.0").items():
        (folder / name).write_bytes(content)
    return folder


def _prompt(number: int, text: str, **more: Any) -> files.ItemLine:
    generation = drawing.Generation(seed=number, width=_SIZE[0], height=_SIZE[1], steps=2)
    said: dict[str, Any] = {
        "stratum": "titles",
        "modality": v.Modality.TEXT,
        "generation": generation,
        **more,
    }
    return files.ItemLine(id=f"p-{number:03}", text=text, **said)


def _titles() -> Iterator[files.ItemLine]:
    for number in range(1, TITLES + 1):
        text = f"{_WORDS[number % len(_WORDS)]} {_WORDS[(number * 5 + 1) % len(_WORDS)]}"
        drawn = drawing.Drawn(text=text, letters=drawing.Letters.LARGE)
        asked = f'A poster with the title "{text}" in large letters'
        yield _prompt(number, asked, expect=files.Expect(drawn=drawn))


def _discs() -> Iterator[files.ItemLine]:
    for place in range(DISCS):
        objects = 1 + place % len(_COUNTS)
        asked = f"{_COUNTS[objects - 1]} dark discs on a plain ground, picture {place}"
        expect = files.Expect(drawn=drawing.Drawn(objects=objects))
        yield _prompt(200 + place, asked, stratum="objects", expect=expect)


def _edits() -> Iterator[tuple[files.ItemLine, files.RelationLine]]:
    for line in list(_discs())[:EDITS]:
        more = line.model_copy(update={"id": f"p-{int(line.id[2:]) + 100}", "text": f"{line.text}."})
        yield more, files.RelationLine(item=more.id, of=line.id, differs=difference.Difference.PUNCTUATION)


def _masks() -> Iterator[files.ItemLine]:
    box = drawing.Box(left=0.2, top=0.2, right=0.6, bottom=0.6)
    for place in range(MASKS):
        generation = drawing.Generation(seed=place, width=128, height=128, mask=box)
        yield _prompt(400 + place, 'A poster with the title "NEW"', stratum="masked", generation=generation)
