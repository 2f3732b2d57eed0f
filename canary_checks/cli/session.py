"""Checks of servers, one after the other: first what is known, then every candidate against it."""

import asyncio
from typing import Final

from canary_checks import known_queries, request, result, schema
from canary_checks import vocabulary as v
from canary_checks.cli import exits, image_options, image_session, load_session, progress, task
from canary_checks.parity import comparison, reference
from canary_checks.probes import contract, embedding_parity, repeatability

_NONE: Final[frozenset[str]] = frozenset()
_ADJUSTABLE: Final[dict[task.Check, frozenset[str]]] = {
    task.Check.CONTRACT: getattr(contract, "ADJUSTABLE", _NONE),
    task.Check.REPEATABILITY: repeatability.ADJUSTABLE,
    task.Check.PARITY: embedding_parity.ADJUSTABLE,
}


def run(asked: task.Task) -> list[schema.CheckResult]:
    """Run every check of a task, with progress on standard error.

    Parameters
    ----------
    asked
        What to probe.

    Returns
    -------
    One result for each check of each candidate: of the first candidate first. A stable that gives no
    reference makes every parity check an `Error`.

    Raises
    ------
    UsageError
        A gate is of none of the checks.
    CheckError
        The reference file cannot be read.
    pydantic.ValidationError
        An argument has no valid form.
    """
    if asked.performance is not None:
        return load_session.run(asked)
    if asked.checks[0] is task.Check.FIDELITY:
        return image_session.run(asked, live(asked))
    if image_options.told(asked.checks, asked.operations):
        return image_session.told(asked)
    gates = _gates(asked)
    return asyncio.run(_run(asked, gates))


def _gates(asked: task.Task) -> dict[task.Check, list[request.GateOverride]]:
    """Give every override to the checks that have such a limit."""
    adjustable = {check: _adjustable(asked, check) for check in asked.checks}
    for gate in asked.gates:
        if not any(gate.metric in adjustable[check] for check in asked.checks):
            known = sorted(set().union(*adjustable.values()))
            raise exits.UsageError(
                f"--gate: {' and '.join(asked.checks)} have no limit on {gate.metric} to replace, only on"
                f" {', '.join(known) or 'nothing'}"
            )
    return {check: [g for g in asked.gates if g.metric in adjustable[check]] for check in asked.checks}


def _adjustable(asked: task.Task, check: task.Check) -> frozenset[str]:
    """Return the metrics that a check has limits on."""
    if check is task.Check.RETRIEVAL:
        names = (known_queries.recall, known_queries.precision)
        return frozenset(name(k) for k in asked.retrieval.k for name in names)
    return _ADJUSTABLE[check]


async def _run(
    asked: task.Task, gates: dict[task.Check, list[request.GateOverride]]
) -> list[schema.CheckResult]:
    known: list[comparison.Known] = []
    if asked.reference is not None:
        known.append(_known(v.Role.RECORDED, reference.load(str(asked.reference), None)))
    results = []
    with progress.Bars() as bars:
        silent: schema.CheckResult | None = None
        if asked.stable is not None and task.Check.PARITY in asked.checks:
            recorded = await _record(asked, asked.stable, bars)
            if isinstance(recorded, schema.CheckResult):
                silent = recorded
            else:
                known.append(_known(v.Role.STABLE, recorded))
        for candidate in asked.candidates:
            for check in asked.checks:
                stable = live(asked) if check is task.Check.RETRIEVAL else None
                prepared = asked.request(candidate, check, gates=gates[check], rate=asked.rate, live=stable)
                if silent is not None and check is task.Check.PARITY:
                    results.append(_unjudged(prepared, silent))
                    continue
                outcome = await bars.follow(f"{candidate.name}: {check}", prepared, known)
                results.append(outcome.result)
    return results


def live(asked: task.Task) -> request.LiveSource | None:
    """Return stable as a check asks it by itself, where nothing was recorded of it for another one."""
    if asked.stable is None:
        return None
    return request.LiveSource(
        revision=asked.stable.name,
        url=asked.stable.url,
        numeric_class=asked.numeric_class,
        max_requests_per_second=min(100, asked.stable_rate),
    )


async def _record(
    asked: task.Task, stable: task.Server, bars: progress.Bars
) -> reference.Reference | schema.CheckResult:
    """Record stable's outputs, or return why there are none."""
    prepared = asked.request(stable, task.Check.PARITY, record=True, rate=asked.stable_rate)
    outcome = await bars.follow(f"{stable.name}: recording", prepared, ())
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    if evidence is None or evidence.reference is None:
        return outcome.result
    return reference.decode(evidence.reference.content())


def _known(role: v.Role, recorded: reference.Reference) -> comparison.Known:
    header = recorded.header
    return comparison.Known(role, header.revision, header.numeric_class, recorded)


def _unjudged(prepared: request.CheckRequest, silent: schema.CheckResult) -> schema.CheckResult:
    """Say of a candidate that it could not be compared, because stable gave no reference."""
    reason = silent.reason if silent.verdict is v.Verdict.ERROR else "ReferenceUnfit"
    return silent.model_copy(
        update={
            "check": schema.CheckName(
                name=prepared.check.name,
                kind=prepared.check.kind,
                config_digest=prepared.check.config_digest,
            ),
            "nonce": prepared.nonce,
            "pod_uid": prepared.pod.uid,
            "subject": schema.Party(
                role=v.Role.CANDIDATE,
                revision=prepared.subject.revision,
                numeric_class=prepared.numeric_class,
                pods=(v.sentence(prepared.pod.name, 128),),
            ),
            "verdict": v.Verdict.ERROR,
            "reason": reason,
            "message": v.sentence(f"stable gave no reference: {silent.message}"),
            "gates": (),
            "measurements": (),
            "strata": (),
            "worst": (),
            "diagnosis": None,
            "series": {},
            "evidence": None,
        }
    )
