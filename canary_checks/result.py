"""The result contract between a check and whoever started it: all that the operator imports of this package.

A check leaves two things. The *termination message* (at most 3 KiB of JSON) alone decides and explains. The
*evidence*, the last line of the log, holds the full result and, when asked, the outputs recorded as a
reference.
"""

import base64
import binascii
import hashlib
import json
from typing import Annotated, Self, TypeVar

import pydantic

from canary_checks import shrink
from canary_checks import vocabulary as v
from canary_checks.request import CheckRequest
from canary_checks.schema import CheckResult, result_json_schema
from canary_checks.vocabulary import Verdict

__all__ = [
    "EVIDENCE_LIMIT_BYTES",
    "EVIDENCE_PREFIX",
    "MESSAGE_LIMIT_BYTES",
    "CheckRequest",
    "CheckResult",
    "Evidence",
    "ReferencePayload",
    "ResultInvalid",
    "Verdict",
    "digest",
    "dump",
    "parse_evidence",
    "parse_termination_message",
    "result_json_schema",
    "to_termination_message",
]

EVIDENCE_PREFIX = "MODELRELEASE_RESULT "
MESSAGE_LIMIT_BYTES = 3072
EVIDENCE_LIMIT_BYTES = 1 << 20

_ModelT = TypeVar("_ModelT", bound=v.Model)


class ResultInvalid(Exception):
    """A check's output cannot be believed; the message says why in one sentence."""


class ReferencePayload(v.Model):
    """Recorded golden outputs: a safetensors file in base64, with the digest of the file itself."""

    digest: v.Digest
    safetensors: Annotated[str, pydantic.StringConstraints(max_length=EVIDENCE_LIMIT_BYTES)]

    @pydantic.model_validator(mode="after")
    def _digest_is_true(self) -> Self:
        if digest(self.content()) != self.digest:
            raise ValueError("the reference is not what its digest says")
        return self

    def content(self) -> bytes:
        """Return the bytes of the safetensors file."""
        try:
            return base64.b64decode(self.safetensors, validate=True)
        except binascii.Error as error:
            raise ValueError("the reference is not base64") from error


class Evidence(v.Model):
    """The log's last line: the full result and, when it was asked for, what was recorded."""

    result: CheckResult
    reference: ReferencePayload | None = None


def digest(content: bytes) -> str:
    """Return ``sha256:`` and the hexadecimal SHA-256 of some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def dump(model: v.Model) -> str:
    """Write a model as compact JSON, without the fields that are not set or empty by default."""
    return json.dumps(
        model.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True),
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )


def to_termination_message(result: CheckResult) -> str:
    """Write a result in at most 3072 bytes.

    What explains least goes first: plots, measurements, strata, worst rows, passing gates, then the details
    of the diagnosis. Failing gates are kept as long as they fit at all; `gates_omitted` says how many did
    not.

    Parameters
    ----------
    result
        A full result.

    Returns
    -------
    JSON that `parse_termination_message` reads; numbers are rounded to four significant digits.
    """
    text = dump(shrink.rounded(result))
    for smaller in shrink.ever_smaller(shrink.rounded(result)):
        text = dump(smaller)
        if len(text.encode()) <= MESSAGE_LIMIT_BYTES:
            return text
    raise AssertionError(f"the bounds of the schema leave {len(text.encode())} bytes")


def parse_termination_message(text: str, expected_nonce: str) -> CheckResult:
    """Read what a check left in its termination message.

    Parameters
    ----------
    text
        The container's termination message as the kubelet reports it.
    expected_nonce
        The nonce of the attempt that is being waited for.

    Returns
    -------
    The result, which follows the schema and answers this attempt.

    Raises
    ------
    ResultInvalid
        The message is empty, too large, not JSON, not a result, or answers another attempt.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if not text.strip():
        raise ResultInvalid("the check left no result")
    if size > MESSAGE_LIMIT_BYTES:
        raise ResultInvalid(f"the check left {size} bytes, more than the {MESSAGE_LIMIT_BYTES} of a result")
    result = _parse(CheckResult, text)
    if result.nonce != expected_nonce:
        raise ResultInvalid("the result carries the nonce of another attempt")
    return result


def parse_evidence(log_text: str, *, expected_digest: str | None = None) -> Evidence | None:
    """Read the evidence from a check's log.

    Parameters
    ----------
    log_text
        The container's log, or its end.
    expected_digest
        ``evidence.digest`` of the termination message; evidence with another digest is not of that result.

    Returns
    -------
    The evidence, or None when the log holds none that can be believed: that degrades a report, never a
    verdict.
    """
    lines = [line for line in log_text.split("\n") if line.startswith(EVIDENCE_PREFIX)]
    if not lines:
        return None
    text = lines[-1].removeprefix(EVIDENCE_PREFIX).rstrip("\r")
    content = text.encode("utf-8", "surrogatepass")
    if len(content) > EVIDENCE_LIMIT_BYTES or (
        expected_digest is not None and digest(content) != expected_digest
    ):
        return None
    try:
        return _parse(Evidence, text)
    except ResultInvalid:
        return None


def _parse(kind: type[_ModelT], text: str) -> _ModelT:
    try:
        return kind.model_validate_json(text, by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise ResultInvalid("the result is not JSON") from error
        where = ".".join(str(part) for part in first["loc"]) or "result"
        raise ResultInvalid(
            v.sentence(f"the result does not follow the schema: {where}: {first['msg']}")
        ) from error
