"""Short lives with a plot: for each planted mistake the one that shows it."""

from typing import Any, Final

from tests.simulation import script

BASE: Final = {
    "replicas": 2,
    "surge": 1,
    "unavailable": 0,
    "canary": 1,
    "steps": [[50, 30]],
    "bake": 30,
    "drain": 5,
    "warmup": 0,
    "retain": 0,
    "slos": True,
    "approval": "None",
    "supersede": "Cancel",
    "enforcement": "Enforce",
    "onInconclusive": "Hold",
    "onError": "Hold",
    "window": 3,
    "capacity": 12,
    "jobFault": 0.0,
    "first": "good",
}


def life(*events: tuple[float, str, dict[str, Any]], seconds: float = 300.0, **setup: Any) -> script.Life:
    """Return a short life."""
    return script.Life(7, BASE | setup, tuple(script.Event(*event) for event in events), seconds)


def beside(**setup: Any) -> dict[str, Any]:
    """Return the setup of a life in which another release lives beside the first one."""
    return {"others": {"embedder-b": BASE | setup}, "turnsAtOnce": 1}


ELSEWHERE: Final = {"behaviour": "good", "number": 1, "space": "elsewhere"}

SEARCHED: Final = {
    "goldenSets": [{"name": "judged", "volume": {"secret": {"secretName": "golden"}}}],
    "checks": [
        {"name": "contract", "contract": {}},
        {"name": "parity", "embeddingParity": {}},
        {"name": "recall", "retrieval": {"goldenSet": "judged"}},
    ],
}
"""Known queries are searched with too."""


def _commit(behaviour: str, at: float = 60.0, number: int = 1) -> tuple[float, str, dict[str, Any]]:
    return (at, "commit", {"behaviour": behaviour, "number": number})


LIVES: Final[dict[str, script.Life]] = {
    "pin S without a Ready pod": life(
        _commit("good"),
        (150.0, "unready", {"who": "stable", "seconds": 300.0}),
        (160.0, "reject", {"who": "candidate"}),
        bake=200,
        steps=[],
    ),
    "promote without a Pass of the SLOs": life(_commit("quiet")),
    "NoData is a Pass": life(_commit("quiet")),
    "too little traffic is a Pass": life(_commit("scarce")),
    "traffic while Checking": life(_commit("good")),
    "pin C before it can serve": life(_commit("slow"), replicas=4),
    "the hold counts from the run's start": life(_commit("good")),
    "the hold is not restarted": life(
        _commit("good"), (125.0, "unready", {"who": "candidate", "seconds": 200.0}), steps=[[50, 60]]
    ),
    "terminating pods are not counted": life(_commit("good"), surge=0, unavailable=1),
    "the floor is forgotten": life(_commit("slow"), surge=0, unavailable=1, replicas=4),
    "Done without the drain": life(_commit("burn")),
    "the candidate's pods are never taken away": life(_commit("burn")),
    "a Fail is tried again": life(_commit("casing")),
    "an Error is remembered as a Fail": life((55.0, "job_fault", {"share": 1.0}), _commit("good")),
    "a reject is ignored while paused": life(
        _commit("good"), (120.0, "pause", {}), (125.0, "reject", {"who": "candidate"}), steps=[[50, 100]]
    ),
    "a third revision ends the bake at once": life(
        _commit("good"), _commit("good", 150.0, 2), bake=150, steps=[]
    ),
    "the checks need not have passed": life(_commit("good"), checks=[{"name": "contract", "contract": {}}]),
    "outputs need not be stored": life(
        (50.0, "fault", {"verb": "pod_log", "mode": "refused", "count": 900}),
        _commit("good"),
        # Three logs that can't be read are given up one after the other, with the backoff between.
        seconds=500.0,
    ),
    "any approval will do": life(
        (40.0, "approve", {"stage": "BeforeTraffic"}),
        _commit("good"),
        (130.0, "approve", {"stage": "BeforeFull"}),
        approval="BeforeTraffic",
    ),
    "one portion of a check is enough": life(_commit("good"), shards=3),
    "vector spaces share traffic": life((60.0, "commit", ELSEWHERE)),
    "other files are a crash like any other": life(_commit("tampered"), artifact=True),
    "files are not looked at": life(_commit("good"), artifact=True),
    "another image is promoted unchecked": life(
        _commit("good"), (85.0, "move_tag", {"who": "candidate"}), replicas=3, steps=[]
    ),
    "other GPUs are promoted unchecked": life(
        _commit("good"), (85.0, "fill_node", {"node": "node-2"}), gpus=True, replicas=3, steps=[]
    ),
    "whoever hangs keeps the others waiting": life(
        (90.0, "fault", {"verb": "get", "mode": "hang", "count": 20, "alone": True}),
        (100.0, "commit", {"behaviour": "good", "number": 1}),
        (101.0, "commit", {"behaviour": "good", "number": 1, "release": "embedder-b"}),
        **beside(),
    ),
    "a widened Service finds every release's pods": life(_commit("good"), **beside()),
    "the canary never yields": life(
        (40.0, "approve", {"stage": "BeforeTraffic"}),
        _commit("good"),
        (110.0, "capacity", {"pods": 2}),
        (112.0, "delete_pod", {"who": "stable"}),
        approval="BeforeTraffic",
        seconds=500.0,
    ),
}
