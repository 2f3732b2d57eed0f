"""How a retrieval check searches: the parameters of its request.

Nothing here imports more than pydantic: it is part of the request, which the operator's process reads.
"""

import re
from typing import Annotated, Final, Self

import pydantic

from canary_checks import vocabulary as v

K: Final = 10
"""Of how many nearest documents is judged by default: a first page of results."""
_METRIC: Final = re.compile(r"(Recall|Precision)At([1-9][0-9]{0,2})")


class Retrieval(v.Model):
    """How known queries are searched with."""

    k: Annotated[
        tuple[Annotated[int, pydantic.Field(ge=1, le=100)], ...], pydantic.Field(min_length=1, max_length=4)
    ] = (K,)
    """How many of the nearest documents are looked at; each number is judged by itself."""
    query_operation: v.Name | None = None
    """What queries are asked with, where documents of the same modality have an operation of their own."""

    @pydantic.model_validator(mode="after")
    def _are_distinct(self) -> Self:
        if len(set(self.k)) != len(self.k):
            raise ValueError("k must hold each number once")
        return self


def recall(k: int) -> str:
    """Name the metric: which share of what a query should find is among the nearest `k`."""
    return f"RecallAt{k}"


def precision(k: int) -> str:
    """Name the metric: which share of the nearest `k` is what the query should find."""
    return f"PrecisionAt{k}"


def split(metric: str) -> tuple[str, int] | None:
    """Return ``Recall`` or ``Precision`` and k of a metric's name, or None for another one's."""
    found = _METRIC.fullmatch(metric)
    return (found[1], int(found[2])) if found is not None else None
