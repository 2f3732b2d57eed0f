"""A person ends the attempts at a revision, or wants to look at its canary."""

import dataclasses
from typing import Any

import pytest

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import lifecycle, observation, presentation, target, traffic, wake
from tests.unit.core import build
from tests.unit.core.build import CANDIDATE, STABLE

Phase = api_run.Phase


def cancelled(attempt: int = 1, revision: str = CANDIDATE, **others: Any) -> api_spec.Override:
    ended = api_spec.Cancelled(revision=revision, attempt=attempt, reason="wrong dataset")
    return api_spec.Override(cancelled=ended, **others)


def retry(attempt: int) -> api_spec.Retry:
    return api_spec.Retry(revision=CANDIDATE, attempt=attempt, reason="again")


def observed(
    override: api_spec.Override, *runs: observation.Run, desired: str = CANDIDATE
) -> observation.Observation:
    stable = build.revision(STABLE, 4, promoted_time=build.T0)
    release = build.release(desired, override=override)
    return build.observed(stable, build.revision(CANDIDATE, 1), runs=runs, release=release)


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        (cancelled(), STABLE),
        (cancelled(retry=retry(1)), STABLE),
        (cancelled(retry=retry(2)), CANDIDATE),
        (cancelled(revision="r3333333333"), CANDIDATE),
        (cancelled(pinned=api_spec.RevisionOverride(revision=CANDIDATE, reason="x")), STABLE),
    ],
)
def test_what_is_wanted(override: api_spec.Override, wanted: str):
    assert target.target_of(observed(override)).revision == wanted


def test_stable_cannot_be_cancelled():
    here = observed(cancelled(revision=STABLE), desired=STABLE)
    assert target.target_of(here) == target.Target(STABLE)


@pytest.mark.parametrize(
    "phase", [Phase.QUEUED, Phase.STARTING, Phase.CHECKING, Phase.SHIFTING, Phase.HOLDING]
)
def test_a_run_ends_in_every_phase_also_while_paused(phase: Phase):
    paused = api_spec.Paused(reason="p")
    run = build.run(phase=phase, step=1, clock=api_run.Clock(start_time=build.T0))
    ended = lifecycle.transition(observed(cancelled(paused=paused), run), build.at(10))
    assert ended is not None
    assert (ended.phase, ended.outcome, ended.failed) == (Phase.RETURNING, api_run.Outcome.CANCELLED, False)
    assert (ended.reason, ended.message) == (reasons.CANCELLED, "wrong dataset.")


@pytest.mark.parametrize(("attempt", "mode"), [(2, api_run.Mode.FULL), (1, api_run.Mode.RELOAD)])
def test_a_later_attempt_and_a_reload_go_on(attempt: int, mode: api_run.Mode):
    run = build.run(attempt=attempt, mode=mode, phase=Phase.QUEUED)
    refused = [api_spec.RevisionOverride(revision=STABLE, reason="r")]
    reload = mode is api_run.Mode.RELOAD
    override = cancelled(**({"rejected": refused} if reload else {"retry": retry(attempt)}))
    earlier = build.revision(CANDIDATE, 1, promoted_time=build.at(-100))
    here = build.observed(
        build.revision(STABLE, 4, promoted_time=build.T0),
        earlier if reload else build.revision(CANDIDATE, 1),
        runs=(run,),
        release=build.release(override=override),
    )
    after = lifecycle.transition(here, build.at(10))
    assert after is not None
    assert after.outcome is None


def test_it_is_told():
    said = presentation.present(observed(cancelled()), build.at(10), None)
    conditions = {entry.type: entry for entry in said.conditions}
    assert said.phase == "Cancelled"
    assert said.message.startswith(f"{CANDIDATE} was cancelled: wrong dataset. It is tried again when")
    assert said.message.endswith(f"Revision {STABLE} serves 100 %.")
    assert conditions["Stalled"].reason == reasons.CANCELLED
    assert conditions["Overridden"].reason == reasons.CANCELLED


def test_the_run_remembers_by_whose_word_it_was_promoted():
    override = api_spec.Override(
        forced=api_spec.RevisionOverride(revision=CANDIDATE, reason="CVE-1"),
        waivers=[api_spec.Waiver(revision=CANDIDATE, check="parity", reason="known")],
    )
    bake = build.judging().strategy.bake_seconds
    run = build.run(
        phase=Phase.HOLDING, step=2, clock=api_run.Clock(start_time=build.T0), live_since=build.T0
    )
    here = build.observed(
        build.revision(STABLE, 1, promoted_time=build.T0),
        build.revision(CANDIDATE, 4),
        runs=(run,),
        release=build.release(override=override),
        traffic=build.pinned(CANDIDATE),
    )
    noted = lifecycle.transition(here, build.at(bake + 1))
    assert noted is not None
    # The first turn notes whose series are judged.
    here = dataclasses.replace(here, runs=(dataclasses.replace(run, status=noted),))
    after = lifecycle.transition(here, build.at(bake + 2))
    assert after is not None
    assert after.outcome is api_run.Outcome.PROMOTED
    assert after.message == f"{CANDIDATE} is stable. Forced: CVE-1. Parity waived: known."


@pytest.mark.parametrize(
    ("revision", "seconds", "after", "kept"),
    [(CANDIDATE, 600, 599, 1), (CANDIDATE, 600, 631, 0), (STABLE, 600, 40, 0), (CANDIDATE, 60, 95, 0)],
)
def test_the_canary_of_a_failed_run_is_kept(revision: str, seconds: int, after: float, kept: int):
    debug = api_spec.Debug(revision=revision, seconds=seconds, reason="to look")
    run = build.run(
        phase=Phase.RETURNING,
        outcome=api_run.Outcome.ROLLED_BACK,
        failed=True,
        clock=api_run.Clock(start_time=build.T0),
    )
    here = observed(api_spec.Override(debug=debug), run)
    assert traffic.wanted_of(here, build.at(after)).targets[CANDIDATE] == kept
    if kept:
        assert wake.wake_time(here, build.at(after)) is not None
