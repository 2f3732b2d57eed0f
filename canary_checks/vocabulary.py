"""The words that a check and its caller share: enums, bounded strings and the base model.

Every string is bounded and free of control characters: results travel in 3 KiB and end in terminals and
Events. Nothing here imports more than pydantic, because the operator's process imports it.
"""

import enum
import math
from typing import Annotated, Literal

import pydantic
from pydantic import alias_generators

SCHEMA: Literal["checks.modelrelease.dev/v1"] = "checks.modelrelease.dev/v1"
PROBE_HEADER = "x-modelrelease-probe"
TRACE_HEADER = "traceparent"

_PLAIN = r"^[^\x00-\x1f\x7f]*$"

Name = Annotated[
    str, pydantic.StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]
Short = Annotated[str, pydantic.StringConstraints(pattern=_PLAIN, max_length=128)]
Sentence = Annotated[str, pydantic.StringConstraints(pattern=_PLAIN, max_length=512)]
Remark = Annotated[str, pydantic.StringConstraints(pattern=_PLAIN, max_length=200)]
Revision = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$")]
Digest = Annotated[str, pydantic.StringConstraints(pattern=r"^sha256:[a-f0-9]{64}$")]
Nonce = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
Uid = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
CamelWord = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{1,63}$")]
Count = Annotated[int, pydantic.Field(ge=0, le=10_000_000)]
NonFinite = Literal["NaN", "Infinity", "-Infinity"]
Number = float | NonFinite


class Model(pydantic.BaseModel):
    """Frozen, closed and strict: an unknown key or a value of another type is an error, never ignored."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=alias_generators.to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )


class Verdict(enum.StrEnum):
    """What a check concluded; never two-valued."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    ERROR = "Error"


class CheckKind(enum.StrEnum):
    """Every kind of result that the contract knows; this package probes those of `request.ProbeKind`."""

    CONTRACT = "Contract"
    EMBEDDING_PARITY = "EmbeddingParity"
    REPEATABILITY = "Repeatability"
    LOGPROB_PARITY = "LogprobParity"
    FIDELITY = "Fidelity"
    RETRIEVAL = "Retrieval"
    ROBUSTNESS = "Robustness"
    PERFORMANCE = "Performance"
    INTERNALS = "Internals"
    JOB = "Job"


class Modality(enum.StrEnum):
    """What an operation reads."""

    TEXT = "Text"
    IMAGE = "Image"


class Protocol(enum.StrEnum):
    """How a model server is asked."""

    OPENAI_EMBEDDINGS = "OpenAIEmbeddings"
    TEXT_EMBEDDINGS_INFERENCE = "TextEmbeddingsInference"
    OPEN_INFERENCE_V2 = "OpenInferenceV2"
    GENERIC_JSON = "GenericJSON"
    OPENAI_IMAGES = "OpenAIImages"
    OPEN_INFERENCE_V2_IMAGES = "OpenInferenceV2Images"


class Role(enum.StrEnum):
    """What a revision is in a comparison."""

    CANDIDATE = "Candidate"
    STABLE = "Stable"
    ANCHOR = "Anchor"
    RECORDED = "Recorded"


class NumericClass(enum.StrEnum):
    """The declared precision of a revision, from the most to the least exact."""

    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    FP8 = "fp8"


class Confidence(enum.StrEnum):
    """How sure a diagnosis is; `Proven` means that a counterfactual made every gate pass."""

    PROVEN = "Proven"
    LIKELY = "Likely"
    UNKNOWN = "Unknown"


class Basis(enum.StrEnum):
    """Where the limit of a gate comes from."""

    DECLARED = "Declared"
    CLASS_FLOOR = "ClassFloor"
    CALIBRATED = "Calibrated"
    CLASS_CEILING = "ClassCeiling"
    DEFAULT = "Default"
    EXACT = "Exact"


def number(value: float) -> Number:
    """Give a float in the form that JSON can carry.

    Parameters
    ----------
    value
        Any float, not necessarily finite.

    Returns
    -------
    The value itself when finite, else one of ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def sentence(text: str, limit: int = 512) -> str:
    """Make one printable line of at most `limit` characters of any text.

    Parameters
    ----------
    text
        Any text, such as an exception's message or a server's answer.
    limit
        Largest number of characters, at least 1.

    Returns
    -------
    The text with runs of white space and control characters folded to one space, cut with an ellipsis.
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
