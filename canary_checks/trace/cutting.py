"""Which prompts a text encoder does not read to their end, and which words are lost.

A CLIP encoder reads 77 ids and drops the rest without a word. No tokenizer has to be known: where a prompt
without its last word has the same ids, that word is not read.
"""

import dataclasses
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

Ids = tuple[int, ...]
Ask = Callable[[Mapping[str, str]], Awaitable[Mapping[str, Ids]]]
"""Tokenizes texts by name; one that is refused is left out."""

_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_SHOWN: Final = 60


@dataclasses.dataclass(frozen=True)
class Cut:
    """How far a prompt is read.

    Attributes
    ----------
    ids
        How many ids the encoder gets of it.
    words, read
        How many words it has, and how many of them have a part in these ids; the last of them perhaps not
        with all of its letters.
    lost
        The text after them.
    """

    ids: int
    words: int
    read: int
    lost: str

    def __str__(self) -> str:
        """Return how many words are lost, and the first of them."""
        missing = self.words - self.read
        shown = self.lost if len(self.lost) <= _SHOWN else self.lost[: _SHOWN - 1] + "…"
        return f"{missing} word{'' if missing == 1 else 's'}: {shown!r}"


async def find(ask: Ask, texts: Mapping[str, str], ids: Mapping[str, Ids]) -> dict[str, Cut]:
    """Find the prompts that an encoder does not read to their end.

    Parameters
    ----------
    ask
        The encoder's tokenizer; it is asked about every text without its last word, and about the halves of
        those that are cut, all of them at once: at most 1 + log2(words) times.
    texts
        The prompts by name.
    ids
        What it makes of them, by the same names; one without is passed over.

    Returns
    -------
    Those that are cut.
    """
    ends = {
        name: [match.end() for match in _WORD.finditer(text)] for name, text in texts.items() if name in ids
    }
    # Read so many words, the ids are those of the whole; and so many are too few.
    enough = {name: len(places) - 1 for name, places in ends.items() if len(places) > 1}
    unread = await _same(ask, texts, ends, enough, ids)
    enough = {name: count for name, count in enough.items() if name in unread}
    few = dict.fromkeys(enough, 0)
    while True:
        middle = {name: (few[name] + top) // 2 for name, top in enough.items() if top - few[name] > 1}
        if not middle:
            break
        same = await _same(ask, texts, ends, middle, ids)
        for name, count in middle.items():
            (enough if name in same else few)[name] = count
    return {
        name: Cut(len(ids[name]), len(ends[name]), read, texts[name][ends[name][read - 1] :].strip())
        for name, read in enough.items()
    }


async def _same(
    ask: Ask,
    texts: Mapping[str, str],
    ends: Mapping[str, list[int]],
    words: Mapping[str, int],
    ids: Mapping[str, Ids],
) -> frozenset[str]:
    """Return the prompts whose first so many words have the ids of the whole."""
    shorter = {name: texts[name][: ends[name][count - 1]] for name, count in words.items()}
    made = await ask(shorter) if shorter else {}
    return frozenset(name for name in shorter if made.get(name) == ids[name])
