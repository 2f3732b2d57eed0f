"""What a candidate is compared with: records, the golden set's own, and live stable where no record fits."""

import pytest

from canary_checks import result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.golden import author, pack
from canary_checks.parity import comparison, reference, shipped
from tests.unit.canary_checks import asking, toy_server


async def outputs(toy: toy_server.ToyServer, **changes: object) -> bytes:
    made = await runner.run(asking.ask(toy.url, "EmbeddingParity", record=True, **changes), ())
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
    assert evidence is not None
    assert evidence.reference is not None, made.result.message
    return evidence.reference.content()


async def recorded(toy: toy_server.ToyServer, **changes: object) -> reference.Reference:
    return reference.decode(await outputs(toy, **changes))


def live(toy: toy_server.ToyServer) -> dict[str, object]:
    return {
        "live": {
            "revision": "r1",
            "url": toy.url,
            "numericClass": "fp32",
            "maxRequestsPerSecond": 100,
        }
    }


async def against(url: str, known: list[comparison.Known], **changes: object) -> schema.CheckResult:
    return (await runner.run(asking.ask(url, "EmbeddingParity", **changes), known)).result


def of_stable(found: reference.Reference) -> comparison.Known:
    return comparison.Known(v.Role.STABLE, "r1", v.NumericClass.FP32, found)


async def test_live_stable_is_not_asked_while_a_record_serves():
    with toy_server.serving() as stable, toy_server.serving() as candidate:
        record = await recorded(stable)
        before = len(stable.bodies)
        found = await against(candidate.url, [of_stable(record)], **live(stable))
    assert (found.verdict, len(stable.bodies) - before) == ("Pass", 0)


async def test_live_stable_stands_in_for_a_record_of_other_items():
    with toy_server.serving() as stable, toy_server.serving() as candidate:
        record = await recorded(stable, shards=2)
        found = await against(candidate.url, [of_stable(record)], **live(stable))
        (party,) = found.references
        asked_alone = [len(body.get("input", ())) for body in stable.bodies].count(1)
    assert (found.verdict, found.reason) == ("Pass", "Parity")
    assert "stable was asked live, because" in found.message
    assert (party.role, party.revision, party.digest) == ("Stable", "r1", None)
    assert asked_alone >= len(pack.builtin("TextV1").items), "gently: one item at a time"


async def test_live_stable_judges_as_a_record_does():
    with (
        toy_server.serving() as stable,
        toy_server.serving(model=toy_server.ToyModel(lower=False)) as candidate,
    ):
        found = await against(candidate.url, [], **live(stable))
    assert (found.verdict, found.reason) == ("Fail", "ParityBroken")
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "Casing"


async def test_a_live_stable_that_is_not_repeatable_is_no_reference():
    with (
        toy_server.serving(model=toy_server.ToyModel(wobble=0.3)) as stable,
        toy_server.serving() as candidate,
    ):
        found = await against(candidate.url, [], **live(stable))
    assert (found.verdict, found.reason) == ("Error", "ReferenceNotRepeatable")


async def test_a_record_that_does_not_fit_is_an_error_where_nobody_stands_in():
    with toy_server.serving() as stable:
        record = await recorded(stable, shards=2)
        found = await against(stable.url, [of_stable(record)])
    assert (found.verdict, found.reason) == ("Error", "ReferenceMismatch")


async def test_a_golden_set_without_its_own_reference_says_so():
    with toy_server.serving() as stable:
        record = await recorded(stable)
        found = await against(stable.url, [of_stable(record)], recorded=True, embeddingSpace="toy")
    assert found.verdict == "Pass"
    assert "TextV1 ships no recorded reference for this space" in found.message


@pytest.mark.parametrize(("lower", "verdict"), [(True, "Pass"), (False, "Fail")])
async def test_what_training_recorded_judges_the_first_release(tmp_path, lower, verdict):
    folder = tmp_path / "own"
    author.begin(folder, pack.builtin("TextV1"))
    own = {"goldenSet": {"path": str(folder)}, "embeddingSpace": "toy-24"}
    with toy_server.serving() as training:
        content = await outputs(training, **own)
    place = folder / "references" / shipped.key("toy-24", v.NumericClass.FP32, None)
    place.mkdir(parents=True)
    (place / "outputs.safetensors").write_bytes(content)
    with toy_server.serving(model=toy_server.ToyModel(lower=lower)) as first:
        found = await against(first.url, [], recorded=True, record=True, **own)
        other = await against(first.url, [], recorded=True, record=True, **own | {"embeddingSpace": "toy-25"})
    assert found.verdict == verdict
    assert [party.role for party in found.references] == ["Recorded"]
    assert (other.verdict, other.references) == ("Pass", ())
    assert "ships no recorded reference for this space" in other.message
