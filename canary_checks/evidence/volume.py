"""Folders on a volume that others can write to: no name is followed anywhere else, nothing is half there.

Every step goes from an open folder to a name in it (`openat`), and never through a link, so that whoever else
writes to the volume cannot lead a check, or what it deletes, out of it.
"""

import contextlib
import dataclasses
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from typing import Final

PARTIAL: Final = ".partial-"
PRUNED: Final = ".pruned-"
"""What names of folders begin with that are being written, and deleted."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})
_NAMES: Final = 9
"""So many times a folder may be written under one name: by checks' pods that were replaced."""


@dataclasses.dataclass(frozen=True)
class Folder:
    """An open folder; use `root` or `inside` to get one.

    Attributes
    ----------
    descriptor
        Of the folder, open as long as the context is.
    """

    descriptor: int

    @contextlib.contextmanager
    def inside(self, name: str, *, make: bool = False) -> Iterator["Folder"]:
        """Open a folder by its name in this one.

        Parameters
        ----------
        name
            One name, without a slash.
        make
            Whether to make it where it is not there.

        Raises
        ------
        OSError
            It is not there, is no folder (`ELOOP` or `ENOTDIR` for a link), or cannot be made.
        """
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o770, dir_fd=self.descriptor)
        descriptor = os.open(name, _FOLDER, dir_fd=self.descriptor)
        try:
            yield Folder(descriptor)
        finally:
            os.close(descriptor)

    def folders(self) -> list[str]:
        """Return the names of the folders in this one, in order; links to folders are none."""
        with os.scandir(self.descriptor) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a small regular file, or None where there is none of at most `limit` bytes."""
        try:
            descriptor = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.descriptor
            )
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = file.read(limit + 1)
        return content if len(content) <= limit else None

    def write(self, name: str, content: bytes) -> bool:
        """Write a new file, whole and on the disk, or leave none.

        Returns
        -------
        Whether there was room for it.

        Raises
        ------
        OSError
            It cannot be written for another reason.
        """
        descriptor = os.open(name, _NEW_FILE, 0o640, dir_fd=self.descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self.descriptor)
            if error.errno not in _FULL:
                raise
            return False
        return True

    def put(self, name: str, content: bytes) -> None:
        """Put a small file there in one step, in the place of one that is there.

        Raises
        ------
        OSError
            It cannot be written, or there is no room.
        """
        draft = f"{PARTIAL}{secrets.token_hex(8)}"
        _require_room(self.write(draft, content))
        os.rename(draft, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def publish(self, name: str, files: Mapping[str, bytes]) -> "Published":
        """Write a folder of files so that it is there as a whole or not at all.

        Parameters
        ----------
        name
            Of the folder. Where it is taken, ``-2`` to ``-9`` is appended.
        files
            In the order of their importance: where there is no room, the later ones are left out.

        Raises
        ------
        OSError
            Nothing could be written; nothing is left of it then.
        """
        draft = f"{PARTIAL}{secrets.token_hex(8)}"
        omitted = []
        try:
            with self.inside(draft, make=True) as folder:
                for file, content in files.items():
                    if not folder.write(file, content):
                        omitted.append(file)
                _require_room(len(omitted) < len(files))
                os.fsync(folder.descriptor)
            return Published(self._named(draft, name), tuple(omitted))
        except OSError:
            self.remove(draft)
            raise

    def _named(self, draft: str, name: str) -> str:
        for number in range(1, _NAMES + 1):
            wanted = name if number == 1 else f"{name}-{number}"
            try:
                # A folder replaces an empty folder, and nothing else.
                os.rename(draft, wanted, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            except OSError as error:
                if error.errno not in _TAKEN or number == _NAMES:
                    raise
                continue
            return wanted
        raise AssertionError("the last name raises")

    def take_away(self, name: str) -> bool:
        """Delete a folder of this one that others may be deleting too.

        Returns
        -------
        Whether it was there for us to delete: of several who try, one does.
        """
        doomed = f"{PRUNED}{secrets.token_hex(8)}"
        try:
            os.rename(name, doomed, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except FileNotFoundError:
            return False
        self.remove(doomed)
        return True

    def remove(self, name: str) -> None:
        """Delete a folder with what is in it, as far as that is possible, through no link."""
        shutil.rmtree(name, ignore_errors=True, dir_fd=self.descriptor)


@dataclasses.dataclass(frozen=True)
class Published:
    """A folder that is there: its name, and which files there was no room for."""

    name: str
    omitted: tuple[str, ...]


def _require_room(there: bool) -> None:  # noqa: FBT001 - what a write returned
    if not there:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def root(path: str) -> Iterator[Folder]:
    """Open the folder that a volume is mounted at.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Folder(descriptor)
    finally:
        os.close(descriptor)
