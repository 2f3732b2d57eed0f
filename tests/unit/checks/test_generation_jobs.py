"""The contract of operations that draw, as the operator asks it: where, of what, and against which record."""

import dataclasses
import json
from typing import Any

import pytest

from canary_checks import result
from modelrelease.api import checks as api_checks
from modelrelease.api import generation, lint
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.checks import jobs, subjects
from modelrelease.core import judgement, observation, portions, references
from modelrelease.core.situation import Situation
from tests.unit.api import rule_cases
from tests.unit.checks import given
from tests.unit.core import given as lives

PROBE = {"tokenSecret": {"name": "probe", "key": "token"}}
DRAFT = {"name": "draft", "protocol": "OpenAIImages"}
REFINE = {"name": "refine", "protocol": "OpenAIImages", "after": "draft"}
VECTORS = {"name": "vectors", "protocol": "OpenAIEmbeddings"}
STABLE = "r00000000aa"


def endpoint(*operations: dict[str, Any], probe: bool = True) -> dict[str, Any]:
    return {"operations": list(operations)} | ({"probe": PROBE} if probe else {})


def split(of: observation.Run, name: str = "contract") -> list[tuple[list[str], str, bool]]:
    return [
        ([one.name for one in portion.operations], portion.builtin, portion.generation)
        for portion in portions.portions(of.spec.judging, given.check(name, of))
    ]


def names(*operations: dict[str, Any], probe: bool = True) -> list[str]:
    return [
        check.name for check in given.run(endpoint=endpoint(*operations, probe=probe)).spec.judging.checks
    ]


def test_by_default_what_draws_is_asked_where_it_can_be():
    assert names(DRAFT) == ["fidelity", "contract"]
    assert names(DRAFT, probe=False) == ["fidelity"]
    assert names(DRAFT, VECTORS) == ["contract", "repeatability", "parity", "fidelity"]


def test_the_defaults_of_a_generator_that_tells_are_valid():
    manifest = rule_cases.release({"endpoint": endpoint(DRAFT, REFINE)})
    assert [found for found in lint.lint(manifest) if found.severity is lint.Severity.ERROR] == []


def test_a_process_is_asked_once_and_last_for_all_that_draws():
    mixed = given.run(endpoint=endpoint(DRAFT, VECTORS, REFINE))
    assert split(mixed) == [(["vectors"], "TextV1", False), (["draft", "refine"], "PromptV1", True)]
    assert split(mixed, "parity") == [(["vectors"], "TextV1", False)]
    silent = given.run(endpoint=endpoint(DRAFT, VECTORS, probe=False))
    assert split(silent) == [(["vectors"], "TextV1", False)]


def test_a_golden_set_of_the_teams_own_is_sent_to_both_apart():
    more = {
        "goldenSets": [{"name": "own", "volume": {"configMap": {"name": "own"}}}],
        "checks": [{"name": "contract", "contract": {"goldenSet": "own", "shards": 2}}],
    }
    of = given.run(endpoint=endpoint(DRAFT, VECTORS), **more)
    assert split(of) == [(["vectors"], "", False), (["vectors"], "", False), (["draft"], "", True)]


def request(portion: int, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request of the contract's Job, and the Job."""
    of = given.run(**more)
    pod = dataclasses.replace(given.POD, ports=(("model", 8000),))
    subject = dataclasses.replace(given.subject("contract", of), pod=pod, portion=portion)
    job = jobs.render(subject, subjects.Opponents(), jobs.Settings("checks:1"))
    (found,) = job["spec"]["template"]["spec"]["containers"]
    (text,) = [entry["value"] for entry in found["env"] if entry["name"] == jobs.REQUEST_VARIABLE]
    result.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)
    return json.loads(text), job


PINNED = {
    "pipeline": "StableDiffusionXLPipeline",
    "steps": 30,
    "guidanceScale": "7.5",
    "latent": {"channels": 4},
    "components": {"scheduler": {"class": "EulerDiscreteScheduler", "beta_start": "0.00085"}},
    "adapters": [{"name": "brand", "digest": given.DIGEST}],
    "other": {"refiner.steps": "5"},
}


def test_pins_are_told_by_the_dotted_names_of_a_process():
    model = {"version": "1", "contract": {"generation": PINNED}}
    asked, job = request(1, endpoint=endpoint(DRAFT, VECTORS), model=model)
    assert asked["contract"] == {
        "generation": {
            "pipeline": "StableDiffusionXLPipeline",
            "steps": 30,
            "guidanceScale": "7.5",
            "latent.channels": 4,
            "scheduler.class": "EulerDiscreteScheduler",
            "scheduler.beta_start": "0.00085",
            "adapters.brand.digest": given.DIGEST,
            "refiner.steps": "5",
        }
    }
    assert asked["record"] is True
    assert asked["probe"]["url"] == "http://10.0.0.7:8000"
    assert jobs.TERMS in job["metadata"]["annotations"]


def test_what_answers_with_vectors_leaves_no_record_of_its_contract():
    asked, job = request(0, endpoint=endpoint(DRAFT, VECTORS))
    assert asked["record"] is False
    assert jobs.TERMS not in job["metadata"]["annotations"]


@pytest.mark.parametrize(
    "odd", [{"steps": 0}, {"guidanceScale": 7.5}, {"adapters": [{"name": "a b"}]}, {"latent": {"width": 1}}]
)
def test_an_odd_pin_is_refused(odd):
    with pytest.raises(ValueError, match="generation"):
        api_spec.ModelContract.model_validate({"generation": odd})


def test_nothing_pinned_is_nothing_said():
    assert generation.Generation().pins() == {}


# --- Whom it is compared with -------------------------------------------------------------------------------


def compared(of: observation.Run, portion: int, *outputs: api_run.Reference) -> list[tuple[str, str]]:
    observed = observation.Observation(
        release=None,  # type: ignore[arg-type]
        revisions={
            given.REVISION: observation.Revision(given.REVISION, embedding_space="space"),
            STABLE: observation.Revision(STABLE, embedding_space="space", outputs=outputs),
        },
        traffic=observation.Traffic(observation.Selects.NOTHING),
    )
    found = references.recorded(observed, of, given.check("contract", of), portion)
    return [(known.role.value, known.outputs.config_map) for known in found]


def kept(name: str, of: observation.Run, check: str, portion: int, **more: Any) -> api_run.Reference:
    asked = given.check(check, of)
    return api_run.Reference(
        config_map=name,
        digest=given.DIGEST,
        check=check,
        portion=portion,
        portions=len(portions.portions(of.spec.judging, asked)),
        terms=references.terms(of, asked, portion),
        **more,
    )


def test_each_part_of_a_contract_finds_the_record_that_it_can_read():
    of = given.run(endpoint=endpoint(DRAFT, VECTORS))
    vectors, drawn, told = (
        kept("rows", of, "parity", 0),
        kept("images", of, "fidelity", 0),
        kept("told", of, "contract", 1),
    )
    outputs = (drawn, told, vectors)
    assert compared(of, 0, *outputs) == [("Stable", "rows")]
    assert compared(of, 1, *outputs) == [("Stable", "told")]
    assert compared(of, 1, drawn, vectors) == []


def test_what_a_process_tells_is_compared_whatever_it_is_sent():
    alone = given.run(endpoint=endpoint(DRAFT))
    told = kept("told", alone, "contract", 0, golden_set="sha256:" + "7" * 64)
    assert compared(alone, 0, told) == [("Stable", "told")]


@pytest.mark.parametrize(("recorded", "stored"), [((), False), ((1,), True)])
def test_no_traffic_before_what_was_told_is_stored(recorded, stored):
    judging = {
        "endpoint": endpoint(DRAFT, VECTORS),
        "checks": [{"name": "contract", "contract": {}}],
    }
    passed = [api_run.CheckStatus(name="contract", verdict=Verdict.PASS, completion_time=lives.NOW)]
    kept_now = [
        api_run.Reference(config_map="c", digest=lives.DIGEST, check="contract", portion=one, portions=2)
        for one in recorded
    ]
    run = lives.run("Checking", judging=judging, checks=passed, recorded=kept_now)
    here = Situation.of(lives.observed([run], candidate=1), lives.NOW)
    assert here is not None
    assert judgement.outputs_stored(here) is stored


def test_only_a_contract_tells():
    of = given.run(endpoint=endpoint(DRAFT, VECTORS))
    assert portions.told(of.spec.judging, given.check("contract", of)) == (1,)
    assert portions.told(of.spec.judging, given.check("fidelity", of)) == ()
    assert isinstance(api_checks.DEFAULT_GENERATION_CHECKS[0].contract, api_checks.ContractCheck)
