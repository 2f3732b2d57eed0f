"""What the request of a retrieval check says, in the words of the checks."""

from typing import Any

from modelrelease.api import retrieval as retrievals

Object = dict[str, Any]


def terms(asked: retrievals.Retrieval) -> Object:
    """Return how known queries are searched with."""
    return {"k": [asked.k], "queryOperation": asked.query_operation}


def gates(asked: retrievals.Retrieval) -> list[Object]:
    """Return the gates, their metrics with the number of documents that are looked at."""
    return [
        gate.model_dump(mode="json", by_alias=True, exclude_none=True)
        | {"metric": f"{gate.metric.removesuffix('K')}{asked.k}"}
        for gate in asked.gates
    ]
