"""Results that stand side by side: one check, several subjects, and their gates lined up."""

from collections.abc import Sequence

from canary_checks import schema
from canary_checks.report import words


def columns(results: Sequence[schema.CheckResult]) -> list[list[schema.CheckResult]]:
    """Group results of one check.

    Parameters
    ----------
    results
        Any.

    Returns
    -------
    One group for each check that several results are of, in the order of the results.
    """
    groups: dict[str, list[schema.CheckResult]] = {}
    for one in results:
        groups.setdefault(one.check.name, []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def gate_rows(group: Sequence[schema.CheckResult]) -> list[tuple[str, list[schema.Gate | None]]]:
    """Line up the gates of several results.

    Parameters
    ----------
    group
        Results of one check.

    Returns
    -------
    One row for each gate that any of them has: its name, and one cell for each result, None where it has no
    such gate.
    """
    rows: dict[tuple[str, str | None, str], list[schema.Gate | None]] = {}
    for place, one in enumerate(group):
        for gate in one.gates:
            row = rows.setdefault((gate.metric, gate.operation, gate.against), [None] * len(group))
            row[place] = gate
    return [
        (words.gate(metric, operation, against), cells)
        for (metric, operation, against), cells in rows.items()
    ]
