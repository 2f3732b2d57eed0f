"""Links in Markdown: where they are, what they mean as files, and where that is in the site."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib import parse

_FENCE: Final = re.compile(r"^[ ]*(```+|~~~+)[^\n]*\n.*?^[ ]*\1[ ]*$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"(`+)(?:(?!\1).)+?\1")
_LINK: Final = re.compile(r"(?<=\])\((?P<address>[^()\s]+)\)")
_FETCHED: Final = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*?\ssrc=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*?\shref=[\"']?((?:https?:)?//[^\"'\s>]+)"
)
BELOW: Final = "repository"
"""Where the repository's own files lie in the site."""


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """One link, by the place of its address in the text."""

    start: int
    end: int
    address: str


def found(markdown: str) -> Iterator[Link]:
    """Return the links of a page; none of those in code."""
    code = [match.span() for pattern in (_FENCE, _CODE) for match in pattern.finditer(markdown)]
    for match in _LINK.finditer(markdown):
        start, end = match.span("address")
        if not any(low <= start < high for low, high in code):
            yield Link(start, end, match["address"])


def rewritten(markdown: str, moved: Callable[[str], str]) -> str:
    """Return the page with the address of every link as ``moved`` says."""
    parts, last = [], 0
    for link in found(markdown):
        parts += [markdown[last : link.start], moved(link.address)]
        last = link.end
    return "".join([*parts, markdown[last:]])


def target(page: pathlib.Path, address: str) -> pathlib.Path | None:
    """Return the file that a relative link means, or None for any other link."""
    split = parse.urlsplit(address)
    if split.scheme or split.netloc or not split.path or split.path.startswith("/"):
        return None
    return pathlib.Path(os.path.normpath(page.parent / parse.unquote(split.path)))


def in_site(path: pathlib.Path, root: pathlib.Path) -> str:
    """Return where a file of the repository lies in the site; of a folder, the page that lists it."""
    inside = path.relative_to(root).as_posix()
    return f"{BELOW}/{inside}/index.md" if path.is_dir() else f"{BELOW}/{inside}"


def relative(page: pathlib.PurePosixPath, where: str) -> str:
    """Return the address of a place in the site as seen from a page of it."""
    return pathlib.PurePath(os.path.relpath(where, page.parent)).as_posix()


def fetched(html: str) -> Iterator[str]:
    """Return what a page makes a browser ask of a foreign server; links that people follow are none."""
    for match in _FETCHED.finditer(html):
        yield match[1] or match[2]
