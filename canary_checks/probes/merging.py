"""The findings of several operations of one endpoint as one: the worst verdict, and everybody's evidence."""

import itertools
from collections.abc import Mapping

from canary_checks.parity import gates
from canary_checks.probes import finding


def merge(found: Mapping[str, finding.Finding]) -> finding.Finding:
    """Put the findings of every operation of a check together.

    Parameters
    ----------
    found
        By the operation's name, at least one.

    Returns
    -------
    The only finding as it is, or one whose gates, measurements and rows say which operation they belong to.
    """
    if len(found) == 1:
        return next(iter(found.values()))
    worst = min(found.values(), key=lambda one: gates.PRECEDENCE.index(one.verdict))
    sentences = {name: one.message for name, one in found.items() if one.verdict is worst.verdict}
    return finding.Finding(
        verdict=worst.verdict,
        reason=worst.reason,
        message="; ".join(f"{name}: {sentence}" for name, sentence in sentences.items()),
        gates=tuple(
            gate.model_copy(update={"operation": name}) for name, one in found.items() for gate in one.gates
        ),
        items_used=sum(one.items_used for one in found.values()),
        measurements=tuple(
            m.model_copy(update={"operation": name}) for name, one in found.items() for m in one.measurements
        ),
        strata=tuple(itertools.chain.from_iterable(one.strata for one in found.values())),
        worst=tuple(
            row.model_copy(update={"operation": name}) for name, one in found.items() for row in one.worst
        )[:20],
        diagnosis=next((one.diagnosis for one in found.values() if one.diagnosis is not None), None),
        series={f"{name}:{key}": values for name, one in found.items() for key, values in one.series.items()},
        references=worst.references or next((one.references for one in found.values() if one.references), ()),
    )
