"""The rules about fidelity checks, and about which checks can ask an operation that draws."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrelease.api import fidelity, image_rules, rule

_LIMITS: Final = tuple(dict.fromkeys(limit for limits in fidelity.LIMITS.values() for limit in limits))
_OWNERS: Final = {
    limit: [metric.value for metric, limits in fidelity.LIMITS.items() if limit in limits]
    for limit in _LIMITS
}
_OF_IMAGES: Final = ("fidelity", "performance")
_OF_VECTORS: Final = ("embeddingParity", "contract", "repeatability", "retrieval")


def _operations(release: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(release["endpoint"].get("operations", ()))


def _asked(release: Mapping[str, Any], kinds: tuple[str, ...]) -> Iterator[set[str] | None]:
    """Return which operations each check of these kinds names; None where it names none."""
    for check in release.get("checks", ()):
        for kind in kinds:
            if kind in check:
                own = {check["operation"]} if "operation" in check else None
                yield set(check[kind]["operations"]) if "operations" in check[kind] else own


def _draw(release: Mapping[str, Any]) -> bool:
    drawing = {one["name"] for one in _operations(release) if image_rules.draws(one)}
    return all(
        bool(drawing) if names is None else names <= drawing for names in _asked(release, ("fidelity",))
    )


def _answer_with_vectors(release: Mapping[str, Any]) -> bool:
    operations = _operations(release)
    drawing = {one["name"] for one in operations if image_rules.draws(one)}
    rest = not operations or len(drawing) < len(operations)
    # What a generator draws with is told by the probe endpoint alone.
    told = "probe" in release["endpoint"]
    kinds = tuple(kind for kind in _OF_VECTORS if kind != "contract" or not told)
    return all(rest if names is None else names.isdisjoint(drawing) for names in _asked(release, kinds))


def _ask_the_pod(release: Mapping[str, Any]) -> bool:
    elsewhere = {one["name"] for one in _operations(release) if "serviceName" in one.get("via", {})}
    return all(names is None or not names <= elsewhere for names in _asked(release, _OF_IMAGES))


def _draws(name: str) -> str:
    drawing = image_rules.draws_cel("o")
    return f"self.endpoint.operations.exists(o, o.name == {name} && {drawing})"


_FIDELITY_DRAWS: Final = (
    "!has(self.checks) || self.checks.all(c, !has(c.fidelity) || (has(self.endpoint.operations) && "
    f"(has(c.fidelity.operations) ? c.fidelity.operations.all(n, {_draws('n')}) : "
    f"has(c.operation) ? {_draws('c.operation')} : "
    f"self.endpoint.operations.exists(o, {image_rules.draws_cel('o')}))))"
)
_VECTORS: Final = (
    "!has(self.checks) || !has(self.endpoint.operations) || self.checks.all(c, "
    + " && ".join(
        f"(!has(c.{kind}) || {'has(self.endpoint.probe) || ' if kind == 'contract' else ''}"
        f"(has(c.{kind}.operations) ? !c.{kind}.operations.exists(n, {_draws('n')}) : "
        f"has(c.operation) ? !{_draws('c.operation')} : "
        f"self.endpoint.operations.exists(o, !{image_rules.draws_cel('o')})))"
        for kind in _OF_VECTORS
    )
    + ")"
)

_ELSEWHERE: Final = (
    "self.endpoint.operations.exists(o, o.name == {name} && has(o.via) && has(o.via.serviceName))"
)
_OF_THE_POD: Final = (
    "!has(self.checks) || !has(self.endpoint.operations) || self.checks.all(c, "
    + " && ".join(
        f"(!has(c.{kind}) || (has(c.{kind}.operations) ? "
        f"c.{kind}.operations.exists(n, !{_ELSEWHERE.format(name='n')}) : "
        f"!has(c.operation) || !{_ELSEWHERE.format(name='c.operation')}))"
        for kind in _OF_IMAGES
    )
    + ")"
)

FIDELITY_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="fidelity-limits",
        paths=("spec.checks[*].fidelity.gates[*]",),
        cel=(
            f"({' || '.join(f'has(self.{limit})' for limit in _LIMITS)}) && "
            + " && ".join(
                f"(!has(self.{limit}) || self.metric in {owners})" for limit, owners in _OWNERS.items()
            )
        ),
        message=(
            "must set limits that its metric has: min and maxDrop for TextFidelity, max and maxRise for "
            "CharacterErrorRate, minRatio for UniqueLevels, maxRatio for PromptDistance, max for counts of "
            "images and shifts, min for the others"
        ),
        holds=lambda gate: (
            any(limit in gate for limit in _LIMITS)
            and all(gate["metric"] in owners for limit, owners in _OWNERS.items() if limit in gate)
        ),
    ),
    rule.Rule(
        id="fidelity-draws",
        paths=("spec",),
        field=".checks",
        cel=_FIDELITY_DRAWS,
        message=(
            "must let fidelity ask operations that draw (OpenAIImages, or GenericJSON with images): declare "
            "one in endpoint.operations, or name other operations"
        ),
        holds=_draw,
    ),
    rule.Rule(
        id="check-vectors",
        paths=("spec",),
        field=".checks",
        cel=_VECTORS,
        message=(
            "must let embeddingParity, contract, repeatability and retrieval ask operations that answer with "
            "vectors: judge those that draw by fidelity and performance, and by contract with "
            "endpoint.probe, which tells what they draw with"
        ),
        holds=_answer_with_vectors,
    ),
    rule.Rule(
        id="operation-of-the-pod",
        paths=("spec.endpoint.operations",),
        cel=(
            f"!self.exists(o, {image_rules.draws_cel('o')}) || self.exists(o, "
            f"{image_rules.draws_cel('o')} && (!has(o.via) || !has(o.via.serviceName)))"
        ),
        message=(
            "must hold an operation that draws and goes to the pod itself, because a Service answers the "
            "same for every revision: remove via.serviceName from the one that is released here"
        ),
        holds=lambda operations: (
            not any(image_rules.draws(one) for one in operations)
            or any(image_rules.draws(one) and "serviceName" not in one.get("via", {}) for one in operations)
        ),
    ),
    rule.Rule(
        id="check-of-the-pod",
        paths=("spec",),
        field=".checks",
        cel=_OF_THE_POD,
        message=(
            "must let fidelity and performance ask an operation of the pod itself, not only those of a "
            "Service, which answers the same for every revision: name one without via.serviceName"
        ),
        holds=_ask_the_pod,
    ),
)
