"""Tells the trace of each run while it lives: an observer of transitions and of turns."""

import datetime
import logging
from collections.abc import Callable, Iterable

from modelrelease.api import constants
from modelrelease.api import run as api_run
from modelrelease.checks import evidence, jobs
from modelrelease.cluster import api, facts, observe
from modelrelease.controller import loop
from modelrelease.core import observation, spans

_log = logging.getLogger(__name__)


class Traces:
    """The traces of all runs.

    Parameters
    ----------
    send
        Takes a span; neither waits nor fails.
    now
        The API server's time.
    beside
        Who else is told of the turns.
    """

    def __init__(
        self,
        send: Callable[[spans.Span], None],
        now: Callable[[], datetime.datetime],
        beside: loop.Observer,
    ) -> None:
        self._send = send
        self._now = now
        self._beside = beside
        self._writing: dict[str, spans.Traced] = {}
        """By the release's UID, for whose run its present turn writes."""

    def writes(self, key: loop.Key, look: observe.Look, run: observation.Run | None) -> None:
        """Note that a turn is about to write for a run."""
        of = _traced(look, run)
        if of is not None:
            self._writing[key.uid] = of

    def transition(
        self, look: observe.Look, run: observation.Run, status: api_run.RunStatus, now: datetime.datetime
    ) -> None:
        """Tell the spans that a transition has ended."""
        of = _traced(look, run)
        if of is None:
            return
        self._tell(spans.of_transition(of, status, now, probes(look, of.run.name)))

    def turn_ended(self, key: loop.Key, seconds: float, error: BaseException | None) -> None:
        """Tell a turn, if it wrote for a run."""
        of = self._writing.pop(key.uid, None)
        if of is not None:
            why = (str(error) or type(error).__name__) if error is not None else ""
            self._tell([spans.turn(of, self._now(), seconds, why[:1024])])
        self._beside.turn_ended(key, seconds, error)

    def release_gone(self, key: loop.Key) -> None:
        """Forget a release."""
        self._writing.pop(key.uid, None)
        self._beside.release_gone(key)

    def _tell(self, told: Iterable[spans.Span]) -> None:
        """Send spans, at best: no turn fails for the want of a trace."""
        try:
            for span in told:
                self._send(span)
        except Exception:  # noqa: BLE001 - whatever breaks in a library of traces
            _log.exception("Spans are lost")


def probes(look: observe.Look, run: str) -> tuple[spans.Probe, ...]:
    """Return the Jobs of a run's checks that have ended, with the times of their containers."""
    found, pods = look.objects.jobs, look.objects.check_pods
    own = [job for job in found if facts.labels_of(job).get(constants.LABEL_RUN) == run]
    return tuple(one for job in own if (one := _probe(job, evidence.pods_of(job, pods))) is not None)


def _probe(job: api.Object, pods: api.Objects) -> spans.Probe | None:
    said = facts.annotations_of(job)
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (status.get("state") or {}).get("terminated")
            if status.get("name") != jobs.CONTAINER or not ended:
                continue
            start, end = facts.time_of(ended.get("startedAt")), facts.time_of(ended.get("finishedAt"))
            if start is not None and end is not None:
                return spans.Probe(
                    job=job["metadata"]["name"],
                    check=facts.labels_of(job).get(constants.LABEL_CHECK, ""),
                    attempt=int(said.get(jobs.ATTEMPT) or 0),
                    pod=said.get(jobs.POD_UID, ""),
                    start=start,
                    end=end,
                )
    return None


def _traced(look: observe.Look, run: observation.Run | None) -> spans.Traced | None:
    raw = look.objects.run(run.name) if run is not None else None
    if run is None or raw is None:
        return None
    metadata = raw["metadata"]
    created = facts.time_of(metadata.get("creationTimestamp"))
    return spans.Traced(run, metadata["uid"], metadata["namespace"], created) if created is not None else None
