r"""The digest of a model's files, and its verification before a server starts.

An init container of every serving pod runs this, so nothing but the standard library is imported.

The *manifest* of a folder has one line ``<sha256>  <path>\n`` for each file, as ``sha256sum`` writes it: 64
lowercase hex digits, two spaces, the path below the folder with ``/``, as the bytes of the file's name. The
lines are sorted as bytes. The digest of a folder is the SHA-256 of its manifest; that of a single file is the
file's own SHA-256. Modes, times, owners and empty folders do not count. No part of an artifact are:

- ``SHA256SUMS`` in the folder itself: the manifest, where somebody left it to explain a mismatch;
- ``lost+found`` in the folder itself, which a file system brings;
- names that begin with ``..`` in the folder itself: the kubelet's own way of writing mounted ConfigMaps; the
  links into them are followed;
- ``.cache/huggingface``: when and from where a downloader fetched what.

A symbolic link counts as what it points to. One that leaves the folder is refused: what lies there is not
pinned and may change.
"""

import argparse
import concurrent.futures
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import re
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

SCHEMA: Final = "artifact.modelrelease.dev/v1"
LOG_VARIABLE: Final = "MODELRELEASE_TERMINATION_LOG"
LOG_LIMIT_BYTES: Final = 3072
MANIFEST: Final = "SHA256SUMS"

MATCH, MISMATCH, USAGE, UNREADABLE = 0, 1, 2, 3
"""Exit codes. `USAGE` is also argparse's own."""

_DEFAULT_LOG: Final = "/dev/termination-log"
_DIGEST: Final = re.compile(r"sha256:[a-f0-9]{64}")
_LINE: Final = re.compile(rb"([a-fA-F0-9]{64}) [ *](?:\./)?(.+)")
_WORKERS: Final = 8
_NAMED: Final = 5
_MESSAGE_BYTES: Final = 768
_MANIFEST_LIMIT_BYTES: Final = 16 << 20


class Refused(Exception):
    """The folder holds something whose content cannot be pinned."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes
    ----------
    files
        SHA-256 (64 hex digits) by path below the folder; one entry with the file's name for a single file.
    sizes
        Bytes, by the same paths.
    digest
        ``sha256:`` and the digest of the manifest, or of the single file.
    seconds
        How long reading took.
    """

    files: Mapping[str, str]
    sizes: Mapping[str, int]
    digest: str
    seconds: float

    @property
    def size(self) -> int:
        """Bytes of all files together; one that is linked twice counts twice."""
        return sum(self.sizes.values())


def read(path: pathlib.Path, root: pathlib.Path | None = None) -> Found:
    """Read every file at a path, each in small pieces.

    Parameters
    ----------
    path
        A folder or a single file.
    root
        Links may lead anywhere below this folder; None for `path` itself (for a single file: its folder).

    Returns
    -------
    Digests and sizes.

    Raises
    ------
    Refused
        A link leaves `root` or runs in a circle; something is no regular file; a name holds a line break; or
        there is no file.
    OSError
        Something cannot be read.
    """
    started = time.monotonic()
    single = not path.is_dir()
    top = (root or (path.parent if single else path)).resolve(strict=True)
    named = {path.name: _inside(path, top)} if single else dict(_walk(path, top))
    if not named:
        raise Refused(f"there is no file in {path}")
    # What several names link to is read once: a download cache holds every file twice that way.
    sizes = {real: _size(real) for real in set(named.values())}
    biggest_first = sorted(sizes, key=lambda real: -sizes[real])
    workers = min(_WORKERS, os.cpu_count() or 1, len(biggest_first))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        digests = dict(zip(biggest_first, pool.map(_digest, biggest_first), strict=True))
    files = {name: digests[real] for name, real in sorted(named.items())}
    whole = files[path.name] if single else hashlib.sha256(manifest(files)).hexdigest()
    return Found(
        files=files,
        sizes={name: sizes[real] for name, real in sorted(named.items())},
        digest=f"sha256:{whole}",
        seconds=time.monotonic() - started,
    )


def manifest(files: Mapping[str, str]) -> bytes:
    """Write the manifest of some files: what the digest of a folder is the SHA-256 of.

    Parameters
    ----------
    files
        SHA-256 (64 hex digits) by path.
    """
    return b"".join(
        sorted(f"{digest}  ".encode() + os.fsencode(name) + b"\n" for name, digest in files.items())
    )


def _walk(folder: pathlib.Path, root: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    """Give every file below a folder: its path there, and the regular file that it is."""
    # A stack, because a hostile depth must not become a RecursionError.
    waiting = [("", folder, frozenset({folder.resolve(strict=True)}))]
    while waiting:
        prefix, here, above = waiting.pop()
        for entry in sorted(here.iterdir()):
            name = prefix + entry.name
            if _is_no_part(name):
                continue
            if "\n" in name:
                raise Refused(f"the name {name!r} holds a line break")
            real = _inside(entry, root)
            if real.is_dir():
                if real in above:
                    raise Refused(f"the link {name} leads in a circle")
                waiting.append((name + "/", entry, above | {real}))
            else:
                yield name, real


def _is_no_part(name: str) -> bool:
    reserved = name in {MANIFEST, "lost+found", ".cache/huggingface"}
    return reserved or (name.startswith("..") and "/" not in name)


def _inside(entry: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    """Follow a link as far as it goes and refuse what lies outside."""
    try:
        real = entry.resolve(strict=True)
    except (RuntimeError, OSError) as error:
        # A circle of links is a RuntimeError before Python 3.13.
        circle = isinstance(error, RuntimeError) or error.errno == errno.ELOOP
        if circle or (entry.is_symlink() and isinstance(error, FileNotFoundError)):
            raise Refused(f"the link {entry} leads nowhere") from error
        raise
    if not real.is_relative_to(root):
        raise Refused(f"the link {entry} leads to {real}, outside {root}: what lies there is not pinned")
    return real


def _size(real: pathlib.Path) -> int:
    status = real.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{real} is no regular file")
    return status.st_size


def _digest(real: pathlib.Path) -> str:
    # file_digest reads 256 KiB at a time into one buffer, whatever the size of the file.
    with real.open("rb", buffering=0) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def difference(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Say in one sentence in which files a folder differs from its manifest; empty when in none.

    Parameters
    ----------
    found, expected
        SHA-256 by path.
    """
    kinds = {
        "changed": [name for name in found if name in expected and found[name] != expected[name]],
        "missing": [name for name in expected if name not in found],
        "added": [name for name in found if name not in expected],
    }
    return "; ".join(f"{kind}: {_list(names)}" for kind, names in kinds.items() if names)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _expected(folder: pathlib.Path) -> Mapping[str, str] | None:
    """Read the manifest that lies beside the files; None when there is none, or it is none."""
    try:
        with (folder / MANIFEST).open("rb") as stream:
            content = stream.read(_MANIFEST_LIMIT_BYTES)
    except OSError:
        return None
    lines = [_LINE.fullmatch(line) for line in content.removesuffix(b"\n").split(b"\n")]
    if None in lines:
        return None
    return {os.fsdecode(line[2]): line[1].decode().lower() for line in lines if line is not None}


def explain(found: Found, path: pathlib.Path, digest: str) -> str:
    """Say in one sentence why what lies at a path has another digest than the pinned one.

    Parameters
    ----------
    found
        What lies there.
    path
        Where.
    digest
        The pinned one.
    """
    start = f"{path} has the digest {found.digest}, not {digest}"
    expected = _expected(path)
    if expected is None:
        return f"{start}; a file {MANIFEST} beside the model would name the files that differ"
    if "sha256:" + hashlib.sha256(manifest(expected)).hexdigest() != digest:
        start += f" (nor has its {MANIFEST})"
    return f"{start}: {difference(found.files, expected) or f'every file is as {MANIFEST} says'}"


def report(
    found: Found | None, *, outcome: str, expected: str | None, message: str, first: Sequence[str] = ()
) -> str:
    """Write what the operator reads from the pod's status.

    Parameters
    ----------
    found
        What was read, None when nothing could be.
    outcome
        ``Match``, ``Mismatch``, ``Refused`` or ``Unreadable``.
    expected
        The pinned digest.
    message
        One sentence.
    first
        Files whose digests are kept before all others; after them come the smallest: configurations before
        weights.

    Returns
    -------
    JSON of at most 3 KiB.
    """
    content: dict[str, object] = {"schema": SCHEMA, "outcome": outcome, "message": _cut(message)}
    if expected is not None:
        content["expected"] = expected
    if found is None:
        return _dump(content)
    content |= {
        "digest": found.digest,
        "filesTotal": len(found.files),
        "bytes": found.size,
        "seconds": round(found.seconds, 3),
    }
    kept: dict[str, str] = {}
    order = sorted(found.files, key=lambda name: (name not in first, found.sizes[name], name))
    room = LOG_LIMIT_BYTES - len(_dump(content | {"files": {}}))
    for name in order:
        room -= len(_dump({name: found.files[name]}))
        if room < 0:
            break
        kept[name] = found.files[name]
    return _dump(content | {"files": kept})


def _cut(message: str) -> str:
    """Keep a message printable and short, counted as JSON writes it."""
    line = "".join(c if c.isprintable() else "?" for c in message)
    while len(_dump(line)) > _MESSAGE_BYTES:
        line = line[: int(len(line) * 0.9)].rstrip("…") + "…"
    return line


def _dump(content: object) -> str:
    # ASCII only, so that characters are bytes and a name that is no UTF-8 can be written.
    return json.dumps(content, ensure_ascii=True, separators=(",", ":"))


def _verify(options: argparse.Namespace) -> int:
    first = [name for name in options.files.split(",") if name]
    found = None
    try:
        found = read(options.path, options.root)
    except Refused as error:
        code, outcome, message = MISMATCH, "Refused", str(error)
    except OSError as error:
        code, outcome, message = UNREADABLE, "Unreadable", f"{options.path} cannot be read: {error}"
    else:
        absent = [name for name in first if name not in found.files]
        if found.digest != options.digest:
            code, outcome, message = MISMATCH, "Mismatch", explain(found, options.path, options.digest)
        elif absent:
            code, outcome = MISMATCH, "Mismatch"
            message = f"the contract names files that {options.path} does not hold: {_list(absent)}"
        else:
            code, outcome = MATCH, "Match"
            message = f"{len(found.files)} files, {found.size} bytes: the pinned digest"
    text = report(found, outcome=outcome, expected=options.digest, message=message, first=first)
    sys.stdout.write(text + "\n")
    if code != MATCH:
        sys.stderr.write(_cut(message) + "\n")
    log = pathlib.Path(os.environ.get(LOG_VARIABLE, _DEFAULT_LOG))
    # On a laptop there is no such file, and nobody wants one.
    if LOG_VARIABLE in os.environ or log.exists():
        log.write_text(text, encoding="ascii")
    return code


def _print_digest(options: argparse.Namespace) -> int:
    try:
        found = read(options.path, options.root)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return MISMATCH
    except OSError as error:
        sys.stderr.write(f"{options.path} cannot be read: {error}\n")
        return UNREADABLE
    if options.manifest:
        sys.stdout.buffer.write(manifest(found.files))
    else:
        sys.stdout.write(f"{found.digest}\n")
    return MATCH


def main(arguments: Sequence[str]) -> int:
    """Run ``artifact verify`` or ``artifact digest``.

    Parameters
    ----------
    arguments
        The command line after ``artifact``.

    Returns
    -------
    0 the digest matches, 1 it does not or something cannot be pinned, 2 usage, 3 something cannot be read.
    """
    parser = argparse.ArgumentParser(prog="canary_checks artifact", description="Digests of model files.")
    commands = parser.add_subparsers(required=True)
    verify = commands.add_parser("verify", help="prove that a folder or file is the pinned one")
    verify.add_argument("--path", type=pathlib.Path, required=True, help="the folder or file")
    verify.add_argument("--digest", type=_pinned, required=True, help="sha256:… that it must have")
    verify.add_argument("--files", default="", help="a,b: files that must exist, reported before all others")
    verify.set_defaults(run=_verify)
    digest = commands.add_parser("digest", help="print the digest of a folder or file")
    digest.add_argument("path", type=pathlib.Path)
    digest.add_argument("--manifest", action="store_true", help=f"print the lines of {MANIFEST} instead")
    digest.set_defaults(run=_print_digest)
    for command in (verify, digest):
        command.add_argument("--root", type=pathlib.Path, help="links may lead anywhere below this folder")
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def _pinned(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise argparse.ArgumentTypeError("it is sha256: and 64 lowercase hexadecimal digits")
    return text
