"""The rules about retrieval checks."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from modelrelease.api import endpoint as endpoints
from modelrelease.api import rule

_LIMITS: Final = ("min", "minRatio", "maxDrop")


def _searched(release: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (check["retrieval"] for check in release.get("checks", ()) if "retrieval" in check)


def _asks_with_one_of_its_own(release: Mapping[str, Any], retrieval: Mapping[str, Any]) -> bool:
    declared = release["endpoint"].get("operations")
    known = [o["name"] for o in declared] if declared is not None else [endpoints.IMPLIED_OPERATION]
    return retrieval.get("queryOperation", known[0]) in known and (
        "queryOperation" not in retrieval
        or "operations" not in retrieval
        or retrieval["queryOperation"] in retrieval["operations"]
    )


RETRIEVAL_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="retrieval-limits",
        paths=("spec.checks[*].retrieval.gates[*]",),
        cel=(
            "(has(self.min) || has(self.minRatio) != has(self.maxDrop)) && "
            "!(has(self.minRatio) && has(self.maxDrop)) && "
            + " && ".join(
                f"(!has(self.{limit}) || (double(self.{limit}) >= 0.0 && double(self.{limit}) <= 1.0))"
                for limit in _LIMITS
            )
        ),
        message=(
            "must set min, one of minRatio and maxDrop, or min and one of them, each to a share from 0 to 1, "
            'such as "0.9"'
        ),
        holds=lambda gate: (
            any(limit in gate for limit in _LIMITS)
            and not ("minRatio" in gate and "maxDrop" in gate)
            and all(0 <= Decimal(gate[limit]) <= 1 for limit in _LIMITS if limit in gate)
        ),
    ),
    rule.Rule(
        id="retrieval-query-operation",
        paths=("spec",),
        field=".checks",
        cel=(
            "!has(self.checks) || self.checks.all(c, "
            "!has(c.retrieval) || !has(c.retrieval.queryOperation) || ((has(self.endpoint.operations) ? "
            "self.endpoint.operations.exists(o, o.name == c.retrieval.queryOperation) : "
            f"c.retrieval.queryOperation == '{endpoints.IMPLIED_OPERATION}') && "
            "(!has(c.retrieval.operations) || c.retrieval.queryOperation in c.retrieval.operations)))"
        ),
        message=(
            "must name an operation that the check asks in each retrieval.queryOperation: correct the name, "
            "or add it to operations"
        ),
        holds=lambda release: all(
            _asks_with_one_of_its_own(release, retrieval) for retrieval in _searched(release)
        ),
    ),
)
