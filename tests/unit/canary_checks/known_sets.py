"""Golden sets with known queries, for tests of retrieval."""

import pathlib

from canary_checks import vocabulary as v
from canary_checks.golden import files
from tests.unit.canary_checks import golden_sets, toy_protocols

QUERIES = 120
DOCUMENTS = 150


def document(number: int) -> files.ItemLine:
    text = f"topic{number} about{number % 40} filler words"
    return files.ItemLine(id=f"d-{number:04}", stratum="plain", modality=v.Modality.TEXT, text=text)


def query(number: int, *, expects: bool = True, stratum: str = "question") -> files.ItemLine:
    return files.ItemLine(
        id=f"q-{number:04}",
        stratum=stratum,
        modality=v.Modality.TEXT,
        text=f"topic{number} about{number % 40}",
        expect=files.Expect(relevant=(f"d-{number:04}",)) if expects else None,
    )


def written(
    folder: pathlib.Path, queries: int = QUERIES, documents: int = DOCUMENTS, *, expects: bool = True
) -> pathlib.Path:
    items = (
        *(document(n) for n in range(documents)),
        *(query(n, expects=expects, stratum="question" if n % 2 else "claim") for n in range(queries)),
    )
    return golden_sets.written(folder, items, (), name="Known")


def images(folder: pathlib.Path, count: int = QUERIES) -> pathlib.Path:
    """Captions that find images, in the eyes of the toy server: an image says its digest."""
    blobs = tuple(golden_sets.png(seed, (2, 2)) for seed in range(count))
    items = tuple(golden_sets.image(n, blob) for n, blob in enumerate(blobs))
    captions = tuple(
        files.ItemLine(
            id=f"t-{n:03}",
            stratum="caption",
            modality=v.Modality.TEXT,
            text=toy_protocols.of_image(blobs[n]),
            expect=files.Expect(relevant=(item.id,)),
        )
        for n, item in enumerate(items)
    )
    return golden_sets.written(folder, items + captions, (), blobs, name="Known")
