"""Have the program that reads the text in images: ``python -m hack.reader``."""

from __future__ import annotations

import shutil
import sys

from hack.cluster import packages, steps

PACKAGES = ("tesseract-ocr",)


def main() -> int:
    """Install Tesseract where it is missing, and return 1 where that is not possible."""
    if shutil.which("tesseract") is not None:
        return 0
    try:
        print(f"tesseract: {packages.ensure(PACKAGES)}")
    except steps.StepError as error:
        print("the tests of images read text with tesseract, which is not installed", file=sys.stderr)
        steps.report(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
