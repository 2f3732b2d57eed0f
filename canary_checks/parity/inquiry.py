"""Which counterfactual requests are worth asking, given what is known already."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.parity import experiments, movement
from canary_checks.parity.causes import extent, pixels, texts, tokens

_A_PAIR = 2


async def inquire(
    moved: movement.Movement,
    originals: Sequence[inputs.Input],
    ask: experiments.Ask,
    budget: experiments.Budget,
    batch: int,
) -> movement.Movement:
    """Ask the candidate otherwise, wherever an answer could prove or exclude a cause.

    Parameters
    ----------
    moved
        What is known.
    originals
        What each item is asked as.
    ask
        Asks the candidate.
    budget
        How much may be asked.
    batch
        Inputs in one request.

    Returns
    -------
    The same movement with the trials that were made; none when the candidate does not answer alike twice,
    since nothing could be concluded then.
    """
    if not moved.steady or not (moved.moved & moved.paired).any():
        return moved
    tries = experiments.Experimenter(moved, originals, ask, budget, batch)
    trials: dict[str, movement.Trial] = {}
    if moved.alone is not None and not moved.alone <= moved.limit:
        trial = await tries.alone()
        if trial is not None:
            trials[experiments.ALONE] = trial
        return dataclasses.replace(moved, trials=trials)
    changes = sorted(_changes(moved, originals), key=lambda change: int(change.rows.sum()))
    enough: int | None = None
    for change in changes:
        if enough is not None and change.rows.sum() > enough:
            break
        trial = await tries.change(change)
        if trial is None:
            continue
        trials[change.name] = trial
        if trial.proves:
            enough = int(change.rows.sum())
    if enough is None and extent.modality(moved) is v.Modality.IMAGE:
        trials |= await pixels.values(moved, originals, tries)
    return dataclasses.replace(moved, trials=trials)


def _changes(moved: movement.Movement, originals: Sequence[inputs.Input]) -> Iterable[experiments.Change]:
    """Return what could explain every moved row."""
    if extent.modality(moved) is v.Modality.IMAGE:
        return pixels.changes(moved, originals)
    found = texts.changes(moved)
    pair = tokens.cover(moved)
    if len(pair) == _A_PAIR and extent.untouched_plain(moved):
        rows = np.array([bool(tokens.words(item.text) & set(pair)) for item in moved.items])
        found.append(
            experiments.Change(
                tokens.EXCHANGED,
                rows,
                lambda row: inputs.Text(tokens.exchanged(moved.items[row].text, *pair)),
            )
        )
    return found
