"""What the pages show in fences: commands as a shell would read them, and documents."""

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
SHELLS = {"console", "sh", "bash", "shell"}

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_HERE = re.compile(r"<<-?'?\"?(\w+)")
_ENDS = {"|", "||", "&&", ";", "&", "(", ")"}


@dataclasses.dataclass(frozen=True)
class Block:
    """One fence of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclasses.dataclass(frozen=True)
class Command:
    """One program with its arguments."""

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where} {' '.join(self.words)}"


def of(*languages: str) -> list[Block]:
    """Return the blocks in these languages, of all pages."""
    return [block for page in PAGES for block in fences(page) if block.language in languages]


def fences(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        indent = len(match["indent"])
        body = "".join(line[indent:] for line in match["body"].splitlines(keepends=True))
        yield Block(page, text.count("\n", 0, match.start()) + 1, match["language"], body)


def commands(block: Block) -> Iterator[Command]:
    """Return the programs that a block runs; what a command prints is none.

    Where a line begins with ``$`` only such lines are commands, otherwise all are.
    """
    for line in _lines(block.text):
        yield from _programs(str(block), line)


def documents(block: Block) -> Iterator[str]:
    """Return what a block's commands are given on standard input."""
    for marker in _HERE.finditer(block.text):
        _, _, rest = block.text[marker.end() :].partition("\n")
        yield rest.partition(f"\n{marker[1]}")[0]


def _lines(text: str) -> Iterator[str]:
    lines = iter(text.splitlines())
    prompted = any(line.startswith("$ ") for line in text.splitlines())
    for raw in lines:
        if prompted and not raw.startswith("$ "):
            continue
        line = raw.removeprefix("$ ")
        while line.endswith("\\"):
            line = line[:-1] + next(lines, "").removeprefix("> ")
        here = _HERE.search(line)
        if here:
            for inner in lines:
                if inner.strip() == here[1]:
                    break
        if line.strip():
            yield line


def _programs(where: str, line: str) -> Iterator[Command]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    words: list[str] = []
    skip = False
    for word in lexer:
        if skip:
            skip = False
        elif word in _ENDS:
            yield from _command(where, words)
            words = []
        elif set(word) <= set("<>&"):
            skip = True
        else:
            words.append(word)
    yield from _command(where, words)


def _command(where: str, words: list[str]) -> Iterator[Command]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words and words[0] == "kubectl" and "--" in words:
        # What `kubectl exec` runs in the container.
        yield from _command(where, words[words.index("--") + 1 :])
        words = words[: words.index("--")]
    if words:
        yield Command(where, tuple(words))
