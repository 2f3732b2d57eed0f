"""A record that was made of another version of the golden set is not compared with, and that is a verdict.

It is no error, for nothing broke, and no failure, for nothing worse was seen; but a check that was to compare
and did not has not passed either.
"""

from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v

METRIC: Final = "ComparableRecord"
REASON: Final = "ReferenceOutdated"
NEXT: Final = (
    "in a release, waive this check once for this revision: its run leaves a record for the next one"
)


def gate() -> schema.Gate:
    """Return the gate of a comparison that was wanted and could not be made: `NoData`."""
    return schema.Gate(
        metric=METRIC,
        against="Stable",
        verdict=v.Verdict.NO_DATA,
        observed=0,
        operator="==",
        limit=1,
        basis=v.Basis.EXACT,
        samples=0,
    )
