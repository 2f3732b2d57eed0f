"""The one property in which an item differs from its twin; for texts, the proof that it is the only one."""

import enum
import html
import re
import unicodedata
from collections.abc import Callable
from typing import Final


class Difference(enum.StrEnum):
    """The one property in which an item differs from its twin; the first group is of texts."""

    CASE = "Case"
    ACCENTS = "Accents"
    CASE_AND_ACCENTS = "CaseAndAccents"
    LENGTH = "Length"
    ONE_WORD = "OneWord"
    NORMALIZATION = "Normalization"
    COMPATIBILITY = "Compatibility"
    WHITESPACE = "Whitespace"
    SPACING = "Spacing"
    INVISIBLE = "Invisible"
    NUMBER = "Number"
    PUNCTUATION = "Punctuation"
    MARKUP = "Markup"
    ENCODING = "Encoding"
    PROMPT = "Prompt"
    SPECIAL_TOKEN = "SpecialToken"
    REPETITION = "Repetition"

    EXIF = "Exif"
    """The same stored pixels; the twin has no orientation tag: what is seen where EXIF is ignored."""
    UPRIGHT = "Upright"
    """The twin is stored as the item is shown: what is seen where EXIF is heeded."""
    ALPHA_DROPPED = "AlphaDropped"
    ALPHA_ON_WHITE = "AlphaOnWhite"
    ALPHA_ON_BLACK = "AlphaOnBlack"
    """The twin has no transparency: the colours as stored, or as they show on a ground."""
    COLOUR_PROFILE = "ColourProfile"
    """The same stored pixels; the twin has no profile: what is seen where profiles are ignored."""
    CONVERTED = "Converted"
    """The twin is the item converted to sRGB: what is seen where profiles are heeded."""
    STORAGE = "Storage"
    """The same colours, stored in another way (grey, palette, 16 bits)."""
    GREY = "Grey"
    """The twin is the item without its colours."""
    CHANNELS = "Channels"
    """Red and blue are exchanged."""
    FLIP = "Flip"
    """Left and right are exchanged."""
    TRANSPOSED = "Transposed"
    """Height and width are exchanged."""
    CROP = "Crop"
    """Only what a centre crop throws away differs."""
    SHIFT = "Shift"
    """The twin shows the same picture one pixel farther to the left."""
    NOISE = "Noise"
    """No value differs by more than two of 256 levels."""
    RESIZED_BICUBIC = "ResizedBicubic"
    RESIZED_BILINEAR = "ResizedBilinear"
    RESIZED_LANCZOS = "ResizedLanczos"
    RESIZED_NEAREST = "ResizedNearest"
    RESIZED_UNSMOOTHED = "ResizedUnsmoothed"
    """The twin is the square item resized with this filter; unsmoothed is bilinear without antialiasing."""
    SQUASHED = "Squashed"
    CENTRE_CROPPED = "CentreCropped"
    LETTERBOXED = "Letterboxed"
    """The twin is the item made square and resized (bicubic): squeezed, cut, or padded with black."""


def strip_accents(text: str) -> str:
    """Decompose a text (NFD) and drop the non-spacing marks, as BERT's normaliser does."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def fold(text: str) -> str:
    """Lowercase a text and strip its accents: what an uncased tokenizer sees."""
    return strip_accents(text.lower())


def of_texts(difference: Difference, text: str, twin: str) -> bool:
    """Say whether a text differs from its twin in nothing but the named property.

    Parameters
    ----------
    difference
        The property.
    text, twin
        The item's text and the one that it is compared with.

    Returns
    -------
    False also for a property that texts do not have.
    """
    only = _ONLY.get(difference)
    return only is not None and text != twin and only(text, twin)


def _alphanumeric(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _visible(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def _both_case_and_accents(text: str, twin: str) -> bool:
    return fold(text) == twin and strip_accents(text) != twin and text.lower() != twin


def _is_one_word_more(text: str, twin: str) -> bool:
    return text.startswith(twin + " ") and len(text.split()) == len(twin.split()) + 1


def _is_repetition(text: str, twin: str) -> bool:
    words, repeated = text.split(), twin.split()
    times = len(words) // len(repeated)
    return times > 1 and words == repeated * times


def _is_compatible(text: str, twin: str) -> bool:
    def compatible(form: str) -> str:
        return unicodedata.normalize("NFKC", form)

    canonical = unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", twin)
    return not canonical and text.split() != twin.split() and compatible(text) == compatible(twin)


def _misread(twin: str) -> set[str]:
    """Return what servers make of a text whose bytes they read in another encoding."""
    raw = twin.encode("utf-8", "surrogatepass")
    readings = {raw.decode("latin-1"), raw.decode("ascii", "replace")}
    readings |= {twin.encode(code, "replace").decode(code) for code in ("ascii", "latin-1")}
    readings.add(raw.decode("cp1252", "replace"))
    return readings


_SPECIAL_TOKENS: Final = re.compile(
    r"\s*(\[(CLS|SEP|MASK|PAD|UNK)\]|</?s>|<(pad|unk|mask)>|<\|(endoftext|im_start|im_end)\|>)\s*"
)


_ONLY: Final[dict[Difference, Callable[[str, str], bool]]] = {
    Difference.CASE: lambda text, twin: text.lower() == twin,
    Difference.ACCENTS: lambda text, twin: strip_accents(text) == twin,
    Difference.CASE_AND_ACCENTS: _both_case_and_accents,
    Difference.LENGTH: lambda text, twin: text.startswith(twin + " ") and not _is_one_word_more(text, twin),
    Difference.ONE_WORD: _is_one_word_more,
    Difference.NORMALIZATION: lambda text, twin: (
        unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", twin)
    ),
    Difference.COMPATIBILITY: _is_compatible,
    Difference.WHITESPACE: lambda text, twin: text.split() == twin.split(),
    Difference.SPACING: lambda text, twin: (
        text.split() != twin.split() and "".join(text.split()) == "".join(twin.split())
    ),
    Difference.INVISIBLE: lambda text, twin: _visible(text) == _visible(twin),
    Difference.NUMBER: lambda text, twin: re.sub(r"\d", "0", text) == re.sub(r"\d", "0", twin),
    Difference.PUNCTUATION: lambda text, twin: (
        text.split() != twin.split()
        and _visible(strip_accents(text)) != _visible(strip_accents(twin))
        and "".join(text.split()) != "".join(twin.split())
        and _alphanumeric(text) == _alphanumeric(twin)
    ),
    Difference.MARKUP: lambda text, twin: html.unescape(text) == twin,
    Difference.ENCODING: lambda text, twin: text in _misread(twin),
    Difference.PROMPT: lambda text, twin: text.endswith(": " + twin),
    Difference.SPECIAL_TOKEN: lambda text, twin: (
        _SPECIAL_TOKENS.search(text) is not None and _SPECIAL_TOKENS.sub(" ", text).strip() == twin
    ),
    Difference.REPETITION: _is_repetition,
}
