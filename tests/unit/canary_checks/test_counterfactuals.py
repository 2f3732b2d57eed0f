"""Causes that are proven, or not, by asking a real server otherwise: bounded, harmless when it fails."""

import dataclasses
import html
import pathlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from canary_checks import result, runner, schema
from canary_checks.golden import difference
from canary_checks.probes import embedding_parity
from tests.unit.canary_checks import asking, toy_server

Edit = Callable[[str], str]
_WORDS = re.compile(r"\[\w+\]|\w+|[^\w\s]")


@dataclasses.dataclass(frozen=True)
class Model(toy_server.ToyModel):
    """A mean of words that reads every sign, and what a server does to the text before."""

    edit: Edit = str
    words: Edit = str
    longest: int = 10_000

    def vector(self, text: str, question: int) -> npt.NDArray[np.float64]:
        text = self.edit(text)
        text = difference.fold(text) if self.lower and self.strip else text
        found = [self.words(word) for word in _WORDS.findall(text)]
        total = np.mean([self._word(word) for word in found or ["nothing"]], axis=0)
        return np.asarray(self.length * total / np.linalg.norm(total))


RIGHT = Model()


RECORDED: dict[Model, result.ReferencePayload] = {}


async def reference(right: Model) -> result.ReferencePayload:
    """Record a right model, once."""
    if right not in RECORDED:
        with toy_server.serving(model=right) as toy:
            made = await runner.run(asking.ask(toy.url, "EmbeddingParity", record=True))
        evidence = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
        assert evidence is not None
        assert evidence.reference is not None
        RECORDED[right] = evidence.reference
    return RECORDED[right]


async def compare(
    candidate: Any, folder: pathlib.Path, right: Model = RIGHT, **settings: Any
) -> tuple[schema.CheckResult, toy_server.ToyServer]:
    """Serve the candidate, and ask the check about it and what was recorded of the right model."""
    recorded = await reference(right)
    path = folder / "right.safetensors"
    path.write_bytes(recorded.content())
    source = {
        "role": "Stable",
        "revision": "r1",
        "path": str(path),
        "digest": recorded.digest,
        "numericClass": "fp32",
    }
    with toy_server.serving(model=candidate, **settings) as toy:
        made = await runner.run(asking.ask(toy.url, "EmbeddingParity", references=[source]))
    assert made.result.verdict == "Fail"
    return made.result, toy


def read(prefix: str) -> Edit:
    return lambda text: prefix + text


def sky_and_bread(word: str) -> str:
    return {"sky": "bread", "bread": "sky"}.get(word, word)


@pytest.mark.parametrize(
    ("candidate", "right", "cause", "confidence"),
    [
        (Model(strip=False), RIGHT, "Casing", "Proven"),
        (RIGHT, Model(edit=read("query: ")), "PromptPrefix", "Proven"),
        (RIGHT, Model(edit=read("search_document: ")), "PromptPrefix", "Proven"),
        (Model(edit=read("query: ")), RIGHT, "PromptPrefix", "Likely"),
        (RIGHT, Model(edit=lambda text: f"[CLS] {text} [SEP]"), "SpecialTokens", "Proven"),
        (Model(edit=html.escape), RIGHT, "HtmlEscaping", "Likely"),
        (RIGHT, Model(edit=html.escape), "HtmlEscaping", "Proven"),
        (Model(edit=lambda text: text.encode().decode("latin-1")), RIGHT, "Encoding", "Likely"),
        (RIGHT, Model(edit=lambda text: unicodedata.normalize("NFKC", text)), "UnicodeForm", "Proven"),
        (Model(edit=lambda text: text.rstrip().removesuffix(".")), RIGHT, "Punctuation", "Proven"),
        (Model(words=sky_and_bread), RIGHT, "Vocabulary", "Proven"),
    ],
)
async def test_asking_otherwise_proves_the_cause(candidate, right, cause, confidence, tmp_path):
    found, _ = await compare(candidate, tmp_path, right)
    assert found.diagnosis is not None
    said = (found.diagnosis.cause, found.diagnosis.confidence)
    assert said == (cause, confidence), (found.diagnosis.evidence, found.diagnosis.left)
    assert cause in found.message


async def test_a_prompt_that_is_not_known_is_not_proven(tmp_path):
    found, _ = await compare(Model(edit=read("zebra crossing: ")), tmp_path)
    assert found.diagnosis is not None
    assert found.diagnosis.cause in {"Unknown", "PromptPrefix"}
    assert found.diagnosis.confidence != "Proven"


def padded(texts: list[str], whole: dict[str, Any]) -> dict[str, Any]:
    """Let what a text shares its request with leak into its vector, as padding that is not masked does."""
    longest = max(len(text.split()) for text in texts)
    for text, entry in zip(texts, whole["data"], strict=True):
        entry["embedding"][0] += 0.01 * (longest - len(text.split()))
    return whole


async def test_rows_that_are_right_alone_prove_padding(tmp_path):
    found, toy = await compare(RIGHT, tmp_path, alter=padded)
    assert found.diagnosis is not None
    assert (found.diagnosis.cause, found.diagnosis.confidence) == ("PaddingMask", "Proven")
    assert any("each in a request of its own" in line for line in found.diagnosis.evidence)
    assert len(toy.bodies) <= 1 + 18 + 2 + 160 + 8


async def test_a_server_that_breaks_while_it_is_asked_otherwise_leaves_the_verdict(tmp_path):
    answered: list[int] = []

    def alter(texts: list[str], whole: dict[str, Any]) -> Any:
        answered.append(len(texts))
        return whole if len(answered) <= 1 + 18 + 1 + 4 else (500, b"{}")

    found, _ = await compare(RIGHT, tmp_path, Model(edit=read("query: ")), alter=alter)
    assert (found.verdict, found.reason) == ("Fail", "ParityBroken")
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "Unknown"
    assert "PromptPrefix" in found.diagnosis.left


async def test_counterfactuals_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_parity, "COUNTERFACTUALS", 20)
    found, toy = await compare(RIGHT, tmp_path, Model(edit=read("query: ")))
    inputs = sum(len(body["input"]) for body in toy.bodies)
    assert inputs <= 8 + 144 + 8 + 4 + 20
    assert found.diagnosis is not None
    assert found.diagnosis.confidence != "Proven"


async def test_vectors_cut_to_fewer_dimensions_fail_with_the_cause(tmp_path):
    def cut(texts: list[str], whole: dict[str, Any]) -> dict[str, Any]:
        return whole | {"data": [entry | {"embedding": entry["embedding"][:16]} for entry in whole["data"]]}

    found, _ = await compare(RIGHT, tmp_path, alter=cut)
    assert found.reason == "ParityBroken"
    assert found.diagnosis is not None
    assert (found.diagnosis.cause, found.diagnosis.confidence) == ("Dimensions", "Proven")
    assert "Dimensions 16 ≠ 24 against Stable" in found.message


async def test_vectors_of_another_model_with_other_dimensions_are_not_called_cut(tmp_path):
    found, _ = await compare(Model(dimensions=30), tmp_path)
    assert found.diagnosis is not None
    assert (found.diagnosis.cause, found.diagnosis.left) == ("Unknown", ("Dimensions", "Weights"))


async def test_two_faults_at_once_are_not_called_a_third(tmp_path):
    found, _ = await compare(Model(lower=False, strip=False, length=3.0), tmp_path)
    assert found.diagnosis is not None
    assert found.diagnosis.cause in {"Unknown", "Casing"}


async def test_texts_in_capitals_are_no_matter_of_the_weights(tmp_path):
    cased = Model(lower=False, strip=False)
    found, _ = await compare(dataclasses.replace(cased, edit=str.upper), tmp_path, cased)
    assert found.diagnosis is not None
    assert found.diagnosis.cause in {"Unknown", "Casing"}
    assert found.diagnosis.cause == "Casing" or "Casing" in found.diagnosis.left
    because = {one.cause: one.because for one in found.diagnosis.excluded}
    assert "the same as their twins (Case) to the candidate, and not to the reference" in because["Weights"]


async def test_signs_that_are_lost_are_not_called_a_matter_of_the_vocabulary(tmp_path):
    found, _ = await compare(Model(edit=lambda text: text.replace("?", "").replace(".", "")), tmp_path)
    assert found.diagnosis is not None
    assert found.diagnosis.cause in {"Unknown", "Punctuation"}
    assert found.diagnosis.cause == "Punctuation" or "Punctuation" in found.diagnosis.left
