"""Small golden sets of prompts, and requests for the fidelity check."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

from canary_checks import request
from canary_checks import vocabulary as v
from canary_checks.golden import difference, drawing, files
from tests.unit.canary_checks import asking
from tests.unit.canary_checks import golden_sets as sets

WORDS = (
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
COUNTS = ("one", "two", "three", "four", "five", "six")


def prompt(number: int, text: str, **more: Any) -> files.ItemLine:
    generation = drawing.Generation(seed=number, width=256, height=128, steps=2)
    line = {"stratum": "titles", "modality": v.Modality.TEXT, "generation": generation} | more
    return files.ItemLine(id=f"p-{number:03}", text=text, **line)


def titles(count: int) -> list[files.ItemLine]:
    """Prompts for titles of two words."""
    made = []
    for number in range(1, count + 1):
        first, second = WORDS[number % len(WORDS)], WORDS[(number * 5 + 1) % len(WORDS)]
        text = f"{first} {second}"
        drawn = drawing.Drawn(text=text, letters=drawing.Letters.LARGE)
        asked = f'A poster with the title "{text}" in large letters'
        made.append(prompt(number, asked, expect=files.Expect(drawn=drawn)))
    return made


def discs(count: int) -> list[files.ItemLine]:
    made = []
    for place in range(count):
        objects = 1 + place % len(COUNTS)
        expect = files.Expect(drawn=drawing.Drawn(objects=objects))
        asked = f"{COUNTS[objects - 1]} dark discs on a plain ground, picture {place}"
        made.append(prompt(100 + place, asked, stratum="objects", expect=expect))
    return made


def edited(before: list[files.ItemLine]) -> Iterator[tuple[files.ItemLine, files.RelationLine]]:
    for line in before:
        more = line.model_copy(update={"id": f"p-{int(line.id[2:]) + 100}", "text": f"{line.text}."})
        yield more, files.RelationLine(item=more.id, of=line.id, differs=difference.Difference.PUNCTUATION)


def masked(count: int) -> list[files.ItemLine]:
    box = drawing.Box(left=0.2, top=0.2, right=0.6, bottom=0.6)
    return [
        prompt(
            300 + place,
            'A poster with the title "NEW"',
            stratum="masked",
            generation=drawing.Generation(seed=place, width=128, height=128, mask=box),
        )
        for place in range(count)
    ]


def plain_set(folder: pathlib.Path) -> pathlib.Path:
    """A set without a title, which takes no reading: discs, their small edits, and masks."""
    asked = discs(8)
    pairs = list(edited(asked[:4]))
    items = (*asked, *(item for item, _ in pairs), *masked(2))
    return sets.written(folder, items, tuple(relation for _, relation in pairs), name="Plain")


def ask(url: str, folder: pathlib.Path, **changes: Any) -> request.CheckRequest:
    changes = {
        "operations": [{"name": "images", "protocol": "OpenAIImages"}],
        "goldenSet": {"path": str(folder)},
    } | changes
    return asking.ask(url, "Fidelity", **changes)


def live(url: str) -> dict[str, Any]:
    source = {"revision": "r0", "url": url, "numericClass": "fp32", "maxRequestsPerSecond": 100}
    return {"live": json.loads(json.dumps(source))}
