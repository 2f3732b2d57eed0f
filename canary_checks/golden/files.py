"""The golden set as it lies on disk: what each file may say, and how the files are written.

``pack.json`` is canonical JSON and holds the digests of the other files, so its own SHA-256 names the whole
set. Everything here is data and text; which files may be opened at all is for `folder` to say.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import pydantic

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import drawing
from canary_checks.golden.difference import Difference

SCHEMA: Literal["golden.modelrelease.dev/v1"] = "golden.modelrelease.dev/v1"
PACK: Final = "pack.json"
ITEMS: Literal["items.jsonl"] = "items.jsonl"
RELATIONS: Literal["relations.jsonl"] = "relations.jsonl"

ITEMS_LIMIT: Final = 10_000
LINE_LIMIT_BYTES: Final = 1 << 20
LINES_LIMIT_BYTES: Final = 64 << 20
PACK_LIMIT_BYTES: Final = 1 << 20
BLOB_LIMIT_BYTES: Final = 32 << 20
_RELATIONS_LIMIT: Final = 4 * ITEMS_LIMIT

ItemId = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z]-[0-9]{3,6}$")]
Stratum = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z][-a-z0-9]{0,31}$")]
PackName = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]{0,62}$")]
MediaType = Literal["image/jpeg", "image/png", "image/webp"]
Sensitivity = Literal["Public", "Internal", "Restricted"]
_LineT = TypeVar("_LineT", bound=v.Model)


class FileEntry(v.Model):
    """A file of the set, by what it must hold."""

    digest: v.Digest
    size_bytes: Annotated[int, pydantic.Field(ge=0, le=LINES_LIMIT_BYTES)]


class PackFile(v.Model):
    """``pack.json``: canonical JSON, whose SHA-256 is the digest of the set."""

    schema_version: Literal["golden.modelrelease.dev/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    name: PackName
    version: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.+]{0,62}$")]
    license: Annotated[str, pydantic.StringConstraints(pattern=r"^[ -~]{1,64}$")]
    sensitivity: Sensitivity = "Public"
    modalities: Annotated[tuple[v.Modality, ...], pydantic.Field(min_length=1, max_length=2)]
    items: Annotated[int, pydantic.Field(ge=1, le=ITEMS_LIMIT)]
    strata: Annotated[
        dict[Stratum, Annotated[int, pydantic.Field(ge=1)]], pydantic.Field(min_length=1, max_length=64)
    ]
    files: Annotated[dict[Literal["items.jsonl", "relations.jsonl"], FileEntry], pydantic.Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _has_items(self) -> Self:
        if ITEMS not in self.files:
            raise ValueError(f"it names no {ITEMS}")
        return self


class Expect(v.Model):
    """What a model should make of an item; it says one thing at least."""

    relevant: Annotated[tuple[ItemId, ...], pydantic.Field(max_length=100)] = ()
    """The items that a search for this one should find."""
    drawn: drawing.Drawn | None = None
    """What the image should show that a generator makes of this prompt."""

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.relevant and self.drawn is None:
            raise ValueError("it says nothing")
        return self


class ItemLine(v.Model):
    """One line of ``items.jsonl``."""

    id: ItemId
    stratum: Stratum
    modality: v.Modality
    must_include: bool = False
    text: Annotated[str, pydantic.StringConstraints(min_length=1)] | None = None
    blob: v.Digest | None = None
    media_type: MediaType | None = None
    pair: ItemId | None = None
    expect: Expect | None = None
    generation: drawing.Generation | None = None
    """How a generator is asked to draw this prompt."""

    @pydantic.model_validator(mode="after")
    def _is_of_its_modality(self) -> Self:
        said = (self.text is not None, self.blob is not None, self.media_type is not None)
        wanted = {v.Modality.TEXT: (True, False, False), v.Modality.IMAGE: (False, True, True)}
        if said != wanted[self.modality]:
            raise ValueError("a Text has `text` and nothing else, an Image has `blob` and `mediaType`")
        drawn = self.generation is not None or (self.expect is not None and self.expect.drawn is not None)
        if drawn and self.modality is not v.Modality.TEXT:
            raise ValueError("only a Text is a prompt that can be drawn")
        return self


class RelationLine(v.Model):
    """One line of ``relations.jsonl``: an item, its twin, and the one property in which they differ."""

    item: ItemId
    of: ItemId
    differs: Difference


def canonical(value: Any) -> bytes:
    """Write a JSON value in its one form: sorted keys, no spaces, UTF-8, one line feed at the end."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def read_pack(content: bytes) -> PackFile:
    """Read ``pack.json``.

    Parameters
    ----------
    content
        Its bytes.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: it does not follow the format, or it is not written canonically, so that
        the same set would have two digests.
    """
    try:
        said = PackFile.model_validate_json(content, by_alias=True, by_name=False)
        written = canonical(json.loads(content))
    except pydantic.ValidationError as error:
        raise unreadable(PACK, _first(error)) from error
    except (ValueError, RecursionError) as error:
        raise unreadable(PACK, "it is not JSON") from error
    if written != content:
        raise unreadable(PACK, "it is not canonical JSON (sorted keys, no spaces, UTF-8, one line feed)")
    return said


def read_items(content: bytes) -> tuple[ItemLine, ...]:
    """Read ``items.jsonl``.

    Parameters
    ----------
    content
        Its bytes.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: a line does not follow the format, or the ids are not unique and sorted.
    """
    lines = tuple(
        _parse(ItemLine, ITEMS, number, line) for number, line in _lines(ITEMS, content, ITEMS_LIMIT)
    )
    for before, line in itertools.pairwise(lines):
        if line.id == before.id:
            raise unreadable(ITEMS, f"two items share the id {line.id}")
        if line.id < before.id:
            raise unreadable(ITEMS, f"{line.id} comes after {before.id}: items are sorted by id")
    return lines


def read_relations(content: bytes) -> tuple[RelationLine, ...]:
    """Read ``relations.jsonl``.

    Parameters
    ----------
    content
        Its bytes.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: a line does not follow the format, is there twice, or is not in order.
    """
    lines = tuple(
        _parse(RelationLine, RELATIONS, number, line)
        for number, line in _lines(RELATIONS, content, _RELATIONS_LIMIT)
    )
    for before, line in itertools.pairwise(lines):
        if line.item < before.item:
            raise unreadable(RELATIONS, f"{line.item} comes after {before.item}: they are sorted by item")
    pairs = {(line.item, line.of) for line in lines}
    if len(pairs) != len(lines):
        raise unreadable(RELATIONS, "two relations join the same items")
    return lines


def write(
    name: str,
    version: str,
    items: Iterable[ItemLine],
    relations: Iterable[RelationLine] = (),
    *,
    license_name: str,
    sensitivity: Sensitivity = "Public",
) -> dict[str, bytes]:
    """Write the files of a set, without its blobs.

    Parameters
    ----------
    name, version, license_name, sensitivity
        As in `PackFile`.
    items, relations
        In any order; at least one item.

    Returns
    -------
    The bytes of each file by its name; texts are escaped to ASCII, so that no editor normalises them.

    Raises
    ------
    pydantic.ValidationError
        An argument does not follow the format.
    """
    ordered = sorted(items, key=lambda line: line.id)
    related = sorted(relations, key=lambda line: line.item)
    written: dict[Literal["items.jsonl", "relations.jsonl"], bytes] = {ITEMS: _jsonl(ordered)}
    if related:
        written[RELATIONS] = _jsonl(related)
    strata = [line.stratum for line in ordered]
    said = PackFile(
        schema_version=SCHEMA,
        name=name,
        version=version,
        license=license_name,
        sensitivity=sensitivity,
        modalities=tuple(sorted({line.modality for line in ordered})),
        items=len(ordered),
        strata={stratum: strata.count(stratum) for stratum in sorted(set(strata))},
        files={
            file: FileEntry(digest=result.digest(content), size_bytes=len(content))
            for file, content in written.items()
        },
    )
    whole: dict[str, bytes] = {str(file): content for file, content in written.items()}
    return {PACK: canonical(said.model_dump(mode="json", by_alias=True))} | whole


def unreadable(where: str, why: str) -> failure.CheckError:
    """Make the error of a set that does not follow the format: where, and why in one sentence."""
    return failure.CheckError("GoldenSetUnreadable", f"the golden set cannot be read: {where}: {why}")


def _jsonl(lines: Iterable[v.Model]) -> bytes:
    return b"".join(
        json.dumps(
            line.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True),
            sort_keys=True,
            ensure_ascii=True,
            separators=(",", ":"),
        ).encode()
        + b"\n"
        for line in lines
    )


def _lines(file: str, content: bytes, limit: int) -> Iterator[tuple[int, bytes]]:
    count = content.count(b"\n")
    if count > limit:
        raise unreadable(file, f"it has {count} lines, more than {limit}")
    if content and not content.endswith(b"\n"):
        raise unreadable(file, "the last line has no line feed: is the file whole?")
    start = 0
    for number in range(1, count + 1):
        end = content.index(b"\n", start)
        if end - start > LINE_LIMIT_BYTES:
            raise unreadable(file, f"line {number} is longer than 1 MiB")
        yield number, content[start:end]
        start = end + 1


def _parse(kind: type[_LineT], file: str, number: int, line: bytes) -> _LineT:
    try:
        return kind.model_validate_json(line, by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        raise unreadable(f"{file} line {number}", _first(error)) from error


def _first(error: pydantic.ValidationError) -> str:
    """Say in one sentence what is wrong first, without the input: it may be private, or a megabyte."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "it is not JSON"
    if first["type"] == "extra_forbidden":
        return f"unknown key {v.sentence('.'.join(map(str, first['loc'])), 80)}"
    where = v.sentence(".".join(str(part) for part in first["loc"]), 80)
    said = first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}" if where else said
