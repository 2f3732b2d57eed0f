"""Where golden sets come from: the package, or a folder."""

import pathlib

from canary_checks import failure, request
from canary_checks.golden import folder
from canary_checks.golden import pack as golden_pack


def load(asked: request.GoldenSet) -> golden_pack.Pack:
    """Read the golden set of a request.

    Parameters
    ----------
    asked
        Which one, and the digest that it must have.

    Returns
    -------
    The set, validated; the bytes of its images are read when they are needed.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable`` or ``GoldenSetMismatch`` (another digest).
    """
    if asked.builtin is not None:
        read = golden_pack.builtin(asked.builtin)
    else:
        assert asked.path is not None
        read = folder.read(pathlib.Path(asked.path))
    if asked.digest is not None and read.digest != asked.digest:
        raise failure.CheckError(
            "GoldenSetMismatch",
            f"the golden set {read.name} {read.version} has the digest {read.digest}, not {asked.digest}",
        )
    return read
