"""Asking the real check about one fault after the other, and holding its answers against the key."""

import asyncio
import base64
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from canary_checks import request, result, runner
from canary_checks import vocabulary as v
from canary_checks.parity import comparison, reference
from hack.faults import answers, serving

_MODEL: Final = "faults"


class Model(Protocol):
    """Something that embeds the texts or the images of one request."""

    def embed(self, asked: Sequence[Any], /) -> npt.NDArray[np.float32]:
        """Return one row per text or image."""
        ...


@dataclasses.dataclass(frozen=True)
class Case:
    """One fault or benign change.

    Attributes
    ----------
    name
        As in the answer key.
    candidate, reference
        Make the model under test and the one that the reference is recorded from.
    accepted
        Causes that it may be called; empty for a benign change.
    numeric_class
        Of the pair.
    """

    name: str
    candidate: Callable[[], Model]
    reference: Callable[[], Model]
    accepted: frozenset[str]
    numeric_class: v.NumericClass


@dataclasses.dataclass(frozen=True)
class Found:
    """What the check said about one case."""

    case: Case
    verdict: v.Verdict
    cause: str
    confidence: str
    evidence: tuple[str, ...]
    left: tuple[str, ...]
    message: str
    requests: int
    seconds: float

    @property
    def caught(self) -> bool:
        """The check did not pass."""
        return self.verdict is v.Verdict.FAIL

    @property
    def accepted(self) -> bool:
        """The cause is one of the key's."""
        return self.caught and self.cause in self.case.accepted

    @property
    def wrong(self) -> bool:
        """A cause was named, and not one of the key's."""
        return self.caught and self.cause not in self.case.accepted | {answers.UNKNOWN}


class Bench:
    """Measures cases of one modality; references are recorded once.

    Parameters
    ----------
    golden_set
        As in a request: ``{"builtin": name}`` or ``{"path": folder}``.
    modality
        Of its items.
    """

    def __init__(self, golden_set: Mapping[str, str], modality: v.Modality) -> None:
        self._golden_set = golden_set
        self._modality = modality
        self._recorded: dict[Any, comparison.Known] = {}

    def measure(self, case: Case) -> Found:
        """Serve the candidate of a case and ask the real check about it."""
        known = self._known(case.reference)
        model, started = case.candidate(), time.monotonic()
        with serving.serving(model.embed, _MODEL) as url:
            made = asyncio.run(runner.run(self._request(url, case.numeric_class), [known]))
        found, blame = made.result, made.result.diagnosis
        return Found(
            case=case,
            verdict=found.verdict,
            cause=blame.cause if blame else "",
            confidence=str(blame.confidence) if blame else "",
            evidence=blame.evidence if blame else (),
            left=blame.left if blame else (),
            message=found.message,
            requests=found.requests.sent,
            seconds=time.monotonic() - started,
        )

    def _known(self, reference_model: Callable[[], Model]) -> comparison.Known:
        """Record the reference through the same path, once per model."""
        if reference_model not in self._recorded:
            with serving.serving(reference_model().embed, _MODEL) as url:
                made = asyncio.run(runner.run(self._request(url, v.NumericClass.FP32, record=True), []))
            evidence = result.Evidence.model_validate_json(made.evidence, by_alias=True, by_name=False)
            if evidence.reference is None:
                raise RuntimeError(f"the reference could not be recorded: {made.result.message}")
            self._recorded[reference_model] = comparison.Known(
                role=v.Role.STABLE,
                revision="right",
                numeric_class=v.NumericClass.FP32,
                reference=reference.decode(base64.b64decode(evidence.reference.safetensors)),
            )
        return self._recorded[reference_model]

    def _request(self, url: str, numeric_class: v.NumericClass, **changes: Any) -> request.CheckRequest:
        operation = {"name": "embed", "protocol": "OpenAIEmbeddings", "model": _MODEL}
        raw: Mapping[str, Any] = {
            "schema": v.SCHEMA,
            "check": {"name": "parity", "kind": "EmbeddingParity", "configDigest": "sha256:" + "0" * 64},
            "run": "faults-1",
            "attempt": 1,
            "nonce": "n0nce-0123456789ab",
            "pod": {"name": "candidate", "uid": "0b1e2f3a-22"},
            "url": url,
            "operations": [operation | {"modality": str(self._modality)}],
            "subject": {"revision": "candidate"},
            "numericClass": str(numeric_class),
            "goldenSet": dict(self._golden_set),
            "deadlineSeconds": 3600,
        }
        return request.CheckRequest.model_validate(
            {**raw, **changes}, by_alias=True, by_name=False, strict=False
        )
