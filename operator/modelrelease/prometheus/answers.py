"""What a Prometheus answers: complete series, or one short reason why there are none."""

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import pydantic

from modelrelease.prometheus import transport
from modelrelease.slo.counters import Sample, Samples

DETAIL_MAX = 160
HTTP_OK = 200
TOO_MUCH = (400, 413, 422)
"""Statuses of a question that is too large, or wrong in one of its parts."""
_NO_SAMPLES: Final = Samples((), ())
T = TypeVar("T")


class Trouble(enum.StrEnum):
    """Why a query gave nothing: the reasons of an Error."""

    UNREACHABLE = "PrometheusUnreachable"
    TIMEOUT = "PrometheusTimeout"
    REFUSED = "PrometheusRefused"
    THROTTLED = "PrometheusThrottled"
    FAILED = "PrometheusQueryFailed"
    PARTIAL = "PrometheusPartialResponse"
    INVALID = "PrometheusInvalidResponse"
    CREDENTIALS = "PrometheusCredentials"


class QueryError(Exception):
    """A query gave no complete answer. The message is one short sentence for people."""

    def __init__(self, reason: Trouble, message: str, *, too_much: bool = False) -> None:
        self.reason = reason
        self.message = message
        self.too_much = too_much
        """Whether a smaller question may have an answer."""
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One scrape of one native histogram."""

    time: float
    """Seconds since the epoch, by Prometheus' clock."""
    count: float
    buckets: tuple[tuple[float, float, float], ...]
    """Lower and upper boundary, and what was counted between them; empty ones are left out."""


@dataclass(frozen=True, slots=True)
class RawSeries:
    """One series of an answer; values may be NaN or infinite."""

    labels: Mapping[str, str]
    samples: Sequence[Sample]
    histograms: tuple[NativeHistogram, ...] = ()
    """In place of samples, where the series is a native histogram."""


class _Histogram(pydantic.BaseModel):
    count: float
    buckets: list[tuple[int, float, float, float]] = []
    """Which boundaries are inclusive, lower, upper, count."""


_Time = tuple[float, Annotated[float, pydantic.Field(allow_inf_nan=True)]]


class _Series(pydantic.BaseModel):
    metric: dict[str, str]
    values: list[_Time] = []
    histograms: list[tuple[float, _Histogram]] = []

    @pydantic.model_validator(mode="after")
    def _has_samples(self) -> "_Series":
        if not self.values and not self.histograms:
            raise ValueError("a series has samples")
        return self


class _Point(pydantic.BaseModel):
    metric: dict[str, str]
    value: _Time


class _Data(pydantic.BaseModel, Generic[T]):
    result_type: str = pydantic.Field(alias="resultType")
    result: T


class _Success(pydantic.BaseModel, Generic[T]):
    status: Literal["success"]
    data: _Data[T]
    warnings: list[str] = []
    is_partial: bool = pydantic.Field(default=False, alias="isPartial")
    """VictoriaMetrics: some of its storage nodes did not answer."""


# Made once: pydantic forgets a parametrised model that nobody holds, and makes it again in milliseconds.
_MATRIX: Final = _Success[list[_Series]]
_VECTOR: Final = _Success[list[_Point]]
_SCALAR: Final = _Success[tuple[float, float]]
_ANY: Final = _Success[Any]


def matrix(who: str, exchange: transport.Exchange) -> tuple[RawSeries, ...]:
    """Return the series of a range selector's answer.

    Parameters
    ----------
    who : str
        The source, for messages.
    exchange : Exchange
        What was answered.

    Raises
    ------
    QueryError
        If that is no complete answer of this type.
    """
    return tuple(
        RawSeries(
            series.metric,
            Samples(*zip(*series.values, strict=True)) if series.values else _NO_SAMPLES,
            tuple(
                NativeHistogram(time, found.count, tuple(bucket[1:] for bucket in found.buckets))
                for time, found in series.histograms
            ),
        )
        for series in _read(who, exchange, "matrix", _MATRIX)
    )


def vector(who: str, exchange: transport.Exchange) -> tuple[RawSeries, ...]:
    """Return the series of an instant vector, each with one sample; otherwise as :func:`matrix`."""
    points = _read(who, exchange, "vector", _VECTOR)
    return tuple(RawSeries(point.metric, Samples(*zip(point.value))) for point in points)


def scalar(who: str, exchange: transport.Exchange) -> float:
    """Return the value of a scalar; otherwise as :func:`matrix`."""
    return _read(who, exchange, "scalar", _SCALAR)[1]


def _read(who: str, exchange: transport.Exchange, expected: str, model: type[_Success[T]]) -> T:
    if exchange.status != HTTP_OK:
        raise _refused(who, exchange)
    try:
        answer = model.model_validate_json(exchange.body)
    except pydantic.ValidationError:
        answer = None
    if answer is not None and answer.data.result_type == expected:
        _complete(who, answer)
        return answer.data.result
    raise _unexpected(who, exchange, expected)


def _complete(who: str, answer: _Success[T]) -> None:
    if answer.warnings:
        raise QueryError(
            Trouble.PARTIAL,
            f"{who} answered with a warning, data may be missing: {short(answer.warnings[0])}",
        )
    if answer.is_partial:
        raise QueryError(Trouble.PARTIAL, f"{who} answered with a part of its data only")


def _unexpected(who: str, exchange: transport.Exchange, expected: str) -> QueryError:
    try:
        answer = _ANY.model_validate_json(exchange.body)
    except pydantic.ValidationError:
        return QueryError(Trouble.INVALID, f"{who} answered with something that is no query result")
    _complete(who, answer)
    if answer.data.result_type != expected:
        said = f"a {short(answer.data.result_type)} instead of a {expected}"
        return QueryError(Trouble.INVALID, f"{who} answered with {said}")
    return QueryError(Trouble.INVALID, f"{who} answered with series of an unknown shape")


def _refused(who: str, exchange: transport.Exchange) -> QueryError:
    too_much = exchange.status in TOO_MUCH
    kind, detail = _error_of(exchange.body)
    if kind:
        return QueryError(
            Trouble.TIMEOUT if kind in ("timeout", "canceled") else Trouble.FAILED,
            f"{who} answered {exchange.status} ({short(kind)}): {short(detail)}",
            too_much=too_much,
        )
    reason = Trouble.REFUSED if exchange.status in (401, 403) else Trouble.FAILED
    return QueryError(reason, f"{who} answered with HTTP status {exchange.status}", too_much=too_much)


def _error_of(body: bytes) -> tuple[str, str]:
    """Return errorType and error of the API's error envelope, or nothing."""
    try:
        document = json.loads(body)
    except ValueError:
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    return str(document.get("errorType", "")), str(document.get("error", ""))


def short(text: str) -> str:
    """Make foreign text fit for a status: one printable line of bounded length."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: DETAIL_MAX + 1])
    return line if len(line) <= DETAIL_MAX else line[:DETAIL_MAX] + "…"
