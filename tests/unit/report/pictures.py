"""Draw the pictures of `docs/report.md`: ``python -m tests.unit.report.pictures``; Chromium is needed."""

import subprocess
import tempfile
from pathlib import Path

import PIL.Image

from tests.unit.cli.mrel import recorded
from tests.unit.report import lives

IMAGES = Path(__file__).parents[3] / "docs" / "images"
COLOURS = 48
PICTURES = {"report-desktop": ("parity", 1100, 1500, 1.0), "report-phone": ("drift", 500, 1000, 1.0)}
"""Of which life, how wide and how high, and how sharp. Chromium's windows are at least 500 wide."""


def drawn(name: str, target: Path) -> None:
    """Draw the top of a report."""
    life, width, height, scale = PICTURES[name]
    left = lives.left(life)
    with tempfile.TemporaryDirectory() as folder:
        page, raw = Path(folder) / "page.html", Path(folder) / "page.png"
        said = recorded.call(left.cluster, "report", "embedder", "-o", str(page), now=left.now)
        assert said.code == 0, said.err
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        size = [f"--window-size={width},{height}", f"--force-device-scale-factor={scale}"]
        command = ["chromium", *flags, *size, f"--screenshot={raw}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        with PIL.Image.open(raw) as picture:
            picture.convert("RGB").quantize(COLOURS).save(target, optimize=True)


if __name__ == "__main__":
    for picture in PICTURES:
        drawn(picture, IMAGES / f"{picture}.png")
