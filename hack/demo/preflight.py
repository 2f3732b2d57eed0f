"""Stable alone must meet the SLO on this machine, or life 4 would prove nothing."""

import time
from typing import Final

from hack.demo import stage

LOAD_SECONDS: Final = 30
THRESHOLD_SECONDS: Final = 0.5
SHARE_MIN: Final = 0.93
"""The objective is 90 %."""
TRIES: Final = 4
_IN_TIME: Final = f"within {THRESHOLD_SECONDS * 1000:.0f} ms"


def check(on: stage.Stage) -> None:
    """Start the load, and demand that stable answers 93 % within 500 ms before a candidate comes.

    Raises
    ------
    stage.Failed
        When this machine is too slow or too busy for the demo's objective.
    """
    on.kube.apply(on.sample("load.yaml"))
    on.wait(
        "the load to run", 120, lambda: (on.kube.get(_POD) or {}).get("status", {}).get("phase") == "Running"
    )
    total = share = 0.0
    for _ in range(TRIES):
        total, share = _measure(on)
        on.say(f"   preflight: stable answered {share:.1%} of {total:.0f} requests {_IN_TIME}")
        if total >= LOAD_SECONDS and share >= SHARE_MIN:
            return
    raise stage.Failed(
        f"stable alone answers {share:.1%} of {total:.0f} requests {_IN_TIME} on this machine; "
        f"at least {SHARE_MIN:.0%} are needed: stop what else runs here"
    )


def _measure(on: stage.Stage) -> tuple[float, float]:
    """Return the user requests of half a minute, and the share of them within the threshold."""
    before = _counts(on)
    deadline = time.monotonic() + LOAD_SECONDS
    on.wait("30 s of load", LOAD_SECONDS + 30, lambda: time.monotonic() > deadline)
    after = _counts(on)
    total, fast = after[0] - before[0], after[1] - before[1]
    return total, fast / total if total else 0.0


_POD: Final = f"/api/v1/namespaces/{stage.NAMESPACE}/pods/load"


def _counts(on: stage.Stage) -> tuple[float, float]:
    """Return all and fast user requests over stable's pods, from the servers' own counters."""
    total = fast = 0.0
    for pod in on.pods(on.stable()):
        text = on.kube.text(
            f"/api/v1/namespaces/{stage.NAMESPACE}/pods/{pod['metadata']['name']}:7997/proxy/metrics"
        )
        for line in (text or "").splitlines():
            if not line.startswith("http_request_duration_seconds_bucket{") or "/v1/embeddings" not in line:
                continue
            labels, _, value = line.rpartition(" ")
            if f'le="{THRESHOLD_SECONDS}"' in labels:
                fast += float(value)
            if 'le="+Inf"' in labels:
                total += float(value)
    return total, fast
