"""The way from noise to a latent: the scheduler, how many steps it takes, and how far guidance goes."""

from collections.abc import Callable
from typing import Final

import numpy as np

from canary_checks.internals import trace
from canary_checks.internals.causes import cause, contrast

Change = contrast.Change
SCHEDULER: Final = Change(scheduler=True)
STEPS: Final = Change(steps=True)
GUIDANCE: Final = Change(guidance=True)
_SCHEDULER_NEXT: Final = (
    "compare scheduler_config.json: _class_name, beta_schedule, prediction_type, timestep_spacing, shift"
)
_STEPS_NEXT: Final = "compare num_inference_steps that both servers ask for, and timestep_spacing"
_GUIDANCE_NEXT: Final = "compare guidance_scale and guidance_rescale that both servers ask for"


def scheduler(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise another way of stepping: another start, other timesteps, or other steps between them."""
    what = _stepping(seen)
    if seen.passed(SCHEDULER):
        return cause.proven(
            what or "the denoiser answers alike, and the latents still part",
            "with the reference's scheduler and its configuration, every gate passes",
            next_step=_SCHEDULER_NEXT,
        )
    if what is None or seen.passed(STEPS) or _other_steps(seen):
        return None
    return cause.likely(what, next_step=_SCHEDULER_NEXT, sole=_certain(seen) and SCHEDULER not in seen.trials)


def _certain(seen: contrast.Contrast) -> bool:
    """Tell whether nothing but the scheduler could have made this difference."""
    return _class_differs(seen) or not seen.timesteps_alike or seen.started_alike is False


def _stepping(seen: contrast.Contrast) -> str | None:
    """Say in which way the steps differ, None where they do not or where something before them does."""
    ours, theirs = seen.candidate.latents, seen.reference.latents
    if ours is None or theirs is None or seen.timesteps_alike is None:
        return None
    if _class_differs(seen):
        return f"{seen.candidate.setting.scheduler} steps in the place of {seen.reference.setting.scheduler}"
    if not seen.timesteps_alike:
        return f"the timesteps are {_few(ours.timesteps)} instead of {_few(theirs.timesteps)}"
    if seen.started_alike is False:
        ratio = float(np.median(ours.norm[:, 0] / theirs.norm[:, 0]))
        return f"the timesteps are the same, and the noise to begin with is {ratio:.3g} times as large"
    if seen.same(contrast.FIRST) and seen.step is not None and not _guidance_differs(seen):
        return (
            "start, timesteps and the denoiser's first answer are the same, and after step"
            f" {seen.step + 1} the latents are not"
        )
    return None


def _few(timesteps: trace.Floats) -> str:
    shown = ", ".join(f"{one:g}" for one in timesteps[:3])
    return f"{shown}{', …' if len(timesteps) > 3 else ''} ({len(timesteps)})"  # noqa: PLR2004


def _class_differs(seen: contrast.Contrast) -> bool:
    return seen.candidate.setting.scheduler != seen.reference.setting.scheduler


def _other_steps(seen: contrast.Contrast) -> bool:
    return seen.candidate.setting.steps != seen.reference.setting.steps


def _stepping_contradicted(seen: contrast.Contrast) -> str | None:
    if seen.passed(SCHEDULER):
        return None
    if seen.timesteps_alike is None:
        return "nothing is sampled in steps"
    if _class_differs(seen) or not seen.timesteps_alike or seen.started_alike is False:
        return None
    if seen.same(contrast.FIRST) is False:
        return "scheduler, timesteps and noise are the same, and the denoiser's first answer is not"
    if seen.step is None:
        return "the latents are the same after every step"
    if SCHEDULER in seen.trials:
        return "with the reference's scheduler, the gates fail as before"
    return None


def step_aliasing(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise another number of steps, or steps of which several fall on one timestep."""
    ours, theirs = seen.candidate.latents, seen.reference.latents
    if ours is None or theirs is None or seen.timesteps_alike is None:
        return None
    repeated = len(ours.timesteps) - len(np.unique(np.round(ours.timesteps, 3)))
    before = len(theirs.timesteps) - len(np.unique(np.round(theirs.timesteps, 3)))
    if repeated > before and not _class_differs(seen):
        return cause.observed(
            f"{repeated} of {len(ours.timesteps)} steps fall on a timestep that was there already",
            next_step=_STEPS_NEXT,
        )
    if not _other_steps(seen):
        return None
    what = f"{seen.candidate.setting.steps} steps instead of {seen.reference.setting.steps}"
    if seen.passed(STEPS):
        return cause.proven(
            what, "with as many steps as the reference, every gate passes", next_step=_STEPS_NEXT
        )
    return cause.likely(what, next_step=_STEPS_NEXT)


def _aliasing_contradicted(seen: contrast.Contrast) -> str | None:
    if seen.timesteps_alike is None:
        return "nothing is sampled in steps"
    if step_aliasing(seen) is not None:
        return None
    return f"both take {seen.reference.setting.steps} steps"


def over_guidance(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise a larger scale of guidance."""
    return _guidance(seen, more=True)


def under_guidance(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise a smaller scale of guidance, or none."""
    return _guidance(seen, more=False)


def _guidance(seen: contrast.Contrast, *, more: bool) -> cause.Named | None:
    ours, theirs = seen.candidate.setting.guidance, seen.reference.setting.guidance
    if ours is None or theirs is None or ours == theirs or (ours > theirs) is not more:
        return None
    what = f"guidance {ours:g} instead of {theirs:g}"
    if seen.passed(GUIDANCE):
        return cause.proven(
            what, "with the reference's scale of guidance, every gate passes", next_step=_GUIDANCE_NEXT
        )
    return cause.likely(what, next_step=_GUIDANCE_NEXT)


def _guidance_differs(seen: contrast.Contrast) -> bool:
    return seen.candidate.setting.guidance != seen.reference.setting.guidance


def _guidance_contradicted(*, more: bool) -> Callable[[contrast.Contrast], str | None]:
    word = "more" if more else "less"

    def contradiction(seen: contrast.Contrast) -> str | None:
        if _guidance(seen, more=more) is not None:
            return None
        if _guidance_differs(seen):
            return f"guidance is not {word}"
        if seen.reference.setting.guidance is None:
            return "the pipeline has no guidance"
        first = seen.same(contrast.FIRST)
        if first is False or seen.step is None or seen.passed(SCHEDULER):
            return f"both are asked for guidance {seen.reference.setting.guidance:g}"
        grown = _growth(seen)
        if grown is not None and (grown > 1) is not more:
            return f"the latents move {grown:.2g} times as far at the first step"
        # A pipeline may scale the guidance that it is asked for (guidance_rescale).
        return None

    return contradiction


def _growth(seen: contrast.Contrast) -> float | None:
    """Return how far the latents move at the first step, in units of the reference."""
    ours, theirs = seen.candidate.latents, seen.reference.latents
    if ours is None or theirs is None or not ours.distance.size or not theirs.distance.size:
        return None
    return float(np.median(ours.distance[:, 0] / np.maximum(theirs.distance[:, 0], 1e-12)))


TABLE: Final = (
    cause.Cause(
        name="StepAliasing",
        contradiction=_aliasing_contradicted,
        signature=step_aliasing,
        compatible=frozenset({"SchedulerConfig"}),
        next=_STEPS_NEXT,
    ),
    cause.Cause(
        name="OverGuidance",
        contradiction=_guidance_contradicted(more=True),
        signature=over_guidance,
        next=_GUIDANCE_NEXT,
    ),
    cause.Cause(
        name="UnderGuidance",
        contradiction=_guidance_contradicted(more=False),
        signature=under_guidance,
        next=_GUIDANCE_NEXT,
    ),
    cause.Cause(
        name="SchedulerConfig",
        contradiction=_stepping_contradicted,
        signature=scheduler,
        next=_SCHEDULER_NEXT,
    ),
)
