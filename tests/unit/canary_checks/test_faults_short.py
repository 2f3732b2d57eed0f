"""A dozen faults through a real server and the real check: each is caught, and its cause is in the key.

Texts are answered from what a real MiniLM answered (recordings), so nothing is downloaded; `python -m
hack.faults --short` computes the same faults. Images are computed by the model of `make faults`.
"""

import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from canary_checks import vocabulary as v
from canary_checks.golden import difference, pack
from hack.faults import answers, image_faults, measuring, serving, short, text_faults
from tests.unit.canary_checks import few_images

Vectors = npt.NDArray[np.float32]
GOLDEN = pack.builtin("TextV1")
RECORDINGS = pathlib.Path(__file__).with_name("recordings") / "minilm.npz"

# Fault -> its recording; the others are faults of the vectors, and computed.
RECORDED = {
    "pooling CLS": "pool-cls",
    "tokenizer: lower-casing off": "lowercase-off",
    "tokenizer: strip-accents off": "strip-accents-off",
    "max_length 64 (ref 256)": "max-seq-64",
    "last layer missing": "last-layer-missing",
    "weight noise 0.1 x std": "noise-0.1",
}
# Texts that a tokenizer's fault leaves as they are: of these it is known too what the model answers.
UNTOUCHED: dict[str, Callable[[str], bool]] = {
    "tokenizer: lower-casing off": lambda text: difference.fold(text) == text,
    "tokenizer: strip-accents off": lambda text: difference.strip_accents(text) == text,
}


@functools.cache
def recording(name: str) -> Vectors:
    with np.load(RECORDINGS) as recorded:
        vectors = recorded["original/vectors"].astype(np.float32)
        vectors[recorded[f"{name}/rows"]] = recorded[f"{name}/vectors"].astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


class Recorded:
    """Answers the texts of the golden set from a recording, and others as far as that says how."""

    def __init__(self, name: str) -> None:
        fault = text_faults.FAULTS.get(name) or text_faults.BENIGN.get(name)
        self._after = fault().after if fault is not None and name not in RECORDED else None
        rows = recording(RECORDED.get(name, "original"))
        self._known = {item.text: row for item, row in zip(GOLDEN.items, rows, strict=True)}
        self._untouched = UNTOUCHED.get(name)
        originals = zip(GOLDEN.items, recording("original"), strict=True)
        self._right = {difference.fold(item.text): row for item, row in originals}

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.stack([self._one(text) for text in texts])
        made = vectors if self._after is None else self._after(vectors, texts)
        return np.asarray(made, dtype=np.float32)

    def _one(self, text: str) -> Vectors:
        found = self._known.get(text)
        if found is None and self._untouched is not None and self._untouched(text):
            found = self._right.get(difference.fold(text))
        if found is None:
            raise serving.Declined("it was not recorded")
        return found


def right() -> measuring.Model:
    return Recorded("")


@pytest.fixture(scope="module")
def texts() -> measuring.Bench:
    return measuring.Bench({"builtin": "TextV1"}, v.Modality.TEXT)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> measuring.Bench:
    folder = few_images.written(tmp_path_factory.mktemp("golden") / "few")
    return measuring.Bench({"path": str(folder)}, v.Modality.IMAGE)


def case(
    name: str,
    candidate: Callable[[], measuring.Model],
    reference: Callable[[], measuring.Model],
    accepted: frozenset[str] = frozenset(),
    numeric_class: v.NumericClass = v.NumericClass.FP32,
) -> measuring.Case:
    return measuring.Case(name, candidate, reference, accepted, numeric_class)


def test_the_suite_is_twelve_faults_of_the_key_and_two_benign_changes() -> None:
    assert len({*short.TEXT, *short.IMAGE}) == 12
    assert set(short.TEXT) <= set(answers.TEXT)
    assert set(short.IMAGE) <= set(answers.IMAGE)
    assert set(short.TEXT_BENIGN) <= set(answers.TEXT_BENIGN)
    assert set(short.IMAGE_BENIGN) <= set(answers.IMAGE_BENIGN)


@pytest.mark.parametrize("name", short.TEXT)
def test_a_text_fault_is_caught_and_called_by_its_name(name: str, texts: measuring.Bench) -> None:
    found = texts.measure(case(name, lambda: Recorded(name), right, answers.TEXT[name]))
    assert found.accepted, (found.verdict, found.cause, found.evidence, found.left, found.message)


@pytest.mark.parametrize("name", short.IMAGE)
def test_an_image_fault_is_caught_and_called_by_its_name(name: str, images: measuring.Bench) -> None:
    make = image_faults.FAULTS[name]
    found = images.measure(case(name, make, image_faults.right, answers.IMAGE[name]))
    assert found.accepted, (found.verdict, found.cause, found.evidence, found.left, found.message)


@pytest.mark.parametrize("name", short.TEXT_BENIGN)
def test_a_benign_change_of_texts_passes(name: str, texts: measuring.Bench) -> None:
    found = texts.measure(case(name, lambda: Recorded(name), right, numeric_class=answers.TEXT_BENIGN[name]))
    assert found.verdict is v.Verdict.PASS, found.message


@pytest.mark.parametrize("name", short.IMAGE_BENIGN)
def test_a_benign_change_of_images_passes(name: str, images: measuring.Bench) -> None:
    make, numeric_class = image_faults.BENIGN[name], answers.IMAGE_BENIGN[name]
    found = images.measure(case(name, make, image_faults.right, numeric_class=numeric_class))
    assert found.verdict is v.Verdict.PASS, found.message
