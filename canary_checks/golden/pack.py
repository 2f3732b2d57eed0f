"""A golden set: items in strata, and twins that differ in one property: what moves names the cause."""

import dataclasses
import functools
import hashlib
import types
from collections.abc import Callable, Mapping
from typing import Literal

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.golden import drawing
from canary_checks.golden.difference import Difference, fold, strip_accents

__all__ = ["Difference", "Item", "Pack", "Relation", "Twin", "builtin", "fold", "strip_accents"]


@dataclasses.dataclass(frozen=True)
class Twin:
    """The item that another one is compared with inside one model, and in what they differ."""

    of: str
    differs: Difference


@dataclasses.dataclass(frozen=True)
class Relation:
    """That `item` differs from `of` in one property and in nothing else."""

    item: str
    of: str
    differs: Difference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to embed; raw bytes matter, so nothing normalises it.

    Attributes
    ----------
    id
        Stable for ever, never reused.
    stratum
        What the item isolates.
    modality
        What an operation must read to be asked about this item.
    text
        Empty for an image.
    blob, media_type
        Digest and type of an image's bytes; empty for a text.
    must_include
        A sample takes it before others of its stratum.
    pair
        The item of the other modality that says the same, or None.
    relevant
        The items that a search for this one should find.
    generation, drawn
        Of a prompt: how a generator is asked to draw it, and what its image should show.
    twin
        The first of its relations, or None.
    """

    id: str
    stratum: str
    modality: v.Modality = v.Modality.TEXT
    text: str = ""
    blob: str = ""
    media_type: str = ""
    must_include: bool = False
    pair: str | None = None
    relevant: tuple[str, ...] = ()
    generation: drawing.Generation | None = None
    drawn: drawing.Drawn | None = None
    twin: Twin | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what a server is sent: equal in two versions of a set when the question is the same."""
        sent = self.text.encode("utf-8", "surrogatepass")
        if self.generation is not None:
            sent += b"\0" + self.generation.model_dump_json(exclude_none=True).encode()
        return self.blob or "sha256:" + hashlib.sha256(sent).hexdigest()

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


def _no_content(item: Item) -> bytes:
    raise failure.CheckError("GoldenSetUnreadable", f"the golden set holds no bytes of item {item.id}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pack:
    """A named, versioned set of items; a name and version never change content.

    Attributes
    ----------
    name, version, license
        Of the set.
    digest
        SHA-256 of ``pack.json``, which holds the digests of everything else.
    items
        Sorted by id.
    relations
        Every pair that isolates one cause; an item's first one is its `twin`.
    sensitivity
        Who may read it.
    content
        Reads the bytes of an image and proves that they are these; raises ``CheckError``.
    """

    name: str
    version: str
    license: str
    digest: str
    items: tuple[Item, ...]
    relations: tuple[Relation, ...] = ()
    sensitivity: Literal["Public", "Internal", "Restricted"] = "Public"
    content: Callable[[Item], bytes] = dataclasses.field(default=_no_content, compare=False, repr=False)

    @functools.cached_property
    def by_id(self) -> Mapping[str, Item]:
        """The items by their id."""
        return types.MappingProxyType({item.id: item for item in self.items})


@functools.cache
def builtin(name: Literal["TextV1", "ImageV1", "PromptV1"]) -> Pack:
    """Load a golden set that ships with the package.

    Parameters
    ----------
    name
        Its name.

    Returns
    -------
    The set, validated.
    """
    # The reader needs the types above.
    from canary_checks.golden import folder  # noqa: PLC0415

    return folder.read(folder.PACKS / name, proven=True)
