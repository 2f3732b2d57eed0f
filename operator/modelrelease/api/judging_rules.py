"""The rules about what judges a revision: golden sets, checks and objectives."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import alias_generators

from modelrelease.api import (
    base,
    checks,
    custom_rules,
    fidelity_rules,
    internals_rules,
    performance_rules,
    retrieval_rules,
    rule,
    series_rules,
)
from modelrelease.api import endpoint as endpoints

_CHECK_KINDS: Final = tuple(alias_generators.to_camel(kind) for kind in checks.KINDS)
_SLO_KINDS: Final = ("availability", "latency", "prometheus")
_VOLUME_KINDS: Final = ("configMap", "secret", "persistentVolumeClaim", "image")
_ALL: Final = 100
"""Percent."""


def _operations(where: str) -> str:
    known = "self.endpoint.operations.exists(o, o.name == x.operation)"
    implied = f"x.operation == '{endpoints.IMPLIED_OPERATION}'"
    return (
        f"!has({where}) || {where}.all(x, !has(x.operation) || "
        f"(has(self.endpoint.operations) ? {known} : {implied}))"
    )


def _operations_of(release: Mapping[str, Any]) -> set[str]:
    declared = release["endpoint"].get("operations")
    return {o["name"] for o in declared} if declared is not None else {endpoints.IMPLIED_OPERATION}


def _operations_exist(release: Mapping[str, Any], where: str) -> bool:
    known = _operations_of(release)
    return all(entry.get("operation", next(iter(known))) in known for entry in release.get(where, ()))


_OPERATIONS_KNOWN: Final = (
    "{field}.all(n, has(self.endpoint.operations) ? self.endpoint.operations.exists(o, o.name == n) : "
    f"n == '{endpoints.IMPLIED_OPERATION}')"
)


def _in_kinds(field: str, holds: str, without: str = "") -> str:
    """Return the CEL of: it holds of a field of every check, whichever kind that has, ``without`` one."""
    kinds = " && ".join(
        f"(!has(c.{kind}) || !has(c.{kind}.{field}) || {holds.format(field=f'c.{kind}.{field}')})"
        for kind in _CHECK_KINDS
        if kind != without
    )
    return f"!has(self.checks) || self.checks.all(c, {kinds})"


def _kinds(release: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for check in release.get("checks", ()):
        yield from (check[kind] for kind in _CHECK_KINDS if kind in check)


JUDGING_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="checks-enforced",
        paths=("spec",),
        field=".checks",
        cel=(
            "!has(self.checks) || self.enforcement == 'Observe' || "
            "self.checks.exists(c, c.enforcement == 'Enforce')"
        ),
        message=(
            "must hold at least one check with enforcement Enforce, because only a Pass promotes: leave "
            "checks out for the protocol's defaults, or set spec.enforcement to Observe"
        ),
        holds=lambda release: (
            "checks" not in release
            or release["enforcement"] == "Observe"
            or any(check["enforcement"] == "Enforce" for check in release["checks"])
        ),
    ),
    rule.Rule(
        id="check-one-of",
        paths=("spec.checks[*]",),
        cel=rule.one_of(_CHECK_KINDS),
        message=(
            "must have exactly one of embeddingParity, contract, repeatability, retrieval, performance, "
            "fidelity, internals and custom: one without settings is written as contract: {}"
        ),
        holds=lambda check: rule.has_one_of(check, _CHECK_KINDS),
    ),
    rule.Rule(
        id="check-operation",
        paths=("spec",),
        field=".checks",
        cel=_operations("self.checks"),
        message=(
            "must name an operation of spec.endpoint.operations in each operation field: correct the name, "
            "or leave operation out for all of them (with endpoint.protocol it is embeddings)"
        ),
        holds=lambda release: _operations_exist(release, "checks"),
    ),
    rule.Rule(
        id="check-operations",
        paths=("spec",),
        field=".checks",
        cel=_in_kinds("operations", _OPERATIONS_KNOWN, without="internals"),
        message=(
            "must name operations of spec.endpoint.operations in each list operations: correct the names, "
            "or leave operations out for all of them"
        ),
        holds=lambda release: all(
            set(kind.get("operations", ())) <= _operations_of(release) for kind in _kinds(release)
        ),
    ),
    rule.Rule(
        id="check-operation-once",
        paths=("spec.checks[*]",),
        cel="!has(self.operation) || ("
        + " && ".join(
            f"(!has(self.{kind}) || !has(self.{kind}.operations))"
            for kind in _CHECK_KINDS
            if kind != "internals"
        )
        + ")",
        message="must not have both operation and operations: write operations alone",
        holds=lambda check: (
            "operation" not in check
            or not any("operations" in check[kind] for kind in _CHECK_KINDS if kind in check)
        ),
    ),
    rule.Rule(
        id="golden-set-one-of",
        paths=("spec.goldenSets[*].volume", "spec.checks[*].custom.job.mounts[*].volume"),
        cel=rule.one_of(_VOLUME_KINDS),
        message="must have exactly one of configMap, secret, persistentVolumeClaim and image",
        holds=lambda volume: rule.has_one_of(volume, _VOLUME_KINDS),
    ),
    rule.Rule(
        id="golden-set-image",
        paths=(
            "spec.goldenSets[*].volume.image.reference",
            "spec.checks[*].custom.job.mounts[*].volume.image.reference",
        ),
        cel=f"self.matches('{base.PINNED_IMAGE}')",
        message=(
            "must name the image by its digest, or what it holds could change behind its name: "
            "append @sha256: and its 64 digits"
        ),
        holds=lambda reference: re.fullmatch(base.PINNED_IMAGE[1:-1], reference) is not None,
    ),
    rule.Rule(
        id="check-golden-set",
        paths=("spec",),
        field=".checks",
        cel=_in_kinds("goldenSet", "self.goldenSets.exists(g, g.name == {field})", without="custom"),
        message=(
            "must name a set of spec.goldenSets in each goldenSet field: correct the name, or leave "
            "goldenSet out for the built-in one"
        ),
        holds=lambda release: (
            {kind["goldenSet"] for kind in _kinds(release) if "goldenSet" in kind}
            <= {golden["name"] for golden in release["goldenSets"]}
        ),
    ),
    rule.Rule(
        id="recorded-golden-set",
        paths=("spec.checks[*].embeddingParity",),
        field=".references",
        cel="has(self.goldenSet) || self.references.all(r, r != 'Recorded')",
        message=(
            "must not hold Recorded without a goldenSet, because the built-in ones ship no outputs of your "
            "model: name a set that does"
        ),
        holds=lambda parity: "goldenSet" in parity or "Recorded" not in parity["references"],
    ),
    rule.Rule(
        id="gate-max",
        paths=("spec.checks[*].embeddingParity.gates[*]", "spec.checks[*].repeatability.gates[*]"),
        cel="has(self.max) && double(self.max) >= 0.0",
        message=(
            'must set max to a decimal of 0 or more, such as "0.001": '
            "leave the gate out for the numeric class's bound"
        ),
        holds=lambda gate: "max" in gate and Decimal(gate["max"]) >= 0,
    ),
    rule.Rule(
        id="parity-metrics",
        paths=("spec.checks[*].embeddingParity.gates[*]",),
        field=".metric",
        cel="self.metric in ['CosineDistanceWorst', 'NormDeviationWorst']",
        message=(
            "must be CosineDistanceWorst or NormDeviationWorst in embeddingParity: "
            "put gates on repeats into a repeatability check"
        ),
        holds=lambda gate: gate["metric"] in {"CosineDistanceWorst", "NormDeviationWorst"},
    ),
    rule.Rule(
        id="repeatability-metrics",
        paths=("spec.checks[*].repeatability.gates[*]",),
        field=".metric",
        cel="self.metric in ['RepeatDistanceWorst', 'RepeatNormDeviationWorst']",
        message=(
            "must be RepeatDistanceWorst or RepeatNormDeviationWorst in repeatability: "
            "put gates against a reference into an embeddingParity check"
        ),
        holds=lambda gate: gate["metric"] in {"RepeatDistanceWorst", "RepeatNormDeviationWorst"},
    ),
    rule.Rule(
        id="check-deadline",
        paths=("spec",),
        field=".checkTemplate.activeDeadlineSeconds",
        cel="self.checkTemplate.activeDeadlineSeconds <= self.strategy.deadlines.checkSeconds",
        message=(
            "must be at most strategy.deadlines.checkSeconds, because a run does not wait longer for a "
            "check: lower it or raise checkSeconds"
        ),
        holds=lambda release: (
            release["checkTemplate"]["activeDeadlineSeconds"]
            <= release["strategy"]["deadlines"]["checkSeconds"]
        ),
    ),
    rule.Rule(
        id="check-own-deadline",
        paths=("spec",),
        field=".checks",
        cel=(
            "!has(self.checks) || self.checks.all(c, !has(c.deadlineSeconds) || "
            "c.deadlineSeconds <= self.strategy.deadlines.checkSeconds)"
        ),
        message=(
            "must have deadlineSeconds of at most strategy.deadlines.checkSeconds, because a run does not "
            "wait longer for a check: lower it or raise checkSeconds"
        ),
        holds=lambda release: all(
            check.get("deadlineSeconds", 0) <= release["strategy"]["deadlines"]["checkSeconds"]
            for check in release.get("checks", ())
        ),
    ),
    *retrieval_rules.RETRIEVAL_RULES,
    *performance_rules.PERFORMANCE_RULES,
    *fidelity_rules.FIDELITY_RULES,
    *internals_rules.INTERNALS_RULES,
    *custom_rules.CUSTOM_RULES,
    rule.Rule(
        id="slo-one-of",
        paths=("spec.slos[*]",),
        cel=rule.one_of(_SLO_KINDS),
        message=(
            "must have exactly one of availability, latency and prometheus: "
            "write availability as availability: {}"
        ),
        holds=lambda slo: rule.has_one_of(slo, _SLO_KINDS),
    ),
    rule.Rule(
        id="slo-objective",
        paths=("spec.slos[*].objective",),
        cel=f"double(self) > 0.0 && double(self) < {_ALL}.0",
        message='must be a percentage above 0 and below 100, such as "99.9"',
        holds=lambda objective: 0 < Decimal(objective) < _ALL,
    ),
    rule.Rule(
        id="slo-operation",
        paths=("spec",),
        field=".slos",
        cel=_operations("self.slos"),
        message=(
            "must name an operation of spec.endpoint.operations in each operation field: correct the name, "
            "or leave operation out for all of them (with endpoint.protocol it is embeddings)"
        ),
        holds=lambda release: _operations_exist(release, "slos"),
    ),
    *series_rules.SERIES_RULES,
)
