"""An operator that does not answer: whoever looks, follows or says something is told."""

import datetime
import time
from typing import Any

import pytest

from modelrelease.cli.mrel import looking, port
from tests.unit.cli.mrel import recorded


def operator(now: datetime.datetime, *, minutes: int = 9, ready: int = 0) -> dict[str, Any]:
    since = (now - datetime.timedelta(minutes=minutes)).isoformat()
    status = {"readyReplicas": ready, "conditions": [{"type": "Available", "lastTransitionTime": since}]}
    return {"kind": "Deployment", "metadata": {"name": "operator"}, "status": status}


@pytest.mark.parametrize(("ready", "minutes", "told"), [(1, 9, False), (0, 9, True), (0, 1, False)])
def test_a_word_that_nobody_hears_is_written_and_it_is_said(ready: int, minutes: int, told: bool):
    now, objects = recorded.snapshot("holding")
    cluster = recorded.Recorded([*objects, operator(now, minutes=minutes, ready=ready)])
    said = recorded.call(cluster, "rollback", "embedder", "--reason", "INC-1", "--yes", now=now)
    assert (said.code, len(cluster.written)) == (0, 1)
    assert ("nothing comes of this before it is back. Serving is not affected" in said.err) is told
    assert ("kubectl mrel status embedder -n search shows the two commands" in said.err) is told


def test_whoever_may_not_see_the_operator_says_it_all_the_same():
    now, objects = recorded.snapshot("holding")
    cluster = recorded.Recorded(objects, forbidden=frozenset({port.DEPLOYMENTS}))
    said = recorded.call(cluster, "pause", "embedder", "--reason", "INC-1", "--yes", now=now)
    assert (said.code, said.err, len(cluster.written)) == (0, "", 1)


def test_whoever_follows_a_release_is_told():
    now, objects = recorded.snapshot("holding")
    cluster = recorded.Recorded([*objects, operator(now)])
    release = next(obj for obj in objects if obj["kind"] == "ModelRelease")
    cluster.changes = [port.Change("DELETED", release)]
    said = recorded.call(cluster, "status", "embedder", "-w", now=now)
    assert "The operator is silent; serving is not affected." in said.out


def test_it_is_asked_again_beside_the_view(monkeypatch: pytest.MonkeyPatch):
    now, objects = recorded.snapshot("holding")
    cluster = recorded.Recorded([*objects, operator(now, ready=1)])
    look = looking.Look(cluster, "embedder", operator=True)
    assert look.operator_down_seconds(now) == 0
    cluster.objects[-1] = operator(now)
    assert look.operator_down_seconds(now) == 0, "not so soon"
    monkeypatch.setattr(looking, "_AGAIN_SECONDS", -1.0)
    deadline = time.monotonic() + 10
    while not look.operator_down_seconds(now):
        assert time.monotonic() < deadline
    assert look.operator_down_seconds(now) == pytest.approx(540)
