"""`python -m hack.faults --images`: the checks of images and of loads, asked about each fault."""

import asyncio
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks import load_server
from canary_checks import request, result, runner, schema
from canary_checks import vocabulary as v
from hack.faults import drawn_faults, drawn_prompts
from hack.images.renderer import server

_ATTEMPTS: Final = 8
_EDITS: Final = "/v1/images/edits"
_DIGEST: Final = "sha256:" + "0" * 64


@dataclasses.dataclass(frozen=True)
class Found:
    """What a check said about one fault or benign change.

    Attributes
    ----------
    name, key
        As in `drawn_faults`.
    said
        The result.
    seconds
        How long the check took.
    """

    name: str
    key: frozenset[str]
    said: schema.CheckResult
    seconds: float

    @property
    def blamed(self) -> tuple[schema.Gate, ...]:
        """The gates that decided."""
        return tuple(gate for gate in self.said.gates if gate.verdict is self.said.verdict)

    @property
    def caught(self) -> bool:
        """A fault: refused, because of a gate of its key. A load that cannot be compared is refused, too."""
        if self.said.verdict is v.Verdict.ERROR:
            return self.said.reason in self.key
        return self.said.verdict is v.Verdict.FAIL and any(gate.metric in self.key for gate in self.blamed)

    @property
    def right(self) -> bool:
        """What had to come came: a fault is caught, and a benign change passes."""
        return self.caught if self.key else self.said.verdict is v.Verdict.PASS


def pictures(only: str | None) -> Iterator[Found]:
    """Draw all prompts with every fault, and compare with what was recorded of the right renderer."""
    operations = [
        {"name": "images", "protocol": "OpenAIImages"},
        {"name": "edits", "protocol": "OpenAIImages", "path": _EDITS},
    ]
    recorded: dict[drawn_prompts.Kind, Mapping[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, one in _chosen(drawn_faults.PICTURES, drawn_faults.BENIGN_PICTURES, only):
            kind, place = one.prompts, pathlib.Path(folder) / one.prompts
            masked = kind is not drawn_prompts.Kind.TITLES
            given = {"goldenSet": {"path": str(place)}, "operations": operations[: 1 + masked]}
            if kind not in recorded:
                drawn_prompts.written(place, kind)
                with server.serving() as stable:
                    made, _ = _asked("Fidelity", stable.url, given | {"record": True})
                recorded[kind] = _source(made, pathlib.Path(folder) / f"{kind}.safetensors")
            with server.serving(one.quality) as candidate:
                found, seconds = _asked("Fidelity", candidate.url, given | {"references": [recorded[kind]]})
            yield Found(name, one.key, found.result, seconds)


def loads(only: str | None) -> Iterator[Found]:
    """Replay a load against every fault, and compare with what was recorded of the right server."""
    recorded: dict[tuple[str, str], Mapping[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, load_server.serving() as url:
        for name, one in _chosen(drawn_faults.LOADS, drawn_faults.BENIGN_LOADS, only):
            kind = (one.stable, one.load.model_dump_json())
            if kind not in recorded:
                made, _ = _measured(f"{url}/{one.stable}", _load(one, one.stable, 1) | {"record": True})
                recorded[kind] = _source(made, pathlib.Path(folder) / f"stable{len(recorded)}")
            known = {"references": [recorded[kind]]}
            found, seconds = _measured(f"{url}/{one.behaviour}", _load(one, one.behaviour, one.gpus) | known)
            yield Found(name, one.key, found.result, seconds)


def _measured(url: str, given: Mapping[str, Any]) -> tuple[runner.Outcome, float]:
    """Replay a load; a replay that measured itself says so, and is repeated, as a release does."""
    for _ in range(_ATTEMPTS - 1):
        found, seconds = _asked("Performance", url, given)
        if found.result.reason != "ClientSaturated":
            return found, seconds
    return _asked("Performance", url, given)


def _chosen(faults: Mapping[str, Any], benign: Mapping[str, Any], only: str | None) -> list[tuple[str, Any]]:
    return [(name, one) for name, one in (faults | benign).items() if only is None or only in name]  # type: ignore[operator]


def _load(one: drawn_faults.Load, behaviour: str, gpus: int) -> dict[str, Any]:
    said = one.load.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    if one.load.soak is not None:
        # A server's metrics are asked for at its root, and here a path says which server it is.
        said["soak"] |= {"metricsPath": f"/{behaviour}/metrics"}
    return {
        "goldenSet": {"builtin": "PromptV1"},
        "operations": [{"name": "images", "protocol": "OpenAIImages"}],
        "performance": said | {"hardware": {"gpus": gpus}},
    }


def _source(made: runner.Outcome, file: pathlib.Path) -> Mapping[str, Any]:
    if made.content.recorded is None:
        raise RuntimeError(f"stable could not be recorded: {made.result.message}")
    file.write_bytes(made.content.recorded)
    digest = result.digest(made.content.recorded)
    return {
        "role": "Stable",
        "revision": "stable",
        "path": str(file),
        "digest": digest,
        "numericClass": "fp32",
    }


def _asked(kind: str, url: str, given: Mapping[str, Any]) -> tuple[runner.Outcome, float]:
    raw = {
        "schema": v.SCHEMA,
        "check": {"name": kind.lower(), "kind": kind, "configDigest": _DIGEST},
        "run": "faults-1",
        "attempt": 1,
        "nonce": "n0nce-0123456789ab",
        "pod": {"name": "candidate", "uid": "0b1e2f3a-22"},
        "url": url,
        "subject": {"revision": "candidate"},
        "numericClass": "fp32",
        "deadlineSeconds": 3600,
        **given,
    }
    started = time.monotonic()
    asked = request.CheckRequest.model_validate(raw, by_alias=True, by_name=False, strict=False)
    return asyncio.run(runner.run(asked)), time.monotonic() - started
