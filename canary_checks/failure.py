"""Why a check ended without judging: the one exception that becomes a result."""

from canary_checks import vocabulary as v


class CheckError(Exception):
    """A check could not reach a judgement.

    Attributes
    ----------
    reason
        CamelCase word for machines.
    message
        One sentence for people.
    verdict
        `Error` unless nothing was wrong and there was merely nothing to measure.
    """

    def __init__(self, reason: str, message: str, verdict: v.Verdict = v.Verdict.ERROR) -> None:
        self.reason = reason
        self.message = v.sentence(message)
        self.verdict = verdict
        super().__init__(self.message)
