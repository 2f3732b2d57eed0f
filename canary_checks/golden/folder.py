"""A golden set in a folder: opened without trust in names, links or sizes, and proven by its digests.

The folder may be laid out with ``blobs/sha256/<hex>``, or flat with ``sha256-<hex>``, because the keys of a
ConfigMap or a Secret hold no slash. Kubernetes mounts those through links inside the folder (``..data``); a
link that leads out of it is refused.
"""

import dataclasses
import functools
import os
import pathlib
import re
import stat
from collections.abc import Mapping
from typing import Final

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import difference, files, pack

PACKS: Final = pathlib.Path(__file__).with_name("packs")
"""Where the sets lie that ship with the package."""

NESTED: Final = "blobs/sha256"
_FLAT: Final = re.compile(r"sha256-([a-f0-9]{64})")
_HEX: Final = re.compile(r"[a-f0-9]{64}")


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder that nobody vouches for.

    Attributes
    ----------
    root
        Its path.
    """

    root: pathlib.Path

    def bytes_of(self, name: str, limit: int) -> bytes:
        """Read a regular file inside the folder.

        Parameters
        ----------
        name
            Relative path, from a fixed list or made of a digest: never text of the set itself.
        limit
            Largest size in bytes.

        Raises
        ------
        CheckError
            ``GoldenSetUnreadable``: it is not there, not a regular file, larger, or outside the folder.
        """
        try:
            descriptor = os.open(
                # Not following again what was resolved, not waiting for the writer of a FIFO.
                self._inside(name),
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            )
            with os.fdopen(descriptor, "rb") as file:
                self._bound(name, os.fstat(descriptor), limit)
                content = file.read(limit + 1)
        except OSError as error:
            raise files.unreadable(str(self.root / name), _why(error)) from error
        if len(content) > limit:
            raise files.unreadable(name, f"it grew beyond {limit} bytes while it was read")
        return content

    def blobs(self) -> Mapping[str, str]:
        """Return the relative path of every blob by its hexadecimal digest.

        Raises
        ------
        CheckError
            ``GoldenSetUnreadable``: the folder cannot be listed, or holds far more files than a set may.
        """
        found: dict[str, str] = {}
        for name in self.names("."):
            if flat := _FLAT.fullmatch(name):
                found[flat[1]] = name
        if (self.root / NESTED).is_dir():
            for name in self.names(NESTED):
                if not _HEX.fullmatch(name):
                    raise files.unreadable(NESTED, f"{v.sentence(name, 80)} is not the name of a blob")
                found[name] = f"{NESTED}/{name}"
        return found

    def size_of(self, name: str, limit: int) -> int:
        """Return the size of a regular file inside the folder; raises as `bytes_of`."""
        try:
            status = self._inside(name).stat()
        except OSError as error:
            raise files.unreadable(name, _why(error)) from error
        self._bound(name, status, limit)
        return status.st_size

    def names(self, name: str) -> list[str]:
        """Return the names in a folder inside this one, sorted; raises as `blobs`."""
        try:
            names = []
            with os.scandir(self._inside(name)) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if len(names) > 2 * files.ITEMS_LIMIT:
                        raise files.unreadable(name, f"it holds more than {2 * files.ITEMS_LIMIT} files")
        except OSError as error:
            raise files.unreadable(str(self.root / name), _why(error)) from error
        return sorted(names)

    def _inside(self, name: str) -> pathlib.Path:
        """Resolve a path with all its links; one that leaves the folder is refused."""
        try:
            home = self.root.resolve(strict=True)
            path = (home / name).resolve(strict=True)
        except RuntimeError as error:
            raise files.unreadable(name, "its links go round in a circle") from error
        if not path.is_relative_to(home):
            raise files.unreadable(name, "it is a link that leaves the folder of the set")
        return path

    @staticmethod
    def _bound(name: str, status: os.stat_result, limit: int) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise files.unreadable(name, "it is not a regular file")
        if status.st_size > limit:
            raise files.unreadable(name, f"it has {status.st_size} bytes, more than {limit}")


def read(path: pathlib.Path, *, proven: bool = False) -> pack.Pack:
    """Read a golden set.

    Parameters
    ----------
    path
        Its folder.
    proven
        The relations of its images need not be proven again: the set ships with the package, whose tests did.

    Returns
    -------
    The set: every file has the digest that ``pack.json`` says, every relation is true, every blob is there
    and within its limit. A blob's bytes are read, and proven, when they are asked for.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable`` or ``GoldenSetMismatch`` (a file or a blob holds other bytes than it should).
    """
    opened = Folder(path)
    content = opened.bytes_of(files.PACK, files.PACK_LIMIT_BYTES)
    said = files.read_pack(content)
    items = files.read_items(_file(opened, said, files.ITEMS))
    relations = (
        files.read_relations(_file(opened, said, files.RELATIONS)) if files.RELATIONS in said.files else ()
    )
    _agree(said, items)
    blobs = _named(opened, items)
    by_id = {line.id: line for line in items}
    for line in items:
        _points_somewhere(line, by_id)
    first: dict[str, pack.Twin] = {}
    for relation in relations:
        first.setdefault(relation.item, pack.Twin(relation.of, relation.differs))
    read_pack = pack.Pack(
        name=said.name,
        version=said.version,
        license=said.license,
        sensitivity=said.sensitivity,
        digest=result.digest(content),
        items=tuple(_item(line, first.get(line.id)) for line in items),
        relations=tuple(pack.Relation(line.item, line.of, line.differs) for line in relations),
        content=functools.partial(_content, opened, blobs),
    )
    for stated in read_pack.relations:
        _prove(read_pack, stated, proven=proven)
    return read_pack


def _file(opened: Folder, said: files.PackFile, name: str) -> bytes:
    entry = {str(file): entry for file, entry in said.files.items()}[name]
    content = opened.bytes_of(name, entry.size_bytes)
    if result.digest(content) != entry.digest:
        raise failure.CheckError(
            "GoldenSetMismatch",
            f"{name} of the golden set {said.name} has the digest {result.digest(content)[:19]}…, pack.json"
            f" says {entry.digest[:19]}…",
        )
    return content


def _agree(said: files.PackFile, items: tuple[files.ItemLine, ...]) -> None:
    strata: dict[str, int] = {}
    for line in items:
        strata[line.stratum] = strata.get(line.stratum, 0) + 1
    if len(items) != said.items or strata != said.strata:
        raise files.unreadable(files.PACK, f"its counts are not those of {files.ITEMS}")
    if set(said.modalities) != {line.modality for line in items}:
        raise files.unreadable(files.PACK, f"its modalities are not those of {files.ITEMS}")


def _named(opened: Folder, items: tuple[files.ItemLine, ...]) -> Mapping[str, str]:
    """Match the blobs that are named with those that are there, and bound their sizes."""
    wanted = {line.blob.removeprefix("sha256:"): line.id for line in items if line.blob is not None}
    there = opened.blobs()
    if missing := sorted(wanted.keys() - there.keys()):
        raise files.unreadable(f"item {wanted[missing[0]]}", f"its blob sha256:{missing[0][:12]}… is missing")
    if unnamed := sorted(there.keys() - wanted.keys()):
        raise files.unreadable(there[unnamed[0]][:40], "no item names this blob")
    for name in there.values():
        opened.size_of(name, files.BLOB_LIMIT_BYTES)
    return there


def _points_somewhere(line: files.ItemLine, by_id: Mapping[str, files.ItemLine]) -> None:
    for other in line.expect.relevant if line.expect is not None else ():
        if other == line.id or other not in by_id:
            raise files.unreadable(
                f"item {line.id}", f"it expects {other}, which is no other item of the set"
            )
    if line.pair is None:
        return
    if line.pair not in by_id or by_id[line.pair].modality is line.modality:
        raise files.unreadable(
            f"item {line.id}", f"its pair {line.pair} is no item of the other modality in the set"
        )


def _item(line: files.ItemLine, twin: pack.Twin | None) -> pack.Item:
    return pack.Item(
        id=line.id,
        stratum=line.stratum,
        modality=line.modality,
        text=line.text or "",
        blob=line.blob or "",
        media_type=line.media_type or "",
        must_include=line.must_include,
        pair=line.pair,
        relevant=line.expect.relevant if line.expect is not None else (),
        generation=line.generation,
        drawn=line.expect.drawn if line.expect is not None else None,
        twin=twin,
    )


def _content(opened: Folder, blobs: Mapping[str, str], item: pack.Item) -> bytes:
    # Pillow costs a tenth of a second: only sets with images pay it.
    from canary_checks.golden import images  # noqa: PLC0415

    content = opened.bytes_of(blobs[item.blob.removeprefix("sha256:")], files.BLOB_LIMIT_BYTES)
    if result.digest(content) != item.blob:
        raise failure.CheckError(
            "GoldenSetMismatch", f"the blob of item {item.id} holds other bytes than {item.blob[:19]}…"
        )
    try:
        images.header(content, item.media_type)
    except ValueError as error:
        raise files.unreadable(f"item {item.id}", str(error)) from error
    return content


def _prove(read_pack: pack.Pack, relation: pack.Relation, *, proven: bool) -> None:
    item, twin = (read_pack.by_id.get(name) for name in (relation.item, relation.of))
    if item is None or twin is None:
        absent = relation.item if item is None else relation.of
        raise files.unreadable(
            files.RELATIONS, f"{relation.item} is the twin of {relation.of}, but {absent} is not in the set"
        )
    if item.modality is v.Modality.TEXT and twin.modality is v.Modality.TEXT:
        true = difference.of_texts(relation.differs, item.text, twin.text)
    elif item.modality is v.Modality.IMAGE and twin.modality is v.Modality.IMAGE:
        true = proven or _differ_only_in(read_pack, relation, item, twin)
    else:
        raise files.unreadable(files.RELATIONS, f"{item.id} and {twin.id} are of two modalities")
    if not true:
        raise files.unreadable(
            files.RELATIONS, f"{item.id} and {twin.id} do not differ in {relation.differs} alone"
        )


def _differ_only_in(read_pack: pack.Pack, relation: pack.Relation, item: pack.Item, twin: pack.Item) -> bool:
    from canary_checks.golden import images  # noqa: PLC0415

    try:
        return images.differ_only_in(relation.differs, read_pack.content(item), read_pack.content(twin))
    except ValueError as error:
        raise files.unreadable(f"item {item.id} or its twin {twin.id}", str(error)) from error


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
