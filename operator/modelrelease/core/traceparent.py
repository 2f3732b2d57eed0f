"""Identifiers of traces and spans, derived from a run: whoever asks again comes to the same.

So an operator that was restarted goes on with the trace of the one before it, and a Job that it finds running
is the span that it would have started.
"""

import hashlib
from typing import Final

VARIABLE: Final = "TRACEPARENT"
"""Name of the environment variable by which a process is given its parent, as OpenTelemetry specifies."""


def trace_id(run_uid: str) -> str:
    """Return the trace of a run: 32 hexadecimal digits."""
    return hashlib.sha256(f"trace\n{run_uid}".encode()).hexdigest()[:32]


def span_id(run_uid: str, *what: str) -> str:
    """Return the span of a part of a run: 16 hexadecimal digits."""
    return hashlib.sha256("\n".join(["span", run_uid, *what]).encode()).hexdigest()[:16]


def probe_id(run_uid: str, job: str) -> str:
    """Return the span of a probe, which is a Job; what a model server does for it is below this span."""
    return span_id(run_uid, "probe", job)


def header(run_uid: str, job: str) -> str:
    """Return the header ``traceparent`` of W3C Trace Context for the requests of a probe, sampled."""
    return f"00-{trace_id(run_uid)}-{probe_id(run_uid, job)}-01"
