"""The result contract between a check and whoever started it: all that the operator imports of this package.

A check leaves two things. The *termination message* (at most 3 KiB of JSON) alone decides and explains. The
*evidence*, the last line of the log, holds the full result and, when asked, the outputs recorded as a
reference.
"""

import base64
import binascii
import datetime
import hashlib
import json
from typing import Annotated, Self, TypeVar

import pydantic

from canary_checks import exit_code, shrink
from canary_checks import vocabulary as v
from canary_checks.question import SCHEMA as QUESTION_SCHEMA
from canary_checks.question import Answer, Question
from canary_checks.request import CheckRequest
from canary_checks.schema import CheckResult, result_json_schema
from canary_checks.vocabulary import Verdict

__all__ = [
    "EVIDENCE_LIMIT_BYTES",
    "EVIDENCE_PREFIX",
    "EXPLANATION_LIMIT_BYTES",
    "MESSAGE_LIMIT_BYTES",
    "QUESTION_SCHEMA",
    "Answer",
    "CheckRequest",
    "CheckResult",
    "Evidence",
    "Question",
    "ReferencePayload",
    "ResultInvalid",
    "Verdict",
    "digest",
    "dump",
    "parse_answer",
    "parse_custom",
    "parse_evidence",
    "parse_termination_message",
    "result_json_schema",
    "to_termination_message",
]

EVIDENCE_PREFIX = "MODELRELEASE_RESULT "
MESSAGE_LIMIT_BYTES = 3072
EVIDENCE_LIMIT_BYTES = 6 << 20
"""Of the log's last line: a kubelet turns a log over at 10 MiB, and a line is never cut in two."""
EXPLANATION_LIMIT_BYTES = 1 << 20
"""Of the result in it: packed, it has to fit into one ConfigMap."""

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


def parse_answer(text: str, answer: Answer) -> CheckResult:
    """Read a result of a team's own check, of any size.

    Parameters
    ----------
    text
        JSON.
    answer
        What was asked.

    Raises
    ------
    ResultInvalid
        It is no result, or answers another question.
    """
    found = _parse(CheckResult, text)
    difference = answer.differs(found)
    if difference:
        raise ResultInvalid(v.sentence(difference))
    return found


def parse_custom(
    text: str, code: int | None, answer: Answer, ended: datetime.datetime | None = None
) -> CheckResult:
    """Read what a container of the team's own left: a result in its termination message, or its exit code.

    Parameters
    ----------
    text
        The termination message; where the container wrote none and failed, the end of its log.
    code
        Its exit code; None where it did not end by itself.
    answer
        What was asked.
    ended
        When it ended.

    Returns
    -------
    The result that it wrote, or the one that its exit code means.

    Raises
    ------
    ResultInvalid
        It wrote a result that is none or answers another question, or nothing is known of its end. Such a
        result is never passed over for the exit code: that would turn a forged or torn answer into a verdict.
    """
    if _claims(text, code, answer):
        parse_termination_message(text, answer.nonce)
        return parse_answer(text, answer)
    if code is None:
        raise ResultInvalid("the check left no result, and was ended before it could leave an exit code")
    return exit_code.judged(answer, code, text, ended)


def _claims(text: str, code: int | None, answer: Answer) -> bool:
    """Return whether a text claims to be a result; the end of a log may be JSON by chance."""
    ours = v.SCHEMA.partition("/")[0] in text or answer.nonce in text
    return text.lstrip().startswith("{") and (code == 0 or ours)


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
