"""The five verdicts, and nothing two-valued."""

import enum


class Verdict(enum.StrEnum):
    """What a check or an SLO says about the candidate.

    Precedence when several are aggregated: ``FAIL`` > ``ERROR`` > ``INCONCLUSIVE`` and ``NO_DATA`` >
    ``PASS``. Only ``PASS`` promotes; only ``FAIL`` is remembered.
    """

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    ERROR = "Error"
