"""Retrieval: known queries must find what they should, within the candidate's own vector space."""

import enum
from typing import Annotated

import pydantic

from modelrelease.api import base


class RetrievalMetric(enum.StrEnum):
    """What is bounded, of the ``k`` nearest documents."""

    RECALL = "RecallAtK"
    """Which share of what a query should find is among them."""
    PRECISION = "PrecisionAtK"
    """Which share of them is what the query should find."""


class RetrievalGate(base.ApiModel):
    """A bound on a share of known queries, judged by its confidence interval."""

    metric: RetrievalMetric
    min: base.DecimalString | None = None
    """The share itself, from 0 to 1."""
    min_ratio: base.DecimalString | None = None
    """Which part of Stable's share must be reached, from 0 to 1."""
    max_drop: base.DecimalString | None = None
    """How much of Stable's share may be lost, from 0 to 1."""


class Retrieval(base.ApiModel):
    """Known queries of a golden set find what they should: the check of a space that parity can't judge."""

    golden_set: base.DnsLabel
    """Which of ``goldenSets``: one whose items say what a search for them should find (``expect``)."""
    operations: (
        Annotated[list[base.DnsLabel], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    """Which of ``endpoint.operations`` make the space, together; by default all."""
    query_operation: base.DnsLabel | None = None
    """Which of them asks queries, where documents of the same modality have an operation of their own."""
    k: Annotated[int, pydantic.Field(ge=1, le=100)] = 10
    """How many of the nearest documents are looked at."""
    gates: Annotated[list[RetrievalGate], base.ListMap(("metric",)), pydantic.Field(max_length=2)] = (
        pydantic.Field(default_factory=list)
    )
    """By default the recall must reach 0.95 of Stable's."""

    @property
    def compares(self) -> bool:
        """Whether nothing is judged where there is no reference."""
        return all(gate.min is None for gate in self.gates)
