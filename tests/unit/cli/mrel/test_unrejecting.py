"""A rejection is taken back, and with it nothing else."""

import copy
from typing import Any

import pytest

from modelrelease.cli.mrel import override
from tests.unit.cli.mrel import recorded

CANDIDATE, STABLE = "r81f41ad71e", "r5a87d75c60"
WHY = ("--reason", "fixed upstream", "--yes")
KEY = 'k:{"revision":"%s"}'


def rejecting(*revisions: str, by: str = override.MANAGER, operation: str = "Apply") -> recorded.Recorded:
    _, objects = recorded.snapshot("rolled-back")
    objects = copy.deepcopy(objects)
    release = next(obj for obj in objects if obj["kind"] == "ModelRelease")
    release["spec"]["override"] = {
        "paused": {"reason": "INC-2"},
        "rejected": [{"revision": name, "reason": "INC-1"} for name in revisions],
    }
    fields = {"f:rejected": {KEY % name: {".": {}} for name in revisions}}
    release["metadata"]["managedFields"] = [
        {"manager": by, "operation": operation, "fieldsV1": {"f:spec": {"f:override": fields}}},
        {"manager": override.MANAGER, "operation": "Apply",
         "fieldsV1": {"f:spec": {"f:override": {"f:paused": {}}}}},
    ]  # fmt: skip
    return recorded.Recorded(objects)


def say(cluster: recorded.Recorded, *arguments: str) -> recorded.Said:
    now, _ = recorded.snapshot("rolled-back")
    return recorded.call(cluster, "unreject", "embedder", *arguments, *WHY, now=now)


@pytest.mark.parametrize("arguments", [(), ("r81",)])
def test_our_own_is_applied_without_it(arguments: tuple[str, ...]):
    cluster = rejecting(CANDIDATE)
    said = say(cluster, *arguments)
    assert (said.code, said.err) == (0, "")
    ((verb, _, _, applied),) = cluster.written
    assert verb == "apply"
    assert applied["spec"]["override"] == {"paused": {"reason": "INC-2"}}
    assert "whose reason was: INC-1" in " ".join(said.out.split())


def test_the_others_stay():
    cluster = rejecting(CANDIDATE, STABLE)
    assert say(cluster, "81").code == 0
    ((_, _, _, applied),) = cluster.written
    assert applied["spec"]["override"]["rejected"] == [{"revision": STABLE, "reason": "INC-1"}]


@pytest.mark.parametrize(
    ("revisions", "operation"),
    [
        ((CANDIDATE,), {"op": "remove", "path": "/spec/override/rejected"}),
        ((CANDIDATE, STABLE), {"op": "add", "path": "/spec/override/rejected",
                               "value": [{"revision": STABLE, "reason": "INC-1"}]}),
    ],
)  # fmt: skip
def test_what_an_incident_applied_is_patched_away_and_it_is_named(
    revisions: tuple[str, ...], operation: dict[str, Any]
):
    cluster = rejecting(*revisions, by="inc-1")
    said = say(cluster, CANDIDATE)
    assert said.code == 0
    ((verb, _, _, operations),) = cluster.written
    assert verb == "patch"
    assert operations[1:] == [operation]
    assert "Also set by inc-1" in said.out


@pytest.mark.parametrize(
    ("revisions", "arguments", "says"),
    [
        ((), (), "no revision of embedder is rejected"),
        ((CANDIDATE, STABLE), (), f"{STABLE}, {CANDIDATE} are rejected: name one of them"),
        ((CANDIDATE,), ("r5",), f"no revision begins with r5: there are {CANDIDATE}"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    revisions: tuple[str, ...], arguments: tuple[str, ...], says: str
):
    cluster = rejecting(*revisions)
    said = say(cluster, *arguments)
    assert (said.code, said.err) == (1, f"error: {says}\n")
    assert cluster.written == []


def test_of_stable_it_is_said_that_the_return_ends():
    said = say(rejecting(STABLE))
    assert f"{STABLE} is still stable: the return" in " ".join(said.out.split())
