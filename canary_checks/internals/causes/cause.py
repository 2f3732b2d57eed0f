"""One line of the table of causes, and where inside a model it acts."""

import dataclasses
from collections.abc import Callable

from canary_checks.internals.causes import contrast
from canary_checks.parity.causes import cause as parity_cause

Named = parity_cause.Named
Signature = Callable[[contrast.Contrast], Named | None]
Contradiction = Callable[[contrast.Contrast], str | None]
proven = parity_cause.proven
observed = parity_cause.observed
likely = parity_cause.likely


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cause:
    """What is known of one cause.

    Attributes
    ----------
    name
        CamelCase; docs/causes has a page of this name.
    contradiction
        Returns why the cause cannot explain what was seen, or None.
    signature
        Returns how the cause shows, or None; a cause without one is excluded or left, and never named.
    compatible
        Causes that need not be contradicted before this one is called likely.
    next
        What to look at while the cause is among those left.
    """

    name: str
    contradiction: Contradiction
    signature: Signature | None = None
    compatible: frozenset[str] = frozenset()
    next: str = ""


def unless(what: str, signature: Signature) -> Contradiction:
    """Contradict a cause with these words wherever its signature does not fit."""

    def contradiction(seen: contrast.Contrast) -> str | None:
        return None if signature(seen) is not None else what

    return contradiction
