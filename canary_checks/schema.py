"""What a check found: the models of a result, and the JSON Schema that they mean.

Nothing here imports more than pydantic, because the operator's process imports it.
"""

from typing import Annotated, Any, Literal, Self

import pydantic

from canary_checks import vocabulary as v

# A gate is judged on raw numbers and shown with four digits: a consistency test must allow for the rounding.
_ROUNDING = 1e-3
# What a result holds at most; a check with more leaves out what explains least.
MOST_GATES = 32
MOST_ROWS = 64
MOST_WORST = 20
MOST_SERIES = 16
MOST_POINTS = 4096
MOST_PICTURES = 16


class CheckName(v.Model):
    """Which check, of which configuration."""

    name: v.Name
    kind: v.CheckKind
    config_digest: v.Digest


class Party(v.Model):
    """A revision that took part, with what is known of where it ran."""

    role: v.Role
    revision: v.Revision
    digest: v.Digest | None = None
    recorded_time: pydantic.AwareDatetime | None = None
    numeric_class: v.NumericClass | None = None
    pods: Annotated[tuple[v.Short, ...], pydantic.Field(max_length=8)] = ()


class GoldenSetUsed(v.Model):
    """The golden set that was sent; `used` counts the items that this check sent."""

    name: v.Short
    version: v.Short
    digest: v.Digest
    items: v.Count
    used: v.Count


class Gate(v.Model):
    """One comparison of an observed number with a limit."""

    metric: v.CamelWord
    operation: v.Short | None = None
    against: Literal["Absolute", "Stable", "Anchor", "Recorded"] = "Absolute"
    verdict: v.Verdict
    observed: v.Number
    operator: Literal["<=", ">=", "=="]
    limit: v.Number
    basis: v.Basis
    samples: v.Count
    unit: v.Short | None = None
    low: v.Number | None = None
    high: v.Number | None = None
    """Of an estimate: the bounds that hold the truth with 95 %."""

    @pydantic.model_validator(mode="after")
    def _pass_is_true(self) -> Self:
        if self.verdict is not v.Verdict.PASS:
            return self
        if isinstance(self.observed, str) or isinstance(self.limit, str):
            # pydantic turns a ValueError, and no TypeError, into a validation error.
            raise ValueError("a gate on a non-finite number cannot pass")  # noqa: TRY004
        if self.samples == 0:
            raise ValueError("a gate without samples cannot pass")
        room = _ROUNDING * max(abs(self.limit), abs(self.observed))
        above, below = self.observed > self.limit + room, self.observed < self.limit - room
        if (above and self.operator != ">=") or (below and self.operator != "<="):
            raise ValueError("a gate whose limit is not met cannot pass")
        return self


class Measurement(v.Model):
    """A distribution that was measured and not judged."""

    metric: v.CamelWord
    operation: v.Short | None = None
    against: v.Short | None = None
    unit: v.Short | None = None
    samples: v.Count
    min: v.Number | None = None
    p50: v.Number | None = None
    p95: v.Number | None = None
    max: v.Number | None = None
    worst_item: v.Short | None = None


class Stratum(v.Model):
    """How many rows of one stratum moved, and the worst of them."""

    name: v.Short
    operation: v.Short | None = None
    items: v.Count
    failed: v.Count
    worst: v.Number | None = None
    metric: v.CamelWord | None = None


class WorstItem(v.Model):
    """One of the worst rows: a golden item by its id."""

    item: v.Short
    stratum: v.Short
    operation: v.Short | None = None
    values: Annotated[dict[v.Short, v.Number], pydantic.Field(max_length=8)]


Thumbnail = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=16_384)]


class PicturePair(v.Model):
    """One golden prompt as both sides drew it: small WebP images in base64, for people to look at."""

    item: v.Short
    operation: v.Short | None = None
    caption: v.Remark
    stable: Thumbnail | None = None
    candidate: Thumbnail | None = None


class Excluded(v.Model):
    """A cause that the evidence rules out."""

    cause: v.CamelWord
    because: v.Remark


class DiagnosisReport(v.Model):
    """What a failure is blamed on, and what remains where the blame is not certain."""

    cause: v.CamelWord
    confidence: v.Confidence
    evidence: Annotated[tuple[v.Remark, ...], pydantic.Field(max_length=8)] = ()
    excluded: Annotated[tuple[Excluded, ...], pydantic.Field(max_length=48)] = ()
    left: Annotated[tuple[v.CamelWord, ...], pydantic.Field(max_length=48)] = ()
    next: Annotated[tuple[v.Remark, ...], pydantic.Field(max_length=4)] = ()

    @pydantic.model_validator(mode="after")
    def _unknown_is_unknown(self) -> Self:
        if (self.cause == "Unknown") is not (self.confidence is v.Confidence.UNKNOWN):
            raise ValueError("the cause is Unknown exactly when the confidence is Unknown")
        return self


class Requests(v.Model):
    """HTTP requests, exactly: `sent` reached the server, `failed` of them had no usable answer.

    A connection that could not be opened reached nobody: its repetitions count as `retried`, not as `sent`.
    """

    sent: v.Count
    failed: v.Count
    retried: v.Count


class Timings(v.Model):
    """When the check ran, and how long each of its phases took."""

    start_time: pydantic.AwareDatetime
    completion_time: pydantic.AwareDatetime
    phases_milliseconds: Annotated[dict[v.Short, v.Count], pydantic.Field(max_length=16)] = pydantic.Field(
        default_factory=dict
    )


class Versions(v.Model):
    """What measured."""

    checks: v.Short
    python: v.Short | None = None


class EvidenceSummary(v.Model):
    """How to recognise the evidence that belongs to this result."""

    digest: v.Digest
    size_bytes: v.Count
    truncated: bool
    path: Annotated[str, pydantic.StringConstraints(pattern=r"^[!-~]{1,1000}$")] | None = None
    """Where the whole of it lies on the evidence volume, where there is one."""


_ORDER: list[pydantic.JsonValue] = [
    {
        "if": {"properties": {"verdict": {"const": "Pass"}}},
        "then": {
            "properties": {"gates": {"minItems": 1, "items": {"properties": {"verdict": {"const": "Pass"}}}}}
        },
    },
    {
        "if": {"properties": {"verdict": {"const": "Fail"}}},
        "then": {"properties": {"gates": {"contains": {"properties": {"verdict": {"const": "Fail"}}}}}},
    },
]


class CheckResult(v.Model):
    """What one check found on one pod.

    `Pass` needs at least one gate and none that is not `Pass`; `Fail` needs a failing gate: a check that
    measured nothing cannot pass.
    """

    model_config = pydantic.ConfigDict(json_schema_extra={"allOf": _ORDER})

    schema_version: Literal["checks.modelrelease.dev/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    check: CheckName
    run: v.Name
    attempt: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]
    nonce: v.Nonce
    pod_uid: v.Uid = pydantic.Field(validation_alias="podUID", serialization_alias="podUID")
    shard: Annotated[int, pydantic.Field(ge=0, le=10_000)]
    subject: Party
    references: Annotated[tuple[Party, ...], pydantic.Field(max_length=3)] = ()
    golden_set: GoldenSetUsed | None = None
    verdict: v.Verdict
    reason: v.CamelWord
    message: v.Sentence
    gates: Annotated[tuple[Gate, ...], pydantic.Field(max_length=MOST_GATES)]
    gates_omitted: v.Count = 0
    measurements: Annotated[tuple[Measurement, ...], pydantic.Field(max_length=MOST_ROWS)] = ()
    strata: Annotated[tuple[Stratum, ...], pydantic.Field(max_length=MOST_ROWS)] = ()
    worst: Annotated[tuple[WorstItem, ...], pydantic.Field(max_length=MOST_WORST)] = ()
    diagnosis: DiagnosisReport | None = None
    series: Annotated[
        dict[v.Short, Annotated[tuple[v.Number, ...], pydantic.Field(max_length=MOST_POINTS)]],
        pydantic.Field(max_length=MOST_SERIES, description="data for plots only; no decision reads it"),
    ] = pydantic.Field(default_factory=dict)
    pictures: Annotated[
        tuple[PicturePair, ...],
        pydantic.Field(max_length=MOST_PICTURES, description="a contact sheet; no decision reads it"),
    ] = ()
    requests: Requests
    timings: Timings
    versions: Versions
    evidence: EvidenceSummary | None = None

    @pydantic.model_validator(mode="after")
    def _verdict_follows_gates(self) -> Self:
        verdicts = [gate.verdict for gate in self.gates]
        if self.verdict is v.Verdict.PASS and (not verdicts or set(verdicts) != {v.Verdict.PASS}):
            raise ValueError("Pass needs at least one gate, and all of them Pass")
        if self.verdict is v.Verdict.FAIL and v.Verdict.FAIL not in verdicts:
            raise ValueError("Fail needs a gate that failed")
        return self


def result_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a result, for checks that are not written in Python."""
    schema = CheckResult.model_json_schema(by_alias=True, mode="validation")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://modelrelease.dev/schemas/check-result.v1.json",
    }
    return head | schema
