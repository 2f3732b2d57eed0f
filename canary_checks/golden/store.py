"""Where golden sets come from: the package, or a folder."""

from canary_checks import failure, request
from canary_checks.golden import pack as golden_pack


def load(asked: request.GoldenSet) -> golden_pack.Pack:
    """Read the golden set of a request.

    Parameters
    ----------
    asked
        Which one, and the digest that it must have.

    Returns
    -------
    The set, validated.

    Raises
    ------
    CheckError
        ``GoldenSetUnreadable`` or ``GoldenSetMismatch`` (another digest).
    """
    if asked.builtin is None:
        raise failure.CheckError("GoldenSetUnreadable", f"there is no golden set at {asked.path}")
    return golden_pack.builtin(asked.builtin)
