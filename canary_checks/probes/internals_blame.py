"""Why the inside of a generator differs: the candidate is run otherwise, as far as the time allows."""

import dataclasses
import time
from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.internals import asked as inside
from canary_checks.internals import comparison, judging, record, running, trace
from canary_checks.parity import gates

PROMPTS: Final = 4
"""With which a diagnosis runs the candidate again, at most."""
_SHARE: Final = 0.8
"""Of the deadline: a verdict that is known must not be lost over its explanation."""
_ROOM: Final = 1.5
"""A run is begun where this many times its usual length is left."""


@dataclasses.dataclass
class Time:
    """How much of a check's time is left for more runs.

    Attributes
    ----------
    started
        By the monotonic clock.
    deadline_seconds
        Of the check.
    run_seconds
        How long a run of all prompts took.
    """

    started: float
    deadline_seconds: float
    run_seconds: float

    def suffices(self) -> bool:
        """Tell whether there is time for another run."""
        left = self.started + _SHARE * self.deadline_seconds - time.monotonic()
        return left > _ROOM * self.run_seconds


def blame(
    runner: running.Runner,
    wanted: inside.Internals,
    *,
    seen: trace.Trace,
    known: record.Record,
    numeric_class: v.NumericClass,
    limits: judging.Limits,
    left: Time,
) -> schema.DiagnosisReport | None:
    """Name the cause of a failure; None of a model that is no pipeline, and where there is no time.

    Parameters
    ----------
    runner
        The candidate.
    wanted
        How it was run.
    seen
        Its trace.
    known
        The reference.
    numeric_class
        The pair's.
    limits
        Of the gates.
    left
        The time.
    """
    if runner.library is not inside.Library.DIFFUSERS or not left.suffices():
        return None
    # These need torch, and whoever gets here has it.
    from canary_checks.internals import otherwise, pipelines  # noqa: PLC0415
    from canary_checks.internals.causes import contrast, diagnosis  # noqa: PLC0415

    assert isinstance(runner, pipelines.Pipeline)
    count = min(PROMPTS, len(known.seen.prompts), len(seen.prompts))
    reference, candidate = trace.first(known.seen, count), trace.first(seen, count)
    guidance = None if wanted.guidance is None else float(wanted.guidance)
    same = seen.dtype == reference.dtype
    changed = otherwise.Otherwise(
        pipeline=runner,
        reference=reference,
        steps=wanted.steps,
        guidance=guidance,
        scheduler=known.header.scheduler_config or None,
    )

    def passes(made: trace.Trace) -> bool:
        judged = judging.absolute(made, limits)
        judged += judging.against(
            comparison.compare(made, reference),
            limits,
            numeric_class=numeric_class,
            same_numbers=made.dtype == reference.dtype,
            role="Stable",
        )
        return gates.verdict_of(judged) is v.Verdict.PASS

    again = runner.run(
        candidate.prompts,
        seed=wanted.seed,
        scheduler=wanted.scheduler,
        steps=wanted.steps,
        guidance=guidance,
        known=None if reference.decoded is None else reference.decoded.latents,
    )
    entropy = judging.BANDS[judging.Metric.ENTROPY_SHIFT_MAX]
    seen_so_far = contrast.Contrast(
        reference=reference,
        candidate=candidate,
        limits=contrast.Limits(
            stage=judging.stage_band(numeric_class).passes,
            entropy=limits.band(judging.Metric.ENTROPY_SHIFT_MAX, entropy)[0].passes,
            psnr=(judging.PSNR_SAME if same else judging.PSNR_OTHER).passes,
        ),
        again=again,
    )
    return diagnosis.diagnose(
        seen_so_far, lambda change: changed(change) if left.suffices() else None, passes
    ).report
