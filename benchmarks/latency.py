"""How soon the operator acts, beside Kubernetes' own Deployment controller on the same API server."""

import datetime
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks import audit, figures, releases, story, workplace
from benchmarks.table import Row

BATCH = 10
ROLLED_OUT_SECONDS = 60.0
NOTE = (
    "Between answers of the API server in its audit log, a batch at a time; a hold's end ± 1 s.\n"
    "Peer: a bare Deployment's edit → its ReplicaSet and pod, by Kubernetes' controllers."
)


def measure(count: int, batch: int = BATCH) -> Iterator[Row]:
    """Yield the rows of latency and of the peer.

    Parameters
    ----------
    count
        How many releases, and as many Deployments.
    batch
        How many at the same time.
    """
    ours = measured(count, batch)
    theirs = list(peers(count, batch))
    yield from _rows("spec edit → ModelReleaseRun created", [m.to_run for m in ours])
    yield from _rows("spec edit → canary Deployment created", [m.to_deployment for m in ours])
    yield from _rows("spec edit → canary pod scheduled", [m.to_pod for m in ours])
    yield from _rows("checks began → traffic (no checks)", [m.checked_to_traffic for m in ours])
    yield from _rows("hold's end → traffic", [m.held_to_traffic for m in ours])
    yield from _rows("reject in the bake → traffic back", [m.reject_to_traffic for m in ours])
    persisted = list(itertools.chain.from_iterable(m.verdict_to_traffic for m in ours))
    yield from _rows("verdict persisted → traffic", persisted)
    replica_set, pod = ([pair[index] for pair in theirs] for index in (0, 1))
    yield from _peer_rows(theirs)
    for what, mine, other in (
        ("Deployment created ÷ peer's ReplicaSet", [m.to_deployment for m in ours], replica_set),
        ("pod scheduled ÷ peer's pod", [m.to_pod for m in ours], pod),
    ):
        ratio = figures.quantile(mine, 0.5) / figures.quantile(other, 0.5)
        yield Row(f"ratio of medians: {what}", ratio, "×")


def peer(count: int, batch: int = BATCH) -> Iterator[Row]:
    """Yield the rows of the peer alone."""
    yield from _peer_rows(list(peers(count, batch)))


def _peer_rows(theirs: Sequence[tuple[float, float]]) -> Iterator[Row]:
    yield from _rows("peer: edit → ReplicaSet created", [made for made, _ in theirs])
    yield from _rows("peer: edit → pod scheduled", [made for _, made in theirs])


def measured(count: int, batch: int) -> list[story.Moments]:
    """Let releases live from an edit to a reject in the bake, a batch at a time."""
    found: list[story.Moments] = []
    with workplace.workplace() as place, place.operator():
        made = releases.Releases(place)
        for names in _batches("latency", count, batch):
            made.create(names)
            start = audit.now()
            made.release_next(names, "2")
            made.wait(releases.in_phase(releases.BAKING), names)
            made.reject(names, "measured")
            made.wait(releases.in_phase(releases.REJECTED), names)
            entries = place.log.between(start, audit.now())
            found += [story.of(entries, name, place.user) for name in names]
            made.delete(names)
    return found


def peers(count: int, batch: int) -> Iterator[tuple[float, float]]:
    """Yield how soon Kubernetes follows the edit of a bare Deployment: to its ReplicaSet, to its pod."""
    with workplace.workplace() as place:
        for names in _batches("peer", count, batch):
            start = audit.now()
            for name in names:
                place.apps.create_namespaced_deployment(place.namespace, _deployment(name))
            _wait_pods(place, start, len(names))
            start = audit.now()
            change = {"spec": {"template": releases.template("2")}}
            releases.each(
                names,
                functools.partial(
                    place.apps.patch_namespaced_deployment, namespace=place.namespace, body=change
                ),
            )
            _wait_pods(place, start, len(names))
            yield from story.rollouts(place.log.between(start, audit.now()), names)
            for name in names:
                place.apps.delete_namespaced_deployment(name, place.namespace)


def _wait_pods(place: workplace.Workplace, start: datetime.datetime, count: int) -> None:
    """Wait until so many pods have been scheduled since."""

    def enough(entries: Iterable[audit.Entry]) -> bool:
        scheduled = [e for e in entries if (e.verb, e.resource) == ("create", story.BINDING)]
        return sum(entry.answered > start for entry in scheduled) >= count

    place.log.wait(enough, ROLLED_OUT_SECONDS)


def _deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = releases.template("1")
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": pod | {"metadata": {"labels": labels}},
        },
    }


def _batches(prefix: str, count: int, batch: int) -> Iterator[list[str]]:
    for start in range(0, count, batch):
        yield [f"{prefix}{number:04}" for number in range(start, min(start + batch, count))]


def _rows(what: str, seconds: Sequence[float]) -> Iterator[Row]:
    milliseconds = [1000 * value for value in seconds]
    yield Row(f"{what}: median", figures.quantile(milliseconds, 0.5), "ms")
    yield Row(f"{what}: p99", figures.quantile(milliseconds, 0.99), "ms")
