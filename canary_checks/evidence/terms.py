"""Where a check leaves its whole evidence: the part of a request that says so.

Nothing here imports more than pydantic: the operator's process reads requests.
"""

from typing import Annotated

import pydantic

from canary_checks import vocabulary as v


class Evidence(v.Model):
    """A mounted volume, and what of it belongs to this check."""

    path: Annotated[str, pydantic.StringConstraints(pattern=r"^/[^\x00]{1,1023}$")]
    """Where the volume is mounted."""
    namespace: v.Name
    release: v.Name
    portion: Annotated[int, pydantic.Field(ge=0, le=1023)] = 0
    """Which of the check's portions this probe is."""
    keep_runs: Annotated[int, pydantic.Field(ge=1, le=1000)] = 10
    """Of how many runs of the release evidence is kept, this one included; that of older ones is deleted."""
