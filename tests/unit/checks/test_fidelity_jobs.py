"""A fidelity check: operations that draw as the checks understand them, and whose images it compares with."""

import json
import pathlib
import re
from typing import Any

import pytest
import yaml

from canary_checks import failure, vocabulary
from canary_checks import operation as operations
from canary_checks import request as check_request
from canary_checks.fidelity import limits
from modelrelease.api import endpoint as endpoints
from modelrelease.api import fidelity as api_fidelity
from modelrelease.api import lint
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.checks import jobs, subjects
from modelrelease.core import observation, references
from tests.unit.api import rule_cases
from tests.unit.checks import given

DRAFT = {"name": "draft", "protocol": "OpenAIImages", "imageHosts": ["files.shop:8080"]}
REFINE = {"name": "refine", "protocol": "OpenAIImages", "after": "draft", "extraBody": {"strength": 0.4}}
ENLARGE = {
    "name": "enlarge",
    "protocol": "GenericJSON",
    "after": "refine",
    "path": "/enlarge",
    "body": {"prompt": "$input", "image": "$image"},
    "images": "$.image",
}
STABLE = "r00000000aa"
STABLE_POD = observation.Pod("stable-pod", "uid", STABLE, ready=True, ip="fd00::9", port=8000)


def run(*drawing: dict[str, Any], checks: list[dict[str, Any]] | None = None, **more: Any) -> observation.Run:
    declared = {"operations": list(drawing or (DRAFT, REFINE))}
    said = [{"name": "posters", "fidelity": {}}] if checks is None else checks
    return given.run(endpoint=declared, checks=said, **more)


def rendered(of: observation.Run, against: subjects.Opponents | None = None) -> dict[str, Any]:
    return jobs.render(
        given.subject("posters", of), against or subjects.Opponents(), jobs.Settings("checks:1")
    )


def asked(of: observation.Run, against: subjects.Opponents | None = None) -> check_request.CheckRequest:
    (container,) = rendered(of, against)["spec"]["template"]["spec"]["containers"]
    (text,) = [entry["value"] for entry in container["env"] if entry["name"] == "MODELRELEASE_CHECK_REQUEST"]
    return check_request.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)


# --- How it is asked ----------------------------------------------------------------------------------------


def test_the_images_are_asked_as_the_manifest_says():
    gates = [{"metric": "TextFidelity", "min": "0.9", "maxDrop": "0.03"}]
    of = run(DRAFT, REFINE, ENLARGE, checks=[{"name": "posters", "fidelity": {"gates": gates}}])
    found = asked(of)
    assert (found.check.kind, found.record, found.golden_set.builtin) == ("Fidelity", True, "PromptV1")
    draft, refine, enlarge = found.operations
    assert (draft.image_hosts, draft.after, draft.url) == (("files.shop:8080",), None, None)
    assert (refine.after, refine.extra_body) == ("draft", {"strength": 0.4})
    assert (enlarge.after, enlarge.images, enlarge.draws, enlarge.edits) == ("refine", "$.image", True, True)
    assert [(gate.metric, gate.limits()) for gate in found.gates] == [
        ("TextFidelity", {"min": 0.9, "maxDrop": 0.03})
    ]
    (container,) = rendered(of)["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "500m"


def test_an_operation_goes_through_another_port_or_service():
    elsewhere = [
        DRAFT | {"via": {"serviceName": "drafts", "port": 80}},
        REFINE,
        ENLARGE | {"via": {"port": 9000}},
    ]
    live = references.LiveStable(STABLE, STABLE_POD, api_spec.NumericClass.BF16)
    found = asked(run(*elsewhere), subjects.Opponents(live=live))
    assert found.url == "http://10.0.0.7:8000"
    assert [one.url for one in found.operations] == [
        "http://drafts.shop.svc:80",
        None,
        "http://10.0.0.7:9000",
    ]
    assert found.live is not None
    assert found.live.urls == {"draft": "http://drafts.shop.svc:80", "enlarge": "http://[fd00::9]:9000"}


def test_the_api_knows_the_metrics_and_limits_of_the_checks():
    known: dict[str, set[str]] = {}
    for metric in sorted(limits.ADJUSTABLE):
        for limit in ("min", "max", "minRatio", "maxRatio", "maxDrop", "maxRise"):
            override = check_request.GateOverride.model_validate({"metric": metric, limit: "1"})
            try:
                limits.Limits([override])
            except failure.CheckError:
                continue
            known.setdefault(metric, set()).add(limit)
    assert {metric.value: set(found) for metric, found in api_fidelity.LIMITS.items()} == known


def test_the_api_knows_the_protocols_of_the_checks():
    assert {one.value for one in endpoints.Protocol} == {one.value for one in vocabulary.Protocol}
    ours, theirs = endpoints.Operation.model_fields, operations.Operation.model_fields
    assert set(ours) - {"via"} == set(theirs) - {"url"}


@pytest.mark.parametrize("after", [None, "draft"])
def test_the_usual_path_is_that_of_the_checks(after: str | None):
    said: dict[str, Any] = {"name": "a", "protocol": "OpenAIImages"} | ({"after": after} if after else {})
    path = endpoints.Operation.model_validate(said).usual_path()
    theirs = operations.Operation.model_validate_json(json.dumps(said))
    assert theirs.endpoint("http://a") == f"http://a{path}"


# --- What is asked by default -------------------------------------------------------------------------------

VECTORS = {"name": "vectors", "protocol": "OpenAIEmbeddings"}


@pytest.mark.parametrize(
    ("drawing", "checks"),
    [
        ((DRAFT, REFINE), {"fidelity": ["draft", "refine"]}),
        (
            (DRAFT, VECTORS),
            {
                "contract": ["vectors"],
                "repeatability": ["vectors"],
                "parity": ["vectors"],
                "fidelity": ["draft"],
            },
        ),
        ((VECTORS,), {"contract": ["vectors"], "repeatability": ["vectors"], "parity": ["vectors"]}),
    ],
    ids=["images", "both", "vectors"],
)
def test_by_default_an_operation_is_asked_what_it_can_answer(
    drawing: tuple[dict[str, Any], ...], checks: dict[str, list[str]]
):
    of = given.run(endpoint={"operations": list(drawing)})
    found = {
        check.name: [one.name for one in given.subject(check.name, of).asked.operations]
        for check in of.spec.judging.checks
    }
    assert found == checks


def test_without_declared_checks_a_generator_has_a_valid_release():
    manifest = rule_cases.release({"endpoint": {"operations": [DRAFT, REFINE]}})
    assert [found for found in lint.lint(manifest) if found.severity is lint.Severity.ERROR] == []


# --- Whom it is compared with -------------------------------------------------------------------------------


def terms(of: observation.Run) -> str:
    return references.terms(of, given.check("posters", of))


def compared(of: observation.Run, check: str, *outputs: api_run.Reference) -> tuple[list[str], bool]:
    observed = observation.Observation(
        release=None,  # type: ignore[arg-type]
        revisions={
            given.REVISION: observation.Revision(given.REVISION, embedding_space="space"),
            STABLE: observation.Revision(
                STABLE, embedding_space="other", outputs=outputs, pods=(STABLE_POD,)
            ),
        },
        traffic=observation.Traffic(observation.Selects.NOTHING),
    )
    found = references.recorded(observed, of, given.check(check, of))
    return [known.role.value for known in found], references.asks_stable(observed, of, given.check(check, of))


def reference(**more: Any) -> api_run.Reference:
    said = {"configMap": "c", "digest": given.DIGEST, "check": "posters", "terms": terms(run()), **more}
    return api_run.Reference.model_validate(said)


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ((), ([], True)),
        ((reference(),), (["Stable"], False)),
        ((reference(check="other"),), ([], True)),
        ((reference(terms=""),), ([], True)),
        ((reference(terms=terms(run(DRAFT))),), ([], True)),
    ],
    ids=["no record", "its own", "another check's", "outputs", "another chain's"],
)
def test_stables_record_of_the_same_chain_is_the_reference_else_live_stable(
    outputs: tuple[api_run.Reference, ...], found: tuple[list[str], bool]
):
    assert compared(run(), "posters", *outputs) == found, "images have no vector space"


def test_a_record_of_images_is_none_of_vectors_and_none_of_performance():
    checks = [
        {"name": "contract", "contract": {"operations": ["vectors"]}},
        {"name": "speed", "performance": {"operations": ["draft"]}},
    ]
    of = run(DRAFT, VECTORS, checks=checks)
    assert compared(of, "contract", reference(check="contract"))[0] == []
    assert compared(of, "speed", reference(check="speed"))[0] == []


def test_other_prompts_are_another_question():
    def prompts(golden: str) -> str:
        sets = [{"name": "mine", "volume": {"configMap": {"name": golden}}}]
        return terms(run(checks=[{"name": "posters", "fidelity": {"goldenSet": "mine"}}], goldenSets=sets))

    assert len({prompts("v3"), prompts("v4"), terms(run())}) == 3


def test_the_page_shows_what_is_valid():
    text = (pathlib.Path(__file__).parents[3] / "docs" / "checks" / "fidelity.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    manifest = rule_cases.release(yaml.safe_load(block))
    assert [found for found in lint.lint(manifest) if found.severity is lint.Severity.ERROR] == []
