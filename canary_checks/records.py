"""Records as files: safetensors with one JSON header of ours, read as what may come from anybody.

References of vectors, outcomes of images and measurements of performance come from a ConfigMap, a volume or a
colleague. The header is read before any tensor, every size and type is bounded, and a tensor that nothing
accounts for is an error.
"""

import dataclasses
import itertools
import json
import pathlib
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

import numpy.typing as npt
import pydantic
import safetensors
import safetensors.numpy

from canary_checks import failure, result
from canary_checks import vocabulary as v

Tensors = dict[str, npt.NDArray[Any]]
HeaderT = TypeVar("HeaderT", bound=v.Model)
Held = TypeVar("Held")
_LENGTH: Final = struct.Struct("<Q")
_HEADER_LIMIT_BYTES: Final = 4 << 20


@dataclasses.dataclass(frozen=True)
class Format(Generic[HeaderT]):
    """One kind of record.

    Attributes
    ----------
    what
        What sentences call it, such as ``"reference"``.
    key
        Where the file's metadata has the header.
    header
        The header's model.
    dtypes
        Types of tensors that it may hold, in the words of safetensors.
    """

    what: str
    key: str
    header: type[HeaderT]
    dtypes: frozenset[str]

    def unreadable(self, why: str) -> failure.CheckError:
        """Make the error of a file that is no such record."""
        return failure.CheckError("ReferenceUnreadable", f"the {self.what} cannot be read: {why}")

    def write(self, header: HeaderT, tensors: Tensors) -> bytes:
        """Return the bytes of a file; what is absent or as by default is not written."""
        text = header.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
        return bytes(safetensors.numpy.save(tensors, {self.key: text}))

    def content(self, path: str, expected_digest: str | None, limit_bytes: int) -> bytes:
        """Read a file and prove that it is the one that was asked for.

        Parameters
        ----------
        path
            Where it is mounted. What no ConfigMap has room for goes on in files with ``.2``, ``.3`` … after
            the name.
        expected_digest
            SHA-256 of the file, or None when nobody stated one (the command line).
        limit_bytes
            How much is read; a larger file is for `decode` to refuse.

        Raises
        ------
        CheckError
            ``ReferenceMissing`` or ``ReferenceMismatch`` (another digest).
        """
        try:
            content = b""
            for part in _parts(pathlib.Path(path)):
                with part.open("rb") as file:
                    content += file.read(limit_bytes + 1 - len(content))
        except OSError as error:
            raise failure.CheckError(
                "ReferenceMissing", f"the {self.what} {path} cannot be opened: {error.strerror}"
            ) from error
        if expected_digest is not None and result.digest(content) != expected_digest:
            raise failure.CheckError(
                "ReferenceMismatch",
                f"the {self.what} {path} has the digest {result.digest(content)}, not {expected_digest}",
            )
        return content

    def decode(
        self, content: bytes, build: Callable[[HeaderT, Tensors], Held], limit_bytes: int
    ) -> tuple[HeaderT, Held]:
        """Read a record.

        Parameters
        ----------
        content
            The bytes of a safetensors file.
        build
            Makes of header and tensors what is held; it takes every tensor out, and says by a ValueError what
            is wrong. A tensor that it misses is a KeyError.
        limit_bytes
            Of the file.

        Raises
        ------
        CheckError
            ``ReferenceUnreadable``, with what is wrong.
        """
        try:
            header = self._header(content, limit_bytes)
            tensors = safetensors.numpy.load(content)
            held = build(header, tensors)
            _nothing_left(tensors)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self.unreadable(f"its header says {where}: {first['msg']}") from error
        except KeyError as error:
            raise self.unreadable(f"it holds no {error.args[0]}") from error
        except (safetensors.SafetensorError, ValueError, TypeError, RecursionError) as error:
            raise self.unreadable(str(error)) from error
        return header, held

    def _header(self, content: bytes, limit_bytes: int) -> HeaderT:
        if len(content) > limit_bytes:
            raise ValueError(f"it has {len(content)} bytes, more than {limit_bytes}")
        if len(content) < _LENGTH.size:
            raise ValueError("it is no safetensors file")
        (length,) = _LENGTH.unpack_from(content)
        if length > min(_HEADER_LIMIT_BYTES, len(content) - _LENGTH.size):
            raise ValueError(f"it is no safetensors file: a header of {length} bytes")
        table = json.loads(content[_LENGTH.size : _LENGTH.size + length])
        if not isinstance(table, dict):
            raise TypeError("it is no safetensors file: its header is no object")
        metadata = table.pop("__metadata__", None)
        said = metadata.get(self.key) if isinstance(metadata, dict) else None
        if not isinstance(said, str):
            raise TypeError(f"it is a safetensors file, but no {self.what}")
        types = {tensor["dtype"] if isinstance(tensor, dict) else None for tensor in table.values()}
        if not types <= self.dtypes:
            raise ValueError(f"it holds tensors of a type that a {self.what} does not have")
        return self.header.model_validate_json(said, by_alias=True, by_name=False)


def _parts(first: pathlib.Path) -> Iterator[pathlib.Path]:
    yield first
    for number in itertools.count(2):
        part = first.with_name(f"{first.name}.{number}")
        if not part.exists():
            return
        yield part


def _nothing_left(tensors: Tensors) -> None:
    if tensors:
        raise ValueError(f"it holds the tensor {v.sentence(min(tensors), 80)}, which no operation has")
