"""One comparison of two processes from beginning to end: digests first, then only the tensors that differ."""

import asyncio
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.contracts import difference, generation, process
from canary_checks.trace import blame, client, compare, pixels, rendering, tokens, values

_ARTIFACT: Final = "Artifact"
_AT_A_TIME: Final = 16
_KEPT: Final = 8
"""Items whose tensors are kept, those that differ most: enough to prove a cause."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found.

    Attributes
    ----------
    stages
        In the order of execution.
    infos
        What each side says about itself, A first.
    """

    stages: tuple[compare.Stage, ...]
    infos: tuple[client.Info, client.Info]

    @property
    def first(self) -> compare.Stage | None:
        """The first stage that differs."""
        return compare.first_difference(self.stages)

    @property
    def statements(self) -> dict[str, difference.Difference]:
        """What the two sides state differently, by what it is about."""
        before, after = self.infos
        return {
            "preprocessing": difference.compare(
                process.preprocessing(before).fields, process.preprocessing(after).fields
            ),
            "environment": difference.compare(process.environment(before), process.environment(after)),
            "files": difference.compare(process.files(before), process.files(after)),
            "generation": difference.compare(
                generation.contract(before.generation).fields, generation.contract(after.generation).fields
            ),
        }

    @property
    def verdict(self) -> v.Verdict:
        """The worst of all stages that both sides tell; NoData when there is none."""
        order = (v.Verdict.FAIL, v.Verdict.INCONCLUSIVE, v.Verdict.PASS)
        found = {stage.verdict for stage in self.stages}
        return next((verdict for verdict in order if verdict in found), v.Verdict.NO_DATA)


async def run(
    a: client.TraceClient,
    b: client.TraceClient,
    items: Mapping[str, inputs.Input],
    *,
    numeric_class: v.NumericClass = v.NumericClass.FP32,
    seed: int | None = None,
) -> Report:
    """Compare what two processes make of some items.

    Parameters
    ----------
    a, b
        The two processes; `a` is the one that is believed.
    items
        What to trace, by id.
    numeric_class
        Of the pair, for the stages behind the preprocessing.
    seed
        For stages that draw noise.

    Returns
    -------
    Every stage, with a cause for the first one that differs where it reads texts or pixels.

    Raises
    ------
    CheckError
        A side cannot be asked.
    """
    infos = tuple(await asyncio.gather(a.info(), b.info()))
    names = compare.in_order(infos[0].stages, infos[1].stages)
    traced = await asyncio.gather(a.digests(items, names, seed), b.digests(items, names, seed))
    artifact_only = _ARTIFACT in {info.source for info in infos}
    asked = _Pair(a, b, items, (infos[0], infos[1]), seed)
    stages: list[compare.Stage] = []
    blamed: set[str] = set()
    for name in names:
        ours, theirs = (_side(one, name) for one in traced)
        if not ours and not theirs:
            # None of the items is of the modality that the stage reads.
            continue
        measured, kept = await asked.measure(name, ours, theirs)
        stage = compare.judge(
            name, ours, theirs, measured, numeric_class=numeric_class, artifact_only=artifact_only
        )
        modality = name.partition(".")[0]
        if stage.differing and stage.verdict is not v.Verdict.PASS and modality not in blamed:
            # What comes after the first difference of a modality differs because of it.
            blamed.add(modality)
            stage = dataclasses.replace(stage, cause=await asked.cause(name, (ours, theirs), kept))
        stages.append(stage)
    return Report(tuple(stages), asked.infos)


@dataclasses.dataclass(frozen=True)
class _Pair:
    """Two processes and what they are asked about."""

    a: client.TraceClient
    b: client.TraceClient
    items: Mapping[str, inputs.Input]
    infos: tuple[client.Info, client.Info]
    seed: int | None

    async def measure(
        self, stage: str, ours: compare.Side, theirs: compare.Side
    ) -> tuple[dict[str, tuple[float, float]], tuple[pixels.Images, pixels.Images]]:
        """Ask for the tensors that differ, a few at a time, and keep those that differ most."""
        sizes = {
            item: max(one.size_bytes, other.size_bytes)
            for item in compare.differing(ours, theirs)
            if isinstance(one := ours[item], values.Tensor)
            and isinstance(other := theirs[item], values.Tensor)
        }
        measured: dict[str, tuple[float, float]] = {}
        ours_kept: dict[str, pixels.Array] = {}
        theirs_kept: dict[str, pixels.Array] = {}
        for start in range(0, len(sizes), _AT_A_TIME):
            wanted = {item: self.items[item] for item in list(sizes)[start : start + _AT_A_TIME]}
            whole = await asyncio.gather(
                self.a.tensors(wanted, stage, sizes, self.seed),
                self.b.tensors(wanted, stage, sizes, self.seed),
            )
            left, right = (_side(one, stage) for one in whole)
            measured |= compare.measure(stage, left, right)
            ours_kept |= compare.images_of(left, list(left))
            theirs_kept |= compare.images_of(right, list(right))
            # Tensors of different shapes have no measure, and are the first to be explained.
            shared = [item for item in ours_kept if item in theirs_kept]
            worst = sorted(shared, key=lambda item: -measured.get(item, (math.inf, 0.0))[0])[:_KEPT]
            ours_kept = {item: ours_kept[item] for item in worst}
            theirs_kept = {item: theirs_kept[item] for item in worst}
        return measured, (ours_kept, theirs_kept)

    async def cause(
        self,
        stage: str,
        sides: tuple[compare.Side, compare.Side],
        kept: tuple[pixels.Images, pixels.Images],
    ) -> blame.Blame | None:
        """Try what could explain a difference in tokens or pixels."""
        step = stage.partition(".")[2]
        if compare.of_tokens(step):
            return await self._cause_of_tokens(stage, sides)
        if step == compare.PIXELS and kept[0]:
            return await self._cause_of_pixels(*kept)
        return None

    async def _cause_of_pixels(self, ours: pixels.Images, theirs: pixels.Images) -> blame.Blame:
        said = [info.preprocess.contract for info in self.infos]
        found = pixels.explain(ours, theirs, _numbers(said[0].get("mean")), _numbers(said[0].get("std")))
        contents = {x: one.content for x in ours if isinstance(one := self.items[x], inputs.Image)}
        if found is None and len(contents) == len(ours):
            sizes = [size for one in said if (size := _pixels(one.get("resize"))) is not None]
            # Seconds of work would stop every other coroutine of the process.
            found = await asyncio.to_thread(rendering.explain, ours, theirs, contents, sizes)
        return found or blame.nobody(
            "no reversal, turn, scale or mean/std makes the tensors equal, and no usual way of resizing and"
            " cropping gives one of them: compare the preprocessing code"
        )

    async def _cause_of_tokens(
        self, stage: str, sides: tuple[compare.Side, compare.Side]
    ) -> blame.Blame | None:
        ours, theirs = (compare.ids_of(side) for side in sides)
        texts = {x: one.content for x in ours if isinstance(one := self.items[x], inputs.Text)}
        if set(texts) != set(ours) or set(ours) != set(theirs):
            return None
        asked = {
            f"{variant}/{item}": inputs.Text(text)
            for variant, changed in tokens.variants(texts).items()
            for item, text in changed.items()
        }
        made = await asyncio.gather(*(side.digests(asked, [stage]) for side in (self.a, self.b)))
        return tokens.explain(ours, theirs, *(_by_variant(one, stage) for one in made))


def _side(traced: client.Traced, stage: str) -> dict[str, values.Value]:
    return {item: made[stage] for item, made in traced.items() if stage in made}


def _by_variant(traced: client.Traced, stage: str) -> dict[str, dict[str, tuple[int, ...]]]:
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, ids in compare.ids_of(_side(traced, stage)).items():
        variant, _, item = name.partition("/")
        found.setdefault(variant, {})[item] = ids
    return found


def _numbers(given: object) -> tuple[float, ...] | None:
    if isinstance(given, Sequence) and given and all(isinstance(x, int | float) for x in given):
        return tuple(float(x) for x in given)
    return None


def _pixels(given: object) -> int | None:
    return given if isinstance(given, int) and 0 < given <= 4096 else None  # noqa: PLR2004 - a sane image
