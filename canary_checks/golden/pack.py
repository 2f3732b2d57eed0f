"""A golden set: items in strata, and twins that differ in one property: what moves names the cause."""

import enum
import functools
import hashlib
import importlib.resources
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Final, Literal, Self

import pydantic

from canary_checks import vocabulary as v


class Difference(enum.StrEnum):
    """The one property in which an item differs from its twin."""

    CASE = "Case"
    ACCENTS = "Accents"
    CASE_AND_ACCENTS = "CaseAndAccents"
    LENGTH = "Length"
    NORMALIZATION = "Normalization"
    WHITESPACE = "Whitespace"
    NUMBER = "Number"
    PUNCTUATION = "Punctuation"
    PROMPT = "Prompt"
    REPETITION = "Repetition"


class Twin(v.Model):
    """The item that this one is compared with inside one model, and in what they differ."""

    of: Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z]-[0-9]{3,6}$")]
    differs: Difference


class Item(v.Model):
    """One text to embed; raw bytes matter, so nothing normalises it."""

    id: Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z]-[0-9]{3,6}$")]
    stratum: Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z][-a-z]{0,31}$")]
    text: Annotated[str, pydantic.StringConstraints(min_length=1, max_length=8192)]
    twin: Twin | None = None

    @property
    def modality(self) -> v.Modality:
        """What an operation must read to be asked about this item."""
        return v.Modality.TEXT

    @property
    def words(self) -> int:
        """Number of words separated by white space: no tokenizer makes fewer tokens of plain words."""
        return len(self.text.split())

    @property
    def has_capitals(self) -> bool:
        """Whether lowercasing changes the text."""
        return self.text != self.text.lower()

    @property
    def has_accents(self) -> bool:
        """Whether stripping accents the way tokenizers do (decompose, drop the marks) changes the text."""
        return strip_accents(self.text) != self.text


class Pack(v.Model):
    """A named, versioned set of items; a name and version never change content."""

    schema_version: Literal["golden.modelrelease.dev/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    name: v.Short
    version: v.Short
    license: v.Short
    items: Annotated[tuple[Item, ...], pydantic.Field(min_length=1, max_length=10_000)]

    @pydantic.model_validator(mode="after")
    def _items_are_what_they_say(self) -> Self:
        by_id = {item.id: item for item in self.items}
        if len(by_id) != len(self.items):
            raise ValueError("two items share an id")
        for item in self.items:
            if item.twin is None:
                continue
            twin = by_id.get(item.twin.of)
            if twin is None:
                raise ValueError(f"{item.id} is the twin of {item.twin.of}, which is not in the set")
            if not _differs_only_in(item.twin.differs, item.text, twin.text):
                raise ValueError(f"{item.id} and {twin.id} do not differ in {item.twin.differs} alone")
        return self

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of everything in the set."""
        canonical = json.dumps(
            self.model_dump(mode="json", by_alias=True),
            sort_keys=True,
            ensure_ascii=True,
            separators=(",", ":"),
        )
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def strip_accents(text: str) -> str:
    """Decompose a text (NFD) and drop the non-spacing marks, as BERT's normaliser does."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def fold(text: str) -> str:
    """Lowercase a text and strip its accents: what an uncased tokenizer sees."""
    return strip_accents(text.lower())


@functools.cache
def builtin(name: Literal["TextV1"]) -> Pack:
    """Load a golden set that ships with the package.

    Parameters
    ----------
    name
        Its name.

    Returns
    -------
    The set, validated.
    """
    files = {"TextV1": "text_v1.json"}
    content = importlib.resources.files("canary_checks.golden").joinpath(files[name]).read_text("utf-8")
    return Pack.model_validate_json(content, by_alias=True, by_name=False)


def _differs_only_in(difference: Difference, text: str, twin: str) -> bool:
    """Say whether a text differs from its twin in nothing but the named property."""
    return text != twin and _ONLY[difference](text, twin)


def _alphanumeric(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _is_repetition(text: str, twin: str) -> bool:
    words, repeated = text.split(), twin.split()
    times = len(words) // len(repeated)
    return times > 1 and words == repeated * times


def _both_case_and_accents(text: str, twin: str) -> bool:
    return fold(text) == twin and strip_accents(text) != twin and text.lower() != twin


_ONLY: Final[dict[Difference, Callable[[str, str], bool]]] = {
    Difference.CASE: lambda text, twin: text.lower() == twin,
    Difference.ACCENTS: lambda text, twin: strip_accents(text) == twin,
    Difference.CASE_AND_ACCENTS: _both_case_and_accents,
    Difference.LENGTH: lambda text, twin: text.startswith(twin + " "),
    Difference.NORMALIZATION: lambda text, twin: (
        unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", twin)
    ),
    Difference.WHITESPACE: lambda text, twin: text.split() == twin.split(),
    Difference.NUMBER: lambda text, twin: re.sub(r"\d", "0", text) == re.sub(r"\d", "0", twin),
    Difference.PUNCTUATION: lambda text, twin: (
        text.split() != twin.split() and _alphanumeric(text) == _alphanumeric(twin)
    ),
    Difference.PROMPT: lambda text, twin: text.endswith(": " + twin),
    Difference.REPETITION: _is_repetition,
}
