"""How far a text that was read is from the one that was asked for."""

import unicodedata
from typing import Final

from rapidfuzz.distance import Levenshtein

RIGHT: Final = 0.1
"""A text counts as right up to this character error rate: a reader's own mistakes are fewer."""


def folded(text: str) -> str:
    """Fold case, compatibility forms, quotation marks and white space, none of them a generator's fault."""
    plain = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    return " ".join(plain.casefold().split())


def error_rate(expected: str, read: str) -> float:
    """Return the character error rate: edits for each character that was asked for, after folding.

    Parameters
    ----------
    expected
        What was asked for, not empty after folding.
    read
        What was read; empty gives 1.

    Returns
    -------
    0 for the same text; more than 1 where much more was read than asked for.
    """
    wanted = folded(expected)
    return float(Levenshtein.distance(wanted, folded(read))) / max(1, len(wanted))


def words_right(expected: str, read: str) -> float:
    """Return the share of the words asked for that were read exactly, in their order."""
    wanted, found = folded(expected).split(), folded(read).split()
    if not wanted:
        return 0.0
    same = sum(block.size for block in Levenshtein.editops(wanted, found).as_matching_blocks())
    return same / len(wanted)


def script(text: str) -> str:
    """Return the script of most letters of a text, in lower case: ``latin``; ``other`` without any."""
    names = [unicodedata.name(one, "").partition(" ")[0].lower() for one in text if one.isalpha()]
    return max(sorted(set(names)), key=names.count) if names else "other"


_QUOTES: Final = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
