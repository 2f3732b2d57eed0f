"""What goes wrong with generators: pictures that are drawn worse, loads that are served worse, and neither.

Each fault has a key: the gates that an engineer would look at for it. It was written before anything was
measured, and a fault counts as caught when the verdict is `Fail` and one of these gates has failed.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from canary_checks.performance import replay
from hack.faults import drawn_prompts
from hack.images.renderer import server

_TEXT: Final = frozenset({"TextFidelity", "CharacterErrorRate"})


@dataclasses.dataclass(frozen=True)
class Picture:
    """A renderer that draws otherwise than stable did.

    Attributes
    ----------
    quality
        How it draws.
    key
        Gates that may blame it; empty for a benign change.
    """

    quality: server.Quality
    key: frozenset[str] = frozenset()

    @property
    def prompts(self) -> drawn_prompts.Kind:
        """What shows it: titles where a text's gate may blame it, all prompts for what is benign."""
        if not self.key:
            return drawn_prompts.Kind.ALL
        return drawn_prompts.Kind.TITLES if _TEXT & self.key else drawn_prompts.Kind.SHAPES


def _picture(*key: str, **quality: Any) -> Picture:
    return Picture(server.Quality(**quality), frozenset(key))


PICTURES: Final[Mapping[str, Picture]] = {
    "letters garbled in 30 % of the titles (text fidelity 0.92 → 0.63)": _picture(*_TEXT, garbled=0.3),
    "letters garbled in 10 % of the titles": _picture(*_TEXT, garbled=0.1),
    "font not installed: empty boxes in 30 % of the titles": _picture(*_TEXT, tofu=0.3),
    "blur of 3 pixels (decoder, upscaler)": _picture(*_TEXT, "OcrConfidence", "Contrast", blur=3.0),
    "ink at 15 % of its contrast": _picture(*_TEXT, "Contrast", "OcrConfidence", contrast=0.15),
    "title 6 % of the width to the left": _picture(*_TEXT, "MarginMinimum", "MarginShift", shift=0.06),
    "one object fewer than asked for": _picture("ObjectCountAccuracy", lost_objects=1),
    "colours more saturated, by 1.8": _picture("SaturationShift", saturation=1.8),
    "red 10 levels too high": _picture("ColourCast", cast=10),
    "banding: 32 levels for each channel": _picture("UniqueLevels", levels=32),
    "5 % of the prompts refused": _picture("RefusedPrompts", refused=0.05),
    "5 % of the images blank": _picture("BlankImages", "DuplicateImages", blank=0.05),
    "5 % of the images noise": _picture("NoiseImages", noise=0.05),
    "a full stop changes the whole image": _picture(
        "PromptDistanceMedian", "PromptDistanceP95", unstable=True
    ),
    "an edit changes 6 levels outside of its mask": _picture("MaskLeak", leaks=6),
    "only the draft is served, the refiner left out": _picture(*_TEXT, draft=True),
}
BENIGN_PICTURES: Final[Mapping[str, Picture]] = {
    "the same server again": _picture(),
    "other seeds": _picture(seed_offset=7919),
    "other seeds, once more": _picture(seed_offset=104729),
    "another batch size: the last bit of every pixel": _picture(rounding=1),
    "another numeric class (fp16, bf16): 2 levels of every pixel": _picture(rounding=-2),
    "2 % of the titles garbled, as generators do": _picture(garbled=0.02),
}


_USUAL: Final = replay.Performance(
    concurrency=8, duration_seconds=15, warmup_seconds=1, request_timeout_seconds=5
)


@dataclasses.dataclass(frozen=True)
class Load:
    """A server that answers otherwise than stable did.

    Attributes
    ----------
    behaviour
        In the words of `benchmarks.load_server`.
    key
        Gates or reasons that may blame it; empty for a benign change.
    stable
        Likewise, of the server that was recorded.
    path
        Behind the behaviour.
    load
        What is sent.
    gpus
        Of the candidate; stable had one.
    """

    behaviour: str
    key: frozenset[str] = frozenset()
    stable: str = "delay=85,jitter=5,steps=20"
    path: str = "/v1/images/generations"
    load: replay.Performance = _USUAL
    gpus: int = 1


_SOAK: Final = replay.Performance(
    concurrency=8,
    duration_seconds=20,
    max_requests=1_000_000,
    warmup_seconds=1,
    soak=replay.Soak(interval_seconds=1),
)
_CROWD: Final = replay.Performance(
    arrivals=replay.Arrivals.POISSON,
    requests_per_second="20",
    concurrency=32,
    duration_seconds=20,
    warmup_seconds=1,
)


def _load(behaviour: str, *key: str, **more: Any) -> Load:
    return Load(behaviour, frozenset(key), **more)


_LATENCY: Final = ("LatencyP95Ratio", "ThroughputRatio", "GpuSecondsRatio")
LOADS: Final[Mapping[str, Load]] = {
    "latency 85 → 320 ms": _load("delay=320,jitter=5,steps=20", *_LATENCY),
    "1.5 times as long (CPU limit, another kernel)": _load("delay=128,jitter=8,steps=20", *_LATENCY),
    "steps 20 → 40, cost doubled": _load("delay=170,jitter=10,steps=40", "StepsRatio", *_LATENCY),
    "steps 20 → 30 on a GPU that hides it": _load("delay=85,jitter=5,steps=30", "StepsRatio"),
    "stops for 3 s, users keep coming": _load("delay=85,jitter=5,steps=20,stall=6:3", *_LATENCY, load=_CROWD),
    "5 % of the requests fail": _load("delay=85,jitter=5,steps=20,fail=0.05", "ErrorShare"),
    "10 % of the requests are turned away (429)": _load("delay=85,jitter=5,steps=20,busy=0.1", "ErrorShare"),
    "memory grows by 1 % every second": _load(
        "delay=85,steps=20,leak=0.01,a=2",
        "MemoryGrowthSharePerHour",
        stable="delay=85,steps=20,a=1",
        load=_SOAK,
    ),
    "the process is restarted under load (OOM)": _load(
        "delay=85,steps=20,restart=5,a=3", "Restarts", stable="delay=85,steps=20,a=1", load=_SOAK
    ),
    "twice the GPUs for the same pace": _load(
        "delay=85,jitter=5,steps=20,seed=4", "ReferenceMismatch", gpus=2
    ),
}
BENIGN_LOADS: Final[Mapping[str, Load]] = {
    "the same pace, other noise": _load("delay=85,jitter=5,steps=20,seed=2"),
    "the same pace, other noise, once more": _load("delay=85,jitter=5,steps=20,seed=3"),
    "5 % slower": _load("delay=89,jitter=5,steps=20,seed=5"),
    "twice as fast": _load("delay=42,jitter=3,steps=20"),
    "a soak without a fault": _load("delay=85,steps=20,a=4", stable="delay=85,steps=20,a=1", load=_SOAK),
}
