"""A Service that users call already and that is offered to a release: may it be taken, and given back? Pure.

Whoever labels a Service of the release's name with ``modelrelease.dev/release`` offers it. The operator takes
it in one write, once stable could serve everything, and notes in the same write what it selected before.
"""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

from modelrelease.api import constants
from modelrelease.api import spec as api_spec

RECORD: Final = f"{constants.GROUP}/adopted-from"
"""On an adopted Service: what it selected before, for the way back."""


@dataclasses.dataclass(frozen=True, slots=True)
class Before:
    """What a Service was before it was adopted."""

    selector: Mapping[str, str]
    target_port: int | str
    time: datetime.datetime
    """When it was taken over."""


def shape_problem(service: Mapping[str, Any]) -> str:
    """Return why no release can take a Service of this shape over, as the end of a sentence; or nothing."""
    spec = service.get("spec") or {}
    ports: list[Any] = spec.get("ports") or []
    if spec.get("type") == "ExternalName" or not spec.get("selector"):
        return "it selects no pods by labels"
    if spec.get("clusterIP") == "None":
        return "it is headless: its clients choose pods themselves, so no selector moves them all at once"
    if len(ports) != 1:
        return f"it has {len(ports)} ports, and a release's Service has one"
    if (ports[0].get("protocol") or "TCP") != "TCP":
        return "its port is not TCP"
    if (spec.get("sessionAffinity") or "None") != "None":
        return "it has session affinity, which would keep users on old pods and away from a step"
    if spec.get("publishNotReadyAddresses"):
        return "it publishes pods that are not Ready"
    return ""


def problem(service: Mapping[str, Any], settings: api_spec.Service | None) -> str:
    """Return why an offered Service is not taken over, as the end of a sentence; or nothing.

    Parameters
    ----------
    service
        As it is.
    settings
        ``spec.service`` of the release; None while the spec can't be read.
    """
    shape = shape_problem(service)
    if shape:
        return shape
    if settings is None:
        return "the release's spec can't be read"
    spec = service["spec"]
    kind, port = spec.get("type") or "ClusterIP", spec["ports"][0]["port"]
    if kind != settings.type.value:
        return f"its type is {kind}, and spec.service.type {settings.type.value}"
    if port != settings.port:
        return f"its port is {port}, and spec.service.port {settings.port}"
    return ""


def kept(
    applied: Mapping[str, Any], live: Mapping[str, Any] | None, taken: datetime.datetime | None = None
) -> dict[str, Any]:
    """Return what is applied to an adopted Service: its port keeps its name, its record stays.

    Proxies know a port by its name: another one would leave users without an endpoint until every
    EndpointSlice is written anew.

    Parameters
    ----------
    applied
        What would be applied to a Service of the operator's own.
    live
        The Service as it is.
    taken
        Now, when this very write takes it over.
    """
    result = dict(applied)
    said = (live or {}).get("metadata", {}).get("annotations") or {}
    if live is None or (taken is None and RECORD not in said):
        return result
    metadata, spec = result["metadata"], result["spec"]
    record = said[RECORD] if taken is None else _record(live, taken)
    result["metadata"] = metadata | {"annotations": {**(metadata.get("annotations") or {}), RECORD: record}}
    names = {port["port"]: port.get("name") for port in live["spec"].get("ports") or ()}
    ports = [_named(port, names[port["port"]]) if port["port"] in names else port for port in spec["ports"]]
    result["spec"] = spec | {"ports": ports}
    return result


def _named(port: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    unnamed = {key: value for key, value in port.items() if key != "name"}
    return unnamed | ({"name": name} if name else {})


def _record(live: Mapping[str, Any], now: datetime.datetime) -> str:
    spec = live["spec"]
    port = (spec.get("ports") or [{}])[0]
    said = {
        "selector": spec.get("selector") or {},
        "targetPort": port.get("targetPort") or port.get("port"),
        "time": now.isoformat(timespec="seconds"),
    }
    return json.dumps(said, sort_keys=True)


def before(service: Mapping[str, Any]) -> Before | None:
    """Return what an adopted Service was before, or None when it was not adopted or nobody can read it."""
    try:
        said = json.loads((service["metadata"].get("annotations") or {})[RECORD])
        return Before(
            {str(key): str(value) for key, value in said["selector"].items()},
            said["targetPort"],
            datetime.datetime.fromisoformat(said["time"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
