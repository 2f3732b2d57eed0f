"""The results in a folder of an evidence volume: of one check, of a run, or of all runs of a release."""

import os
import pathlib
from typing import Final

from canary_checks import failure

RESULT: Final = "result.json"
_MANIFEST: Final = "manifest.json"
_RESULTS: Final = 1000
_DEPTH: Final = 5
"""From the volume itself to the files of a check."""


def results(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the files that hold results at a path.

    Parameters
    ----------
    path
        A file, which is returned as it is, or a folder, which is searched without following links.

    Raises
    ------
    CheckError
        ``ResultUnreadable``: a folder holds no evidence, or more than 1000 results.
    """
    if not path.is_dir():
        return [path]
    found = []
    for folder, names, files in os.walk(path, followlinks=False):
        here = pathlib.Path(folder)
        deep = len(here.relative_to(path).parts)
        # What begins with a dot is being written or deleted.
        names[:] = sorted(name for name in names if not name.startswith(".") and deep < _DEPTH)
        if RESULT in files and _MANIFEST in files and not (here / RESULT).is_symlink():
            found.append(here / RESULT)
        if len(found) > _RESULTS:
            raise failure.CheckError(
                "ResultUnreadable", f"{path}: it holds more than {_RESULTS} results: name the folder of a run"
            )
    if not found:
        raise failure.CheckError("ResultUnreadable", f"{path}: it holds no evidence of a check")
    return found
