"""The retrieval check against real servers: text spaces, two towers, and sets that cannot be searched."""

import json

import numpy as np
import pytest

from canary_checks import entry, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.parity import comparison, reference
from canary_checks.report import html, reading
from tests.unit.canary_checks import asking, known_sets, toy_server

ANOTHER_SPACE = toy_server.ToyModel(seed="another", dimensions=16)
BLUNT = toy_server.ToyModel(seed="blunt", dimensions=3)
"""So few dimensions that topics run into each other."""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return known_sets.written(tmp_path_factory.mktemp("known") / "set")


async def check(url: str, path: object, references=(), **changes: object) -> schema.CheckResult:
    asked = asking.ask(url, "Retrieval", goldenSet={"path": str(path)}, **changes)
    return (await runner.run(asked, references)).result


def live(toy: toy_server.ToyServer) -> dict[str, object]:
    return {"revision": "r1", "url": toy.url, "numericClass": "fp32", "maxRequestsPerSecond": 100}


def limits(result: schema.CheckResult) -> list[tuple[str, str, str]]:
    return [(gate.metric, gate.against, gate.verdict.value) for gate in result.gates]


async def test_another_space_that_finds_as_much_passes(known):
    with toy_server.serving() as stable, toy_server.serving(model=ANOTHER_SPACE) as candidate:
        found = await check(candidate.url, known, live=live(stable))
        alone = {len(body["input"]) for body in stable.bodies}
    assert (found.verdict, found.reason) == ("Pass", "Found"), found.message
    assert ("RecallAt10", "Stable", "Pass") in limits(found)
    assert found.message.startswith("120 queries in 150 documents: RecallAt10 1 (95 %: 0.969 to 1), ")
    assert [party.role for party in found.references] == ["Stable"]
    assert found.golden_set is not None
    assert found.golden_set.used == 270
    assert max(alone) == 8


async def test_another_space_that_finds_less_fails_and_says_which_queries(known):
    with toy_server.serving() as stable, toy_server.serving(model=BLUNT) as candidate:
        found = await check(candidate.url, known, live=live(stable), retrieval={"k": [1, 10]})
    assert (found.verdict, found.reason) == ("Fail", "FindsLess")
    assert ("RecallAt1", "Stable", "Fail") in limits(found)
    assert {stratum.name: stratum.items for stratum in found.strata} == {"question": 60, "claim": 60}
    assert sum(stratum.failed for stratum in found.strata) == found_less(found)
    worst = found.worst[0]
    assert (worst.item[0], worst.values["recallStable"]) == ("q", 1.0)
    page = html.render([found])
    assert "recall at 1" in page
    assert worst.item in page


def found_less(found: schema.CheckResult) -> int:
    return int((np.array(found.series["recallAt1"]) < np.array(found.series["recallAt1:Stable"])).sum())


async def test_a_record_of_stable_serves_whatever_its_space_is(known):
    with toy_server.serving() as stable, toy_server.serving(model=ANOTHER_SPACE) as candidate:
        request = asking.ask(
            stable.url,
            "EmbeddingParity",
            goldenSet={"path": str(known)},
            record=True,
            embeddingSpace="old",
        )
        evidence = result.parse_evidence(result.EVIDENCE_PREFIX + (await runner.run(request, ())).evidence)
        assert evidence is not None
        assert evidence.reference is not None
        recorded = reference.decode(evidence.reference.content())
        before = len(stable.bodies)
        of_stable = comparison.Known(v.Role.STABLE, "r1", v.NumericClass.FP32, recorded)
        found = await check(candidate.url, known, [of_stable], embeddingSpace="new", live=live(stable))
        assert len(stable.bodies) == before
        (party,) = found.references
        assert (found.verdict, party.digest) == ("Pass", recorded.digest)
        other = await check(stable.url, known, [of_stable], operations=[operation("other")])
    assert (other.verdict, other.reason) == ("Error", "ReferenceMismatch")


def operation(name: str, **more: str) -> dict[str, str]:
    return {"name": name, "protocol": "OpenAIEmbeddings", "model": "toy", **more}


async def test_two_towers_are_one_space_and_one_judgement(tmp_path):
    path = known_sets.images(tmp_path / "set")
    towers = [operation("text"), operation("image", modality="Image")]
    gates = [{"metric": "RecallAt1", "min": "0.9"}]
    with toy_server.serving() as toy:
        found = await check(toy.url, path, operations=towers, gates=gates, retrieval={"k": [1]})
        text = await check(toy.url, path, operations=towers[:1], gates=gates, retrieval={"k": [1]})
    assert (found.verdict, found.reason) == ("Pass", "Found"), found.message
    assert limits(found) == [
        (metric, "Absolute", "Pass") for metric in ("NonFiniteRows", "Dimensions", "RecallAt1")
    ]
    assert (text.verdict, text.reason) == ("Error", "GoldenSetUnfit")
    assert "120 items of the golden set Known say what they should find" in text.message


async def test_towers_of_two_lengths_are_no_space(tmp_path):
    path = known_sets.images(tmp_path / "set", 12)
    towers = [operation("text"), operation("image", modality="Image")]

    def shorter(asked, whole):
        cut = 12 if toy.bodies[-1].get("modality") == "image" else 24
        rows = [row | {"embedding": row["embedding"][:cut]} for row in whole["data"]]
        return whole | {"data": rows}

    with toy_server.serving(alter=shorter) as toy:
        found = await check(toy.url, path, operations=towers)
    assert (found.verdict, found.reason) == ("Fail", "SpaceBroken")
    assert ("Dimensions", "Absolute", "Fail") in limits(found)


async def test_queries_may_have_an_operation_of_their_own(known):
    pair = [operation("passage"), operation("query", path="/v1/query/embeddings")]
    with toy_server.serving() as toy:
        unsaid = await check(toy.url, known, operations=pair)
        wrong = await check(toy.url, known, operations=pair, retrieval={"queryOperation": "ask"})
        assert not toy.bodies
        gates = [{"metric": "RecallAt10", "min": "0.9"}]
        await check(toy.url, known, operations=pair, retrieval={"queryOperation": "query"}, gates=gates)
        texts = {body["path"]: body["input"] for body in toy.bodies}
    assert (unsaid.verdict, unsaid.reason) == ("Error", "InvalidRequest")
    assert "nothing says which of them embeds queries" in unsaid.message
    assert (wrong.verdict, wrong.reason) == ("Error", "InvalidRequest")
    assert all("filler" in text for text in texts["/v1/embeddings"])
    assert not any("filler" in text for text in texts["/v1/query/embeddings"])


@pytest.mark.parametrize(
    ("sizes", "expects", "gates", "said"),
    [
        ((120, 150), False, ["min"], ("Error", "GoldenSetUnfit")),
        ((99, 150), True, ["min"], ("NoData", "TooFewQueries")),
        ((99, 99), True, ["min"], ("NoData", "TooFewDocuments")),
        ((120, 150), True, [], ("NoData", "ReferenceMissing")),
        ((120, 150), True, ["min"], ("Pass", "Found")),
    ],
)
async def test_what_says_too_little_never_passes(tmp_path, sizes, expects, gates, said):
    path = known_sets.written(tmp_path / "set", *sizes, expects=expects)
    with toy_server.serving() as toy:
        demanded = [{"metric": "RecallAt10", name: "0.5"} for name in gates]
        found = await check(toy.url, path, gates=demanded)
    assert (found.verdict, found.reason) == said, found.message


async def test_a_vector_that_is_no_number_is_a_fail(known):
    def broken(asked, whole):
        whole["data"][0]["embedding"] = [float("nan")] * 24
        return whole

    with toy_server.serving(alter=broken) as toy:
        found = await check(toy.url, known, gates=[{"metric": "RecallAt10", "min": "0.1"}])
    assert (found.verdict, found.reason) == ("Fail", "SpaceBroken")


@pytest.mark.parametrize(
    "changes",
    [
        {"shards": 2},
        {"gates": [{"metric": "RecallAt5", "min": "0.9"}]},
        {"gates": [{"metric": "CosineDistanceWorst", "max": "1"}]},
    ],
)
async def test_what_cannot_be_meant_is_an_error(known, changes):
    found = await check("http://127.0.0.1:1", known, **changes)
    assert (found.verdict, found.reason) == ("Error", "InvalidRequest")


def test_the_command_line_searches_too(known, capsys):
    options = ["--golden-set", str(known), "--model", "toy", "--max-requests-per-second", "10000"]
    with toy_server.serving() as stable, toy_server.serving(model=BLUNT) as candidate:

        def run(*more: str) -> int:
            return entry.main(["check", "retrieval", "--candidate", candidate.url, *options, *more])

        assert run("--stable", stable.url, "--k", "1") == 1
        capsys.readouterr()
        assert run("--gate", "RecallAt100.min=0.99", "--gate", "RecallAt100.maxDrop=0.5", "--k", "100") == 2
        capsys.readouterr()
        assert run("--gate", "PrecisionAt10.min=0.001", "--output", "json") == 0
        (found,) = reading.results(capsys.readouterr().out.encode(), "test")
        assert run("--gate", "RecallAt5.min=0.9") == 64
        assert run("--k", "5", "--k", "5") == 64
    assert limits(found) == [("NonFiniteRows", "Absolute", "Pass"), ("PrecisionAt10", "Absolute", "Pass")]
    assert json.loads(result.dump(found))["check"]["kind"] == "Retrieval"
