"""Make the golden set PromptV1: ``python -m hack.golden.prompt_v1``.

The files are committed; a name never changes content, so this is run again only to make another set. Titles
are of our own words, and prompts of one shape: what differs between two of them is what a stratum says.
"""

import itertools
import random
from collections.abc import Iterator
from typing import Final

from canary_checks import vocabulary as v
from canary_checks.golden import drawing, files, folder
from canary_checks.golden.difference import Difference

TARGET: Final = folder.PACKS / "PromptV1"
SEED: Final = 20261121
STEPS: Final = 20
GUIDANCE: Final = 5.0
SIZES: Final = (((512, 512), 6), ((768, 768), 4), ((1024, 768), 4))
"""Resolutions, and how many prompts of each length and size of letters are drawn so."""
EDITED: Final = 24
OBJECTS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6)
MASKED: Final = 8

_SHORT: Final = """
OPEN SALE EXIT MENU HOTEL BREAD COFFEE MUSEUM GARDEN MARKET HARBOUR THEATRE Summer Winter Autumn Spring
Welcome Orchard Village Station Library Gallery Kitchen Picnic Concert Lantern Meadow Compass Bridge Thunder
Marble Saffron Copper Velvet Horizon Fresh Quiet Island Pepper Rocket Planet Travel
"""
_FIRST: Final = "FRESH QUIET GRAND Golden Summer Winter Modern Silver Northern Little Harbour Morning"
_SECOND: Final = "BREAD MARKET HOTEL Garden Concert Station Theatre Museum Orchard Coffee Gallery Kitchen"
_LAST: Final = ("opens at nine", "until the end of March", "with free entry today", "on the first floor")
_GROUNDS: Final = ("a plain wall", "a wooden board", "a paper poster", "a pale sky")


def titles() -> dict[str, Iterator[str]]:
    """Give titles without end of each length; none comes twice."""
    picked = random.Random(SEED)  # noqa: S311 - titles
    pairs = [f"{one} {other}" for one, other in itertools.product(_FIRST.split(), _SECOND.split())]
    picked.shuffle(pairs)
    short = _SHORT.split()
    picked.shuffle(short)
    half = len(pairs) // 2
    # A pair is a title by itself, or begins a long one, and never both.
    medium = (pair for pair in pairs[:half] if len(pair) > 8)
    long = (f"{pair} {_LAST[place % len(_LAST)]}" for place, pair in enumerate(pairs[half:]))
    return {"short": iter(short), "medium": medium, "long": long}


def prompt(title: str, letters: drawing.Letters, ground: str) -> str:
    """Ask for a title."""
    return f'A poster on {ground} with the title "{title}" in {letters.lower()} letters'


def texts() -> list[files.ItemLine]:
    """Return the prompts that ask for a title: every length, size of letters and resolution."""
    given = titles()
    made: list[files.ItemLine] = []
    for (size, times), length, letters in itertools.product(SIZES, given, drawing.Letters):
        for _ in range(times):
            number = len(made) + 1
            title = next(given[length])
            made.append(
                files.ItemLine(
                    id=f"p-{number:03}",
                    stratum=f"{length}-{letters.lower()}",
                    modality=v.Modality.TEXT,
                    text=prompt(title, letters, _GROUNDS[number % len(_GROUNDS)]),
                    generation=_generation(number, size),
                    expect=files.Expect(drawn=drawing.Drawn(text=title, letters=letters)),
                )
            )
    return made


def edited(before: list[files.ItemLine]) -> tuple[list[files.ItemLine], list[files.RelationLine]]:
    """Return prompts that differ from others by a full stop or a polite word, at the same seed."""
    made, relations = [], []
    for place, line in enumerate(before[:: len(before) // EDITED][:EDITED]):
        number = 201 + place
        stops = place % 2 == 0
        text = f"{line.text}{'.' if stops else ' please'}"
        change = {"id": f"p-{number}", "stratum": "edited", "text": text}
        made.append(line.model_copy(update=change))
        differs = Difference.PUNCTUATION if stops else Difference.ONE_WORD
        relations.append(files.RelationLine(item=made[-1].id, of=line.id, differs=differs))
    return made, relations


def objects() -> list[files.ItemLine]:
    """Return prompts that ask for a number of discs."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    return [
        files.ItemLine(
            id=f"o-{301 + place}",
            stratum="objects",
            modality=v.Modality.TEXT,
            text=f"{words[count - 1].capitalize()} dark disc{'s' if count > 1 else ''} of one size, apart"
            " from each other, on a plain pale ground, nothing else",
            generation=_generation(301 + place, (512, 512)),
            expect=files.Expect(drawn=drawing.Drawn(objects=count)),
        )
        for place, count in enumerate(OBJECTS)
    ]


def masked() -> list[files.ItemLine]:
    """Return prompts for edits: a part of a picture may change, and the rest must not."""
    made = []
    for place in range(MASKED):
        left, top = 10 + 5 * (place % 4), 10 + 15 * (place // 4)
        box = drawing.Box(left=left / 100, top=top / 100, right=(left + 40) / 100, bottom=(top + 30) / 100)
        number = 401 + place
        made.append(
            files.ItemLine(
                id=f"e-{number}",
                stratum="masked",
                modality=v.Modality.TEXT,
                text=prompt("NEW", drawing.Letters.LARGE, _GROUNDS[place % len(_GROUNDS)]),
                generation=_generation(number, (512, 512)).model_copy(update={"mask": box}),
            )
        )
    return made


def _generation(number: int, size: tuple[int, int]) -> drawing.Generation:
    return drawing.Generation(
        seed=1000 + number, width=size[0], height=size[1], steps=STEPS, guidance=GUIDANCE
    )


def main() -> None:
    """Write the set and say what it is."""
    asked = texts()
    small, relations = edited(asked)
    lines = [*asked, *small, *objects(), *masked()]
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in files.write("PromptV1", "1", lines, relations, license_name="CC0-1.0").items():
        (TARGET / name).write_bytes(content)
    written = folder.read(TARGET)
    print(f"{len(written.items)} prompts, {len(asked) + len(small)} with a title, {written.digest}")


if __name__ == "__main__":
    main()
