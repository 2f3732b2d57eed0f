"""What the metrics say of each release: noted as plain values in its turns, made series at a scrape.

A child object of a gauge for each series would cost about a kilobyte each; here a release keeps its numbers
in an array and shares its words with all releases that are checked alike. Its series go with it.
"""

import array
import dataclasses
import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import core, registry

from modelrelease.api import run as api_run
from modelrelease.api import status as api_status
from modelrelease.controller import loop
from modelrelease.core import observation, target, traffic

Share = tuple[str, str, int]
"""Revision, version, percent of live traffic."""
Words = tuple[str, str, str]
"""Of a gate: check, metric, against."""
Objective = tuple[str, int, int]
"""Name, requests, bad ones."""

_RELEASE: Final = ("namespace", "name")
_GATE: Final = (*_RELEASE, "revision", "check", "metric", "against")
_SLO: Final = (*_RELEASE, "revision", "slo")


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What is told of one release."""

    shares: tuple[Share, ...] = ()
    replicas: int = 0
    revision: str = ""
    """That gates and objectives are about: the newest run's."""
    gates: str = "[]"
    """The words of each, as JSON: one string for all releases that are checked alike."""
    numbers: "array.array[float]" = dataclasses.field(default_factory=lambda: array.array("d"))
    """What was observed and the limit of each gate in turn; NaN for what is no number."""
    objectives: tuple[Objective, ...] = ()


def standing(observed: observation.Observation, status: api_status.ReleaseStatus) -> Standing:
    """Return what is told of a release that people see with this status."""
    run = target.active_run(observed) or next(reversed(observed.runs), None)
    versions = {
        said.revision: sys.intern(said.model_version) for said in (status.stable, status.candidate) if said
    }
    gates = _gates(run.status.checks) if run is not None else {}
    return Standing(
        shares=tuple(
            (sys.intern(revision), version, traffic.attained_weight(observed, revision))
            for revision, version in versions.items()
        ),
        replicas=status.replicas,
        revision=sys.intern(run.spec.revision) if run is not None else "",
        gates=sys.intern(json.dumps(list(gates))),
        numbers=array.array("d", itertools.chain.from_iterable(gates.values())),
        objectives=tuple((sys.intern(slo.name), slo.requests, slo.bad) for slo in run.status.slos)
        if run is not None
        else (),
    )


def causes(before: api_run.RunStatus, after: api_run.RunStatus) -> Iterator[tuple[str, str]]:
    """Return cause and confidence of what a transition blames anew."""
    known = {check.name: check.diagnosis for check in before.checks}
    for check in after.checks:
        if check.diagnosis is not None and check.diagnosis != known.get(check.name):
            yield check.diagnosis.cause, check.diagnosis.confidence


def ends(before: api_run.RunStatus, after: api_run.RunStatus) -> Iterator[tuple[str, str]]:
    """Return outcome and reason of the run, where the transition ends it."""
    done = api_run.Phase.DONE
    if after.phase is done and before.phase is not done and after.outcome is not None:
        yield after.outcome.value, after.reason


class Releases(registry.Collector):
    """The series of all releases."""

    def __init__(self) -> None:
        self._known: dict[loop.Key, Standing] = {}

    def note(self, key: loop.Key, said: Standing) -> None:
        """Note how a release stands; what has not changed stays the object that it was."""
        if self._known.get(key) != said:
            self._known[key] = said

    def forget(self, key: loop.Key) -> None:
        """Forget a release."""
        self._known.pop(key, None)

    def collect(self) -> Iterable[core.Metric]:
        """Return the series."""
        shares = core.GaugeMetricFamily(
            "modelrelease_traffic_percent",
            "Live traffic that a revision takes, as attained.",
            labels=(*_RELEASE, "revision", "version"),
        )
        replicas = core.GaugeMetricFamily(
            "modelrelease_replicas", "Pods of the revisions that serve.", labels=_RELEASE
        )
        values = core.GaugeMetricFamily(
            "modelrelease_check_value", "What a check of the newest run has measured.", labels=_GATE
        )
        limits = core.GaugeMetricFamily(
            "modelrelease_check_limit", "The bound of what a check has measured.", labels=_GATE
        )
        requests = core.GaugeMetricFamily(
            "modelrelease_slo_requests",
            "Requests that an objective of the newest run is judged by.",
            labels=_SLO,
        )
        bad = core.GaugeMetricFamily("modelrelease_slo_bad", "The bad ones of them.", labels=_SLO)
        for key, said in tuple(self._known.items()):
            release = (key.namespace, key.name)
            for revision, version, percent in said.shares:
                shares.add_metric((*release, revision, version), percent)
            replicas.add_metric(release, said.replicas)
            for number, words in enumerate(json.loads(said.gates)):
                labels = (*release, said.revision, *words)
                _add(values, labels, said.numbers[2 * number])
                _add(limits, labels, said.numbers[2 * number + 1])
            for slo, counted, counted_bad in said.objectives:
                requests.add_metric((*release, said.revision, slo), counted)
                bad.add_metric((*release, said.revision, slo), counted_bad)
        return (shares, replicas, values, limits, requests, bad)


def _add(family: core.GaugeMetricFamily, labels: Sequence[str], value: float) -> None:
    if not math.isnan(value):
        family.add_metric(labels, value)


def _gates(checks: Iterable[api_run.CheckStatus]) -> dict[Words, tuple[float, float]]:
    """Return what was observed and the limit; of two bounds of one metric the worse, which comes first."""
    found: dict[Words, tuple[float, float]] = {}
    for check in checks:
        for gate in check.gates:
            words = (check.name, gate.metric, gate.against)
            found.setdefault(words, (_number(gate.observed), _number(gate.limit)))
    return found


def _number(text: str) -> float:
    """Return the number, where it is one: some gates compare words."""
    try:
        return float(text)
    except ValueError:
        return math.nan
