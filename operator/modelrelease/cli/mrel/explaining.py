"""``explain``: why a run ended so, by which evidence, what it is not, and what to do next. Pure."""

import base64
import binascii
import dataclasses
import datetime
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pydantic

from canary_checks import result
from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.cli.mrel import difference, objects, pages, screen, words
from modelrelease.core import ends, observation

EVIDENCE_KEY: Final = "result.json.gz"
_EVIDENCE_MAX: Final = 8 << 20
"""Bytes that an evidence may have once it is unpacked."""
_PASSING_MAX: Final = 4
_WORST_MAX: Final = 5
_UNKNOWN: Final = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class GateLine:
    """One bound of a check, and what was measured."""

    check: str
    verdict: str
    metric: str
    operation: str
    observed: str
    limit: str
    against: str
    samples: int


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that ``explain`` tells; the fields are what ``-o json`` prints."""

    name: str
    namespace: str
    run: str
    revision: str
    outcome: str
    reason: str
    ended: datetime.datetime | None
    served: str
    """Who serves now, and whether users met the candidate."""
    why: str
    cause: str
    confidence: str
    changed: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    """Files of the model that differ from stable's."""
    gates: tuple[GateLine, ...]
    passing: int
    """Gates of the same checks that pass and are not among them."""
    proof: tuple[str, ...]
    slos: tuple[str, ...]
    where: tuple[str, ...]
    excluded: tuple[str, ...]
    left: tuple[str, ...]
    worst: tuple[str, ...]
    next: tuple[str, ...]
    notes: tuple[str, ...]


def decoded(config_map: Mapping[str, Any]) -> result.CheckResult | None:
    """Return the result in an evidence's ConfigMap, or None when it can't be read."""
    packed = (config_map.get("binaryData") or {}).get(EVIDENCE_KEY)
    if not isinstance(packed, str):
        return None
    try:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        text = unpacker.decompress(base64.b64decode(packed), _EVIDENCE_MAX)
        return result.CheckResult.model_validate_json(text)
    except (binascii.Error, zlib.error, gzip.BadGzipFile, pydantic.ValidationError, ValueError):
        return None


def deciding(run: observation.Run) -> tuple[api_run.CheckStatus, ...]:
    """Return the checks that did not pass, the one that decided first."""
    spoken = [check for check in run.status.checks if check.verdict not in {None, verdict.Verdict.PASS}]
    said = run.status.message
    return tuple(
        sorted(
            spoken, key=lambda c: (not said.startswith(f"{c.name} "), c.verdict is not verdict.Verdict.FAIL)
        )
    )


def explanation(
    release: objects.Release,
    run: observation.Run,
    stored: Mapping[str, objects.Stored],
    runs: Sequence[observation.Run],
    evidence: Mapping[str, result.CheckResult | None],
    *,
    page: str = pages.REPOSITORY,
) -> Explanation:
    """Return why a run is where it is.

    Parameters
    ----------
    release
        The release.
    run
        The run to explain.
    stored
        The stored revisions.
    runs
        All runs of the release, oldest first.
    evidence
        By the check's name what it left; None where that is lost.
    page
        What the address of a page is made from (:mod:`modelrelease.cli.mrel.pages`).
    """
    failing = deciding(run)
    first = failing[0] if failing else None
    found = evidence.get(first.name) if first is not None else None
    diagnosis = found.diagnosis if found is not None else None
    gates, passing = _gates(failing, evidence)
    cause = diagnosis.cause if diagnosis else first.diagnosis.cause if first and first.diagnosis else ""
    sure = diagnosis.confidence.value if diagnosis else ""
    if not sure and first is not None and first.diagnosis is not None:
        sure = first.diagnosis.confidence
    lost = [check.name for check in failing if evidence.get(check.name) is None]
    return Explanation(
        name=release.name,
        namespace=release.namespace,
        run=run.name,
        revision=run.spec.revision,
        outcome=run.status.outcome.value if run.status.outcome is not None else run.status.phase.value,
        reason=run.status.reason,
        ended=run.status.completion_time,
        served=_served(release, run),
        why=_why(release, run, first),
        cause=cause,
        confidence=sure,
        changed=_changed(run, stored, runs),
        files=tuple(run.status.artifact.changed_files) if run.status.artifact is not None else (),
        gates=gates,
        passing=passing,
        proof=tuple(diagnosis.evidence) if diagnosis else (),
        slos=tuple(_slo(slo) for slo in run.status.slos),
        where=_where(first, found),
        excluded=tuple(f"{one.cause}: {one.because}" for one in diagnosis.excluded) if diagnosis else (),
        left=tuple(diagnosis.left) if diagnosis else (),
        worst=_worst(found),
        next=_next(release, run, diagnosis, cause, page),
        notes=tuple(
            f"The evidence of {name} is lost: only what the run remembers is shown." for name in lost
        ),
    )


def _served(release: objects.Release, run: observation.Run) -> str:
    ready = release.condition("Ready")
    said = ready.message if ready is not None else ""
    met = run.status.live_since is not None
    users = reasons.was_live(run.spec.revision) if met else reasons.never_live(run.spec.revision)
    if run.status.outcome is api_run.Outcome.PROMOTED:
        users = ""
    return f"{said} {users}".strip()


def _why(release: objects.Release, run: observation.Run, first: api_run.CheckStatus | None) -> str:
    if run.status.outcome is None:
        return release.status.message
    decided = run.status.reason == reasons.CHECK_FAILED and first is not None
    if decided and first is not None:
        return reasons.sentence(f"{first.name} failed: {first.message}")
    return reasons.sentence(run.status.message) or ends.ending(run)


def _changed(
    run: observation.Run, stored: Mapping[str, objects.Stored], runs: Sequence[observation.Run]
) -> tuple[tuple[str, str], ...]:
    if run.spec.stable is None or run.spec.stable not in stored or run.spec.revision not in stored:
        return ()
    before = difference.side(run.spec.stable, stored, runs)
    after = difference.side(run.spec.revision, stored, runs)
    found = difference.difference(before, after)
    return tuple(difference.lines(found))


def _gates(
    failing: Sequence[api_run.CheckStatus], evidence: Mapping[str, result.CheckResult | None]
) -> tuple[tuple[GateLine, ...], int]:
    """Return the gates that did not pass, a few of those that did, and how many more there are."""
    bad: list[GateLine] = []
    good: list[GateLine] = []
    for check in failing:
        found = evidence.get(check.name)
        for line in _measured(check.name, found) if found is not None else _remembered(check):
            (good if line.verdict == verdict.Verdict.PASS.value else bad).append(line)
    return (*bad, *good[:_PASSING_MAX]), max(0, len(good) - _PASSING_MAX)


def _measured(name: str, found: result.CheckResult) -> list[GateLine]:
    return [
        GateLine(
            check=name,
            verdict=gate.verdict.value,
            metric=gate.metric,
            operation=gate.operation or "",
            observed=_number(gate.observed),
            limit=f"{gate.operator} {_number(gate.limit)}",
            against=gate.against,
            samples=gate.samples,
        )
        for gate in found.gates
    ]


def _remembered(check: api_run.CheckStatus) -> list[GateLine]:
    return [
        GateLine(
            check=check.name,
            verdict=gate.verdict.value,
            metric=gate.metric,
            operation="",
            observed=gate.observed,
            limit=f"{gate.operator} {gate.limit}",
            against=gate.against,
            samples=gate.samples,
        )
        for gate in check.gates
    ]


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _slo(slo: api_run.SloStatus) -> str:
    return f"{slo.name} {slo.verdict.value}: {slo.message or slo.reason}"


def _where(first: api_run.CheckStatus | None, found: result.CheckResult | None) -> tuple[str, ...]:
    if found is not None and found.strata:
        moved = [one for one in found.strata if one.failed]
        kept = [one for one in found.strata if not one.failed]
        said = [f"{one.name} {one.failed}/{one.items} rows" for one in moved]
        if moved and kept:
            said.append(f"not: {', '.join(one.name for one in kept)}")
        return tuple(said)
    return tuple(first.strata) if first is not None else ()


def _worst(found: result.CheckResult | None) -> tuple[str, ...]:
    if found is None:
        return ()
    said = []
    for one in found.worst[:_WORST_MAX]:
        values = ", ".join(f"{name} {_number(value)}" for name, value in one.values.items())
        said.append(f"{one.item} ({one.stratum}) {values}")
    return tuple(said)


def _next(
    release: objects.Release, run: observation.Run, diagnosis: Any, cause: str, page: str
) -> tuple[str, ...]:
    found = list(diagnosis.next) if diagnosis is not None else []
    if cause not in {"", _UNKNOWN}:
        cured = pages.address(page, f"causes/{cause}")
        found.append(f"what {cause} means and how it is cured: {cured}")
    here = f"{release.name} -n {release.namespace}"
    status = run.status
    if status.reason and status.outcome is not api_run.Outcome.PROMOTED:
        meant = pages.address(page, f"reasons/{status.reason}")
        found.append(f"what {status.reason} means and what to do: {meant}")
    if status.outcome is api_run.Outcome.ROLLED_BACK and status.failed:
        found.append(
            f"change it in Git, or, if the cause is outside of it: kubectl mrel retry {here} --reason …"
        )
    elif status.outcome is api_run.Outcome.ROLLED_BACK:
        found.append(f"it is tried again by itself; at once: kubectl mrel retry {here} --reason …")
    elif status.outcome is api_run.Outcome.REJECTED:
        found.append("revert the commit in Git: a rejected revision is not tried again")
    elif status.outcome is None:
        found.append(f"watch it: kubectl mrel status {here} -w")
    if run.spec.stable is not None:
        found.append(f"what changed, in full: kubectl mrel diff {here} {run.spec.stable} {run.spec.revision}")
    return tuple(found)


# --- Showing ------------------------------------------------------------------------------------------------


def show(view: Explanation, now: datetime.datetime, *, width: int) -> screen.Screen:
    """Return the screen of ``explain``."""
    when = f" {words.ago(view.ended, now)}" if view.ended is not None else ""
    head = screen.line(
        (view.name, "bold"),
        "  ",
        (view.outcome, words.style(view.outcome)),
        f"{when}  {view.revision}  run {view.run}",
    )
    entries: list[tuple[str, Any]] = []
    blame = f"  {view.cause}, {view.confidence.lower()}" if view.cause not in {"", _UNKNOWN} else ""
    blame = "  cause unknown" if view.cause == _UNKNOWN else blame
    entries.append(("WHY", screen.line(view.why, (blame, "bold"))))
    entries += _labelled("CHANGED", [f"{area}: {text}" for area, text in view.changed])
    if view.files:
        entries.append(("FILES", f"differ from stable's: {', '.join(view.files)}"))
    if view.gates:
        entries.append(("EVIDENCE", _gate_table(view, width)))
    entries += _labelled("PROOF" if view.confidence == "Proven" else "SEEN", view.proof)
    entries += _labelled("SLOS", view.slos)
    if view.where:
        entries.append(("WHERE", ", ".join(view.where)))
    if view.excluded:
        entries += _labelled("EXCLUDED", view.excluded)
    if view.left:
        entries.append(("LEFT", ", ".join(view.left)))
    entries += _labelled("WORST", view.worst)
    if view.next:
        entries.append(("NEXT", screen.numbered(view.next)))
    entries += _labelled("NOTE", view.notes)
    served = (screen.indented(view.served),) if view.served else ()
    return screen.Screen((head, *served, "", screen.rows(entries)))


def _labelled(label: str, said: Sequence[str]) -> list[tuple[str, Any]]:
    return [(label if not index else "", text) for index, text in enumerate(said)]


def _gate_table(view: Explanation, width: int) -> Any:
    if width < screen.NARROW:
        body = [
            (
                screen.styled(_mark(gate.verdict), words.style(gate.verdict)),
                f"{gate.metric} {gate.observed} {gate.limit}{_about(gate)}",
            )
            for gate in view.gates
        ]
        return screen.table(("", ""), [*body, *([("", _more(view))] if view.passing else [])])
    rows: list[tuple[screen.Cell, ...]] = [
        (
            screen.styled(_mark(gate.verdict), words.style(gate.verdict)),
            gate.check,
            gate.metric,
            gate.operation,
            gate.observed,
            gate.limit,
            gate.against,
            str(gate.samples),
        )
        for gate in view.gates
    ]
    if view.passing:
        rows.append(("", "", _more(view), "", "", "", "", ""))
    return screen.table(
        ("", "check", "gate", "operation", "observed", "limit", "against", "n"), rows, keep=(2,)
    )


def _mark(said: str) -> str:
    return said.upper() if said == verdict.Verdict.FAIL.value else said.lower()


def _about(gate: GateLine) -> str:
    parts = [
        part
        for part in (gate.operation, f"vs {gate.against}" if gate.against else "", f"n={gate.samples}")
        if part
    ]
    return f" ({', '.join(parts)})"


def _more(view: Explanation) -> str:
    return f"{view.passing} more pass"


def dump(view: Any) -> Any:
    """Return a view as plain values."""
    return json.loads(json.dumps(dataclasses.asdict(view), default=str))
