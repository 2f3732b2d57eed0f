import datetime
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import audit, figures, story, table

NAMESPACE, OPERATOR, PERSON = "bench-x", "system:serviceaccount:bench-x:operator", "admin"
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def event(verb: str, resource: str, name: str = "one", **change: Any) -> dict[str, Any]:
    seconds = change.pop("seconds", 0.0)
    kind, _, subresource = resource.partition("/")
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": change.pop("user", OPERATOR)},
        "objectRef": {"resource": kind, "subresource": subresource, "namespace": NAMESPACE, "name": name},
        "requestURI": f"/apis/{kind}",
        "responseStatus": {"code": 200},
        "stageTimestamp": (NOON + datetime.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"),
    } | change


def entry(verb: str, resource: str, seconds: float, name: str = "one", user: str = OPERATOR) -> audit.Entry:
    found = audit.Entry.of(event(verb, resource, name, seconds=seconds, user=user))
    assert found is not None
    return found


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_a_value_that_enough_values_do_not_exceed(values: list[float], share: float):
    found = figures.quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_the_slope_of_a_line_is_its_own():
    assert figures.slope([1, 25, 100], [79.0 + 0.08 * n for n in (1, 25, 100)]) == pytest.approx(0.08)
    assert math.isnan(figures.slope([1, 1], [2.0, 3.0]))


@pytest.mark.parametrize(
    ("value", "target", "verdict"),
    [
        (130.0, table.Target(130), "met"),
        (130.1, table.Target(130), "MISSED"),
        (0, table.Target(0, table.Bound.EXACTLY), "met"),
        (1, table.Target(0, table.Bound.EXACTLY), "MISSED"),
        (math.nan, table.Target(130), "MISSED"),
        (1e9, None, ""),
    ],
)
def test_a_row_says_whether_its_target_is_met(value: float, target: table.Target | None, verdict: str):
    assert table.Row("x", value, "MB", target).verdict == verdict


def test_a_table_has_a_line_for_each_row():
    text = table.render("Memory", [table.Row("idle", 79.04, "MB", table.Target(130))], "how")
    assert (
        text.splitlines()[1:]
        == [
            "Memory",
            "what  value  unit  target",
            "─────────────────────────────",
            "idle     79  MB    ≤ 130   met",
            "how",
        ]
        or "idle     79  MB    ≤ 130   met" in text.splitlines()
    )


def test_a_watch_counts_once_and_a_dry_run_writes_nothing():
    watch = event("watch", "pods")
    assert audit.Entry.of(watch) is None
    begun = audit.Entry.of(watch | {"stage": "ResponseStarted"})
    assert begun is not None
    assert not begun.writes
    asked = audit.Entry.of(event("create", "deployments", requestURI="/apis/deployments?dryRun=All"))
    assert asked is not None
    assert not asked.writes
    refused = audit.Entry.of(event("patch", "services", responseStatus={"code": 409}))
    assert refused is not None
    assert (refused.writes, refused.written) == (True, False)


def test_the_log_is_read_from_now_on_and_over_a_rotation(tmp_path: Path):
    path = tmp_path / "audit.log"

    def say(verb: str, *, namespace: str = NAMESPACE) -> None:
        line = json.dumps(event(verb, "pods")).replace(NAMESPACE, namespace)
        with path.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    say("create")
    with audit.AuditLog(path, NAMESPACE) as log:
        say("get")
        say("delete", namespace="others")
        assert [found.verb for found in log.read()] == ["get"]
        say("list")
        path.rename(tmp_path / "audit-1.log")
        say("patch")
        assert [found.verb for found in log.read()] == ["get", "list", "patch"]


LIFE = [
    entry("patch", "modelreleases", 0.0, user=PERSON),
    entry("create", "modelreleaseruns", 0.1, "one-r1-1"),
    entry("patch", "modelreleaseruns/status", 0.2, "one-r1-1"),
    entry("create", "deployments", 0.3, "one-r1"),
    entry("create", "pods/binding", 0.4, "one-r1-abc", user="system:kube-scheduler"),
    entry("patch", "modelreleaseruns/status", 0.5, "one-r1-1"),  # Checking
    entry("patch", "modelreleaseruns/status", 0.6, "one-r1-1"),  # Shifting 1
    entry("patch", "services", 0.7),
    entry("patch", "modelreleaseruns/status", 0.8, "one-r1-1"),  # Holding 1
    entry("patch", "modelreleaseruns/status", 1.9, "one-r1-1"),  # Shifting 2
    entry("patch", "services", 2.0),
    entry("patch", "modelreleaseruns/status", 2.1, "one-r1-1"),
    entry("patch", "modelreleases", 5.0, user=PERSON),
    entry("patch", "modelreleaseruns/status", 5.1, "one-r1-1"),
    entry("patch", "services", 5.3),
]


def test_the_moments_of_a_life_are_read_from_the_log():
    others = [entry("patch", "services", 0.01, "other"), entry("create", "deployments", 0.01, "onerous")]
    found = story.of([*others, *reversed(LIFE)], "one", OPERATOR)
    assert (found.to_run, found.to_deployment, found.to_pod) == pytest.approx((0.1, 0.3, 0.4))
    assert found.checked_to_traffic == pytest.approx(0.2)
    assert found.held_to_traffic == pytest.approx(0.2)
    assert found.reject_to_traffic == pytest.approx(0.3)
    assert found.verdict_to_traffic == pytest.approx((0.1, 0.1, 0.2))


def test_another_story_is_no_measurement():
    with pytest.raises(ValueError, match="2 moves of traffic"):
        story.of(LIFE[:-1], "one", OPERATOR)
