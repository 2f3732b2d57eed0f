"""Making a golden set of one's own: a copy of another one to begin with, and items added to it."""

import csv
import dataclasses
import io
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Final

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import files, folder, images, pack

_MEDIA_TYPES: Final[dict[str, files.MediaType]] = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_LETTERS: Final = {v.Modality.TEXT: "t", v.Modality.IMAGE: "i"}
_LAST_NUMBER: Final = 999_999


@dataclasses.dataclass(frozen=True)
class Draft:
    """A set that is being written.

    Attributes
    ----------
    name, version, license, sensitivity
        Of the set.
    items, relations
        What it holds.
    blobs
        New images by their digest; the others lie in the folder already.
    """

    name: str
    version: str
    license: str
    sensitivity: files.Sensitivity
    items: tuple[files.ItemLine, ...]
    relations: tuple[files.RelationLine, ...]
    blobs: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


def begin(target: pathlib.Path, source: pack.Pack) -> pack.Pack:
    """Copy a set into a new folder, under the folder's name.

    Parameters
    ----------
    target
        Folder to make; it may exist and be empty.
    source
        The set to begin with.

    Returns
    -------
    The new set, version 1.

    Raises
    ------
    CheckError
        ``GoldenSetExists``: there is something in the folder.
    OSError
        It cannot be written.
    pydantic.ValidationError
        The folder's name is no name of a set.
    """
    if target.exists() and any(target.iterdir()):
        raise failure.CheckError("GoldenSetExists", f"{target} is not empty: a set begins in a new folder")
    blobs = {item.blob: source.content(item) for item in source.items if item.modality is v.Modality.IMAGE}
    return save(
        target, dataclasses.replace(draft(source), name=target.resolve().name, version="1", blobs=blobs)
    )


def draft(source: pack.Pack) -> Draft:
    """Return a set in the form in which it can be added to."""
    return Draft(
        name=source.name,
        version=source.version,
        license=source.license,
        sensitivity=source.sensitivity,
        items=tuple(_line(item) for item in source.items),
        relations=tuple(
            files.RelationLine(item=one.item, of=one.of, differs=one.differs) for one in source.relations
        ),
    )


def add_texts(to: Draft, texts: Iterable[str], *, stratum: str, must_include: bool = False) -> Draft:
    """Add texts.

    Parameters
    ----------
    to
        The set.
    texts
        Each becomes an item, as it is: white space at its ends counts.
    stratum
        What they isolate.
    must_include
        Whether a sample takes them first.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: a text is there already, or there are too many items.
    pydantic.ValidationError
        The stratum has no valid name, or a text is empty.
    """
    known = {line.text for line in to.items}
    number = _next(to, v.Modality.TEXT)
    added: list[files.ItemLine] = []
    for text in texts:
        if text in known:
            raise files.unreadable(v.sentence(repr(text), 80), "a text of the set is the same")
        known.add(text)
        added.append(
            files.ItemLine(
                id=_id(v.Modality.TEXT, number + len(added)),
                stratum=stratum,
                modality=v.Modality.TEXT,
                text=text,
                must_include=must_include,
            )
        )
    return _with(to, added)


def add_images(
    to: Draft,
    paths: Iterable[pathlib.Path],
    *,
    stratum: str,
    captions: Mapping[str, str] | None = None,
    must_include: bool = False,
) -> Draft:
    """Add image files, and their captions as pairs.

    Parameters
    ----------
    to
        The set.
    paths
        JPEG, PNG or WebP files; they are stored as they are, with their metadata.
    stratum
        What they isolate; captions are of the stratum ``caption``.
    captions
        A text for some of them, by the file's name.
    must_include
        Whether a sample takes them first.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: a file is no such image, too large, or there already.
    OSError
        A file cannot be read.
    """
    captions = captions or {}
    made = to
    for path in paths:
        content, media_type = _image(path)
        digest = result.digest(content)
        if any(line.blob == digest for line in made.items):
            raise files.unreadable(str(path), "an image of the set is the same")
        name = _id(v.Modality.IMAGE, _next(made, v.Modality.IMAGE))
        caption = captions.get(path.name)
        text = _id(v.Modality.TEXT, _next(made, v.Modality.TEXT)) if caption is not None else None
        added: list[files.ItemLine] = [
            files.ItemLine(
                id=name,
                stratum=stratum,
                modality=v.Modality.IMAGE,
                blob=digest,
                media_type=media_type,
                must_include=must_include,
                pair=text,
            )
        ]
        if text is not None:
            added.append(
                files.ItemLine(id=text, stratum="caption", modality=v.Modality.TEXT, text=caption, pair=name)
            )
        made = dataclasses.replace(_with(made, added), blobs={**made.blobs, digest: content})
    return made


def read_captions(content: bytes) -> dict[str, str]:
    """Read a CSV file of two columns, the name of an image file and its caption, without a heading.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: a line has not two columns, or a name is there twice.
    """
    found: dict[str, str] = {}
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise files.unreadable("the captions", f"no CSV in UTF-8: {error}") from error
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        if len(row) != 2 or not row[1]:  # noqa: PLR2004 - name, caption
            raise files.unreadable(f"line {number} of the captions", "it is not `file,caption`")
        if row[0] in found:
            raise files.unreadable(
                f"line {number} of the captions", f"{v.sentence(row[0], 80)} is there twice"
            )
        found[row[0]] = row[1]
    return found


def save(target: pathlib.Path, made: Draft) -> pack.Pack:
    """Write a set and read it back.

    Parameters
    ----------
    target
        Its folder; references in it stay.
    made
        What to write.

    Returns
    -------
    The set, with every relation proven.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable``: it would not be a set; nothing was changed then.
    OSError
        It cannot be written.
    """
    written = files.write(
        made.name,
        made.version,
        made.items,
        made.relations,
        license_name=made.license,
        sensitivity=made.sensitivity,
    )
    # Beside the target first: what cannot be read back never takes its place.
    beside, before = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    for left in (beside, before):
        shutil.rmtree(left, ignore_errors=True)
    try:
        _fill(beside, target, written, made)
        folder.read(beside)
        if target.exists():
            target.rename(before)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)
    return folder.read(target, proven=True)


def _fill(beside: pathlib.Path, target: pathlib.Path, written: Mapping[str, bytes], made: Draft) -> None:
    there: Mapping[str, str] = {}
    if target.exists():
        own = shutil.ignore_patterns(files.PACK, files.ITEMS, files.RELATIONS, "blobs", "sha256-*")
        shutil.copytree(target, beside, symlinks=True, ignore=own)
        there = folder.Folder(target).blobs()
    named = {line.blob for line in made.items if line.blob is not None}
    blobs = beside / folder.NESTED
    (blobs if named else beside).mkdir(parents=True, exist_ok=True)
    for name, content in written.items():
        (beside / name).write_bytes(content)
    for digest in named:
        name = digest.removeprefix("sha256:")
        if digest in made.blobs:
            (blobs / name).write_bytes(made.blobs[digest])
        elif name in there:
            (blobs / name).write_bytes(folder.Folder(target).bytes_of(there[name], files.BLOB_LIMIT_BYTES))


def _image(path: pathlib.Path) -> tuple[bytes, files.MediaType]:
    media_type = _MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise files.unreadable(str(path), f"its name ends in none of {', '.join(_MEDIA_TYPES)}")
    with path.open("rb") as file:
        content = file.read(files.BLOB_LIMIT_BYTES + 1)
    if len(content) > files.BLOB_LIMIT_BYTES:
        raise files.unreadable(str(path), "it is larger than 32 MiB")
    try:
        images.header(content, media_type)
    except ValueError as error:
        raise files.unreadable(str(path), str(error)) from error
    return content, media_type


def _line(item: pack.Item) -> files.ItemLine:
    return files.ItemLine.model_validate(
        {
            "id": item.id,
            "stratum": item.stratum,
            "modality": item.modality,
            "text": item.text or None,
            "blob": item.blob or None,
            "media_type": item.media_type or None,
            "must_include": item.must_include,
            "pair": item.pair,
            "expect": files.Expect(relevant=item.relevant) if item.relevant else None,
        }
    )


def _next(to: Draft, modality: v.Modality) -> int:
    """Return the number after the highest of a letter: an id is never used again."""
    letter = _LETTERS[modality]
    numbers = [int(line.id[2:]) for line in to.items if line.id.startswith(letter)]
    return max(numbers, default=0) + 1


def _id(modality: v.Modality, number: int) -> str:
    if number > _LAST_NUMBER:
        raise files.unreadable(files.ITEMS, f"there is no id after {_LETTERS[modality]}-{_LAST_NUMBER}")
    # Ids are compared as texts: all six digits, or 1000 would come before 999.
    return f"{_LETTERS[modality]}-{number:06}"


def _with(to: Draft, added: list[files.ItemLine]) -> Draft:
    if len(to.items) + len(added) > files.ITEMS_LIMIT:
        raise files.unreadable(files.ITEMS, f"it would have more than {files.ITEMS_LIMIT} items")
    return dataclasses.replace(to, items=(*to.items, *added))
