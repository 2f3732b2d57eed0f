"""Evidence of two towers together: whether texts find the same images, measured and never judged."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from canary_checks import operation, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.parity import comparison, gates, recording
from canary_checks.probes import cross_modal, finding
from canary_checks.report import html
from tests.unit.canary_checks import asking, golden_sets, toy_server

TOWERS = [
    {"name": "text", "protocol": "OpenAIEmbeddings", "model": "toy", "modality": "Text"},
    {"name": "image", "protocol": "OpenAIEmbeddings", "model": "toy", "modality": "Image"},
]


@pytest.fixture
def golden(tmp_path: pathlib.Path) -> dict[str, str]:
    texts = [golden_sets.text(n, f"text number {n} of a few") for n in range(40)]
    blobs = [golden_sets.png(n) for n in range(40)]
    images = [golden_sets.image(n, blob) for n, blob in enumerate(blobs)]
    folder = golden_sets.written(tmp_path / "golden", (*texts, *images), (), tuple(blobs))
    return {"path": str(folder)}


async def compared(folder: pathlib.Path, golden: dict[str, str], **candidate: Any) -> schema.CheckResult:
    """Record a right model of two towers, and ask the check about another one."""
    settings = {"operations": TOWERS, "goldenSet": golden}
    with toy_server.serving() as toy:
        made = await runner.run(asking.ask(toy.url, "EmbeddingParity", record=True, **settings))
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
    assert evidence is not None
    assert evidence.reference is not None
    path = folder / "right.safetensors"
    path.write_bytes(evidence.reference.content())
    source = {
        "role": "Stable",
        "revision": "r1",
        "path": str(path),
        "digest": evidence.reference.digest,
        "numericClass": "fp32",
    }
    with toy_server.serving(**candidate) as toy:
        made = await runner.run(asking.ask(toy.url, "EmbeddingParity", references=[source], **settings))
    return made.result


def agreement(found: schema.CheckResult) -> schema.Measurement:
    (one,) = [m for m in found.measurements if m.metric == cross_modal.METRIC]
    return one


async def test_what_is_unmoved_ranks_every_image_alike(golden, tmp_path):
    found = await compared(tmp_path, golden)
    said = agreement(found)
    assert found.verdict == "NoData", "40 items of each tower are too few for a verdict"
    assert (said.operation, said.against, said.samples) == ("text, image", "Stable", 40)
    assert said.min == pytest.approx(1.0)
    overlaps = [m for m in found.measurements if m.metric == "NeighbourOverlapAt10"]
    assert [(m.operation, m.samples, m.min) for m in overlaps] == [("text", 40, 1.0), ("image", 40, 1.0)]
    assert "cross modal rank agreement" in html.render([found]).lower()


def one_tower_mirrored(texts: list[str], whole: dict[str, Any]) -> dict[str, Any]:
    """Turn the images' vectors round: among themselves they are as near as before."""
    for text, entry in zip(texts, whole["data"], strict=True):
        if not text.startswith("text number"):
            entry["embedding"] = [-value for value in entry["embedding"]]
    return whole


async def test_towers_that_drift_apart_rank_otherwise_though_neighbours_stay(golden, tmp_path):
    found = await compared(tmp_path, golden, alter=one_tower_mirrored)
    assert agreement(found).max == pytest.approx(-1.0)
    overlaps = [m for m in found.measurements if m.metric == "NeighbourOverlapAt10"]
    assert [m.min for m in overlaps] == [1.0, 1.0]
    # It is no gate: parity has judged.
    assert not any(gate.metric == cross_modal.METRIC for gate in found.gates)
    assert found.verdict == "Fail"


def finding_of(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> finding.Finding:
    none = np.zeros(len(ours), dtype=np.bool_)
    opponent = comparison.Opponent(
        party=schema.Party(role=v.Role.STABLE, revision="r1"),
        role="Stable",
        numeric_class=v.NumericClass.FP32,
        recorded=recording.Recording(tuple(f"p-{n:03}" for n in range(len(ours))), theirs, none),
    )
    compared = comparison.compare(ours, none, opponent, v.NumericClass.FP32, gates.Limits((), frozenset()))
    return finding.Finding(
        verdict=v.Verdict.FAIL,
        reason="ParityBroken",
        message="",
        gates=compared.gates,
        items_used=len(ours),
        comparisons=(compared,),
    )


@pytest.mark.parametrize(
    ("images", "samples"),
    [
        (lambda rows: rows, [5]),
        (np.ones_like, [0]),
        (lambda rows: np.full_like(rows, np.nan), [0]),
        (lambda rows: rows[:, :4], []),
    ],
)
def test_what_ranks_nothing_is_not_counted(images, samples):
    random = np.random.default_rng(1)
    texts, right = (random.standard_normal((n, 8)).astype(np.float32) for n in (5, 7))
    operations = [operation.Operation.model_validate(one, strict=False) for one in TOWERS]
    found = {"text": finding_of(texts, texts), "image": finding_of(images(right), right)}
    assert [one.samples for one in cross_modal.measure(operations, found)] == samples
