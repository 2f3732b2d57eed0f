"""The probe endpoint of a served process, and the rules about what only it can tell."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import pydantic

from modelrelease.api import base, constants, custom, rule

TOKEN_VARIABLE: Final = "MODELRELEASE_PROBE_TOKEN"
"""In the server's container, and in the check's."""
_NAME_LENGTH: Final = 128
_KEY_LENGTH: Final = 63
_TOLD: Final = ("preprocess", "environment", "generation")


PortName = Annotated[str, pydantic.Field(min_length=1, max_length=15, pattern=base.DNS_LABEL)]


class ProbeEndpoint(base.ApiModel):
    """Where the served process tells what it makes of an input: probe.modelrelease.dev/v1.

    Declared and not answering is an Error of the checks that ask it; not declared, nothing is asked.
    """

    port: PortName = constants.MODEL_PORT_NAME
    """Name of a container port; one that no Service exposes is the best place."""
    path_prefix: Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=base.PATH)] | None = None
    """What stands before /probe/v1 in the path; by default nothing."""
    token_secret: custom.KeyRef
    """The Secret's key that the server reads as MODELRELEASE_PROBE_TOKEN."""


def _names_a_port(release: Mapping[str, Any]) -> bool:
    probe = release["endpoint"].get("probe")
    pod = release["template"]["spec"]
    containers = [*pod["containers"], *(pod.get("initContainers") or ())]
    names = {one.get("name") for container in containers for one in container.get("ports") or ()}
    return probe is None or probe["port"] in names


def _pins_need_it(release: Mapping[str, Any]) -> bool:
    contract = release["model"].get("contract", {})
    return "probe" in release["endpoint"] or not set(_TOLD) & contract.keys()


_NAMED: Final = "c, has(c.ports) && c.ports.exists(p, has(p.name) && p.name == self.endpoint.probe.port)"

PROBE_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="probe-port",
        paths=("spec",),
        field=".endpoint.probe.port",
        cel=(
            "!has(self.endpoint.probe) || "
            f"self.template.spec.containers.exists({_NAMED}) || (has(self.template.spec.initContainers) && "
            f"self.template.spec.initContainers.exists({_NAMED}))"
        ),
        message="must name a port of a container in spec.template: add the port there, or correct the name",
        holds=_names_a_port,
    ),
    rule.Rule(
        id="contract-probe",
        paths=("spec",),
        field=".model.contract",
        cel=(
            "has(self.endpoint.probe) || !has(self.model.contract) || "
            f"({' && '.join(f'!has(self.model.contract.{field})' for field in _TOLD)})"
        ),
        message=(
            "must have no preprocess, environment or generation without endpoint.probe, because nobody would "
            "tell them: declare the probe endpoint, or remove them"
        ),
        holds=_pins_need_it,
    ),
    rule.Rule(
        id="contract-names",
        paths=(
            "spec.model.contract.environment",
            "spec.model.contract.preprocess.other",
            "spec.model.contract.generation.other",
        ),
        cel=f"self.all(name, size(name) >= 1 && size(name) <= {_NAME_LENGTH})",
        message=f"must have names of 1 to {_NAME_LENGTH} characters: shorten them",
        holds=lambda pinned: all(1 <= len(name) <= _NAME_LENGTH for name in pinned),
    ),
    rule.Rule(
        id="contract-components",
        paths=("spec.model.contract.generation.components",),
        cel=(
            f"self.all(name, size(name) >= 1 && size(name) <= {_KEY_LENGTH} && "
            f"self[name].all(key, size(key) >= 1 && size(key) <= {_KEY_LENGTH}))"
        ),
        message=f"must name components and settings with 1 to {_KEY_LENGTH} characters: shorten them",
        holds=lambda components: all(
            1 <= len(name) <= _KEY_LENGTH for one in components for name in (one, *components[one])
        ),
    ),
)
