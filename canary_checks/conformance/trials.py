"""The questions that show whether a check keeps its contract, and what each answer means."""

import dataclasses
import secrets
from collections.abc import Iterator
from typing import Final

from canary_checks import question, result, schema
from canary_checks import vocabulary as v
from canary_checks.conformance import container, sample_server

_DIGEST: Final = "sha256:" + "0" * 64
_MEASURED: Final = frozenset({v.Verdict.PASS, v.Verdict.FAIL})
_LEAD_SECONDS: Final = 10
"""So much longer than its deadline a check's Job lives."""


@dataclasses.dataclass(frozen=True)
class Statement:
    """One thing that the contract asks for, and whether it was kept."""

    what: str
    kept: bool
    said: str


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a check is asked about.

    Attributes
    ----------
    url
        A server of the team's own; None for the small sample server.
    model
        The name of its model.
    protocol
        How it is asked.
    seconds
        How long the check may take.
    patience
        Seconds that it is given for a model that never answers.
    """

    url: str | None = None
    model: str = sample_server.MODEL
    protocol: v.Protocol = v.Protocol.OPENAI_EMBEDDINGS
    seconds: int = 60
    patience: int = 5


def run(runner: container.Runner, subject: Subject) -> Iterator[Statement]:
    """Ask a check about three servers and yield what its answers show, one after the other.

    Parameters
    ----------
    runner
        Runs the check.
    subject
        The server that it is to judge; the two that do not answer are ours.

    Raises
    ------
    CheckError
        ``CheckNotStarted``: it could not be run at all.
    """
    if subject.url is not None:
        yield from _judges(runner, subject, subject.url)
    else:
        with sample_server.serving() as url:
            yield from _judges(runner, subject, url)
    with sample_server.absent() as url:
        said = _ask(runner, subject, url, subject.seconds)
        yield _unmeasured("measures nothing where no model listens", said)
    with sample_server.silent() as url:
        said = _ask(runner, subject, url, subject.patience)
        yield _unmeasured("measures nothing where a model never answers", said)
        yield Statement(
            f"ends within its deadline, here {subject.patience} s, when a model never answers",
            not said.ended_from_outside,
            "it had to be ended" if said.ended_from_outside else "it ended by itself",
        )


@dataclasses.dataclass(frozen=True)
class _Said:
    """What a check said to one question."""

    found: schema.CheckResult | None
    problem: str
    ended_from_outside: bool

    @property
    def words(self) -> str:
        if self.found is None:
            return self.problem
        return f"{self.found.verdict}: {self.found.message}"


def _judges(runner: container.Runner, subject: Subject, url: str) -> Iterator[Statement]:
    said = _ask(runner, subject, url, subject.seconds)
    yield Statement("answers the question that it was asked", said.found is not None, said.words)
    if said.found is None:
        return
    measured = said.found.verdict in _MEASURED
    hint = "" if measured or subject.url else "; has it been written for another protocol? then give --url"
    yield Statement("measures a model that works", measured, f"{said.words}{hint}")
    again = _ask(runner, subject, url, subject.seconds)
    same = again.found is not None and again.found.verdict is said.found.verdict
    yield Statement("says the same when it is asked again", same, again.words)


def _unmeasured(what: str, said: _Said) -> Statement:
    """A model that is not there is no worse model: a Fail would be remembered, and a Pass would be a lie."""
    if said.found is None:
        return Statement(what, kept=True, said=f"Error: {said.problem}")
    return Statement(what, said.found.verdict not in _MEASURED, said.words)


def _ask(runner: container.Runner, subject: Subject, url: str, seconds: int) -> _Said:
    asked = _question(subject, url, seconds)
    ended = runner.run(asked.environment(termination_log=runner.termination_log()), seconds + _LEAD_SECONDS)
    outside = ended.exit_code is None
    try:
        return _Said(result.parse_custom(ended.message, ended.exit_code, asked.answer), "", outside)
    except result.ResultInvalid as error:
        return _Said(None, str(error), outside)


def _question(subject: Subject, url: str, seconds: int) -> question.Question:
    operation = {"name": "embeddings", "protocol": subject.protocol.value, "modality": "Text"}
    return question.Question(
        schema_version=question.SCHEMA,
        answer=question.Answer.to(
            check="conformance",
            config_digest=_DIGEST,
            run="conformance-r0123456789-1",
            attempt=1,
            nonce=secrets.token_hex(16),
            pod_uid="conformance",
            revision="r0123456789",
        ),
        release="conformance",
        namespace="default",
        url=url,
        pod=question.Pod(name="conformance", uid="conformance"),
        model=question.Model(version="1", served_name=subject.model, numeric_class=v.NumericClass.FP32),
        operations=({**operation, "model": subject.model},),
        deadline_seconds=seconds,
    )
