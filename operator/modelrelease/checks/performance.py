"""What the request of a performance check says, in the words of the checks."""

from typing import Any, Final

from modelrelease.api import performance as performances
from modelrelease.core import live_load, observation

Object = dict[str, Any]
_REMARK_MAX: Final = 400

RESOURCES: Final = {"requests": {"cpu": "500m", "memory": "256Mi"}}
"""A replay that waits for a processor measures itself."""


def load(asked: performances.Performance, pod: observation.Pod) -> Object:
    """Return the load, what it costs, and the machine that it is measured on.

    Parameters
    ----------
    asked
        As in the manifest.
    pod
        The one that is asked: a record of another accelerator, or of more of them, is no reference for it.
    """
    said: Object = asked.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        exclude={"golden_set", "operations", "gates", "cost", "live", "accelerator"},
    )
    cost = asked.cost
    price = {
        "perGpuHour": cost.price_per_gpu_hour,
        "currency": cost.currency,
        "requestsPerSecond": cost.requests_per_second,
    }
    hardware = {"accelerator": pod.accelerator or None, "gpus": pod.gpus or None, "servers": 1}
    return said | {"price": _without_none(price), "hardware": _without_none(hardware)}


def seen(load: Object, live: live_load.Seen) -> Object:
    """Return a load with what was seen of users' requests in place of what is declared, as far as known.

    Parameters
    ----------
    load
        Of :func:`load`.
    live
        What Prometheus told.
    """
    said: Object = dict(load)
    source = "Declared"
    if live.wanted:
        source = "Measured" if live.mix else "Unknown"
    if live.mix:
        said["mix"] = [{"upTo": one.up_to, "share": one.share} for one in live.mix]
    if live.pixels:
        said["sizeOf"] = "Pixels"
    if live.rate:
        said["price"] = said.get("price", {}) | {"requestsPerSecond": live.rate}
    told = {"mix": source, "windowSeconds": live.window_seconds, "requests": live.requests}
    return said | {"live": told | ({"remark": live.remark[:_REMARK_MAX]} if live.remark else {})}


def gates(asked: performances.Performance) -> list[Object]:
    """Return the gates."""
    return [gate.model_dump(mode="json", by_alias=True, exclude_none=True) for gate in asked.gates]


def _without_none(entries: Object) -> Object:
    return {key: value for key, value in entries.items() if value is not None}
