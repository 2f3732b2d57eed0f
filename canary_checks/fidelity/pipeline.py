"""Operations that draw, as the chains that users see: a draft, what refines it, what enlarges that."""

import dataclasses
import io
import time
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import PIL.Image
import PIL.ImageDraw

from canary_checks import failure, operation
from canary_checks.clients import client as clients
from canary_checks.clients import generation
from canary_checks.fidelity import picture
from canary_checks.golden import drawing
from canary_checks.golden import pack as golden_pack

_DEFAULT_SEED: Final = 2026


@dataclasses.dataclass(frozen=True)
class Chain:
    """Operations in the order in which an image goes through them; the last one is judged."""

    stages: tuple[operation.Operation, ...]

    @property
    def last(self) -> operation.Operation:
        """What users get."""
        return self.stages[-1]

    def draws(self, item: golden_pack.Item) -> bool:
        """Whether it can be asked for a prompt: those with a mask need an editor, the others a beginning."""
        masked = item.generation is not None and item.generation.mask is not None
        return self.last.edits if masked else not self.stages[0].edits


def chains(operations: Sequence[operation.Operation]) -> tuple[Chain, ...]:
    """Put operations into chains, one for each that no other one goes on with.

    Raises
    ------
    CheckError
        ``RequestInvalid``: one draws nothing, or goes on after what is not there or after itself.
    """
    by_name = {one.name: one for one in operations}
    for one in operations:
        if not one.draws:
            raise failure.CheckError(
                "RequestInvalid",
                f"the operation {one.name} answers with vectors: fidelity needs one that draws",
            )
        if one.after is not None and one.after not in by_name:
            raise failure.CheckError(
                "RequestInvalid", f"the operation {one.name} comes after {one.after}, which is not asked"
            )
    followed = {one.after for one in operations}
    found = []
    for last in (one for one in operations if one.name not in followed):
        stages = [last]
        while stages[0].after is not None:
            stages.insert(0, by_name[stages[0].after])
        found.append(Chain(tuple(stages)))
    if len({stage.name for chain in found for stage in chain.stages}) < len(by_name):
        raise failure.CheckError("RequestInvalid", "operations come after each other in a circle")
    return tuple(found)


@dataclasses.dataclass
class Artist:
    """The clients of one side, and how long each stage took.

    Attributes
    ----------
    clients
        By the operation's name; they are open.
    milliseconds
        Of every image, by the operation's name.
    """

    clients: Mapping[str, generation.ImageClient]
    milliseconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    async def draw(self, chain: Chain, item: golden_pack.Item) -> bytes:
        """Ask for the image of a prompt, through all stages.

        Returns
        -------
        The encoded image of the last stage.

        Raises
        ------
        Refused
            A stage declined.
        ValueError
            An earlier stage's image is broken.
        CheckError
            The server cannot be asked.
        """
        said = item.generation or drawing.Generation(seed=_DEFAULT_SEED)
        if said.mask is not None:
            return await self._ask(chain.last, item, said, original(item), mask_of(said))
        content: bytes | None = None
        for stage in chain.stages:
            given = None if content is None else _png(picture.decode(content))
            content = await self._ask(stage, item, said, given, None)
        assert content is not None
        return content

    async def _ask(
        self,
        stage: operation.Operation,
        item: golden_pack.Item,
        said: drawing.Generation,
        image: bytes | None,
        mask: bytes | None,
    ) -> bytes:
        wish = generation.Wish(
            prompt=item.text,
            seed=said.seed,
            width=said.width,
            height=said.height,
            steps=said.steps,
            guidance=said.guidance,
            image=image,
            mask=mask,
        )
        started = time.perf_counter()
        try:
            return await self.clients[stage.name].draw(wish)
        except clients.Refused as refusal:
            raise clients.Refused(refusal.reason, f"{stage.name}: {refusal.message}") from refusal
        finally:
            self.milliseconds.setdefault(stage.name, []).append(1000 * (time.perf_counter() - started))


def original(item: golden_pack.Item) -> bytes:
    """Return the picture that an edit goes on with, in PNG: made by us, so that every pixel is known."""
    assert item.generation is not None
    assert item.generation.width is not None
    assert item.generation.height is not None
    width, height = item.generation.width, item.generation.height
    across = np.linspace(40, 200, width)[None, :, None] * np.array([1.0, 0.8, 0.5])
    down = np.linspace(0, 50, height)[:, None, None] * np.array([0.2, 0.6, 1.0])
    image = PIL.Image.fromarray(np.clip(across + down, 0, 255).astype(np.uint8))
    pen = PIL.ImageDraw.Draw(image)
    colours = np.random.default_rng(item.generation.seed).integers(0, 256, (6, 3))
    for place, colour in enumerate(colours.tolist()):
        left, top = width * (0.05 + 0.15 * place), height * (0.1 + 0.12 * place)
        pen.rectangle((left, top, left + width * 0.1, top + height * 0.1), fill=tuple(colour))
    return _png(image)


def mask_of(said: drawing.Generation) -> bytes:
    """Return an edit's mask in PNG: transparent where the picture may change."""
    assert said.width is not None
    assert said.height is not None
    alpha = np.where(inside(said, (said.width, said.height)), 0, 255).astype(np.uint8)
    grey = np.zeros((*alpha.shape, 3), np.uint8)
    return _png(PIL.Image.fromarray(np.concatenate([grey, alpha[..., None]], axis=2), "RGBA"))


def inside(said: drawing.Generation, size: tuple[int, int]) -> picture.Pixels:
    """Return which pixels may change, shape ``[height, width]``, as truth values."""
    assert said.mask is not None
    columns = (np.arange(size[0]) + 0.5) / size[0]
    rows = (np.arange(size[1]) + 0.5) / size[1]
    box = said.mask
    across = (columns >= box.left) & (columns < box.right)
    return np.asarray(across[None, :] & ((rows >= box.top) & (rows < box.bottom))[:, None])


def leak(item: golden_pack.Item, edited: PIL.Image.Image) -> float:
    """Return how much an edit changed where it must not: mean absolute difference, 0 to 1.

    Parameters
    ----------
    item
        With a mask.
    edited
        In RGB; of another size than the picture's, everything counts as changed.
    """
    assert item.generation is not None
    before = picture.decode(original(item))
    if edited.size != before.size:
        return 1.0
    apart = np.abs(np.asarray(before, dtype=np.int16) - np.asarray(edited, dtype=np.int16))
    outside = ~inside(item.generation, before.size)
    return float(apart[outside].mean() / 255.0) if outside.any() else 0.0


def _png(image: PIL.Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=1)
    return written.getvalue()
