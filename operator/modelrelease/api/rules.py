"""Every rule about more than one field: its CEL for the API server, and the same in Python for everyone else.

A rule has one message, written once. The API server shows it when it refuses a manifest, the offline linter
when it reads one, and the operator when an older object breaks a newer rule.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelrelease.api import artifact as artifacts
from modelrelease.api import base, constants, endpoint_rules, judging_rules
from modelrelease.api import checks as api_checks
from modelrelease.api import rule as one_rule

Rule = one_rule.Rule


@dataclasses.dataclass(frozen=True, slots=True)
class Violation:
    """A rule that does not hold, and the field it blames."""

    rule: Rule
    path: str


def violations(obj: Mapping[str, Any], rules: Sequence[Rule] | None = None) -> tuple[Violation, ...]:
    """Return the rules that a valid, defaulted ModelRelease breaks."""
    return tuple(
        Violation(rule, (path + rule.field).removeprefix("."))
        for rule in (RULES if rules is None else rules)
        for where in rule.paths
        for path, value in places(obj, where)
        if not rule.holds(value)
    )


def places(value: Any, path: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """Return each place that a path stands for, with its value; absent ones are left out."""
    if not path:
        yield at, value
        return
    head, _, rest = path.partition(".")
    name, many = head.removesuffix("[*]"), head.endswith("[*]")
    found = value.get(name)
    if found is None:
        return
    here = f"{at}.{name}" if at else name
    if not many:
        yield from places(found, rest, here)
        return
    for index, entry in enumerate(found):
        yield from places(entry, rest, f"{here}[{index}]")


# --- What the rules are made of -----------------------------------------------------------------------------

_NAME: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
_DEFAULT_NAMES: Final = tuple(
    check.name for check in (*api_checks.DEFAULT_CHECKS, *api_checks.DEFAULT_IMAGE_CHECKS)
)
_RESERVED: Final = f"{constants.GROUP}/"


def _check_names(release: Mapping[str, Any]) -> set[str]:
    checks = release.get("checks")
    return set(_DEFAULT_NAMES) if checks is None else {check["name"] for check in checks}


def _is_zero(pods: int | str) -> bool:
    return str(pods).removesuffix("%") == "0"


def _canary_fits(strategy: Mapping[str, Any]) -> bool:
    surge, unavailable = strategy["maxSurge"], strategy["maxUnavailable"]
    if isinstance(surge, str) or isinstance(unavailable, str) or surge + unavailable == 0:
        return True
    return bool(strategy["canary"]["replicas"] <= surge + unavailable)


def _ascends(steps: Sequence[Mapping[str, Any]]) -> bool:
    weights = [step["weight"] for step in steps]
    return weights == sorted(set(weights))


def _names_model_port(container: Mapping[str, Any]) -> bool:
    return any(port.get("name") == constants.MODEL_PORT_NAME for port in container.get("ports") or ())


def _model_ports(template: Mapping[str, Any]) -> int:
    pod = template["spec"]
    containers = [*pod["containers"], *(pod.get("initContainers") or ())]
    return sum(_names_model_port(container) for container in containers)


_MODEL_PORT: Final = (
    f"c, has(c.ports) && c.ports.exists(p, has(p.name) && p.name == '{constants.MODEL_PORT_NAME}')"
)


def _clash(override: Mapping[str, Any], field: str) -> bool:
    chosen = override.get(field)
    rejected = {entry["revision"] for entry in override.get("rejected", ())}
    return chosen is not None and chosen["revision"] in rejected


def _clash_cel(field: str) -> str:
    return (
        f"!has(self.{field}) || !has(self.rejected) || "
        f"self.rejected.all(r, r.revision != self.{field}.revision)"
    )


def _pulled(artifact: Mapping[str, Any]) -> bool:
    return bool(artifact["uri"].startswith(artifacts.PULLED))


# --- The rules ----------------------------------------------------------------------------------------------

_PULLED: Final = f"self.uri.startsWith('{artifacts.PULLED}')"

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        id="name",
        paths=("",),
        field=".metadata.name",
        cel=(
            f"self.metadata.name.matches('^{_NAME}$') && "
            f"size(self.metadata.name) <= {constants.NAME_LENGTH_MAX}"
        ),
        message=(
            f"must start with a letter, hold only lowercase letters, digits and '-', and have at most "
            f"{constants.NAME_LENGTH_MAX} characters, because the names of the Service and of all "
            f"children are made from it"
        ),
        holds=lambda obj: (
            re.fullmatch(_NAME, obj["metadata"].get("name", "a")) is not None
            and len(obj["metadata"].get("name", "a")) <= constants.NAME_LENGTH_MAX
        ),
    ),
    Rule(
        id="artifact-digest",
        paths=("spec.model.artifact",),
        field=".digest",
        cel=f"{_PULLED} ? !has(self.digest) : (has(self.digest) || self.uri.startsWith('image://'))",
        message=(
            "must be set with pvc://, so that no server starts on other files, and left out with hf://, "
            "whose files the server pulls: pin a commit there"
        ),
        holds=lambda artifact: (
            "digest" not in artifact
            if _pulled(artifact)
            else "digest" in artifact or artifact["uri"].startswith("image://")
        ),
    ),
    Rule(
        id="artifact-mount-path",
        paths=("spec.model.artifact",),
        field=".mountPath",
        cel=f"!{_PULLED} || !has(self.mountPath)",
        message="must be left out with hf://, because the server pulls the files and nothing is mounted",
        holds=lambda artifact: not _pulled(artifact) or "mountPath" not in artifact,
    ),
    Rule(
        id="artifact-image",
        paths=("spec.model.artifact",),
        field=".uri",
        cel="!self.uri.startsWith('image://') || self.uri.contains('@sha256:')",
        message="must name an image by its digest: append @sha256: and its 64 digits",
        holds=lambda artifact: not artifact["uri"].startswith("image://") or "@sha256:" in artifact["uri"],
    ),
    Rule(
        id="contract-files",
        paths=("spec.model",),
        field=".contract.files",
        cel=(
            "!has(self.contract) || !has(self.contract.files) || "
            "(has(self.artifact) && has(self.artifact.digest))"
        ),
        message=(
            "must be left out unless model.artifact has a digest, because they are files of what is mounted "
            "and verified"
        ),
        holds=lambda model: (
            "files" not in model.get("contract", {}) or "digest" in (model.get("artifact") or {})
        ),
    ),
    Rule(
        id="endpoint-one-of",
        paths=("spec.endpoint",),
        cel="has(self.protocol) != has(self.operations)",
        message="must have exactly one of protocol and operations: write protocol if there is one way to ask",
        holds=lambda endpoint: one_rule.has_one_of(endpoint, ("protocol", "operations")),
    ),
    *endpoint_rules.ENDPOINT_RULES,
    Rule(
        id="template-model-port",
        paths=("spec.template",),
        field=".spec.containers",
        cel=(
            f"self.spec.containers.filter({_MODEL_PORT}).size() + (has(self.spec.initContainers) ? "
            f"self.spec.initContainers.filter({_MODEL_PORT}).size() : 0) == 1"
        ),
        message=(
            "must have exactly one container with a port named model, which the Service sends requests to: "
            "write ports: [{name: model, containerPort: 8000}] with your server's port"
        ),
        holds=lambda template: _model_ports(template) == 1,
    ),
    Rule(
        id="labels-reserved",
        paths=("spec.template.metadata.labels", "spec.checkTemplate.labels"),
        cel=f"self.all(key, !key.startsWith('{_RESERVED}'))",
        message=f"must not set labels that start with {_RESERVED}, because they direct traffic: remove them",
        holds=lambda labels: not any(key.startswith(_RESERVED) for key in labels),
    ),
    Rule(
        id="int-or-percentage",
        paths=("spec.strategy.maxSurge", "spec.strategy.maxUnavailable"),
        cel=(
            f"type(self) == string ? self.matches('{base.PERCENTAGE}') : "
            f"int(self) >= 0 && int(self) <= {base.PODS_MAX}"
        ),
        message=base.INT_OR_PERCENTAGE,
        holds=base.is_int_or_percentage,
    ),
    Rule(
        id="strategy-room",
        paths=("spec.strategy",),
        cel="!(string(self.maxSurge) in ['0', '0%'] && string(self.maxUnavailable) in ['0', '0%'])",
        message=(
            "must not have both maxSurge and maxUnavailable 0, because then no pod can ever be replaced: "
            "set maxSurge to 1, or maxUnavailable to 1 where there is no capacity to spare"
        ),
        holds=lambda strategy: not (_is_zero(strategy["maxSurge"]) and _is_zero(strategy["maxUnavailable"])),
    ),
    Rule(
        id="canary-room",
        paths=("spec.strategy",),
        field=".canary.replicas",
        cel=(
            "type(self.maxSurge) != int || type(self.maxUnavailable) != int || "
            "int(self.maxSurge) + int(self.maxUnavailable) == 0 || "
            "self.canary.replicas <= int(self.maxSurge) + int(self.maxUnavailable)"
        ),
        message=(
            "must be at most maxSurge + maxUnavailable, which is all the room a canary has: "
            "lower canary.replicas or raise maxSurge"
        ),
        holds=_canary_fits,
    ),
    Rule(
        id="steps-ascending",
        paths=("spec.strategy.steps",),
        cel="self.map(s, s.weight).isSorted() && self.all(a, self.exists_one(b, b.weight == a.weight))",
        message="must have ascending weights: put the steps in order and name each weight once",
        holds=_ascends,
    ),
    *judging_rules.JUDGING_RULES,
    Rule(
        id="names-shared",
        paths=("spec",),
        field=".slos",
        cel=(
            f"self.slos.all(s, has(self.checks) ? self.checks.all(c, c.name != s.name) : "
            f"!(s.name in {list(_DEFAULT_NAMES)}))"
        ),
        message=(
            f"must not share a name with a check, because a waiver names either: rename one "
            f"(without spec.checks, {', '.join(_DEFAULT_NAMES)} are taken)"
        ),
        holds=lambda release: _check_names(release).isdisjoint(slo["name"] for slo in release["slos"]),
    ),
    Rule(
        id="pinned-rejected",
        paths=("spec.override",),
        field=".pinned",
        cel=_clash_cel("pinned"),
        message="must not pin a revision that is also rejected: remove pinned, or its entry in rejected",
        holds=lambda override: not _clash(override, "pinned"),
    ),
    Rule(
        id="forced-rejected",
        paths=("spec.override",),
        field=".forced",
        cel=_clash_cel("forced"),
        message="must not force a revision that is also rejected: remove forced, or its entry in rejected",
        holds=lambda override: not _clash(override, "forced"),
    ),
)
