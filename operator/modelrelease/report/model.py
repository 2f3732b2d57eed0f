"""What a report says: one closed model, which is its JSON, and which every rendering is made from alone.

The JSON Schema is a promise to programs: ``report.v1.schema.json`` beside this file; a change that breaks a
reader needs another version.
"""

import enum
import json
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import alias_generators

from canary_checks import result

SCHEMA: Final = "report.modelrelease.dev/v1"

RESULTS_MAX: Final = 4
"""Of one check: each pod and portion leaves one, and they mostly say the same."""

Time = pydantic.AwareDatetime
Count = Annotated[int, pydantic.Field(ge=0)]


class Model(pydantic.BaseModel):
    """Frozen and closed, with the camelCase names of the API."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=alias_generators.to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Attempt(Model):
    """Which run of which release."""

    namespace: str
    release: str
    run: str
    revision: str
    """The candidate."""
    model_version: str = ""
    stable: str = ""
    """The stable revision when the run began; empty for a first release."""
    stable_version: str = ""
    attempt: Annotated[int, pydantic.Field(ge=1)]
    mode: str
    enforcement: str
    judging_digest: str


class Tone(enum.StrEnum):
    """How an outcome is to be taken; a page colours by it."""

    GOOD = "Good"
    BAD = "Bad"
    NEITHER = "Neither"


class Phase(Model):
    """One phase of the life, with the traffic that the candidate had in it."""

    phase: str
    step: Count = 0
    start: Time
    end: Time | None = None
    """None while it lasts."""
    weight: Annotated[int, pydantic.Field(ge=0, le=100)] = 0
    """Percent."""
    requests: Count | None = None
    """Of users, that the candidate had answered by the end of the phase; None where nobody counted."""


class Moment(Model):
    """Something that happened."""

    time: Time
    what: str
    """A reason of the API, such as ``CheckFailed``."""
    text: str
    warning: bool = False


class Check(Model):
    """One check: what the run remembers of it, and the full results where they are kept."""

    name: str
    verdict: str = ""
    """Empty while it has not spoken."""
    skipped: bool = False
    reason: str = ""
    message: str = ""
    attempt: Annotated[int, pydantic.Field(ge=1)] = 1
    start: Time | None = None
    end: Time | None = None
    requests: Count = 0
    """That the check sent to the candidate."""
    cause: str = ""
    confidence: str = ""
    gates: tuple["Gate", ...] = ()
    """As the run remembers them; the results say more."""
    results: tuple[result.CheckResult, ...] = ()
    """One for each pod and portion whose evidence is kept."""


class Gate(Model):
    """One bound and what was measured, as strings for people."""

    metric: str
    verdict: str
    observed: str = ""
    operator: str = "<="
    limit: str = ""
    against: str = ""
    samples: Count = 0


class Look(Model):
    """What had been counted of the candidate at some moment."""

    seconds: Count
    """Since users first met it."""
    requests: Count
    bad: Count
    burn: float | None = None
    """How fast the budget burned since the look before: 1 uses it up exactly; None without requests."""
    evidence: float
    """The e-value: chance alone reaches ``proof`` at most in one run of 200."""


class Slo(Model):
    """One objective."""

    name: str
    verdict: str
    reason: str = ""
    message: str = ""
    objective: str
    """Percent of good requests."""
    requests: Count = 0
    """Since the last step began."""
    bad: Count = 0
    proof: float
    """The e-value that is a Fail."""
    baseline_requests: Count | None = None
    """Of the stable pods beside it; None where there were none to compare with."""
    baseline_bad: Count | None = None
    looks: tuple[Look, ...] = ()
    cost: str = ""
    """What evidence costs at this traffic."""


class Change(Model):
    """Something that differs from stable."""

    area: str
    what: str
    before: str
    after: str


class Fact(Model):
    """Something of the surroundings."""

    name: str
    value: str


class Word(Model):
    """What a person has said for or against the revision."""

    kind: str
    reason: str
    time: Time | None = None


class Recovery(Model):
    """Whether a return has cured what it was for."""

    verdict: Literal["Recovered", "NotFixedByReturn", "Undecided", "Open"]
    since: Time
    seconds: Count | None = None
    message: str = ""


class Report(Model):
    """Everything about one run."""

    schema_: Literal["report.modelrelease.dev/v1"] = pydantic.Field(SCHEMA, alias="schema")
    generated: Time
    attempt: Attempt
    outcome: str
    """``UnderWay`` while it is."""
    tone: Tone
    reason: str = ""
    sentence: str
    """The verdict, in one sentence."""
    users: str
    """What users had of the candidate, in one sentence."""
    start: Time | None = None
    end: Time | None = None
    phases: tuple[Phase, ...] = ()
    moments: tuple[Moment, ...] = ()
    """Oldest first."""
    checks: tuple[Check, ...] = ()
    slos: tuple[Slo, ...] = ()
    changes: tuple[Change, ...] = ()
    same: tuple[str, ...] = ()
    """What was compared with stable and is the same."""
    environment: tuple[Fact, ...] = ()
    people: tuple[Word, ...] = ()
    recovery: Recovery | None = None
    questions: tuple[str, ...] = ()
    """What is still open."""
    missing: tuple[str, ...] = ()
    """What nobody has recorded, so that its absence here says nothing."""


def dump(report: Report) -> str:
    """Write a report as JSON, without what is not set."""
    plain = report.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a report."""
    found = Report.model_json_schema(by_alias=True, mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://modelrelease.dev/schemas/report.v1.json",
    }
    return head | found


def schema_text() -> str:
    """Return the JSON Schema as the package's file holds it."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
