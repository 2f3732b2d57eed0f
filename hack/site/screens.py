"""The page of the plugin's screens: the files that the tests compare with, so they are never invented."""

import pathlib
from typing import Final

FOLDER: Final = pathlib.Path(__file__).resolve().parents[2] / "tests" / "unit" / "cli" / "mrel" / "golden"
WIDTH: Final = 60

_INTRODUCTION: Final = f"""# Screens

What [`kubectl mrel`](kubectl-mrel.md) prints, {WIDTH} columns wide; in a wider terminal tables have more
columns. Each screen is what the plugin's own code makes of objects that the operator wrote in simulated time.
The tests compare with these very files.
"""


def page() -> str:
    """Return the page, in Markdown."""
    parts = [_INTRODUCTION]
    suffix = f"-{WIDTH}.txt"
    for path in sorted(FOLDER.glob(f"*{suffix}")):
        verb, _, when = path.name.removesuffix(suffix).partition("-")
        title = f"{verb}: {when.replace('-', ' ')}" if when else verb
        parts.append(f"## {title}\n\n```text\n{path.read_text(encoding='utf-8').rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
