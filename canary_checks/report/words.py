"""How numbers, metrics and causes of a result are written for people, the same in every rendering."""

import re
from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v

_METRICS: Final = {
    "CosineDistance": "1 − cos",
    "CosineDistanceWorst": "1 − cos, worst row",
    "NormDeviation": "norm deviation",
    "NormDeviationWorst": "norm deviation, worst row",
    "UnitNormDeviationWorst": "distance from length 1, worst row",
    "RepeatDistanceWorst": "1 − cos when asked again, worst row",
    "RepeatNormDeviationWorst": "norm deviation when asked again, worst row",
    "LatencyMilliseconds": "latency in ms",
    "LatencyP50Milliseconds": "p50 latency in ms",
    "LatencyP95Milliseconds": "p95 latency in ms",
    "LatencyP99Milliseconds": "p99 latency in ms",
    "LatencyP50Ratio": "p50 latency, ratio",
    "LatencyP95Ratio": "p95 latency, ratio",
    "LatencyP99Ratio": "p99 latency, ratio",
    "ThroughputPerSecond": "requests per second",
    "ClientLagMilliseconds": "how late the client was in ms, p95",
    "ClientProcessorShare": "the client's share of a core",
    "MixDistance": "distance of the mix to the golden set",
    "MixUncovered": "mix without a golden item",
    "MemoryGrowthSharePerHour": "memory growth per hour, share",
    "SoakShare": "share of a whole soak",
    "BatchDistanceWorst": "1 − cos in another batch, worst row",
    "EntropyShiftMax": "shift of attention entropy, worst layer",
    "EntropyShiftMean": "shift of attention entropy, mean",
    "ChannelSnrShiftMeanDecibels": "shift of the channels' SNR in dB, mean",
    "ChannelSnrShiftMaxDecibels": "shift of the channels' SNR in dB, worst",
    "ChannelSnrShiftDecibels": "shift of the channels' SNR in dB",
    "DecoderPsnrDecibels": "PSNR of decoded latents in dB, worst",
    "DecodedPsnrDecibels": "PSNR of decoded latents in dB",
    "NonFinite": "values inside that are not finite",
}
_BASES: Final = {
    v.Basis.DECLARED: "declared",
    v.Basis.CLASS_FLOOR: "floor of the numeric class",
    v.Basis.CALIBRATED: "calibrated by the reference's own noise",
    v.Basis.CLASS_CEILING: "ceiling of the numeric class",
    v.Basis.DEFAULT: "default",
    v.Basis.EXACT: "exact",
}
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|[0-9]+")
_SMALL: Final = 1e-3
_LARGE: Final = 1e5


def number(value: v.Number | None) -> str:
    """Write a number with three significant digits; what was not measured is a dash."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return {"NaN": "NaN", "Infinity": "∞", "-Infinity": "−∞"}[value]
    if value == int(value) and abs(value) < _LARGE:
        return str(int(value)).replace("-", "−")
    if not _SMALL <= abs(value) < _LARGE:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def between(gate: schema.Gate) -> str:
    """Say between which bounds the truth lies, such as `` (1.39 to 1.6)``; empty where it was counted."""
    if gate.low is None or gate.high is None or gate.low == gate.high:
        return ""
    return f" ({number(gate.low)} to {number(gate.high)})"


def metric(name: str) -> str:
    """Name a metric for people: ours by their definition, others by their words."""
    return _METRICS.get(name) or spaced(name)


def quantity(name: str) -> str:
    """Name what a row's value is: ``cosineDistance`` is *1 − cos*."""
    return metric(name[:1].upper() + name[1:])


def party(party: schema.Party) -> str:
    """Name who was compared with: its role, and its revision where that says more."""
    role = party.role.lower()
    return role if party.revision == role else f"{role} {party.revision}"


def gate(name: str, operation: str | None, against: str) -> str:
    """Name a gate with its operation and what it is judged against, where it says so."""
    before = f"{operation}: " if operation else ""
    return f"{before}{metric(name)}" + ("" if against == "Absolute" else f" (against {against})")


def basis(value: v.Basis) -> str:
    """Say where a gate's limit comes from."""
    return _BASES[value]


def spaced(name: str) -> str:
    """Split a CamelCase word: ``ChannelOrder`` is *channel order*, and ``EXIFIgnored`` *EXIF ignored*."""
    words = _WORD.findall(name)
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words) or name


def cause(diagnosis: schema.DiagnosisReport) -> str:
    """Say the cause in one sentence.

    Parameters
    ----------
    diagnosis
        Of a failed check.

    Returns
    -------
    The cause, how certain it is, and the first evidence for it.
    """
    if diagnosis.confidence is v.Confidence.UNKNOWN:
        left = ", ".join(spaced(name) for name in diagnosis.left)
        return f"Cause unknown; {f'left: {left}' if left else 'none of those we know fits'}."
    name = spaced(diagnosis.cause)
    because = f": {diagnosis.evidence[0]}" if diagnosis.evidence else ""
    return f"{name[0].upper()}{name[1:]} ({diagnosis.confidence.lower()}){because}."


def subject(result: schema.CheckResult) -> str:
    """Name what was checked, as a column's head does."""
    return result.subject.revision


def seconds(result: schema.CheckResult) -> float:
    """Return how long a check took, in seconds."""
    return (result.timings.completion_time - result.timings.start_time).total_seconds()
