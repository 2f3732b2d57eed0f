"""What a check's Job is told of the probe endpoint, and what it never is."""

import dataclasses
import json
from typing import Any

import pytest

from canary_checks import result
from modelrelease.api import lint
from modelrelease.api import spec as api_spec
from modelrelease.checks import jobs, subjects
from modelrelease.core import revision
from tests.unit.api import rule_cases
from tests.unit.checks import given

ENDPOINT = {"protocol": "OpenAIEmbeddings", "probe": {"tokenSecret": {"name": "probe", "key": "token"}}}
PREPROCESS = {
    "lowercase": True,
    "imageSize": "224",
    "mean": ["0.48145466", "0.5", "0.5"],
    "resizeFilter": "bicubic",
    "other": {"dropout": "0"},
}
MODEL = {"version": "1", "contract": {"dimensions": 8, "preprocess": PREPROCESS}}


def container(name: str, ip: str = "10.0.0.7", **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request of a check, and its container."""
    run = given.run(**more)
    pod = dataclasses.replace(given.POD, ip=ip, ports=(("model", 8000), ("probe", 9000)))
    subject = dataclasses.replace(given.subject(name, run), pod=pod)
    job = jobs.render(subject, subjects.Opponents(), jobs.Settings("checks:1"))
    (found,) = job["spec"]["template"]["spec"]["containers"]
    (text,) = [entry["value"] for entry in found["env"] if entry["name"] == jobs.REQUEST_VARIABLE]
    result.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)
    return json.loads(text), found


def tokens(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in found["env"] if entry["name"] == "MODELRELEASE_PROBE_TOKEN"]


@pytest.mark.parametrize(
    ("probe", "ip", "url"),
    [
        ({}, "10.0.0.7", "http://10.0.0.7:8000"),
        ({"port": "probe"}, "10.0.0.7", "http://10.0.0.7:9000"),
        ({"port": "probe", "pathPrefix": "/clip/"}, "fd00::1", "http://[fd00::1]:9000/clip"),
    ],
)
def test_the_request_says_where_and_the_secret_brings_the_token(probe, ip, url):
    endpoint = ENDPOINT | {"probe": ENDPOINT["probe"] | probe}
    for name in ("contract", "parity"):
        asked, found = container(name, ip, endpoint=endpoint)
        assert asked["probe"] == {"url": url, "tokenVariable": "MODELRELEASE_PROBE_TOKEN"}
        (token,) = tokens(found)
        # Optional: a Secret that is missing is said by the check, and keeps no pod from starting.
        assert token["valueFrom"] == {"secretKeyRef": {"name": "probe", "key": "token", "optional": True}}


def test_who_does_not_ask_gets_no_token():
    asked, found = container("repeatability", endpoint=ENDPOINT)
    assert "probe" not in asked
    assert tokens(found) == []
    asked, found = container("contract")
    assert "probe" not in asked
    assert tokens(found) == []


def test_pins_are_told_by_the_names_of_the_endpoint():
    contract = container("contract", endpoint=ENDPOINT, model=MODEL)[0]["contract"]
    own = {name: value for name, value in PREPROCESS.items() if name != "other"}
    assert contract == {"dimensions": 8, "preprocess": {"dropout": "0", **own}}


def test_what_is_only_said_is_judged_by_and_is_no_part_of_the_revision():
    plain = given.judging(endpoint=ENDPOINT, model={"version": "1"})
    pinned = given.judging(endpoint=ENDPOINT, model=MODEL)
    without = given.judging(model={"version": "1"})
    digests = {revision.judging_digest(judging) for judging in (plain, pinned, without)}
    assert len(digests) == 3
    # An identity takes the template, the space, configuration and the artifact: nothing of these.
    template = rule_cases.RELEASE["spec"]["template"]
    assert set(revision.identity(template, "space", {})) == {"template", "embeddingSpace", "configMaps"}


@pytest.mark.parametrize(
    ("environment", "warned"),
    [
        ({}, True),
        ({"env": [{"name": "MODELRELEASE_PROBE_TOKEN", "value": "x"}]}, False),
        ({"envFrom": [{"secretRef": {"name": "all"}}]}, False),
    ],
)
def test_a_server_that_gets_no_token_is_pointed_out(environment, warned):
    release = rule_cases.release({"endpoint": ENDPOINT})
    release["spec"]["template"]["spec"]["containers"][0] |= environment
    assert any(found.path == "spec.endpoint.probe" for found in lint.lint(release)) is warned


def test_an_odd_pin_is_refused_with_words():
    odd = {"mean": [0.5], "imageSize": "224 px", "lowercase": "yes"}
    release = rule_cases.release(
        {"endpoint": ENDPOINT, "model": {"version": "1", "contract": {"preprocess": odd}}}
    )
    assert {found.path.rpartition(".")[2] for found in lint.lint(release)} == {
        "mean[0]",
        "imageSize",
        "lowercase",
    }
    assert api_spec.ModelContract().preprocess is None
