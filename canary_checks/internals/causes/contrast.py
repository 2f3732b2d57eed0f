"""A candidate's trace beside the reference's: where they first part, and by how much.

Pure: the traces of both sides, the limits below which two numbers count as the same, and what came of running
the candidate otherwise (`Trial`).
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.internals import comparison, trace

Scalars = npt.NDArray[np.float64]
TEXT: Final = "text_encoder"
FIRST: Final = "denoiser first step"
LAST: Final = "denoiser last step"
LATENTS: Final = "latents"
DECODER: Final = "decoder"
DENOISERS: Final = ("unet", "transformer")
MODEL: Final = "model"
"""What a model of transformers is called."""
_SAMPLED: Final = (LAST, LATENTS, DECODER)
_SAMPLED_ROOM: Final = 3.0
"""Rounding adds up over the steps, as the gates allow for."""
_EXACT: Final = 0.01
ROUNDING: Final = 0.08
"""Relative distance that computing in fewer bits can make of a stage, at most."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Up to where two numbers count as the same: the limits of the gates at the pair's numeric class.

    Attributes
    ----------
    stage
        On the relative distance of a stage's output.
    entropy
        On the shift of a layer's normalised entropy.
    psnr
        Least PSNR of decoded images, dB.
    """

    stage: float
    entropy: float
    psnr: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One way of running the candidate otherwise; what is not set stays as the candidate has it.

    Attributes
    ----------
    tokens
        The encoders are given the reference's token ids.
    scheduler
        The reference's scheduler, with all of its configuration.
    steps, guidance
        The reference's number of steps, the reference's scale of guidance.
    clip_skip
        How many of the last layers of CLIP's encoders are skipped.
    evaluation
        Every module in evaluation mode.
    full_precision
        Everything is computed in float32, with the weights as they are.
    adapter
        Scale at which the adapter of the model's folder is loaded; 0 runs without it.
    latent_scale, latent_offset
        Factor on the latents that the decoder is given, and what is added to them.
    """

    tokens: bool = False
    scheduler: bool = False
    steps: bool = False
    guidance: bool = False
    clip_skip: int | None = None
    evaluation: bool = False
    full_precision: bool = False
    adapter: float | None = None
    latent_scale: float | None = None
    latent_offset: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of running the candidate otherwise.

    Attributes
    ----------
    seen
        Its trace.
    passed
        Whether every gate passes with it.
    """

    seen: trace.Trace
    passed: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stated:
    """What the files of a model say of it; empty where nothing is known.

    Attributes
    ----------
    adapters
        Scale of each adapter that is loaded, by name.
    dtypes
        In what type the weights of each component are stored.
    """

    adapters: Mapping[str, float] = dataclasses.field(default_factory=dict)
    dtypes: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Contrast:
    """What is known of a candidate whose gates did not all pass.

    Attributes
    ----------
    reference, candidate
        Of the same prompts and seeds.
    limits
        What counts as the same.
    again
        The candidate, run once more: None where that was not done.
    trials
        What came of running it otherwise.
    stated
        What the files of each side say, reference first.
    """

    reference: trace.Trace
    candidate: trace.Trace
    limits: Limits
    again: trace.Trace | None = None
    trials: Mapping[Change, Trial] = dataclasses.field(default_factory=dict)
    stated: tuple[Stated, Stated] = dataclasses.field(default_factory=lambda: (Stated(), Stated()))

    @functools.cached_property
    def difference(self) -> comparison.Difference:
        """Every distance between the two."""
        return comparison.compare(self.candidate, self.reference)

    @functools.cached_property
    def stages(self) -> dict[str, float]:
        """Largest relative distance over prompts of each stage that both sides have, in the order they run.

        Not a number where one side is not finite, infinite where the sizes differ.
        """
        return {name: float(far.max()) for name, far in self.difference.stages.items()}

    @functools.cached_property
    def encoders(self) -> tuple[str, ...]:
        """Names of the stages that read the prompt."""
        return tuple(name for name in self.stages if name.startswith(TEXT))

    def same(self, stage: str) -> bool | None:
        """Tell whether a stage's output is the same; None where that is not known."""
        found = self.stages.get(stage)
        return None if found is None else found <= self._room(stage)

    def _room(self, stage: str) -> float:
        return self.limits.stage * (_SAMPLED_ROOM if stage in _SAMPLED else 1.0)

    @functools.cached_property
    def broken(self) -> str | None:
        """The first stage whose output is not the same, None where all are."""
        return next((name for name, far in self.stages.items() if not far <= self._room(name)), None)

    @functools.cached_property
    def tokenizers(self) -> tuple[str, ...]:
        """Tokenizers that made other ids of some prompt; one whose encoder did not run made none."""
        ours = {one.tokenizer: one.ids for one in self.candidate.tokens}
        theirs = {one.tokenizer: one.ids for one in self.reference.tokens}
        return tuple(sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]))

    @functools.cached_property
    def started_alike(self) -> bool | None:
        """Whether the sampler begins with the same noise at the same timestep; None without latents."""
        ours, theirs = self.candidate.latents, self.reference.latents
        if ours is None or theirs is None or not ours.timesteps.size or not theirs.timesteps.size:
            return None
        return bool(
            abs(ours.timesteps[0] - theirs.timesteps[0]) <= _timestep_room(theirs.timesteps)
            and (_relative(ours.norm[:, 0], theirs.norm[:, 0]) <= self.limits.stage).all()
        )

    @functools.cached_property
    def timesteps_alike(self) -> bool | None:
        """Whether every timestep is the same; None without steps."""
        ours, theirs = self.candidate.latents, self.reference.latents
        if ours is None or theirs is None or ours.axis is not trace.Axis.STEP:
            return None
        if ours.timesteps.shape != theirs.timesteps.shape:
            return False
        return bool((np.abs(ours.timesteps - theirs.timesteps) <= _timestep_room(theirs.timesteps)).all())

    @functools.cached_property
    def step(self) -> int | None:
        """The first step after which the latents are not the same, from 0; None where all are, or unknown."""
        ours, theirs = self.candidate.latents, self.reference.latents
        if ours is None or theirs is None or ours.norm.shape[0] != theirs.norm.shape[0]:
            return None
        both = min(ours.norm.shape[1], theirs.norm.shape[1])
        far = self._latents_apart(ours, theirs, both)
        places = np.flatnonzero(~(far <= _SAMPLED_ROOM * self.limits.stage))
        return max(0, int(places[0]) - 1) if places.size else None

    def _latents_apart(self, ours: trace.Latents, theirs: trace.Latents, both: int) -> Scalars:
        """Compare norms and the channels' means; shape ``[both]``."""
        norms = np.asarray(_relative(ours.norm[:, :both], theirs.norm[:, :both]).max(0))
        if ours.mean.shape[2] != theirs.mean.shape[2]:
            return norms
        spread = np.sqrt(np.maximum(theirs.variance[:, :both].astype(np.float64), np.finfo(np.float64).tiny))
        means = np.abs(ours.mean[:, :both].astype(np.float64) - theirs.mean[:, :both]) / spread
        return np.asarray(np.maximum(norms, means.max((0, 2))))

    @functools.cached_property
    def layers(self) -> dict[str, Scalars]:
        """Shift of each layer's entropy, mean over prompts: shape ``[steps]``, candidate less reference."""
        return {name: shift.mean(0) for name, shift in self.difference.entropy.items()}

    def first_layer(self, *components: str) -> str | None:
        """Return the first layer, in the order in which they run, whose entropy moved at the first step.

        In the same numbers, what nothing has touched is the same to many digits: a hundredth of the gate's
        limit is movement already.
        """
        exact = self.candidate.dtype == self.reference.dtype
        room = self.limits.entropy * (_EXACT if exact else 1.0)
        for name, shift in self.layers.items():
            if name.partition(".")[0] in components and not abs(shift[0]) <= room:
                return name
        return None

    def conditioning_first(self) -> str | None:
        """Return the first layer of the denoiser that moved, if it is the first that reads the text.

        Then what differs may be what the denoiser is told, and not what it makes of the noise.
        """
        first = self.first_layer(*DENOISERS)
        reading = [
            comparison.name(one)
            for one in self.reference.attention
            if one.component in DENOISERS and one.kind is not trace.AttentionKind.SELF
        ]
        return first if first is not None and reading[:1] == [first] else None

    @functools.cached_property
    def decoder_alike(self) -> bool | None:
        """Whether both decoders make the same images of the same latents; None where that is not known."""
        psnr = self.difference.psnr
        return None if psnr is None else bool((psnr >= self.limits.psnr).all())

    @functools.cached_property
    def steady(self) -> bool | None:
        """Whether the candidate, run again, is the same as before; None where it was not."""
        if self.again is None:
            return None
        twin = Contrast(reference=self.candidate, candidate=self.again, limits=self.limits)
        return twin.broken is None and twin.decoder_alike is not False

    def passed(self, change: Change) -> bool:
        """Tell whether every gate passes when the candidate is run so."""
        trial = self.trials.get(change)
        return trial is not None and trial.passed


def _relative(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> Scalars:
    size = np.maximum(np.abs(theirs.astype(np.float64)), np.finfo(np.float64).tiny)
    return np.asarray(np.abs(ours.astype(np.float64) - theirs) / size)


def _timestep_room(timesteps: trace.Floats) -> float:
    # float16 and bfloat16 cannot hold every timestep below 1000.
    return float(2**-8 * np.abs(timesteps).max())
