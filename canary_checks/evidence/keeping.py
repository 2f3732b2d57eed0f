"""Keeps the whole evidence of a check on a volume, and of how many runs: what fails here costs no verdict.

``<namespace>/<release>/<run>/<check>-<attempt>-<pod>-<portion>/`` holds the result, everything that its
contract has no room for, the recorded outputs, and a manifest with the digest of each file.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from typing import Any, Final, Literal

import pydantic

from canary_checks import request, result, schema
from canary_checks import vocabulary as v
from canary_checks.evidence import terms, volume
from canary_checks.probes import finding

SCHEMA: Final = "evidence.modelrelease.dev/v1"
RESULT: Final = "result.json"
WHOLE: Final = "whole.json"
OUTPUTS: Final = "outputs.safetensors"
MANIFEST: Final = "manifest.json"
MARKER: Final = ".modelrelease-run.json"
"""In the folder of a run: that it is one, and when it began. What has none is not ours to delete."""

LIMIT_BYTES: Final = 256 << 20
"""Of one folder. The files come in the order of what they explain: the last ones are left out first."""
FOLDERS: Final = 1000
"""Of one run: a check that is tried again for days fills no volume."""
_NAME_MAX: Final = 200
_MARKER_BYTES: Final = 4096
_SECONDS_MAX: Final = 30.0
_MESSAGE_MAX: Final = 512


class _Marker(v.Model):
    """What `MARKER` says."""

    schema_version: Literal["evidence.modelrelease.dev/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    run: v.Name
    start_time: pydantic.AwareDatetime


@dataclasses.dataclass(frozen=True)
class Kept:
    """Where evidence lies, relative to the volume, and what the reader of the verdict should know of it."""

    path: str | None
    remark: str | None


@dataclasses.dataclass(frozen=True)
class Content:
    """What a check leaves.

    Attributes
    ----------
    result
        As its contract has room for.
    found
        What the probe found, all of it.
    recorded
        What later runs compare with, as the file that is kept: outputs, or measurements of the load.
    """

    result: schema.CheckResult
    found: finding.Finding
    recorded: bytes | None


def keep_within(seconds: float, asked: request.CheckRequest, content: Content) -> Kept:
    """Keep evidence, or say within a time why not.

    Parameters
    ----------
    seconds
        What is left of the check's time. A volume that does not answer by then is given up.
    asked
        The request.
    content
        What to keep.
    """
    if asked.evidence is None:
        return Kept(None, None)
    answered: list[Kept] = []
    # A call into a volume that hangs cannot be ended: the thread dies with the process.
    writing = threading.Thread(target=lambda: answered.append(keep(asked, content)), daemon=True)
    writing.start()
    patience = max(0.0, min(_SECONDS_MAX, seconds))
    writing.join(patience)
    return answered[0] if answered else Kept(None, _lost(f"it did not answer within {patience:.0f} s"))


def told(found: schema.CheckResult, kept: Kept) -> schema.CheckResult:
    """Say in a result where its evidence is, or why it is not there; its verdict is what it was."""
    message = found.message
    if kept.remark is not None:
        room = _MESSAGE_MAX - len(kept.remark) - 2
        message = f"{v.sentence(message, room)}; {kept.remark}"
    summary = found.evidence
    if summary is not None and kept.path is not None:
        summary = summary.model_copy(update={"path": kept.path})
    return found.model_copy(update={"message": message, "evidence": summary})


def keep(asked: request.CheckRequest, content: Content) -> Kept:
    """Keep evidence: write it as a whole, then delete that of runs beyond `keep_runs`.

    Parameters
    ----------
    asked
        The request, which names the volume.
    content
        What to keep.

    Returns
    -------
    Where it is, or why it is not; nothing is raised.
    """
    where = asked.evidence
    if where is None:
        return Kept(None, None)
    try:
        with (
            volume.root(where.path) as root,
            root.inside(where.namespace, make=True) as namespace,
            namespace.inside(where.release, make=True) as release,
        ):
            # Before, so that there is room for what comes.
            _prune(release, asked.run, where.keep_runs)
            with release.inside(asked.run, make=True) as run:
                return _published(run, asked, where, content)
    except OSError as error:
        return Kept(None, _lost(_why(error)))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a volume costs no verdict
        return Kept(None, _lost(f"{type(error).__name__}: {error}"))


def _published(
    run: volume.Folder, asked: request.CheckRequest, where: terms.Evidence, content: Content
) -> Kept:
    if run.read(MARKER, _MARKER_BYTES) is None:
        now = datetime.datetime.now(datetime.UTC)
        run.put(MARKER, result.dump(_Marker(schema_version=SCHEMA, run=asked.run, start_time=now)).encode())
    if len(run.folders()) >= FOLDERS:
        return Kept(None, _lost(f"the folder of this run holds {FOLDERS} already"))
    files, omitted = _files(asked, content)
    made = run.publish(_name(asked, where), files)
    lacking = (*omitted, *made.omitted)
    path = f"{where.namespace}/{where.release}/{asked.run}/{made.name}"
    remark = f"the evidence volume had no room for {', '.join(lacking)}" if lacking else None
    return Kept(path, remark)


def _name(asked: request.CheckRequest, where: terms.Evidence) -> str:
    full = f"{asked.check.name}-{asked.attempt}-{asked.pod.name}-{where.portion}"
    if len(full) <= _NAME_MAX:
        return full
    return f"{full[: _NAME_MAX - 11]}-{hashlib.sha256(full.encode()).hexdigest()[:10]}"


def _files(asked: request.CheckRequest, content: Content) -> tuple[dict[str, bytes], list[str]]:
    """Return the files in the order of their importance, and the names of those beyond the limit."""
    every = {RESULT: result.dump(content.result).encode() + b"\n", WHOLE: _whole(content.found)}
    if content.recorded is not None:
        every[OUTPUTS] = content.recorded
    files: dict[str, bytes] = {}
    omitted = []
    for name, file in every.items():
        if sum(map(len, files.values())) + len(file) > LIMIT_BYTES:
            omitted.append(name)
        else:
            files[name] = file
    said = {
        "schema": SCHEMA,
        "run": asked.run,
        "check": asked.check.name,
        "kind": asked.check.kind,
        "attempt": asked.attempt,
        "pod": {"name": asked.pod.name, "uid": asked.pod.uid},
        "revision": asked.subject.revision,
        "verdict": content.result.verdict,
        "files": {
            name: {"digest": result.digest(file), "sizeBytes": len(file)} for name, file in files.items()
        },
        "omitted": omitted,
    }
    return {MANIFEST: _json(said)} | files, omitted


def _whole(found: finding.Finding) -> bytes:
    """Write what a result has bounds for, without them: every gate, stratum and row."""
    lists: Mapping[str, tuple[v.Model, ...]] = {
        "gates": found.gates,
        "measurements": found.measurements,
        "strata": found.strata,
        "worst": found.worst,
        "pictures": found.pictures,
    }
    said: dict[str, Any] = {
        name: [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in models]
        for name, models in lists.items()
    }
    return _json(said | {"series": found.series})


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


def _prune(release: volume.Folder, current: str, keep_runs: int) -> None:
    """Delete the evidence of the oldest runs, so that with the present one `keep_runs` are left.

    Only folders of runs are touched, known by their marker. Whatever cannot be deleted stays.
    """
    begun = []
    for name in release.folders():
        if name.startswith(volume.PRUNED):
            # Somebody began to delete it, and may have been ended.
            release.remove(name)
            continue
        marker = _marker(release, name)
        if marker is not None and name != current:
            begun.append((marker.start_time, name))
    for _, name in sorted(begun, reverse=True)[keep_runs - 1 :]:
        release.take_away(name)


def _marker(release: volume.Folder, name: str) -> _Marker | None:
    try:
        with release.inside(name) as run:
            content = run.read(MARKER, _MARKER_BYTES)
        found = _Marker.model_validate_json(content, by_alias=True, by_name=False) if content else None
    except (OSError, pydantic.ValidationError):
        return None
    return found if found is not None and found.run == name else None


def _lost(why: str) -> str:
    return v.sentence(f"its evidence is not on the evidence volume: {why}", 200)


def _why(error: OSError) -> str:
    said = error.strerror or type(error).__name__
    if isinstance(error, PermissionError):
        return f"{said}: user {os.getuid()} must be able to write there (see evidenceVolume.fsGroup)"
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return said + where
