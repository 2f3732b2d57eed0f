"""What the prompts have in common along four axes: script, length, size of the letters, resolution."""

from collections.abc import Iterator

import numpy as np

from canary_checks import schema
from canary_checks.fidelity import limits, outcomes, spelling
from canary_checks.fidelity.outcomes import Column
from canary_checks.golden import pack as golden_pack

_SHORT, _LONG = 8, 20


def of(item: golden_pack.Item) -> Iterator[str]:
    """Give the strata of a prompt that asks for a text, such as ``length:9-20``."""
    if item.drawn is None or item.drawn.text is None:
        return
    text = item.drawn.text
    yield f"script:{spelling.script(text)}"
    length = len(text)
    yield f"length:{'1-8' if length <= _SHORT else '9-20' if length <= _LONG else '21+'}"
    if item.drawn.letters is not None:
        yield f"letters:{item.drawn.letters.lower()}"
    if item.generation is not None and item.generation.width is not None:
        yield f"resolution:{item.generation.width}x{item.generation.height}"


def summarise(items: tuple[golden_pack.Item, ...], found: outcomes.Outcomes) -> tuple[schema.Stratum, ...]:
    """Say for every stratum how many texts are wrong, and how wrong the worst of them is.

    Parameters
    ----------
    items
        The prompts of the rows.
    found
        What came of them.

    Returns
    -------
    Sorted by name, so that an axis stands together.
    """
    errors = found.column(Column.ERROR_RATE)
    rows: dict[str, list[float]] = {}
    for item, error in zip(items, errors.tolist(), strict=True):
        for name in of(item):
            rows.setdefault(name, []).append(error)
    told = []
    for name in sorted(rows):
        known = np.array([error for error in rows[name] if not np.isnan(error)])
        if known.size:
            wrong = int((known > spelling.RIGHT).sum())
            told.append(
                schema.Stratum(
                    name=name,
                    items=known.size,
                    failed=wrong,
                    worst=float(known.max()),
                    metric=limits.ERROR_RATE,
                )
            )
    return tuple(told)
