"""Draw the pictures of `docs/report.md`: ``python -m tests.report.drawn``; Chromium is needed."""

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Final

from tests.report import browser
from tests.unit.cli.mrel import recorded
from tests.unit.report import lives

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
COLOURS: Final = 96
PICTURES: Final = {
    "report-desktop": ("parity", browser.Look(1100, 1500)),
    "report-phone": ("drift", browser.Look(390, 844)),
}
"""Of which life, and how it is looked at."""


def long(name: re.Match[str]) -> str:
    """Return an image's name as long as real ones are; those of the simulation are short."""
    digest = hashlib.sha256(name[0].encode()).hexdigest()
    return f"registry.example/search/embedder-{name[1]}@sha256:{digest}"


def write(life: str, page: Path) -> None:
    """Write the report of a life."""
    left = lives.left(life)
    objects = json.loads(re.sub(r"registry/(\w+):\d+", long, json.dumps(left.objects)))
    said = recorded.call(recorded.Recorded(objects), "report", "embedder", "-o", str(page), now=left.now)
    assert said.code == 0, said.err


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with browser.started(folder / "profile") as chromium:
            for name, (life, look) in PICTURES.items():
                page = folder / f"{name}.html"
                write(life, page)
                with chromium.tab(page, look) as tab:
                    tab.picture().quantize(COLOURS).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
