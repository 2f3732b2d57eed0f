"""In which other ways a candidate is worth running, given what is known already."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final

from canary_checks.internals import trace
from canary_checks.internals.causes import contrast, decoding, denoising, numbers, reading, sampling

Change = contrast.Change
Measure = Callable[[Change], trace.Trace | None]
"""Runs the candidate otherwise, with the same prompts and seeds; None where that cannot be done."""
Passes = Callable[[trace.Trace], bool]
"""Whether every gate passes with a trace."""
MOST: Final = 6
"""How often a candidate is run for a diagnosis, at most."""


def inquire(
    seen: contrast.Contrast, measure: Measure, passes: Passes, *, most: int = MOST
) -> contrast.Contrast:
    """Run the candidate otherwise, wherever the outcome could prove or exclude a cause.

    Parameters
    ----------
    seen
        What is known.
    measure, passes
        Run it, and judge it as the check did.
    most
        How often it may be run.

    Returns
    -------
    The same with what came of it: up to the first way in which every gate passes.
    """
    trials = dict(seen.trials)
    for change in _changes(seen):
        if len(trials) >= most:
            break
        if change in trials:
            continue
        made = measure(change)
        if made is None:
            continue
        trials[change] = contrast.Trial(seen=made, passed=passes(made))
        if trials[change].passed:
            break
    return dataclasses.replace(seen, trials=trials)


def _changes(seen: contrast.Contrast) -> Iterator[Change]:
    """Give the ways, those first that the evidence speaks for, and what they change together last."""
    if seen.steady is False:
        yield numbers.EVALUATION
        return
    recorded = list(_recorded(seen))
    yield from recorded
    if len(recorded) > 1:
        yield _together(recorded)
    if seen.same(contrast.FIRST) is False and denoising.upstream(seen) is None:
        yield from _adapters(seen)
        if seen.conditioning_first():
            yield from (Change(clip_skip=skip) for skip in reading.SKIPS)
    by = decoding.factor(seen)
    added = decoding.offset(seen)
    if by is not None:
        yield Change(latent_scale=by)
    if added is not None:
        yield Change(latent_offset=added)
    if numbers.coarser(seen) and seen.broken is not None and seen.stages[seen.broken] <= contrast.ROUNDING:
        yield numbers.FULL_PRECISION


def _recorded(seen: contrast.Contrast) -> Iterator[Change]:
    """Give what of the reference can take the place of the candidate's own, and differs or may."""
    ours, theirs = seen.candidate.setting, seen.reference.setting
    if seen.tokenizers:
        yield reading.TOKENS
    if ours.steps != theirs.steps:
        yield sampling.STEPS
    if ours.guidance != theirs.guidance:
        yield sampling.GUIDANCE
    stepping = seen.timesteps_alike is False and ours.steps == theirs.steps
    later = seen.same(contrast.FIRST) is True and seen.step is not None
    if ours.scheduler != theirs.scheduler or stepping or seen.started_alike is False or later:
        yield sampling.SCHEDULER


def _together(changes: list[Change]) -> Change:
    values: dict[str, bool] = {}
    for change in changes:
        for name in ("tokens", "steps", "guidance", "scheduler"):
            values[name] = values.get(name, False) or getattr(change, name)
    return Change(**values)


def _adapters(seen: contrast.Contrast) -> Iterator[Change]:
    theirs, ours = (side.adapters for side in seen.stated)
    if theirs != ours:
        yield Change(adapter=next(iter(theirs.values()), 0.0))
