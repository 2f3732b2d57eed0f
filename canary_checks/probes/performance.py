"""Performance: the same load gives latencies, throughput and a price as good as stable's recorded ones."""

import asyncio
import contextlib
import dataclasses
import datetime
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

import canary_checks
from canary_checks import failure, outdated, request, schema
from canary_checks import operation as operations
from canary_checks import vocabulary as v
from canary_checks.clients import connect
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.performance import driver, judging, memory, mixing, recorded, replay, templates
from canary_checks.probes import finding, merging, parties, performance_report, performance_requests

_STEPS: Final = ("steps", "num_inference_steps")


async def probe(
    asked: request.CheckRequest,
    pack: golden_pack.Pack,
    count: performance_requests.Count,
) -> finding.Finding:
    """Replay the load against every operation of a server, one after the other, and judge it.

    Parameters
    ----------
    asked
        The request; `performance` is its load.
    pack
        Where the inputs are from.
    count
        Told of every client, whose requests are counted.

    Returns
    -------
    The judgement, and the record of it when that was asked for and is worth keeping.

    Raises
    ------
    CheckError
        The server cannot be asked, or stable's record is of another load, mix or machine.

    Notes
    -----
    A record of another golden set, or of a mix that users have moved away from, is not compared with: the
    limits without a ratio are judged, and the verdict says what is missing (`NoData`, `Inconclusive`).
    """
    load = asked.performance or replay.Performance()
    limits = judging.Limits(asked.gates, load)
    if len(asked.references) > 1 or any(one.role is v.Role.ANCHOR for one in asked.references):
        raise failure.CheckError("InvalidRequest", "performance is compared with stable's alone")
    known = [(one, recorded.load(one.path, one.digest)) for one in asked.references]
    if not known and not asked.record and any("Ratio" in n for g in asked.gates for n in g.limits()):
        raise failure.CheckError(
            "ReferenceMissing",
            "a gate limits a ratio and there is no recorded performance to compare with; stable itself is"
            " never asked",
            verdict=v.Verdict.NO_DATA,
        )
    found: dict[str, finding.Finding] = {}
    performed: dict[str, recorded.Performed] = {}
    worthy = True
    began = 0.0
    for operation in asked.operations:
        golden = selection.select(pack, operation.modality, shard=asked.shard, shards=asked.shards)
        if not golden.items:
            raise failure.CheckError(
                "GoldenSetUnfit",
                f"the golden set {pack.name} has no item of modality {operation.modality}, which the"
                f" operation {operation.name} needs",
            )
        url = operation.url or asked.url
        async with templates.writer(operation, url, asked.run) as writer:
            unfit = "".join(recorded.outdated(one, operation.name, pack) for _, one in known)
            terms = performance_requests.Terms(
                load,
                known=None if unfit else next((one.operations.get(operation.name) for _, one in known), None),
                drift=next((limit for _, limit, _ in limits.of(replay.MIX_DRIFT))),
            )
            prepared = await _prepared(writer, operation, golden, asked=asked, terms=terms, count=count)
            # Before the load: a record that cannot be used must not cost minutes.
            stable = [
                recorded.usable(one, operation.name, load, prepared.digest)
                for _, one in known
                if prepared.comparable and not unfit
            ]
            began = began or time.monotonic() + load.warmup_seconds
            replayed = await _replayed(writer, prepared, load, url)
        against: judging.Against = "Recorded" if known and known[0][0].role is v.Role.RECORDED else "Stable"
        judged = judging.judge(replayed, load, limits, stable[0] if stable else None, against)
        judged += (outdated.gate(),) if unfit else ()
        remarks = [one for one in (unfit and f"{unfit}; {outdated.NEXT}", prepared.remark) if one]
        found[operation.name] = performance_report.conclude(
            replayed,
            load,
            judged,
            [parties.recorded(source, one) for source, one in known],
            stable=stable[0] if stable else None,
            items=prepared.items,
            remarks=remarks,
        )
        worthy = worthy and _worthy(replayed, judged)
        if replayed.measured.latencies.size:
            performed[operation.name] = _performed(replayed, prepared, pack)
    merged = dataclasses.replace(merging.merge(found), phases=_phases(began))
    if not (asked.record and worthy and len(performed) == len(asked.operations)):
        return merged
    payload = recorded.new(
        load,
        performed,
        revision=asked.subject.revision,
        checks=canary_checks.__version__,
        now=datetime.datetime.now(datetime.UTC),
    )
    return dataclasses.replace(merged, payload=payload)


async def _prepared(
    writer: templates.Writer,
    operation: operations.Operation,
    golden: selection.Selection,
    *,
    asked: request.CheckRequest,
    terms: performance_requests.Terms,
    count: performance_requests.Count,
) -> performance_requests.Prepared:
    """Write every request once, with the client of the operation's protocol."""
    if operation.draws:
        return await performance_requests.images(
            writer, operation, golden, asked=asked, terms=terms, count=count
        )
    client = connect.over(operation, writer)
    count(client)
    return await performance_requests.vectors(client, operation, golden, terms)


def _phases(began: float) -> dict[str, int]:
    """Say how long the server was under load: until now, which is how others find that window."""
    return {"load": max(0, round(1000 * (time.monotonic() - began)))}


def _worthy(found: judging.Replayed, judged: Sequence[schema.Gate]) -> bool:
    """Whether later candidates may be compared with this: the server's own pace, without errors."""
    sound = {replay.ERROR_SHARE, replay.UNREADABLE, replay.RESTARTS}
    return not judging.saturated(found.measured) and all(
        gate.verdict is v.Verdict.PASS for gate in judged if gate.metric in sound
    )


async def _replayed(
    writer: templates.Writer, prepared: performance_requests.Prepared, load: replay.Performance, url: str
) -> judging.Replayed:
    """Send the load, and watch the server's memory meanwhile in a soak."""
    watch = memory.Watch(url, load.soak) if load.soak is not None else None
    watching = asyncio.create_task(watch.run()) if watch is not None else None
    try:
        measured = await driver.Driver(writer, _load(prepared, load)).run()
    finally:
        if watching is not None:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    if watch is not None:
        await watch.sample()
    steps = [found for _, reply in measured.answers for found in _steps(reply.body)]
    return judging.Replayed(
        measured=measured,
        mixed=prepared.mixed,
        unreadable=sum(not _readable(prepared.templates[place], reply) for place, reply in measured.answers),
        looked=len(measured.answers),
        steps=float(np.mean(steps)) if steps else None,
        watched=None if watch is None else watch.series,
    )


def _load(prepared: performance_requests.Prepared, load: replay.Performance) -> driver.Load:
    arrivals = None
    horizon = max(load.duration_seconds, replay.SOAK_SECONDS if load.soak is not None else 0)
    if load.requests_per_second is not None:
        rate = float(load.requests_per_second)
        warm = int(rate * load.warmup_seconds * 2) + 100
        arrivals = mixing.poisson(
            rate, load.warmup_seconds + horizon, most=load.max_requests + warm, seed=load.seed
        )
        arrivals = arrivals - load.warmup_seconds
    return driver.Load(
        templates=prepared.templates,
        order=prepared.order,
        arrivals=arrivals,
        concurrency=load.concurrency,
        warmup_seconds=load.warmup_seconds,
        seconds=load.duration_seconds,
        requests=load.max_requests,
        timeout_seconds=load.request_timeout_seconds,
        least=(replay.SOAK_SECONDS, replay.SOAK_REQUESTS) if load.soak is not None else (0.0, 0),
    )


def _performed(
    found: judging.Replayed, prepared: performance_requests.Prepared, pack: golden_pack.Pack
) -> recorded.Performed:
    measured = found.measured
    said = recorded.RecordedOperation(
        mix=prepared.digest,
        golden_set=recorded.RecordedSet(name=pack.name, version=pack.version, digest=pack.digest),
        bins=prepared.bins,
        size_of=prepared.size_of,
        answered=measured.answered,
        errors=measured.errors,
        seconds=max(measured.seconds, 1e-9),
        completed=tuple(float(x) for x in measured.completed),
        steps=found.steps,
    )
    return recorded.Performed(said, measured.latencies)


def _readable(template: templates.Template, reply: Any) -> bool:
    try:
        template.read(reply)
    except failure.CheckError:
        return False
    return True


def _steps(body: bytes) -> Iterator[float]:
    """Yield the number of steps that an answer tells, at its top or one level below."""
    if not any(name.encode() in body for name in _STEPS):
        return
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        return
    if not isinstance(whole, dict):
        return
    for place in (whole, *(value for value in whole.values() if isinstance(value, dict))):
        for name in _STEPS:
            steps = place.get(name)
            if isinstance(steps, int | float) and not isinstance(steps, bool) and 0 <= steps < 1e6:  # noqa: PLR2004
                yield float(steps)
                return
