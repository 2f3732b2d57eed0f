"""Internals: the model's own files are run here, and what happens inside is what happened inside stable's."""

import asyncio
import contextlib
import dataclasses
import datetime
import threading
import time
from collections.abc import Sequence
from typing import Final

import canary_checks
from canary_checks import failure, request
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack
from canary_checks.internals import asked as inside
from canary_checks.internals import judging, record, running, sweep
from canary_checks.parity import numeric
from canary_checks.probes import finding, internals_blame, internals_report

_SETTING: Final = ("scheduler", "steps", "guidance")
_GRACE_SECONDS: Final = 10.0
"""For the step that runs when a check is ended."""


async def probe(asked: request.CheckRequest, pack: golden_pack.Pack) -> finding.Finding:
    """Run the model of a request, beside the event loop, and judge what was seen.

    Parameters
    ----------
    asked
        The request; `internals` says what is run.
    pack
        Where the prompts are from.

    Returns
    -------
    The judgement, with a record when that was asked for.

    Raises
    ------
    CheckError
        The model cannot be run, or a reference is of something else.
    """
    stop = threading.Event()
    done: asyncio.Future[finding.Finding] = asyncio.get_running_loop().create_future()

    def end(found: finding.Finding | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        elif found is not None:
            done.set_result(found)

    def work() -> None:
        found, failed = None, None
        try:
            found = judge(asked, pack, stop)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failed = error
        # Nobody waits any more where the loop is closed.
        with contextlib.suppress(RuntimeError):
            done.get_loop().call_soon_threadsafe(end, found, failed)

    # A daemon: a check that is over does not wait for weights that are still being read.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        return await done
    finally:
        # A thread cannot be cancelled: the model ends at its next step.
        stop.set()
        thread.join(_GRACE_SECONDS)


def judge(asked: request.CheckRequest, pack: golden_pack.Pack, stop: threading.Event) -> finding.Finding:
    """Do the same in this thread; `stop` ends it at the next step."""
    wanted = asked.internals
    assert wanted is not None, "the request's model sees to it"
    started = time.monotonic()
    limits = judging.Limits(asked.gates)
    items = [one for one in pack.items if one.modality is v.Modality.TEXT and one.text.strip()]
    items = items[: wanted.prompts]
    if not items:
        raise failure.CheckError("GoldenSetUnfit", f"the golden set {pack.name} has no texts to run")
    texts = [one.text for one in items]
    # Before the model runs: a record that cannot be used must not cost minutes.
    known = [(source, record.load(source.path, source.digest)) for source in asked.references]
    for _, one in known:
        _fits(one, wanted, texts)
    runner = running.load(wanted, asked.numeric_class, stop)
    loaded = time.monotonic()
    first = known[0][1].seen if known else None
    seen = runner.run(
        texts,
        seed=wanted.seed,
        scheduler=wanted.scheduler,
        steps=wanted.steps,
        guidance=float(wanted.guidance) if wanted.guidance is not None else None,
        known=first.decoded.latents if first is not None and first.decoded is not None else None,
    )
    left = internals_blame.Time(started, asked.deadline_seconds, time.monotonic() - loaded)
    swept = {} if wanted.sweep is None else _sweep(runner, wanted, wanted.sweep, texts)
    found = internals_report.conclude(asked, limits, seen, known, swept)
    if found.verdict is v.Verdict.FAIL and known:
        source, one = known[0]
        cause = internals_blame.blame(
            runner,
            wanted,
            seen=seen,
            known=one,
            numeric_class=numeric.worse((asked.numeric_class, source.numeric_class)),
            limits=limits,
            left=left,
        )
        found = dataclasses.replace(found, diagnosis=cause)
    if not asked.record or judging.non_finite(seen):
        return found
    payload = record.new(
        seen,
        revision=asked.subject.revision,
        checks=canary_checks.__version__,
        now=datetime.datetime.now(datetime.UTC),
        wanted=wanted,
        scheduler_config=runner.scheduler_config,
        golden_set=pack.digest,
        swept=swept,
    )
    return dataclasses.replace(found, payload=payload)


def _fits(known: record.Record, wanted: inside.Internals, prompts: Sequence[str]) -> None:
    """Refuse a record of another question.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``.
    """
    header = known.header
    pairs = [(what, getattr(header.wanted, what), getattr(wanted, what)) for what in _SETTING]
    pairs.append(("first seed", header.seeds[0], wanted.seed))
    count = min(len(header.prompts), len(prompts))
    if header.prompts[:count] != tuple(prompts[:count]):
        pairs.append(("prompts", "others", "these"))
    for what, theirs, ours in pairs:
        if theirs != ours:
            said = "the model's own" if theirs is None else theirs
            here = "the model's own" if ours is None else ours
            raise failure.CheckError(
                "ReferenceMismatch",
                f"the internals of {header.revision} were recorded with {what} {said}, this check has {here}:"
                " record them again",
            )


def _sweep(
    runner: running.Runner, wanted: inside.Internals, asked: inside.Sweep, texts: Sequence[str]
) -> dict[sweep.Point, sweep.Summary]:
    """Run every setting of a sweep; what an axis does not name is as in the check itself."""
    made = {}
    for point in sweep.points(asked):
        guidance = point.guidance or wanted.guidance
        seen = runner.run(
            texts,
            seed=wanted.seed,
            scheduler=point.scheduler or wanted.scheduler,
            steps=point.steps or wanted.steps,
            guidance=float(guidance) if guidance is not None else None,
        )
        made[point] = sweep.summary(seen)
    return made
