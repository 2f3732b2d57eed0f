"""Have a program that is Debian's, and not Python's: ``python -m hack.installed tesseract``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from typing import Final

from hack.cluster import packages, steps

PROGRAMS: Final = {
    "chromium": ("chromium", "the tests of the report look at it with chromium, which is not installed"),
    "tesseract": ("tesseract-ocr", "the tests of images read text with tesseract, which is not installed"),
}
"""The package of each, and what is said where it can't be had."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Install a program where it is missing, and return 1 where that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m hack.installed", description=__doc__)
    parser.add_argument("program", choices=PROGRAMS)
    program = parser.parse_args(arguments).program
    if shutil.which(program) is not None:
        return 0
    package, without = PROGRAMS[program]
    try:
        print(f"{program}: {packages.ensure((package,))}")
    except steps.StepError as error:
        print(without, file=sys.stderr)
        steps.report(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
