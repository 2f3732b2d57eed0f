"""What performance tests have in common."""

import numpy as np

from canary_checks import operation, request
from canary_checks import vocabulary as v
from canary_checks.performance import driver, intervals, judging, mixing, recorded, replay

EMBEDDINGS = operation.Operation(name="embeddings", protocol=v.Protocol.OPENAI_EMBEDDINGS, model="m")
MIX = "sha256:" + "1" * 64
QUIET = np.full(100, 1e-4)


def asked(url: str, load: replay.Performance, **others: object) -> request.CheckRequest:
    """A request for one performance check."""
    fields = {
        "schema_version": v.SCHEMA,
        "check": request.CheckIdentity(
            name="speed", kind=v.CheckKind.PERFORMANCE, config_digest="sha256:" + "0" * 64
        ),
        "run": "run-1",
        "attempt": 1,
        "nonce": "n" * 16,
        "pod": request.PodIdentity(name="pod", uid="uid"),
        "url": url,
        "operations": (EMBEDDINGS,),
        "subject": request.Subject(revision="candidate"),
        "numeric_class": v.NumericClass.FP32,
        "golden_set": request.GoldenSet(builtin="TextV1"),
        "deadline_seconds": 60,
        "performance": load,
    }
    return request.CheckRequest(**(fields | others))  # type: ignore[arg-type]


def measured(latencies: np.ndarray, *, seconds: float = 60.0, **others: object) -> driver.Measured:
    """A replay whose answers took so long and came evenly."""
    count = int(np.isfinite(latencies).sum())
    outcomes = {driver.Outcome.ANSWERED: count}
    if count < len(latencies):
        outcomes[driver.Outcome.TIMED_OUT] = len(latencies) - count
    fields = {
        "latencies": latencies,
        "outcomes": outcomes,
        "seconds": seconds,
        "completed": np.full(intervals.BATCHES, count / intervals.BATCHES)
        + np.tile([0.5, -0.5], intervals.BATCHES // 2),
        "lags": QUIET,
        "processor": 0.1,
    }
    return driver.Measured(**(fields | others))  # type: ignore[arg-type]


def replayed(latencies: np.ndarray, **others: object) -> judging.Replayed:
    """A replay of the golden set's own mix, whose answers could be read."""
    own = {key: others.pop(key) for key in ("watched", "steps", "mixed", "unreadable") if key in others}
    mixed = mixing.Mixed(np.zeros((10, 1), dtype=np.int64), None, None)
    fields = {"measured": measured(latencies, **others), "mixed": mixed, "looked": 20} | own
    return judging.Replayed(**fields)  # type: ignore[arg-type]


def performed(latencies: np.ndarray, steps: float | None = None, mix: str = MIX) -> recorded.Performed:
    """What was recorded of such a replay."""
    made = measured(latencies)
    said = recorded.RecordedOperation(
        mix=mix,
        answered=made.answered,
        errors=made.errors,
        seconds=made.seconds,
        completed=tuple(float(x) for x in made.completed),
        steps=steps,
    )
    return recorded.Performed(said, latencies)


def lognormal(middle: float, count: int, *, seed: int, spread: float = 0.2) -> np.ndarray:
    """Latencies in seconds, as servers have them."""
    return middle * np.exp(spread * np.random.default_rng(seed).standard_normal(count))
