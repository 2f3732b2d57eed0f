"""Drawing every prompt of a golden set, and measuring what comes: image after image, none is kept."""

import asyncio
import contextlib
import dataclasses
import os
from typing import Final

import numpy as np
import PIL.Image

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.fidelity import outcomes, picture, pipeline, reading, spelling
from canary_checks.fidelity.outcomes import Column
from canary_checks.golden import pack as golden_pack

_READERS: Final = max(1, min(4, os.cpu_count() or 1))
_WAITING: Final = 2
"""Images that wait for a reader: more would only take memory, for drawing is seldom the faster part."""
_REMARKS: Final = 3


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What came of all prompts, and what was said of those that gave no image."""

    outcomes: outcomes.Outcomes
    remarks: tuple[str, ...]


class _Rows:
    """The rows of a run, filled as images come."""

    def __init__(self, items: tuple[golden_pack.Item, ...]) -> None:
        self.items = items
        self.values = np.full((len(items), len(outcomes.COLUMNS)), np.nan, dtype=np.float32)
        self.states = np.zeros(len(items), dtype=np.uint8)
        self.thumbnails = [b""] * len(items)
        self.sketches: dict[str, picture.Pixels] = {}
        self.remarks: list[str] = []
        self._seen: dict[bytes, int] = {}

    def failed(self, row: int, state: outcomes.State, why: str) -> None:
        self.states[row] = state
        if len(self.remarks) < _REMARKS:
            self.remarks.append(f"{self.items[row].id}: {why}")

    def put(self, row: int, **found: float) -> None:
        for name, value in found.items():
            self.values[row, outcomes.COLUMNS.index(Column[name])] = value

    def looked(self, row: int, look: picture.Look, thumbnail: bytes) -> None:
        """Keep what an image looks like, and notice one that another prompt had already."""
        item = self.items[row]
        before = self._seen.setdefault(look.fingerprint, row)
        self.put(
            row,
            RED=look.mean[0],
            GREEN=look.mean[1],
            BLUE=look.mean[2],
            SATURATION=look.saturation,
            LEVELS=look.levels,
            SPREAD=look.spread,
            SMOOTHNESS=look.smoothness,
            WIDTH=look.size[0],
            HEIGHT=look.size[1],
            DUPLICATE=float(before != row and not _alike(item, self.items[before])),
        )
        self.thumbnails[row] = thumbnail
        self.sketches[item.id] = look.sketch

    def pair(self) -> None:
        """Measure how far every prompt's image is from that of its twin."""
        for row, item in enumerate(self.items):
            if item.twin is not None and {item.id, item.twin.of} <= self.sketches.keys():
                apart = picture.distance(self.sketches[item.id], self.sketches[item.twin.of])
                self.put(row, EDIT_DISTANCE=apart)

    def outcomes(self) -> outcomes.Outcomes:
        return outcomes.Outcomes(
            items=tuple(item.id for item in self.items),
            values=self.values,
            states=self.states,
            thumbnails=tuple(self.thumbnails),
        )


async def gather(
    artist: pipeline.Artist, chain: pipeline.Chain, items: tuple[golden_pack.Item, ...]
) -> Gathered:
    """Draw prompts one after the other, and read the last images meanwhile.

    Parameters
    ----------
    artist
        Who draws.
    chain
        The stages.
    items
        At least one.

    Returns
    -------
    One row for each item.

    Raises
    ------
    CheckError
        The server cannot be asked or refuses everything, or no text can be read here.
    """
    if any(item.drawn is not None and item.drawn.text is not None for item in items):
        reading.require()
    rows = _Rows(items)
    readers = asyncio.Semaphore(_READERS)
    waiting = asyncio.Semaphore(_READERS + _WAITING)
    try:
        async with asyncio.TaskGroup() as tasks:
            for row, item in enumerate(items):
                await waiting.acquire()
                try:
                    content = await artist.draw(chain, item)
                except (clients.Refused, ValueError) as error:
                    refused = isinstance(error, clients.Refused)
                    state = outcomes.State.REFUSED if refused else outcomes.State.BROKEN
                    rows.failed(row, state, str(error))
                    waiting.release()
                    continue
                tasks.create_task(_measure(rows, row, content, readers, waiting))
    except BaseExceptionGroup as group:
        # Of several, any one says why nothing can be judged.
        raise _first(group) from group
    if rows.states.all():
        raise failure.CheckError(
            "NothingDrawn", f"{chain.last.name} drew none of {len(items)} prompts: {'; '.join(rows.remarks)}"
        )
    rows.pair()
    return Gathered(rows.outcomes(), tuple(v.sentence(one, 200) for one in rows.remarks))


async def _measure(
    rows: _Rows, row: int, content: bytes, readers: asyncio.Semaphore, waiting: asyncio.Semaphore
) -> None:
    with contextlib.ExitStack() as done:
        done.callback(waiting.release)
        async with readers:
            item = rows.items[row]
            try:
                image = await asyncio.to_thread(picture.decode, content)
            except ValueError as error:
                rows.failed(row, outcomes.State.BROKEN, str(error))
                return
            look, thumbnail = await asyncio.to_thread(lambda: (picture.look(image), picture.thumbnail(image)))
            rows.looked(row, look, thumbnail)
            if item.generation is not None and item.generation.mask is not None:
                rows.put(row, MASK_LEAK=await asyncio.to_thread(pipeline.leak, item, image))
            await _read(rows, row, image)


async def _read(rows: _Rows, row: int, image: PIL.Image.Image) -> None:
    """Look for what the prompt says that there is."""
    drawn = rows.items[row].drawn
    if drawn is None:
        return
    words: tuple[reading.Word, ...] = ()
    if drawn.text is not None:
        found = await reading.look_for(drawn.text, image)
        words = found.words
        rows.put(
            row,
            ERROR_RATE=spelling.error_rate(drawn.text, found.text),
            WORDS_RIGHT=spelling.words_right(drawn.text, found.text),
        )
    if words:
        rows.put(
            row,
            CONFIDENCE=float(np.mean([word.confidence for word in words])),
            GLYPH_HEIGHT=float(np.median([word.height for word in words])),
            CONTRAST=picture.contrast(image, words),
            MARGIN=picture.margin(image.size, words),
        )
    if drawn.objects is not None:
        rows.put(row, OBJECTS=await asyncio.to_thread(picture.count_objects, image, words))


def _alike(one: golden_pack.Item, other: golden_pack.Item) -> bool:
    """Whether two prompts may rightly have the same image: small edits of each other."""
    twins = {one.twin.of if one.twin else one.id, other.twin.of if other.twin else other.id}
    return len(twins) == 1


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    for one in group.exceptions:
        found = _first(one) if isinstance(one, BaseExceptionGroup) else one
        if isinstance(found, failure.CheckError):
            return found
    return group.exceptions[0]
