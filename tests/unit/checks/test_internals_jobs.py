"""A check that runs the model itself: its Job, what it is told, and which record it is compared with."""

import json
from typing import Any

import pytest

from canary_checks import request as check_request
from canary_checks import vocabulary
from canary_checks.internals import metric
from modelrelease.api import checks as api_checks
from modelrelease.api import internals as insides
from modelrelease.api import run as api_run
from modelrelease.checks import jobs, kinds, subjects
from modelrelease.core import observation, portions, references
from tests.unit.checks import given

PVC = {"uri": "pvc://models/tiny/2026.11.2", "digest": given.DIGEST}
IMAGE = {"uri": f"image://registry.example.test/tiny@{given.DIGEST}", "mountPath": "/opt/model"}
DRAWS = {"operations": [{"name": "draw", "protocol": "OpenAIImages"}]}
TORCH = jobs.Settings("checks:1", torch_image="torch:1")


def run(artifact: dict[str, str] | None = None, template: dict[str, Any] | None = None, **asked: Any) -> Any:
    sets = asked.pop("goldenSets", [])
    return given.run(
        model={"version": "1", "servedName": "tiny", "artifact": artifact or PVC},
        endpoint=asked.pop("endpoint", DRAWS),
        checks=[{"name": "inside", "internals": asked}],
        checkTemplate=template or {},
        goldenSets=sets,
    )


def pod(of: observation.Run, settings: jobs.Settings = TORCH, **against: Any) -> dict[str, Any]:
    rendered = jobs.render(given.subject("inside", of), subjects.Opponents(**against), settings)
    found: dict[str, Any] = rendered["spec"]["template"]["spec"]
    return found


def container(of: observation.Run, settings: jobs.Settings = TORCH) -> dict[str, Any]:
    (found,) = pod(of, settings)["containers"]
    return dict(found)


def request(of: observation.Run, **against: Any) -> dict[str, Any]:
    (found,) = pod(of, **against)["containers"]
    (text,) = [entry["value"] for entry in found["env"] if entry["name"] == jobs.REQUEST_VARIABLE]
    check_request.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)
    return dict(json.loads(text))


# --- The pod ------------------------------------------------------------------------------------------------


def mounted(of: observation.Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the mount and the volume of the artifact."""
    spec = pod(of)
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "artifact"]
    (volume,) = [one for one in spec["volumes"] if one["name"] == "artifact"]
    return mount, volume


def test_the_files_on_a_claim_are_mounted_read_only():
    mount, volume = mounted(run())
    assert mount == {
        "name": "artifact",
        "mountPath": "/models",
        "readOnly": True,
        "subPath": "tiny/2026.11.2",
    }
    assert volume == {
        "name": "artifact",
        "persistentVolumeClaim": {"claimName": "models", "readOnly": True},
    }


def test_the_files_of_an_image_are_mounted_where_they_hide_nothing_of_the_check():
    mount, volume = mounted(run(IMAGE))
    assert mount == {"name": "artifact", "mountPath": "/models", "readOnly": True}
    assert volume["image"]["reference"] == IMAGE["uri"].removeprefix("image://")


def test_it_runs_in_the_image_that_brings_torch_and_reaches_out_to_nobody():
    found, variables = container(run()), {}
    for entry in found["env"]:
        variables[entry["name"]] = entry["value"]
    assert found["image"] == "torch:1"
    assert (variables["HF_HUB_OFFLINE"], variables["TRANSFORMERS_OFFLINE"]) == ("1", "1")
    assert variables["HF_HOME"].startswith("/tmp/")  # noqa: S108
    spec = pod(run())
    assert spec["automountServiceAccountToken"] is False
    (tmp,) = [volume for volume in spec["volumes"] if volume["name"] == "tmp"]
    assert tmp["emptyDir"]["sizeLimit"] == "2Gi"


def test_without_an_image_with_torch_the_usual_one_says_what_is_missing():
    assert container(run(), jobs.Settings("checks:1"))["image"] == "checks:1"


def test_every_other_check_keeps_the_small_image():
    of = given.run()
    for check in of.spec.judging.checks:
        rendered = jobs.render(given.subject(check.name, of), subjects.Opponents(), TORCH)
        assert rendered["spec"]["template"]["spec"]["containers"][0]["image"] == "checks:1"


GPU = {"limits": {"nvidia.com/gpu": 1, "memory": "40Gi"}}
SMALL = {"requests": {"memory": "512Mi"}}


@pytest.mark.parametrize(
    ("template", "asked", "resources"),
    [
        ({}, {}, {"requests": {"cpu": "500m", "memory": "2Gi"}}),
        ({"resources": SMALL}, {}, SMALL),
        ({"resources": SMALL}, {"resources": GPU}, GPU),
    ],
)
def test_what_it_needs_is_said_by_the_check_then_by_the_template(
    template: dict[str, Any], asked: dict[str, Any], resources: dict[str, Any]
):
    assert container(run(template=template, **asked))["resources"] == resources


def test_it_reads_as_who_the_manifest_says_and_stays_hardened():
    usual, named = container(run()), container(run(runAsUser=1000, runAsGroup=2000))
    assert "runAsUser" not in usual["securityContext"]
    assert named["securityContext"] == {**usual["securityContext"], "runAsUser": 1000, "runAsGroup": 2000}
    assert usual["securityContext"]["readOnlyRootFilesystem"] is True


# --- The question -------------------------------------------------------------------------------------------


def test_the_request_says_what_is_run_and_what_is_judged():
    asked = {
        "library": "Diffusers",
        "prompts": 4,
        "scheduler": "DDIMScheduler",
        "steps": 12,
        "guidance": "7.5",
        "seed": 3,
        "sweep": {"steps": [4, 8], "guidance": ["1", "7.5"]},
        "gates": [
            {"metric": "EntropyShiftMax", "max": "0.03"},
            {"metric": "DecoderPsnrDecibels", "min": "35"},
        ],
    }
    found = request(run(**asked, resources=GPU, runAsUser=7))
    assert found["check"]["kind"] == "Internals"
    assert found["internals"] == {"folder": "/models"} | {
        key: value for key, value in asked.items() if key != "gates"
    }
    assert found["gates"] == asked["gates"]
    assert found["record"] is True
    assert "live" not in found


def test_the_api_knows_the_metrics_of_the_checks():
    assert {one.value for one in insides.InternalsMetric} == {one.value for one in metric.Metric}


TEXTS = {"protocol": "OpenAIEmbeddings"}


@pytest.mark.parametrize(
    ("endpoint", "asked", "builtin"),
    [
        (DRAWS, {}, "PromptV1"),
        (TEXTS, {}, "TextV1"),
        (TEXTS, {"library": "Diffusers"}, "PromptV1"),
        (DRAWS, {"library": "Transformers"}, "TextV1"),
    ],
)
def test_a_pipeline_gets_prompts_and_an_encoder_texts(
    endpoint: dict[str, Any], asked: dict[str, Any], builtin: str
):
    assert request(run(endpoint=endpoint, **asked))["goldenSet"] == {"builtin": builtin}


def test_several_operations_are_one_job():
    both = {"operations": [*DRAWS["operations"], {"name": "embed", "protocol": "OpenAIEmbeddings"}]}
    of = run(endpoint=both)
    assert len(portions.portions(of.spec.judging, given.check("inside", of))) == 1


# --- Whom it asks, and with whose record it is compared -----------------------------------------------------


def test_one_pod_is_enough_because_all_of_them_have_the_same_files():
    of = run()
    (inside, other) = given.check("inside", of), given.check("contract", given.run())
    assert portions.asked_pods(inside, ["b", "a"]) == {"b"}
    assert portions.asked_pods(inside, []) == set()
    assert portions.asked_pods(other, ["b", "a"]) == {"a", "b"}


STABLE = "r00000000aa"


def compared(of: observation.Run, terms: str, check: str = "inside") -> list[str]:
    outputs = api_run.Reference(config_map="c", digest=given.DIGEST, check=check, terms=terms)
    pods = (observation.Pod("stable-pod", "uid", STABLE, ready=True, ip="10.0.0.9", port=8000),)
    observed = observation.Observation(
        release=None,  # type: ignore[arg-type]
        revisions={
            given.REVISION: observation.Revision(given.REVISION, embedding_space="space"),
            STABLE: observation.Revision(STABLE, embedding_space="other", outputs=(outputs,), pods=pods),
        },
        traffic=observation.Traffic(observation.Selects.NOTHING),
    )
    asked = given.check("inside", of)
    assert references.live_stable(observed, of, asked) is None, "no pod of stable tells what happens inside"
    return [known.role.value for known in references.recorded(observed, of, asked)]


def terms(**asked: Any) -> str:
    of = run(**asked)
    return references.terms(of, given.check("inside", of))


@pytest.mark.parametrize(
    "other",
    [
        {"scheduler": "DDIMScheduler"},
        {"steps": 4},
        {"guidance": "12"},
        {"sweep": {"steps": [4, 8]}},
        {"library": "Diffusers"},
        {"seed": 1, "prompts": 4},
        {"endpoint": {"operations": [{"name": "renamed", "protocol": "OpenAIImages"}]}},
    ],
    ids=str,
)
def test_another_setting_is_compared_with_stables_record_and_does_not_hide_it(other: dict[str, Any]):
    assert compared(run(**other), terms()) == ["Stable"]


def test_a_set_of_other_prompts_is_another_question():
    own = {"goldenSets": [{"name": "mine", "volume": {"configMap": {"name": "v3"}}}], "goldenSet": "mine"}
    assert compared(run(**own), terms()) == []
    assert compared(run(**own), terms(**own)) == ["Stable"]


def test_nobody_elses_record_is_taken_for_its_own():
    assert compared(run(), terms(), check="posters") == []
    assert compared(run(), "") == []


# --- The table of kinds -------------------------------------------------------------------------------------


def test_every_kind_has_a_word_of_the_result_contract():
    words = {kinds.KINDS[kind].word for kind in api_checks.KINDS}
    assert len(words) == len(kinds.KINDS) == len(api_checks.KINDS)
    assert words <= {kind.value for kind in vocabulary.CheckKind}
