"""From what a run, its release, its evidence and its Events say to a report. Pure."""

import datetime
from collections.abc import Iterator, Sequence
from typing import Final

from canary_checks import result
from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.core import observation, target
from modelrelease.report import gaps, material, model, people, slos, timeline, times

Outcome = api_run.Outcome

UNDER_WAY: Final = "UnderWay"
_TONES: Final = {
    Outcome.PROMOTED: model.Tone.GOOD,
    Outcome.ROLLED_BACK: model.Tone.BAD,
    Outcome.REJECTED: model.Tone.BAD,
}
_ENDED: Final = {
    Outcome.PROMOTED: "promoted",
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.REJECTED: "rejected",
    Outcome.CANCELLED: "cancelled",
    Outcome.SUPERSEDED: "superseded",
}


def report(found: material.Material, now: datetime.datetime) -> model.Report:
    """Return the report of a run.

    Parameters
    ----------
    found
        What is recorded.
    now
        When the report is made.
    """
    run = found.run
    status = run.status
    outcome = status.outcome.value if status.outcome is not None else UNDER_WAY
    spoken = [_check(said, found.results.get(said.name, ())) for said in status.checks]
    checks = tuple(sorted(spoken, key=lambda one: one.verdict == verdict.Verdict.PASS.value))
    objectives = slos.objectives(run)
    made = model.Report(
        generated=now,
        attempt=_attempt(found),
        outcome=outcome,
        tone=_TONES.get(status.outcome, model.Tone.NEITHER) if status.outcome else model.Tone.NEITHER,
        reason=status.reason,
        sentence=_sentence(run, checks, objectives),
        users=_users(run),
        start=status.start_time,
        end=status.completion_time,
        phases=tuple(timeline.phases(run)),
        moments=timeline.moments(found),
        checks=checks,
        slos=objectives,
        changes=found.changes,
        same=found.same,
        environment=tuple(_environment(run)),
        people=tuple(people.people(found)),
        recovery=_recovery(found),
        missing=tuple(gaps.missing(found, checks, objectives)),
    )
    return made.model_copy(update={"questions": tuple(gaps.questions(made))})


def _attempt(found: material.Material) -> model.Attempt:
    run = found.run
    return model.Attempt(
        namespace=found.namespace,
        release=found.release,
        run=run.name,
        revision=run.spec.revision,
        model_version=run.spec.judging.model.version,
        stable=run.spec.stable or "",
        stable_version=found.stable_version,
        attempt=run.spec.attempt,
        mode=run.spec.mode.value,
        enforcement=run.spec.judging.enforcement.value,
        judging_digest=run.spec.judging_digest,
    )


# --- The verdict --------------------------------------------------------------------------------------------


def _sentence(run: observation.Run, checks: Sequence[model.Check], objectives: Sequence[model.Slo]) -> str:
    status, revision = run.status, run.spec.revision
    if status.outcome is None:
        steps = target.step_count(run)
        what = timeline.PHASES.get(status.phase, f"takes traffic, in step {status.step} of {steps}")
        return f"{revision} {what}: nothing is decided yet."
    said = reasons.sentence(status.message)
    if status.outcome is Outcome.PROMOTED:
        passed = _passed(checks, objectives)
        return f"{said or f'{revision} is stable.'}{f' {passed}' if passed else ''}"
    ended = f"{revision} was {_ENDED[status.outcome]}"
    return f"{ended}: {said}" if said else f"{ended}."


def _passed(checks: Sequence[model.Check], objectives: Sequence[model.Slo]) -> str:
    """Say how many of what was asked have passed, and that the others have not."""
    parts = []
    for noun, spoken in (
        ("check", [one.verdict for one in checks if not one.skipped]),
        ("objective", [one.verdict for one in objectives if one.reason != reasons.NOT_LIVE]),
    ):
        good = sum(one == verdict.Verdict.PASS.value for one in spoken)
        if spoken:
            counted = reasons.counted(len(spoken), noun)
            parts.append(f"{counted} passed" if good == len(spoken) else f"{good} of {counted} passed")
    return reasons.sentence(" and ".join(parts))


def _users(run: observation.Run) -> str:
    status, revision = run.status, run.spec.revision
    if status.live_since is None:
        if run.spec.mode is api_run.Mode.FIRST and status.outcome is Outcome.PROMOTED:
            return f"{revision} was the first release: users met it once it was promoted."
        return reasons.never_live(revision)
    counted = slos.live_requests(status)
    if counted is None:
        if status.outcome is Outcome.PROMOTED:
            return f"Users met {revision} at {times.moment(status.live_since)} UTC."
        return reasons.was_live(revision)
    since = times.moment(status.live_since)
    return f"Users sent {revision} about {counted} requests while it was judged, from {since} UTC."


# --- Checks and surroundings --------------------------------------------------------------------------------


def _check(said: api_run.CheckStatus, results: Sequence[result.CheckResult]) -> model.Check:
    kept = [one for one in results if one.attempt == said.attempt]
    worst = sorted(kept, key=lambda one: (str(one.verdict) != str(said.verdict), one.pod_uid, one.shard))
    return model.Check(
        name=said.name,
        verdict=said.verdict.value if said.verdict is not None else "",
        skipped=said.skipped,
        reason=said.reason,
        message=said.message,
        attempt=said.attempt,
        start=said.start_time,
        end=said.completion_time,
        requests=said.requests,
        cause=said.diagnosis.cause if said.diagnosis is not None else "",
        confidence=said.diagnosis.confidence if said.diagnosis is not None else "",
        gates=tuple(
            model.Gate(
                metric=gate.metric,
                verdict=gate.verdict.value,
                observed=gate.observed,
                operator=gate.operator,
                limit=gate.limit,
                against=gate.against,
                samples=gate.samples,
            )
            for gate in said.gates
        ),
        results=tuple(worst[: model.RESULTS_MAX]),
    )


def _environment(run: observation.Run) -> Iterator[model.Fact]:
    status, judging = run.status, run.spec.judging
    yield model.Fact(name="runtime", value=judging.endpoint.runtime.value)
    yield model.Fact(name="numeric class", value=judging.model.numeric_class.value)
    for pod in status.checked_pods:
        parts = [f"on {pod.accelerator}"] if pod.accelerator else []
        yield model.Fact(name=f"pod {pod.name}", value=", ".join([*parts, *pod.image_ids]) or "-")
    if status.artifact is not None:
        yield model.Fact(name="model files", value=status.artifact.digest)
        for file in status.artifact.files:
            changed = " (not stable's)" if file.name in status.artifact.changed_files else ""
            yield model.Fact(name=file.name, value=f"{file.digest or 'not reported'}{changed}")
    for golden in judging.golden_sets:
        yield model.Fact(name=f"golden set {golden.name}", value=golden.contents or "as the checks report it")


def _recovery(found: material.Material) -> model.Recovery | None:
    known = found.run.status.recovery
    if known is None:
        return None
    message = known.message
    if known.verdict is None:
        message = (
            "Another run began before stable could be judged."
            if found.later
            else "Stable is being judged by what the candidate has failed."
        )
    return model.Recovery(
        verdict=known.verdict.value if known.verdict is not None else "Open",
        since=known.since,
        seconds=known.seconds,
        message=message,
    )
