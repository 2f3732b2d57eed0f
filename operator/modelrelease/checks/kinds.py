"""What sets the kinds of checks apart: a row for each, in place of a question at every turn."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelrelease.api import checks as api_checks
from modelrelease.checks import fidelity, internals, performance, retrieval, subjects
from modelrelease.core import observation

Object = dict[str, Any]

_USUAL: Final = {"requests": {"cpu": "100m", "memory": "128Mi"}}


def _nothing(_: Any, __: observation.Pod) -> Object:
    return {}


def _maxima(asked: Any) -> list[Object]:
    return [{"metric": gate.metric.value, "max": gate.max} for gate in asked.gates if gate.max is not None]


def _none(_: Any) -> list[Object]:
    return []


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One kind of check."""

    word: str
    """In the result contract."""
    gates: Callable[[Any], list[Object]]
    """From the check's settings to the gates of the request."""
    request: Callable[[Any, observation.Pod], Object] = _nothing
    """From the settings and the pod to what else the request says."""
    records: bool = False
    """Whether what it measured is kept, for the next release to be compared with."""
    throttled: bool = True
    """Whether ``maxRequestsPerSecond`` holds: not where the load is what is asked."""
    resources: Mapping[str, Any] = dataclasses.field(default_factory=lambda: _USUAL)
    """Of its container, where the manifest says nothing."""
    tmp_size: str = "256Mi"
    torch: bool = False
    """Whether it needs the image that brings torch."""


KINDS: Final[Mapping[str, Kind]] = {
    "embedding_parity": Kind("EmbeddingParity", gates=_maxima, records=True),
    "contract": Kind("Contract", gates=_none),
    "repeatability": Kind("Repeatability", gates=_maxima),
    "retrieval": Kind(
        "Retrieval", gates=retrieval.gates, request=lambda asked, _: {"retrieval": retrieval.terms(asked)}
    ),
    "performance": Kind(
        "Performance",
        gates=performance.gates,
        request=lambda asked, pod: {"performance": performance.load(asked, pod)},
        records=True,
        throttled=False,
        resources=performance.RESOURCES,
    ),
    "fidelity": Kind("Fidelity", gates=fidelity.gates, records=True, resources=fidelity.RESOURCES),
    "internals": Kind(
        "Internals",
        gates=internals.gates,
        request=lambda asked, _: internals.request(asked),
        records=True,
        resources=internals.RESOURCES,
        tmp_size=internals.TMP_SIZE,
        torch=True,
    ),
    "custom": Kind(subjects.OWN_KIND, gates=_none),
}


def of(check: api_checks.Check) -> Kind:
    """Return the kind of a check."""
    return KINDS[check.kind]


def gates(check: api_checks.Check) -> list[Object]:
    """Return the gates of a check's request."""
    return of(check).gates(getattr(check, check.kind))


def request(check: api_checks.Check, pod: observation.Pod) -> Object:
    """Return what the request of a check says beyond what every one does."""
    return of(check).request(getattr(check, check.kind), pod)
