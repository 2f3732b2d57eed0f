"""`python -m hack.faults`: every fault through the real check, and docs/confusion-table.md."""

import argparse
import collections
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

# Small matrices: a second thread of the BLAS only waits. Before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from canary_checks import vocabulary as v
from hack.faults import answers, image_faults, measuring, minilm, table, text_faults

SHORT = (
    "pooling CLS",
    "mean over padding (no mask in pool)",
    "missing L2 normalisation",
    "tokenizer: lower-casing off",
    "tokenizer: strip-accents off",
    "max_length 64 (ref 256)",
    "missing prefix 'query: ' (ref has it)",
    "trailing full stop stripped",
    "dropout on (train mode)",
    "weight noise 0.1 x std",
    "dims permuted",
    "rows shuffled",
)


def main() -> int:
    """Measure, print a line per case, and write the table when nothing was left out."""
    parser = argparse.ArgumentParser(prog="python -m hack.faults", description=main.__doc__)
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--short", action="store_true", help="12 text faults, for CI")
    parser.add_argument("--modality", choices=("text", "image"), help="one of the two suites")
    asked = parser.parse_args()
    wanted: Callable[[str], bool] = (
        (lambda name: name in SHORT)
        if asked.short
        else (lambda name: asked.only is None or asked.only in name)
    )
    suites = [] if asked.modality == "image" else [_texts(wanted)]
    suites += [] if asked.modality == "text" or asked.short else [_images(wanted)]
    found: dict[v.Modality, list[measuring.Found]] = collections.defaultdict(list)
    for modality, made in (pair for suite in suites for pair in suite):
        found[modality].append(made)
        print(table.line(made), flush=True)
    summary = {modality: table.Summary.of(rows) for modality, rows in found.items()}
    for modality, totals in summary.items():
        print(f"{modality}: {totals}")
    if not (asked.short or asked.only or asked.modality):
        pathlib.Path("docs/confusion-table.md").write_text(table.document(found), "utf-8")
    return 0 if all(totals.good(whole=not (asked.short or asked.only)) for totals in summary.values()) else 1


def _model(make: Callable[[], minilm.Variant]) -> minilm.Model:
    return minilm.Model(make())


Measured = Iterator[tuple[v.Modality, measuring.Found]]


def _texts(wanted: Callable[[str], bool]) -> Measured:
    bench = measuring.Bench("TextV1", v.Modality.TEXT)
    right = minilm.Variant()
    makers: dict[minilm.Variant, Callable[[], measuring.Model]] = {}

    def recorded_from(name: str) -> Callable[[], measuring.Model]:
        variant = text_faults.REFERENCES.get(name, right)
        return makers.setdefault(variant, lambda: minilm.Model(variant))

    for name, make in text_faults.FAULTS.items():
        if wanted(name):
            case = measuring.Case(
                name,
                candidate=functools.partial(_model, make),
                reference=recorded_from(name),
                accepted=answers.TEXT[name],
                numeric_class=v.NumericClass.FP32,
            )
            yield v.Modality.TEXT, bench.measure(case)
    for name, make in text_faults.BENIGN.items():
        if wanted(name):
            case = measuring.Case(
                name,
                candidate=functools.partial(_model, make),
                reference=recorded_from(""),
                accepted=frozenset(),
                numeric_class=answers.TEXT_BENIGN[name],
            )
            yield v.Modality.TEXT, bench.measure(case)


def _images(wanted: Callable[[str], bool]) -> Measured:
    bench = measuring.Bench("ImageV1", v.Modality.IMAGE)
    for name, make in (image_faults.FAULTS | image_faults.BENIGN).items():
        if wanted(name):
            benign = name in answers.IMAGE_BENIGN
            case = measuring.Case(
                name,
                candidate=make,
                reference=image_faults.right,
                accepted=frozenset() if benign else answers.IMAGE[name],
                numeric_class=answers.IMAGE_BENIGN[name] if benign else v.NumericClass.FP32,
            )
            yield v.Modality.IMAGE, bench.measure(case)


if __name__ == "__main__":
    sys.exit(main())
