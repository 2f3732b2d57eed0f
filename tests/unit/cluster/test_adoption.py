"""What a Service was before it was taken over, what is kept of it, and which one can't be taken."""

import datetime
import json
from typing import Any

import pytest

from modelrelease.api import spec as api_spec
from modelrelease.cluster import adoption, api, facts, manifests
from modelrelease.core import observation

OWNER = manifests.Owner(api.RELEASE, "shop", "clip", "uid-1")
NOW = datetime.datetime(2026, 11, 2, 8, tzinfo=datetime.UTC)
OFFER = {"modelrelease.dev/release": "clip"}
PINNED = observation.Traffic(observation.Selects.PINNED, "r0000000001")
OFFERED = observation.Traffic(observation.Selects.OFFERED)


def service(*, metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    said = {"selector": {"app": "clip"}, "ports": [{"port": 80, "targetPort": 8000, "name": "http"}]}
    return {
        "metadata": {"name": "clip", "namespace": "shop", "labels": OFFER, **(metadata or {})},
        "spec": {**said, **spec},
    }


def applied() -> dict[str, Any]:
    return manifests.service(OWNER, api_spec.Service(annotations={"a": "b"}), PINNED)


@pytest.mark.parametrize(
    ("found", "traffic"),
    [
        (service(), OFFERED),
        (service(selector=None), OFFERED),
        (service(metadata={"labels": {}}), observation.Traffic(observation.Selects.FOREIGN)),
        (service(metadata={"labels": {"modelrelease.dev/release": "other"}}),
         observation.Traffic(observation.Selects.FOREIGN)),
        (service(metadata={"ownerReferences": [{"uid": "u", "controller": True}]}),
         observation.Traffic(observation.Selects.FOREIGN)),
        (service(metadata={"ownerReferences": [OWNER.reference()]}),
         observation.Traffic(observation.Selects.NOTHING)),
        (service(selector=manifests.selector("clip", PINNED)), PINNED),
    ],
)  # fmt: skip
def test_a_service_is_offered_by_its_label_alone(found: dict[str, Any], traffic: observation.Traffic):
    assert facts.traffic(OWNER, [found]) == traffic
    assert facts.is_offered(OWNER, found) is (traffic == OFFERED)


def test_an_offered_service_that_would_reach_the_canary_exposes_it():
    labels = {"app": "clip", **manifests.pod_labels("clip", "r0000000001")}
    assert facts.exposing_services(OWNER, [service()], [labels]) == ("clip",)
    bare = manifests.pod_labels("clip", "r0000000001")
    assert facts.exposing_services(OWNER, [service()], [bare]) == ()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (service(), ""),
        (service(type="ExternalName"), "selects no pods"),
        (service(selector={}), "selects no pods"),
        (service(clusterIP="None"), "headless"),
        (service(ports=[{"port": 80}, {"port": 81}]), "has 2 ports"),
        (service(ports=[{"port": 80, "protocol": "UDP"}]), "not TCP"),
        (service(sessionAffinity="ClientIP"), "session affinity"),
        (service(publishNotReadyAddresses=True), "not Ready"),
        (service(type="LoadBalancer"), "its type is LoadBalancer, and spec.service.type ClusterIP"),
        (service(ports=[{"port": 8080}]), "its port is 8080, and spec.service.port 80"),
    ],
)
def test_which_service_is_not_taken(found: dict[str, Any], says: str):
    problem = adoption.problem(found, api_spec.Service())
    assert says in problem
    assert bool(problem) is bool(says)
    assert adoption.problem(found, None), "nothing is taken while the spec can't be read"


def test_taking_it_over_keeps_the_ports_name_and_notes_what_was():
    taken = adoption.kept(applied(), service(), NOW)
    assert taken["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "model"}]
    assert taken["metadata"]["annotations"]["a"] == "b"
    assert taken["spec"]["selector"] == manifests.selector("clip", PINNED)
    assert adoption.before(taken) == adoption.Before({"app": "clip"}, 8000, NOW)
    # Later writes repeat both, or a server-side apply would take them away.
    later = adoption.kept(applied(), taken)
    assert later == taken


@pytest.mark.parametrize("port", [{"port": 80}, {"port": 80, "name": None}])
def test_a_port_without_a_name_stays_without_one(port: dict[str, Any]):
    taken = adoption.kept(applied(), service(ports=[port]), NOW)
    assert "name" not in taken["spec"]["ports"][0]
    assert adoption.before(taken) == adoption.Before({"app": "clip"}, 80, NOW)


def test_a_service_of_the_operators_own_is_as_ever():
    assert adoption.kept(applied(), None) == applied()
    assert adoption.kept(applied(), applied()) == applied()


@pytest.mark.parametrize(
    "said", ["", "{", "[]", "7", json.dumps({"selector": 1}), json.dumps({"selector": {}})]
)
def test_a_record_that_nobody_can_read_is_none(said: str):
    assert adoption.before(service(metadata={"annotations": {adoption.RECORD: said}})) is None
    assert adoption.before(service()) is None
