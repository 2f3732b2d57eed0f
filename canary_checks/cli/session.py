"""Checks of servers, one after the other: first what is known, then every candidate against it."""

import asyncio
from typing import Final

from canary_checks import request, result, schema
from canary_checks import vocabulary as v
from canary_checks.cli import exits, progress, task
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
    gates = _gates(asked)
    return asyncio.run(_run(asked, gates))


def _gates(asked: task.Task) -> dict[task.Check, list[request.GateOverride]]:
    """Give every override to the checks that have such a limit."""
    for gate in asked.gates:
        if not any(gate.metric in _ADJUSTABLE[check] for check in asked.checks):
            known = sorted(set().union(*(_ADJUSTABLE[check] for check in asked.checks)))
            raise exits.UsageError(
                f"--gate: {' and '.join(asked.checks)} have no limit on {gate.metric} to replace, only on"
                f" {', '.join(known) or 'nothing'}"
            )
    return {check: [g for g in asked.gates if g.metric in _ADJUSTABLE[check]] for check in asked.checks}


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
                prepared = asked.request(candidate, check, gates=gates[check], rate=asked.rate)
                if silent is not None and check is task.Check.PARITY:
                    results.append(_unjudged(prepared, silent))
                    continue
                outcome = await bars.follow(f"{candidate.name}: {check}", prepared, known)
                results.append(outcome.result)
    return results


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
