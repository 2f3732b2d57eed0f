"""What is told of a model's internals: gates, the sentence, the layers that moved most, heat maps."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from canary_checks import request, schema
from canary_checks import vocabulary as v
from canary_checks.internals import comparison, judging, metric, pictures, record, sweep, trace
from canary_checks.parity import gates, numeric
from canary_checks.probes import finding, parties

_AGAINST: Final[dict[v.Role, gates.Against]] = {v.Role.STABLE: "Stable", v.Role.RECORDED: "Recorded"}
_TOLD: Final = 3
_CHANNELS: Final = 4
_IN_WORDS: Final = frozenset(
    {metric.Metric.TOKEN_MISMATCHES, metric.Metric.ENTROPY_SHIFT_MAX, metric.Metric.STAGE_DISTANCE}
)


def conclude(
    asked: request.CheckRequest,
    limits: judging.Limits,
    seen: trace.Trace,
    known: Sequence[tuple[request.ReferenceSource, record.Record]],
    swept: Mapping[sweep.Point, sweep.Summary],
) -> finding.Finding:
    """Judge what was seen and tell it.

    Parameters
    ----------
    asked
        The request.
    limits
        Of its gates.
    seen
        The candidate's trace.
    known
        Each reference of the request, with its record.
    swept
        What came of the settings of a sweep.
    """
    judged = judging.absolute(seen, limits)
    told: list[str] = []
    compared: list[tuple[trace.Trace, comparison.Difference]] = []
    for source, one in known:
        differs = comparison.compare(seen, one.seen)
        own_class = numeric.worse((asked.numeric_class, source.numeric_class))
        made = judging.against(
            differs,
            limits,
            numeric_class=own_class,
            same_numbers=one.seen.dtype == seen.dtype,
            role=_AGAINST.get(source.role, "Recorded"),
        )
        judged += made
        compared.append((one.seen, differs))
        told += _told(made, differs, one.seen, seen, own_class)
    verdict = gates.verdict_of(judged)
    reference, difference = compared[0] if compared else (None, None)
    if not told:
        told = [
            f"{len(seen.attention)} layers and {len(seen.stages)} stages as in the reference"
            if compared
            else f"all is finite inside; {len(seen.attention)} layers, and no reference to compare them with"
        ]
        if verdict is v.Verdict.FAIL:
            told = [f"{judging.non_finite(seen)} values inside the model are not finite"]
    report = sweep.compare(swept, known[0][1].swept) if known else None
    dominant = None if report is None else report.dominant()
    told = [*told[:_TOLD], *((dominant,) if dominant else ())]
    message = f"{len(seen.prompts)} prompts, {seen.setting.named()}, {seen.dtype}: {'; '.join(told)}"
    return finding.Finding(
        verdict=verdict,
        reason="Internals",
        message=v.sentence(message),
        gates=tuple(judged),
        items_used=len(seen.prompts),
        measurements=_measured(difference),
        strata=(*_strata(difference, asked.numeric_class), *_swept(report, len(seen.prompts))),
        worst=_worst(difference, reference),
        series=_series(seen, difference),
        references=tuple(parties.recorded(source, one) for source, one in known),
        pictures=pictures.pairs(seen, reference, difference)[: schema.MOST_PICTURES],
    )


def _told(
    judged: Sequence[schema.Gate],
    found: comparison.Difference,
    reference: trace.Trace,
    seen: trace.Trace,
    numeric_class: v.NumericClass,
) -> list[str]:
    """Say in words what moved, where first and by how much."""
    open_ = {gate.metric: gate for gate in judged if gate.verdict is not v.Verdict.PASS}
    if not open_:
        return []
    told = []
    if found.mismatched:
        told.append(f"other token ids for {len(found.mismatched)} of {found.prompts} prompts")
    broken = judging.first_broken(found, numeric_class)
    if broken is not None:
        told.append(f"first stage that breaks: {broken[0]} (relative distance {broken[1]:.2g})")
    worst = found.entropy_worst()
    if metric.Metric.ENTROPY_SHIFT_MAX in open_ and worst is not None:
        told.append(_where(worst[0], worst[1], reference, seen))
    if found.missing:
        told.append(f"only one side has {', '.join(found.missing[:2])}")
    if found.flips:
        step, channel = found.flips[0]
        told.append(f"the mean of latent channel {channel} changes its sign at step {step}")
    for which, gate in open_.items():
        if which not in _IN_WORDS:
            told.append(f"{which} {float(gate.observed):.3g}, limit {float(gate.limit):g}")
    return told


def _where(size: float, place: comparison.Place, reference: trace.Trace, seen: trace.Trace) -> str:
    before = next((one for one in reference.attention if comparison.name(one) == place.name), None)
    after = next((one for one in seen.attention if comparison.name(one) == place.name), None)
    text = f"attention of {place.name} moved most at step {place.step + 1}, by {size:.2g}"
    if before is None or after is None:
        return text
    text += f" to {after.entropy[:, min(place.step, after.entropy.shape[1] - 1)].mean():.2f}"
    top = _top(after, min(place.step, after.entropy.shape[1] - 1), seen)
    return f"{text}, most of it on {top}" if top else text


def _top(layer: trace.Attention, step: int, seen: trace.Trace) -> str:
    """Name the tokens of the first prompt that a layer of cross attention looks at most."""
    pieces = next((one.pieces[0] for one in seen.tokens if one.pieces), ())
    if layer.kind is not trace.AttentionKind.CROSS or not pieces:
        return ""
    return ", ".join(
        f"{pieces[key]!r} ({weight:.0%})"
        for key, weight in zip(layer.top[0, step], layer.weight[0, step], strict=True)
        if 0 <= key < len(pieces)
    )


def _measured(found: comparison.Difference | None) -> tuple[schema.Measurement, ...]:
    """Give the distributions behind the gates."""
    if found is None:
        return ()
    parts = {
        "EntropyShift": np.concatenate([np.abs(x).ravel() for x in found.entropy.values()])
        if found.entropy
        else None,
        "ChannelSnrShiftDecibels": None if found.snr is None else np.abs(found.snr).ravel(),
        "LatentDistanceShift": None if found.distance is None else found.distance.ravel(),
        metric.Metric.GUIDANCE_SHIFT.value: None if found.guidance is None else found.guidance.ravel(),
        "DecodedPsnrDecibels": found.psnr,
    }
    return tuple(
        schema.Measurement(
            metric=name,
            samples=values.size,
            min=v.number(float(values.min())),
            p50=v.number(float(np.quantile(values, 0.5))),
            p95=v.number(float(np.quantile(values, 0.95))),
            max=v.number(float(values.max())),
        )
        for name, values in parts.items()
        if values is not None and values.size
    )


def _strata(found: comparison.Difference | None, numeric_class: v.NumericClass) -> tuple[schema.Stratum, ...]:
    """Give each stage with its distance, in the order in which they run."""
    if found is None:
        return ()
    return tuple(
        schema.Stratum(
            name=v.sentence(name, 128),
            items=len(far),
            failed=int((~(far <= judging.stage_band(numeric_class, name).passes)).sum()),
            worst=v.number(float(far.max())),
            metric=metric.Metric.STAGE_DISTANCE,
        )
        for name, far in found.stages.items()
    )


def _swept(report: sweep.Report | None, prompts: int) -> tuple[schema.Stratum, ...]:
    """Give each setting of a sweep with its farthest number, in times of the limit."""
    if report is None:
        return ()
    failing = set(report.failing())
    return tuple(
        schema.Stratum(
            name=v.sentence(f"sweep: {point.named()}", 128),
            items=prompts,
            failed=prompts if point in failing else 0,
            worst=v.number(max(shares.values(), default=0.0)),
        )
        for point, shares in report.shares.items()
    )


def _worst(
    found: comparison.Difference | None, reference: trace.Trace | None
) -> tuple[schema.WorstItem, ...]:
    """Give the layers whose attention moved most, each with its worst step."""
    if found is None or reference is None:
        return ()
    sizes = {name: np.abs(one.mean(0)) for name, one in found.entropy.items()}
    order = sorted(sizes, key=lambda name: -float(np.nan_to_num(sizes[name], nan=np.inf).max()))
    known = {comparison.name(one): one.entropy.mean(0) for one in reference.attention}
    told = []
    for name in order[: schema.MOST_WORST]:
        step = int(np.nan_to_num(sizes[name], nan=np.inf).argmax())
        if sizes[name][step] != 0:
            told.append(
                schema.WorstItem(
                    item=v.sentence(name, 128),
                    stratum=f"step {step + 1}",
                    values={
                        "entropyShift": v.number(float(found.entropy[name].mean(0)[step])),
                        "entropyOfReference": v.number(float(known[name][step])),
                    },
                )
            )
    return tuple(told)


def _series(seen: trace.Trace, found: comparison.Difference | None) -> dict[str, tuple[v.Number, ...]]:
    """Give what moves from step to step."""
    made: dict[str, tuple[v.Number, ...]] = {}

    def add(name: str, values: npt.NDArray[Any]) -> None:
        made[name] = tuple(v.number(float(one)) for one in values)

    if seen.latents is not None:
        add("latentDistance", seen.latents.distance.mean(0))
        snr = seen.latents.snr_db()
        for channel in range(min(_CHANNELS, snr.shape[1])):
            add(f"channel{channel}SnrDecibels", snr[:, channel])
    if found is not None and found.entropy:
        steps = max(one.shape[1] for one in found.entropy.values())
        whole = [np.abs(one.mean(0)) for one in found.entropy.values() if one.shape[1] == steps]
        add("entropyShiftMax", np.max(whole, axis=0))
    if found is not None and found.distance is not None:
        add("latentDistanceShift", found.distance.mean(0))
    return made
