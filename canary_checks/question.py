"""What a team's own check is asked, and what binds its answer to the question.

Nothing here imports more than pydantic, because the operator's process imports it.
"""

from typing import Annotated, Any, Literal, Self

import pydantic

from canary_checks import schema
from canary_checks import vocabulary as v

SCHEMA: Literal["questions.modelrelease.dev/v1"] = "questions.modelrelease.dev/v1"
PREFIX = "MODELRELEASE_"
"""Of the variables that say what is asked."""


class Answer(v.Model):
    """The part of a result that is known before anything is measured: an answer repeats it as it is."""

    schema_version: Literal["checks.modelrelease.dev/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    check: schema.CheckName
    run: v.Name
    attempt: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]
    nonce: v.Nonce
    pod_uid: v.Uid = pydantic.Field(validation_alias="podUID", serialization_alias="podUID")
    shard: Literal[0]
    subject: schema.Party

    @classmethod
    def to(
        cls,
        *,
        check: str,
        config_digest: str,
        run: str,
        attempt: int,
        nonce: str,
        pod_uid: str,
        revision: str,
    ) -> Self:
        """Return what binds an answer to one probe of one pod by a check of the team's own."""
        return cls(
            schema_version=v.SCHEMA,
            check=schema.CheckName(name=check, kind=v.CheckKind.JOB, config_digest=config_digest),
            run=run,
            attempt=attempt,
            nonce=nonce,
            pod_uid=pod_uid,
            shard=0,
            subject=schema.Party(role=v.Role.CANDIDATE, revision=revision),
        )

    def result(
        self,
        verdict: v.Verdict,
        reason: str,
        message: str,
        *,
        timings: schema.Timings,
        measured_by: str,
        gates: tuple[schema.Gate, ...] = (),
    ) -> schema.CheckResult:
        """Return a result that answers this question, made for somebody who wrote none.

        Parameters
        ----------
        verdict, reason, gates
            What is concluded.
        message
            Any text; it is made one sentence.
        timings
            When it was asked.
        measured_by
            Version of what measured.
        """
        return schema.CheckResult(
            schema_version=v.SCHEMA,
            check=self.check,
            run=self.run,
            attempt=self.attempt,
            nonce=self.nonce,
            pod_uid=self.pod_uid,
            shard=self.shard,
            subject=self.subject,
            verdict=verdict,
            reason=reason,
            message=v.sentence(message),
            gates=gates,
            requests=schema.Requests(sent=0, failed=0, retried=0),
            timings=timings,
            versions=schema.Versions(checks=measured_by),
        )

    def differs(self, found: schema.CheckResult) -> str:
        """Return in one sentence how a result answers another question, or the empty string."""
        if found.nonce != self.nonce:
            return "the result carries the nonce of another attempt"
        said: tuple[tuple[str, object, object], ...] = (
            ("check.name", found.check.name, self.check.name),
            ("check.kind", found.check.kind, self.check.kind),
            ("check.configDigest", found.check.config_digest, self.check.config_digest),
            ("run", found.run, self.run),
            ("attempt", found.attempt, self.attempt),
            ("podUID", found.pod_uid, self.pod_uid),
            ("shard", found.shard, self.shard),
            ("subject.role", found.subject.role, self.subject.role),
            ("subject.revision", found.subject.revision, self.subject.revision),
        )
        for where, theirs, ours in said:
            if theirs != ours:
                return f"the result answers another question: its {where} is {theirs}, and {ours} was asked"
        return ""


class Model(v.Model):
    """What the manifest says of the candidate."""

    version: Annotated[str, pydantic.Field(max_length=128)]
    served_name: Annotated[str, pydantic.Field(max_length=512)] | None = None
    numeric_class: v.NumericClass
    embedding_space: v.Short | None = None


class Pod(v.Model):
    """The pod that is probed."""

    name: v.Name
    uid: v.Uid


class Question(v.Model):
    """One question about one pod: the environment of a custom Job, and the body that a webhook is sent."""

    schema_version: Literal["questions.modelrelease.dev/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    answer: Answer
    """The answer begins with these fields."""
    release: v.Name
    namespace: v.Name
    url: Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
    """The pod's own address: it has no user traffic."""
    pod: Pod
    model: Model
    stable: v.Revision | None = None
    """The revision that serves; absent on a first release."""
    operations: Annotated[tuple[dict[str, Any], ...], pydantic.Field(min_length=1, max_length=8)]
    """As in the manifest."""
    parameters: Annotated[dict[str, str], pydantic.Field(max_length=16)] = pydantic.Field(
        default_factory=dict
    )
    deadline_seconds: Annotated[int, pydantic.Field(ge=1, le=86_400)]

    def environment(self, *, termination_log: str, golden_set: str = "") -> dict[str, str]:
        """Return the question as the environment of a container: whole, and what a shell script needs of it.

        Parameters
        ----------
        termination_log
            Where the container writes its result.
        golden_set
            Where a golden set is mounted, or empty.
        """
        said = {
            "QUESTION": self.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True),
            "URL": self.url,
            "RELEASE": self.release,
            "NAMESPACE": self.namespace,
            "REVISION": self.answer.subject.revision,
            "STABLE_REVISION": self.stable or "",
            "MODEL_VERSION": self.model.version,
            "MODEL_NAME": self.model.served_name or "",
            "POD_NAME": self.pod.name,
            "POD_UID": self.pod.uid,
            "CHECK": self.answer.check.name,
            "CONFIG_DIGEST": self.answer.check.config_digest,
            "RUN": self.answer.run,
            "ATTEMPT": str(self.answer.attempt),
            "NONCE": self.answer.nonce,
            "DEADLINE_SECONDS": str(self.deadline_seconds),
            "TERMINATION_LOG": termination_log,
        }
        if golden_set:
            said["GOLDEN_SET"] = golden_set
        return {f"{PREFIX}{name}": value for name, value in said.items()}
