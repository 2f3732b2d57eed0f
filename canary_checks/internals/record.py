"""A recorded trace: what was seen inside a promoted revision, as a safetensors file of bounded size.

Layers and stages stand in the header, their numbers in tensors that hold all of them. A trace that is too
large is recorded of fewer prompts, never of fewer steps or layers: what is compared is then whole.
"""

import dataclasses
import datetime
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pydantic

from canary_checks import failure, records, result
from canary_checks.internals import asked, comparison, record_header, sweep, trace

DEFAULT_BYTES: Final = 640 << 10
"""Of a record that a run leaves: in base64 it has to fit beside the result."""
LIMIT_BYTES: Final = 4 << 20
"""Of a record that is read."""

_FORMAT: Final = records.Format(
    "record of internals", "internals", record_header.Header, frozenset({"F32", "F16", "I32", "U8"})
)
_OPTIONAL: Final = ("guidance", "prediction")
_LATENTS: Final = ("timesteps", "mean", "variance", "norm", "distance")


@dataclasses.dataclass(frozen=True)
class Record:
    """A recorded trace and sweep, their header and the digest of the file."""

    header: record_header.Header
    seen: trace.Trace
    digest: str
    swept: Mapping[sweep.Point, sweep.Summary]


def new(
    seen: trace.Trace,
    *,
    revision: str,
    checks: str,
    now: datetime.datetime,
    wanted: asked.Internals | None = None,
    scheduler_config: Mapping[str, pydantic.JsonValue] | None = None,
    golden_set: str | None = None,
    swept: Mapping[sweep.Point, sweep.Summary] | None = None,
    limit_bytes: int = DEFAULT_BYTES,
) -> bytes:
    """Write a record.

    Parameters
    ----------
    seen
        The trace.
    revision, checks, now, golden_set
        Where it comes from.
    wanted
        The request, for what it asked for.
    scheduler_config
        Of the model's scheduler.
    swept
        The settings of a sweep.
    limit_bytes
        Largest size; as many prompts are kept as fit, and at least one.

    Raises
    ------
    CheckError
        ``RecordTooLarge``: not even one prompt fits.
    """
    asked_for = (
        record_header.Wanted(scheduler=wanted.scheduler, steps=wanted.steps, guidance=wanted.guidance)
        if wanted
        else record_header.Wanted()
    )
    said, arrays = _swept(seen, swept or {})
    kept = len(seen.prompts)
    while kept:
        part = trace.first(seen, kept)
        header = _header(part, revision, checks, now).model_copy(
            update={
                "wanted": asked_for,
                "scheduler_config": dict(scheduler_config or {}),
                "golden_set": golden_set,
                "sweep": said,
            }
        )
        content = _FORMAT.write(header, _tensors(part) | arrays)
        if len(content) <= limit_bytes:
            return content
        kept //= 2
    raise failure.CheckError(
        "RecordTooLarge", f"what one prompt shows is larger than {limit_bytes} bytes: it has too many layers"
    )


def _header(seen: trace.Trace, revision: str, checks: str, now: datetime.datetime) -> record_header.Header:
    return record_header.Header(
        schema_version=record_header.SCHEMA,
        revision=revision,
        recorded_time=now.replace(microsecond=0),
        library=seen.library,
        setting=record_header.SettingSaid(
            scheduler=seen.setting.scheduler, steps=seen.setting.steps, guidance=seen.setting.guidance
        ),
        prompts=seen.prompts,
        seeds=seen.seeds,
        dtype=seen.dtype,
        versions=seen.versions,
        layers=tuple(
            record_header.LayerSaid(
                component=one.component,
                layer=one.layer,
                kind=one.kind,
                steps=one.entropy.shape[1],
                shared=one.text_weight is not None,
            )
            for one in seen.attention
        ),
        stages=tuple(record_header.StageSaid(name=one.name, module=one.module) for one in seen.stages),
        axis=None if seen.latents is None else seen.latents.axis,
        tokens=tuple(
            record_header.TokensSaid(
                tokenizer=one.tokenizer, ids=one.ids, pieces=one.pieces, padding=one.padding
            )
            for one in seen.tokens
        ),
        finite=seen.decoded is None or seen.decoded.finite,
        checks=checks,
    )


def _tensors(seen: trace.Trace) -> records.Tensors:
    made: records.Tensors = {}
    if seen.attention:
        made["entropy"] = np.concatenate([one.entropy for one in seen.attention], 1)
        made["keys"] = np.stack([one.keys for one in seen.attention], 1)
        made["top"] = np.concatenate([one.top for one in seen.attention], 1)
        made["weight"] = np.concatenate([one.weight for one in seen.attention], 1).astype(np.float16)
        shares = [one.text_weight for one in seen.attention if one.text_weight is not None]
        if shares:
            made["textWeight"] = np.concatenate(shares, 1)
    if seen.stages:
        made["stage/size"] = np.stack([one.size for one in seen.stages], 1)
        made["stage/norm"] = np.stack([one.norm for one in seen.stages], 1)
        made["stage/mean"] = np.stack([one.mean for one in seen.stages], 1)
        made["stage/sketch"] = np.stack([one.sketch for one in seen.stages], 1)
    if seen.latents is not None:
        for name in (*_LATENTS, *_OPTIONAL):
            value = getattr(seen.latents, name)
            if value is not None:
                made[f"latents/{name}"] = value
    if seen.decoded is not None:
        made["decoded/latents"] = seen.decoded.latents
        made["decoded/images"] = seen.decoded.images
    return {name: np.ascontiguousarray(value) for name, value in made.items()}


def load(path: str, expected_digest: str | None) -> Record:
    """Read a record from a file.

    Raises
    ------
    CheckError
        ``ReferenceMissing``, ``ReferenceMismatch`` (another digest) or ``ReferenceUnreadable``.
    """
    return decode(_FORMAT.content(path, expected_digest, LIMIT_BYTES))


def decode(content: bytes) -> Record:
    """Read a record.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, with what is wrong; a record of another kind is none.
    """
    header, (seen, swept) = _FORMAT.decode(content, _held, LIMIT_BYTES)
    return Record(header, seen, result.digest(content), swept)


def _held(
    header: record_header.Header, tensors: records.Tensors
) -> tuple[trace.Trace, Mapping[sweep.Point, sweep.Summary]]:
    return _trace(header, tensors), _summaries(header, tensors)


def _trace(header: record_header.Header, tensors: records.Tensors) -> trace.Trace:
    prompts = len(header.prompts)
    if len(header.seeds) != prompts or any(len(one.ids) != prompts for one in header.tokens):
        raise ValueError("its prompts, seeds and tokens are not equally many")
    return trace.Trace(
        library=header.library,
        setting=trace.Setting(
            scheduler=header.setting.scheduler, steps=header.setting.steps, guidance=header.setting.guidance
        ),
        prompts=header.prompts,
        seeds=header.seeds,
        dtype=header.dtype,
        versions=header.versions,
        attention=tuple(_attention(header, tensors)),
        stages=tuple(_stages(header, tensors)),
        latents=None if header.axis is None else _latents(header.axis, prompts, tensors),
        tokens=tuple(
            trace.Tokens(tokenizer=one.tokenizer, ids=one.ids, pieces=one.pieces, padding=one.padding)
            for one in header.tokens
        ),
        decoded=_decoded(header, tensors),
    )


def _taken(tensors: records.Tensors, name: str, kind: Any, *shape: int) -> Any:
    """Take a tensor out; -1 in its shape is any size."""
    found = tensors.pop(name)
    fits = found.ndim == len(shape) and all(
        want in (-1, size) for want, size in zip(shape, found.shape, strict=True)
    )
    if not fits or found.dtype != kind:
        raise ValueError(f"its tensor {name} has the shape {list(found.shape)} and the type {found.dtype}")
    return found


def _attention(header: record_header.Header, tensors: records.Tensors) -> Iterator[trace.Attention]:
    if not header.layers:
        return
    n, ends = len(header.prompts), list(itertools.accumulate(one.steps for one in header.layers))
    entropy = _taken(tensors, "entropy", np.float32, n, ends[-1])
    keys = _taken(tensors, "keys", np.int32, n, len(header.layers))
    top = _taken(tensors, "top", np.int32, n, ends[-1], trace.TOP_KEYS)
    weight = _taken(tensors, "weight", np.float16, n, ends[-1], trace.TOP_KEYS).astype(np.float32)
    width = sum(one.steps for one in header.layers if one.shared)
    shares = _taken(tensors, "textWeight", np.float32, n, width) if width else None
    at = 0
    for place, (said, end) in enumerate(zip(header.layers, ends, strict=True)):
        columns = slice(end - said.steps, end)
        own = None
        if said.shared and shares is not None:
            own, at = shares[:, at : at + said.steps], at + said.steps
        yield trace.Attention(
            component=said.component,
            layer=said.layer,
            kind=said.kind,
            entropy=entropy[:, columns],
            keys=keys[:, place],
            top=top[:, columns],
            weight=weight[:, columns],
            text_weight=own,
        )


def _stages(header: record_header.Header, tensors: records.Tensors) -> Iterator[trace.Stage]:
    if not header.stages:
        return
    n, count = len(header.prompts), len(header.stages)
    size = _taken(tensors, "stage/size", np.int32, n, count)
    norm = _taken(tensors, "stage/norm", np.float32, n, count)
    mean = _taken(tensors, "stage/mean", np.float32, n, count)
    sketch = _taken(tensors, "stage/sketch", np.float32, n, count, trace.SKETCH)
    for place, said in enumerate(header.stages):
        yield trace.Stage(
            name=said.name,
            module=said.module,
            size=size[:, place],
            norm=norm[:, place],
            mean=mean[:, place],
            sketch=sketch[:, place],
        )


def _latents(axis: trace.Axis, prompts: int, tensors: records.Tensors) -> trace.Latents:
    distance = _taken(tensors, "latents/distance", np.float32, prompts, -1)
    steps = distance.shape[1]
    mean = _taken(tensors, "latents/mean", np.float32, prompts, steps + 1, -1)
    optional = {
        name: _taken(tensors, f"latents/{name}", np.float32, prompts, steps)
        if f"latents/{name}" in tensors
        else None
        for name in _OPTIONAL
    }
    return trace.Latents(
        axis=axis,
        timesteps=_taken(tensors, "latents/timesteps", np.float32, -1),
        mean=mean,
        variance=_taken(tensors, "latents/variance", np.float32, *mean.shape),
        norm=_taken(tensors, "latents/norm", np.float32, prompts, steps + 1),
        distance=distance,
        **optional,
    )


def _decoded(header: record_header.Header, tensors: records.Tensors) -> trace.Decoded | None:
    if "decoded/latents" not in tensors:
        return None
    latents = _taken(tensors, "decoded/latents", np.float32, -1, -1, -1, -1)
    images = _taken(tensors, "decoded/images", np.uint8, len(latents), -1, -1, 3)
    return trace.Decoded(latents=latents, images=images, finite=header.finite)


def _swept(
    seen: trace.Trace, swept: Mapping[sweep.Point, sweep.Summary]
) -> tuple[tuple[record_header.SweptSaid, ...], records.Tensors]:
    """Write the settings of a sweep: layers are those of the trace."""
    layers = [comparison.name(one) for one in seen.attention]
    channels = {one.snr.size for one in swept.values()}
    if not swept or len(channels) != 1:
        return (), {}
    said = tuple(
        record_header.SweptSaid(
            scheduler=point.scheduler,
            steps=point.steps,
            guidance=point.guidance,
            distance=one.distance if np.isfinite(one.distance) else None,
            non_finite=one.non_finite,
        )
        for point, one in swept.items()
    )
    entropy = [[one.entropy.get(layer, np.nan) for layer in layers] for one in swept.values()]
    return said, {
        "sweep/entropy": np.array(entropy, np.float32).reshape(len(said), len(layers)),
        "sweep/snr": np.stack([one.snr for one in swept.values()]),
    }


def _summaries(header: record_header.Header, tensors: records.Tensors) -> Mapping[sweep.Point, sweep.Summary]:
    if not header.sweep:
        return {}
    names = [f"{one.component}.{one.layer}" if one.layer else one.component for one in header.layers]
    entropy = _taken(tensors, "sweep/entropy", np.float32, len(header.sweep), len(names))
    snr = _taken(tensors, "sweep/snr", np.float32, len(header.sweep), -1)
    return {
        sweep.Point(scheduler=said.scheduler, steps=said.steps, guidance=said.guidance): sweep.Summary(
            entropy=dict(zip(names, map(float, entropy[row]), strict=True)),
            snr=snr[row],
            distance=np.nan if said.distance is None else said.distance,
            non_finite=said.non_finite,
        )
        for row, said in enumerate(header.sweep)
    }
