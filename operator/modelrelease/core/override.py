"""Which words of people count now, by their field in ``spec.override``."""

import collections
from collections.abc import Mapping
from typing import Final

from modelrelease.core import observation, target

KINDS: Final = (
    "approval",
    "cancelled",
    "debug",
    "forced",
    "paused",
    "pinned",
    "rejected",
    "retry",
    "waiver",
)


def in_play(observed: observation.Observation) -> frozenset[str]:
    """Return the revisions that matter now: stable, the one that is tried, and the one that is wanted."""
    run, desired = target.active_run(observed), observed.release.desired
    names = [
        target.stable_of(observed),
        run.spec.revision if run is not None else None,
        desired.revision if desired is not None else None,
    ]
    return frozenset(name for name in names if name is not None)


def counted(observed: observation.Observation) -> Mapping[str, int]:
    """Return how many words of each kind count now; a kind without any is absent.

    A word about a revision that nobody serves, tries or wants is history. An approval and a retry count while
    the run that they are for is under way.
    """
    said, here, run = observed.release.override, in_play(observed), target.active_run(observed)
    tried = run.spec.revision if run is not None else None
    retried = said.retry is not None and run is not None and said.retry.attempt == run.spec.attempt
    found: collections.Counter[str] = collections.Counter()
    found["paused"] = int(said.paused is not None)
    found["pinned"] = int(said.pinned is not None)
    for kind, bound in (("forced", said.forced), ("cancelled", said.cancelled), ("debug", said.debug)):
        found[kind] = int(bound is not None and bound.revision in here)
    found["waiver"] = sum(one.revision in here for one in said.waivers)
    found["rejected"] = sum(one.revision in here for one in said.rejected)
    found["approval"] = sum(one.revision == tried for one in said.approvals)
    found["retry"] = int(retried and said.retry is not None and said.retry.revision == tried)
    return {kind: found[kind] for kind in KINDS if found[kind]}
