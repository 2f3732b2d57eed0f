"""The span that requests are for, where whoever started this process has told one.

The header is written by hand: the format is one line (W3C Trace Context), and an SDK would tell nothing more.
"""

import os
import re
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "TRACEPARENT"
"""As OpenTelemetry specifies for processes; the operator sets it, and so does a traced CI."""

_FORMAT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def header(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the header ``traceparent`` for requests, or None; what is malformed is ignored, as W3C asks."""
    said = (os.environ if environment is None else environment).get(VARIABLE, "")
    return said if _FORMAT.fullmatch(said) else None
