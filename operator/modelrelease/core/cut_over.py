"""Another vector space than stable's: why traffic stays, and what is known of what the new one finds."""

from modelrelease.api import reasons
from modelrelease.api.verdict import Verdict
from modelrelease.core import observation
from modelrelease.core.situation import Situation


def required(here: Situation) -> observation.Problem:
    """Return why a run across vector spaces ends without traffic, and what its checks have proven."""
    revisions = here.observed.revisions
    old, new = (
        revisions[name].embedding_space if name is not None and name in revisions else "an unknown one"
        for name in (here.stable, here.candidate)
    )
    said = (reasons.cut_over(old, new), _proof(here))
    return observation.Problem(reasons.CUT_OVER_REQUIRED, " ".join(part for part in said if part))


def _proof(here: Situation) -> str:
    """Say whether the new space finds what it should; nothing of a return, which runs no check."""
    if not here.required_checks:
        return ""
    names = [check.name for check in here.required_checks if check.retrieval is not None]
    said = {status.name: status for status in here.latest_checks}
    passed = [name for name in names if said[name].verdict is Verdict.PASS]
    if names and passed == names:
        return reasons.retrieval_proven(passed)
    return reasons.retrieval_unproven([name for name in names if name not in passed])
