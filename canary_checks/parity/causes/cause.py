"""One line of the table of causes."""

import dataclasses
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from canary_checks import vocabulary as v

SeenT = TypeVar("SeenT")
ANY: Final = frozenset({v.Modality.TEXT, v.Modality.IMAGE})


@dataclasses.dataclass(frozen=True)
class Named:
    """A signature that fits.

    Attributes
    ----------
    confidence
        `Proven` when a counterfactual made every gate pass, else `Likely`.
    evidence, next
        Why, and what to look at.
    sole
        The evidence itself excludes every other cause: nothing else gives these very vectors.
    fact
        It is no inference but what the vectors are, such as not a number: it comes before any other cause.
    """

    confidence: v.Confidence
    evidence: tuple[str, ...]
    next: tuple[str, ...]
    sole: bool = False
    fact: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cause(Generic[SeenT]):
    """What is known of one cause, of whatever is compared.

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
    modalities
        What it can befall.
    """

    name: str
    contradiction: Callable[[SeenT], str | None]
    signature: Callable[[SeenT], Named | None] | None = None
    compatible: frozenset[str] = frozenset()
    next: str = ""
    modalities: frozenset[v.Modality] = ANY


def proven(*evidence: str, next_step: str) -> Named:
    """Say that a counterfactual made every gate pass."""
    return Named(v.Confidence.PROVEN, evidence, (next_step,), sole=True)


def observed(*evidence: str, next_step: str) -> Named:
    """Say what the vectors are."""
    return Named(v.Confidence.LIKELY, evidence, (next_step,), sole=True, fact=True)


def likely(*evidence: str, next_step: str, sole: bool = False) -> Named:
    """Say that a signature fits."""
    return Named(v.Confidence.LIKELY, evidence, (next_step,), sole=sole)


def unless(what: str, signature: Callable[[SeenT], Named | None]) -> Callable[[SeenT], str | None]:
    """Contradict a cause with these words wherever its signature does not fit."""

    def contradiction(seen: SeenT) -> str | None:
        return None if signature(seen) is not None else what

    return contradiction
