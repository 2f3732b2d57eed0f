"""`python -m hack.faults`: every fault through the real check, and docs/confusion-table.md."""

import argparse
import collections
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

# Small matrices: a second thread of the BLAS only waits. Before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from canary_checks import vocabulary as v
from hack.faults import answers, image_faults, measuring, minilm, short, table, text_faults
from hack.faults import further as further_faults

_PAGE: Final = pathlib.Path("docs/confusion-table.md")
_DRAWN_PAGE: Final = pathlib.Path("docs/image-faults.md")
_GOLDEN_SETS: Final = {v.Modality.TEXT: "TextV1", v.Modality.IMAGE: "ImageV1"}


def main() -> int:
    """Measure, print a line per case, and write the table when nothing was left out."""
    parser = argparse.ArgumentParser(prog="python -m hack.faults", description=main.__doc__)
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--short", action="store_true", help="12 faults and 2 benign changes, as in CI")
    parser.add_argument("--further", action="store_true", help="faults on no list, and other models")
    parser.add_argument("--modality", choices=("text", "image"), help="one of the two suites")
    parser.add_argument("--images", action="store_true", help="generators: what they draw, and at what pace")
    parser.add_argument("--generators", action="store_true", help="generators: inside the model, with torch")
    asked = parser.parse_args()
    if asked.generators:
        # Only this needs what torch's environment needs.
        from hack.faults.generators import suite  # noqa: PLC0415

        return suite.run(asked.only)
    if asked.images:
        return _drawn(asked.only)
    wanted: Callable[[str], bool] = (
        (lambda name: name in short.NAMES)
        if asked.short
        else (lambda name: asked.only is None or asked.only in name)
    )
    found: dict[str, list[measuring.Found]] = collections.defaultdict(list)
    for title, modality, cases in _further() if asked.further else _suites():
        if asked.modality in {None, modality.lower()}:
            for made in _measured(modality, (case for case in cases if wanted(case.name))):
                found[title].append(made)
                print(table.line(made), flush=True)
    summary = {title: table.Summary.of(rows) for title, rows in found.items()}
    for title, totals in summary.items():
        print(f"{title}: {totals}")
    whole = not (asked.short or asked.only)
    if whole and asked.modality is None:
        _write(found, further=asked.further)
    return 0 if asked.further or all(totals.good(whole=whole) for totals in summary.values()) else 1


def _drawn(only: str | None) -> int:
    """Measure the faults of generators, and write their part of the page when nothing was left out."""
    # Pillow and OCR, which the others do without.
    from hack.faults import drawn, drawn_table  # noqa: PLC0415

    found: dict[str, list[drawn.Found]] = {}
    for title, rows in (("Images", drawn.pictures(only)), ("Loads", drawn.loads(only))):
        for one in rows:
            found.setdefault(title, []).append(one)
            print(drawn_table.line(one), flush=True)
    if only is None:
        before, _, _ = _DRAWN_PAGE.read_text("utf-8").partition(drawn_table.MARK)
        _DRAWN_PAGE.write_text(before + drawn_table.section(found), "utf-8")
    return 0 if all(one.right for rows in found.values() for one in rows) else 1


Suite = tuple[str, v.Modality, Iterable[measuring.Case]]
"""Cases of one modality, under a heading."""


def _suites() -> list[Suite]:
    return [
        (str(v.Modality.TEXT), v.Modality.TEXT, _texts()),
        (str(v.Modality.IMAGE), v.Modality.IMAGE, _images()),
    ]


def _further() -> list[Suite]:
    return [
        ("Held out, texts", v.Modality.TEXT, further_faults.texts(further_faults.HELD_OUT)),
        ("Held out, images", v.Modality.IMAGE, further_faults.images(further_faults.HELD_OUT_IMAGES)),
        ("Seen, texts", v.Modality.TEXT, further_faults.texts(further_faults.SEEN)),
        ("Seen, images", v.Modality.IMAGE, further_faults.images(further_faults.SEEN_IMAGES)),
    ]


def _measured(modality: v.Modality, cases: Iterable[measuring.Case]) -> Iterator[measuring.Found]:
    bench = measuring.Bench({"builtin": _GOLDEN_SETS[modality]}, modality)
    return (bench.measure(case) for case in cases)


def _write(found: Mapping[str, Sequence[measuring.Found]], *, further: bool) -> None:
    """Write one of the two parts of the page, and leave the other as it is."""
    before, mark, after = _PAGE.read_text("utf-8").partition(table.FURTHER)
    if further:
        whole = f"{before.rstrip()}\n\n{table.further(found)}"
    else:
        whole = table.document(found) + (f"\n{mark}{after}" if mark else "")
    _PAGE.write_text(whole, "utf-8")


def _model(make: Callable[[], minilm.Variant]) -> minilm.Model:
    return minilm.Model(make())


def _texts() -> Iterator[measuring.Case]:
    makers: dict[minilm.Variant, Callable[[], measuring.Model]] = {}

    def recorded_from(name: str) -> Callable[[], measuring.Model]:
        variant = text_faults.REFERENCES.get(name, minilm.Variant())
        return makers.setdefault(variant, functools.partial(minilm.Model, variant))

    for name, make in text_faults.FAULTS.items():
        yield measuring.Case(
            name,
            candidate=functools.partial(_model, make),
            reference=recorded_from(name),
            accepted=answers.TEXT[name],
            numeric_class=v.NumericClass.FP32,
        )
    for name, make in text_faults.BENIGN.items():
        yield measuring.Case(
            name,
            candidate=functools.partial(_model, make),
            reference=recorded_from(""),
            accepted=frozenset(),
            numeric_class=answers.TEXT_BENIGN[name],
        )


def _images() -> Iterator[measuring.Case]:
    for name, make in (image_faults.FAULTS | image_faults.BENIGN).items():
        benign = name in answers.IMAGE_BENIGN
        yield measuring.Case(
            name,
            candidate=make,
            reference=image_faults.right,
            accepted=frozenset() if benign else answers.IMAGE[name],
            numeric_class=answers.IMAGE_BENIGN[name] if benign else v.NumericClass.FP32,
        )


if __name__ == "__main__":
    sys.exit(main())
