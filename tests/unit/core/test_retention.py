"""What is tried again, and what is forgotten."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation, retention, target
from tests.unit.core import build
from tests.unit.core.build import CANDIDATE, DIGEST, OLDER, OTHER_DIGEST, STABLE

Outcome = api_run.Outcome
POLICY = api_spec.RetryPolicy(limit=2, backoff_seconds=600)
NOW = build.at(10_000)


def due(
    *runs: observation.Run, retry: api_spec.Retry | None = None, now: float = 10_000
) -> retention.RetryDecision:
    return retention.retry_due(runs, CANDIDATE, DIGEST, POLICY, retry, build.at(now))


def tries(count: int, **fields: Any) -> list[observation.Run]:
    fields.setdefault("reason", reasons.CRASH_LOOP)
    return [build.ended(attempt=n + 1, done=1000 * n, **fields) for n in range(count)]


def asked(attempt: int) -> api_spec.Retry:
    return api_spec.Retry(revision=CANDIDATE, attempt=attempt, reason="the node was broken")


def test_the_first_try_needs_nothing():
    assert due() == retention.RetryDecision(allowed=True, attempt=1)


def test_a_crash_waits_for_the_backoff():
    early = due(*tries(1), now=599)
    assert early == retention.RetryDecision(
        allowed=False, attempt=2, at=build.at(600), reason=reasons.RETRY_LATER
    )
    assert due(*tries(1), now=600) == retention.RetryDecision(allowed=True, attempt=2)


def test_a_crash_loop_is_not_retried_for_ever():
    assert due(*tries(2)).allowed
    last = due(*tries(3), now=1_000_000)
    assert (last.allowed, last.at, last.reason) == (False, None, reasons.RETRIES_EXHAUSTED)


@pytest.mark.parametrize("reason", [reasons.CAPACITY_DEADLINE, reasons.QUOTA_EXCEEDED, reasons.POD_REJECTED])
def test_capacity_is_retried_without_limit(reason: str):
    runs = tries(20, reason=reason, outcome=Outcome.CANCELLED)
    assert due(*runs, now=19_000 + 599).at == build.at(19_600)
    assert due(*runs, now=19_000 + 600) == retention.RetryDecision(allowed=True, attempt=21)


def test_a_roll_back_for_the_platforms_sake_counts_for_nothing():
    assert due(*tries(9, reason=reasons.IMAGE_UNAVAILABLE), now=99_999).allowed


@pytest.mark.parametrize("outcome", [Outcome.SUPERSEDED, Outcome.CANCELLED, Outcome.REJECTED])
def test_a_persons_decision_needs_no_backoff_and_counts_for_nothing(outcome: Outcome):
    ended = build.ended(attempt=4, outcome=outcome, done=9999, reason="Superseded")
    assert due(*tries(3)[:2], ended) == retention.RetryDecision(allowed=True, attempt=5)


def test_another_revision_or_digest_or_promotion_in_between_is_a_new_start():
    for between in (
        build.ended(STABLE, outcome=Outcome.PROMOTED),
        build.ended(attempt=4, digest=OTHER_DIGEST),
        build.ended(attempt=4, outcome=Outcome.PROMOTED),
    ):
        assert due(*tries(3), between).allowed


def test_attempts_go_on_counting_whatever_is_judged():
    assert due(build.ended(attempt=7, digest=OTHER_DIGEST)).attempt == 8


def test_a_retry_is_level_based():
    runs = tries(3)
    assert due(*runs, retry=asked(4)) == retention.RetryDecision(allowed=True, attempt=4)
    assert due(*runs, retry=asked(9)) == retention.RetryDecision(allowed=True, attempt=9)
    assert not due(*runs, retry=asked(1)).allowed
    again = build.ended(attempt=4, done=9900, reason=reasons.CRASH_LOOP)
    assert due(*runs, again, retry=asked(4)).at == build.at(10_500)


def test_the_limit_counts_from_the_retry_on():
    runs = tries(5)
    assert due(*runs, retry=asked(4), now=4600).allowed
    assert due(*runs, retry=asked(3), now=9999).reason == reasons.RETRIES_EXHAUSTED


def test_a_retry_of_another_revision_changes_nothing():
    other = api_spec.Retry(revision=STABLE, attempt=9, reason="r")
    assert not due(*tries(3), retry=other).allowed


def test_a_person_who_lets_a_fail_pass_need_not_wait_but_a_second_fail_does():
    fails = tries(2, failed=True, reason=reasons.CHECK_FAILED)
    assert due(fails[0], now=1).allowed
    assert due(*fails, now=1001).at == build.at(1600)
    assert due(*tries(3, failed=True, reason=reasons.CHECK_FAILED)).reason == reasons.RETRIES_EXHAUSTED


def test_only_a_fail_is_remembered():
    stable = build.revision(STABLE, 4, promoted_time=build.T0)
    failed = build.ended(failed=True, reason=reasons.CHECK_FAILED)
    crashed = build.ended(reason=reasons.CRASH_LOOP)
    for run, wanted in ((failed, STABLE), (crashed, CANDIDATE)):
        observed = build.observed(stable, build.revision(CANDIDATE), runs=(run,))
        assert target.target_of(observed).revision == wanted


# --- Retention ----------------------------------------------------------------------------------------------


def name(number: int) -> str:
    return f"re{number:09x}"


def history(count: int, **fields: Any) -> list[observation.Revision]:
    return [
        build.revision(name(n), created_time=build.at(n), **{k: v[n] for k, v in fields.items()})
        for n in range(count)
    ]


def doomed(
    *revisions: observation.Revision, runs: tuple[observation.Run, ...] = (), **fields: Any
) -> retention.Doomed:
    release = build.release(
        fields.pop("desired", None), revision_history_limit=2, run_history_limit=3, **fields
    )
    observed = build.observed(*revisions, runs=runs, release=release, traffic=build.pinned(STABLE))
    return retention.doomed(observed, target.promotions(observed))


def test_the_oldest_beyond_the_limit_go():
    stable = build.revision(STABLE, 4, promoted_time=build.at(99))
    assert doomed(stable, *history(5)).revisions == (name(0), name(1), name(2))


def test_at_the_limit_nothing_goes():
    assert doomed(*history(2)).revisions == ()


def test_one_with_pods_waits():
    with_pods = build.revision(OLDER, 1, created_time=build.at(-5))
    scaled = build.revision(CANDIDATE, desired=1, created_time=build.at(-4))
    assert doomed(with_pods, scaled, *history(4)).revisions == (name(0), name(1))


def test_failures_do_not_drive_out_what_was_promoted():
    promoted = [
        build.revision(old, created_time=build.at(-99), promoted_time=build.at(-90 + n))
        for n, old in enumerate((OLDER, CANDIDATE))
    ]
    stable = build.revision(STABLE, 4, promoted_time=build.at(-80))
    result = doomed(*promoted, stable, *history(9))
    assert not {OLDER, CANDIDATE} & set(result.revisions)
    assert STABLE not in result.revisions


def entry(revision: str) -> api_spec.RevisionOverride:
    return api_spec.RevisionOverride(revision=revision, reason="r")


@pytest.mark.parametrize(
    "fields",
    [
        {"override": api_spec.Override(rejected=[entry(name(0))])},
        {"override": api_spec.Override(pinned=entry(name(0)))},
        {"override": api_spec.Override(forced=entry(name(0)))},
        {"desired": name(0)},
        {"runs": (build.run(name(0)),)},
    ],
    ids=["rejected", "pinned", "forced", "wanted", "tried"],
)
def test_who_is_named_stays(fields: dict[str, Any]):
    assert name(0) not in doomed(*history(6), **fields).revisions


def test_the_owner_of_an_anchor_stays():
    assert name(0) not in doomed(*history(6, anchor_of=["space", *[""] * 5])).revisions


def test_the_one_to_return_to_stays_whatever_the_limit():
    good, bad, stable = (
        build.revision(old, promoted_time=build.at(n)) for n, old in enumerate((OLDER, CANDIDATE, STABLE))
    )
    release = build.release(
        None, revision_history_limit=0, override=api_spec.Override(rejected=[entry(CANDIDATE)])
    )
    observed = build.observed(good, bad, stable, *history(2), release=release)
    assert retention.doomed(observed, target.promotions(observed)).revisions == (name(0), name(1))


def test_runs_beyond_the_limit_go_oldest_first():
    runs = tuple(build.ended(name(n), outcome=Outcome.CANCELLED) for n in range(6))
    assert doomed(runs=runs).runs == tuple(run.name for run in runs[:3])


def test_runs_that_are_needed_stay():
    promoting = build.ended(STABLE, outcome=Outcome.PROMOTED, done=1)
    unrecorded = build.ended(OLDER, failed=True)
    last = build.ended(CANDIDATE, attempt=3)
    active = build.run(name(9))
    rest = tuple(build.ended(name(n), outcome=Outcome.CANCELLED) for n in range(5))
    revisions = (build.revision(STABLE, 4, promoted_time=build.at(1)), build.revision(OLDER))
    result = doomed(*revisions, runs=(promoting, unrecorded, last, *rest, active), desired=CANDIDATE)
    assert result.runs == tuple(run.name for run in rest)


def test_a_recorded_fail_may_be_forgotten_as_a_run():
    recorded = build.revision(OLDER, failed_digests=frozenset({DIGEST}))
    runs = (
        build.ended(OLDER, failed=True),
        *(build.ended(name(n), outcome=Outcome.CANCELLED) for n in range(3)),
    )
    assert doomed(recorded, runs=runs).runs == (runs[0].name,)


@given(st.integers(0, 12), st.integers(0, 4))
def test_retention_is_stable_once_it_has_run(count: int, limit: int):
    release = build.release(None, revision_history_limit=limit)
    observed = build.observed(*history(count), release=release)
    gone = retention.doomed(observed, ()).revisions
    left = [revision for revision in observed.revisions.values() if revision.name not in gone]
    assert len(left) == min(count, limit)
    assert retention.doomed(build.observed(*left, release=release), ()).revisions == ()
