"""What the operator says about itself: metrics, in a registry of its own."""

from collections.abc import Mapping

import prometheus_client

from modelrelease.api import verdict
from modelrelease.controller import clock as clocks
from modelrelease.controller import exposition, loop

TURN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Telemetry:
    """The metrics; an :class:`~modelrelease.controller.loop.Observer` of the loops."""

    def __init__(self, clock: clocks.Clock) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = prometheus_client.CollectorRegistry()
        self._clock = clock
        self._phases: dict[loop.Key, str] = {}
        self._words: dict[loop.Key, frozenset[str]] = {}
        self._releases = prometheus_client.Gauge(
            "modelrelease_releases", "Releases by phase.", ["phase"], registry=self.registry
        )
        self._turns = prometheus_client.Counter(
            "modelrelease_turns", "Turns taken, by how they ended.", ["result"], registry=self.registry
        )
        self._turn_seconds = prometheus_client.Histogram(
            "modelrelease_turn_seconds",
            "How long a turn takes.",
            buckets=TURN_SECONDS,
            registry=self.registry,
        )
        self._verdicts = prometheus_client.Counter(
            "modelrelease_verdicts",
            "Verdicts that a run recorded, by what spoke.",
            ["kind", "verdict"],
            registry=self.registry,
        )
        self._runs = prometheus_client.Counter(
            "modelrelease_runs", "Runs that have ended.", ["outcome", "reason"], registry=self.registry
        )
        self._causes = prometheus_client.Counter(
            "modelrelease_causes",
            "Causes that failures of checks were blamed on.",
            ["cause", "confidence"],
            registry=self.registry,
        )
        self._standings = exposition.Releases()
        self.registry.register(self._standings)
        self._requests = prometheus_client.Counter(
            "modelrelease_api_requests",
            "Calls to the API server.",
            ["verb", "resource", "result"],
            registry=self.registry,
        )
        self._overrides = prometheus_client.Gauge(
            "modelrelease_override",
            "Words of people in spec.override that count now, by kind.",
            ["namespace", "name", "kind"],
            registry=self.registry,
        )
        self._notices = prometheus_client.Counter(
            "modelrelease_notifications",
            "Notices to people, by target and by what became of them.",
            ["target", "result"],
            registry=self.registry,
        )
        self._lag = prometheus_client.Gauge(
            "modelrelease_event_loop_lag_seconds",
            "How late the event loop last woke a sleeper.",
            registry=self.registry,
        )
        self._since = prometheus_client.Gauge(
            "modelrelease_since_successful_turn_seconds",
            "Time since the release's last turn that did not fail.",
            ["namespace", "name"],
            registry=self.registry,
        )
        prometheus_client.ProcessCollector(registry=self.registry)

    def turn_ended(self, key: loop.Key, seconds: float, error: BaseException | None) -> None:
        """Count one turn."""
        self._turns.labels("success" if error is None else "failure").inc()
        self._turn_seconds.observe(seconds)
        if error is None:
            now = self._clock.monotonic()
            since = self._since.labels(key.namespace, key.name)
            since.set_function(lambda: self._clock.monotonic() - now)

    def overridden(self, key: loop.Key, kinds: Mapping[str, int]) -> None:
        """Note which words of people count; a series lives as long as its word."""
        before = self._words.get(key, frozenset())
        for kind in before - kinds.keys():
            self._overrides.remove(key.namespace, key.name, kind)
        for kind, number in kinds.items():
            self._overrides.labels(key.namespace, key.name, kind).set(number)
        if kinds:
            self._words[key] = frozenset(kinds)
        else:
            self._words.pop(key, None)

    def presented(self, key: loop.Key, phase: str) -> None:
        """Note the phase that people see."""
        before = self._phases.get(key)
        if before == phase:
            return
        if before is not None:
            self._releases.labels(before).dec()
        self._releases.labels(phase).inc()
        self._phases[key] = phase

    def stands(self, key: loop.Key, said: exposition.Standing) -> None:
        """Note traffic, replicas, checks and objectives of a release."""
        self._standings.note(key, said)

    def release_gone(self, key: loop.Key) -> None:
        """Forget a release."""
        self._standings.forget(key)
        phase = self._phases.pop(key, None)
        if phase is not None:
            self._releases.labels(phase).dec()
        self.overridden(key, {})
        self._since.remove(key.namespace, key.name)

    def verdicts(self, kind: str, counted: Mapping[verdict.Verdict, int]) -> None:
        """Count verdicts that a run has recorded."""
        for spoken, count in counted.items():
            self._verdicts.labels(kind, spoken.value).inc(count)

    def ended(self, outcome: str, reason: str) -> None:
        """Count a run that has ended."""
        self._runs.labels(outcome, reason).inc()

    def blamed(self, cause: str, confidence: str) -> None:
        """Count a cause that a failure of a check was blamed on."""
        self._causes.labels(cause, confidence).inc()

    def request(self, verb: str, resource: str, result: str) -> None:
        """Count a call to the API server."""
        self._requests.labels(verb, resource, result).inc()

    def notices(self, target: str, result: str, number: int) -> None:
        """Count notices to people."""
        self._notices.labels(target, result).inc(number)

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop is."""
        self._lag.set(seconds)
