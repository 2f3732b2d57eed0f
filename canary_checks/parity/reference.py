"""References: recorded outputs that a candidate is compared with; which may be used, and how.

A reference of other items, of another embedding space, or of a server that was not repeatable is refused. One
of another numeric class or accelerator is used, and the reader is told what that changes.
"""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

import canary_checks
from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import numeric
from canary_checks.parity.recording import (
    FORMAT,
    LIMIT_BYTES,
    SCHEMA,
    BatchInvariance,
    Header,
    Provenance,
    RecordedOperation,
    Recording,
    Reference,
    Repeat,
    decode,
    encode,
)

__all__ = [
    "SCHEMA",
    "BatchInvariance",
    "Header",
    "Provenance",
    "RecordedOperation",
    "Recording",
    "Reference",
    "Repeat",
    "Usable",
    "decode",
    "encode",
    "load",
    "new",
    "recording_of",
    "usable",
]

# Fewer common items than this share are not the same question any more.
_COMMON: Final = 0.5


def load(path: str, expected_digest: str | None) -> Reference:
    """Read a reference from a file and prove that it is the one that was asked for.

    Parameters
    ----------
    path
        Where it is mounted.
    expected_digest
        SHA-256 of the file, or None when nobody stated one (the command line).

    Returns
    -------
    The reference.

    Raises
    ------
    CheckError
        ``ReferenceMissing``, ``ReferenceMismatch`` (another digest) or ``ReferenceUnreadable``.
    """
    return decode(FORMAT.content(path, expected_digest, LIMIT_BYTES))


def new(
    pack: golden_pack.Pack,
    recordings: Mapping[str, Recording],
    *,
    revision: str,
    numeric_class: v.NumericClass,
    provenance: Provenance | None = None,
) -> bytes:
    """Write a reference of outputs that were recorded just now.

    Parameters
    ----------
    pack
        What was sent.
    recordings
        The outputs, by the operation's name.
    revision, numeric_class
        Of the server that answered.
    provenance
        What else is known of it.

    Returns
    -------
    The bytes of a safetensors file.
    """
    known = provenance or Provenance()
    header = Header(
        schema_version=SCHEMA,
        pack=pack.name,
        pack_version=pack.version,
        pack_digest=pack.digest,
        operations={
            name: RecordedOperation(
                items=made.items,
                refused=tuple(i for i, no in zip(made.items, made.refused, strict=True) if no),
                noise_cosine_distance=made.noise[0] if made.noise else None,
                noise_norm_deviation=made.noise[1] if made.noise else None,
                self_repeat=made.self_repeat,
                batch_invariance=made.batch_invariance,
                told=made.told,
            )
            for name, made in recordings.items()
        },
        revision=revision,
        numeric_class=numeric_class,
        recorded_time=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        embedding_space=known.embedding_space,
        model_version=known.model_version,
        artifact_digest=known.artifact_digest,
        image_digest=known.image_digest,
        accelerator=known.accelerator,
        recorded_by=known.recorded_by,
        checks=known.checks or canary_checks.__version__,
    )
    told = {
        name: dataclasses.replace(made, digests=_digests(pack, made.items))
        for name, made in recordings.items()
    }
    return encode(header, told)


@dataclasses.dataclass(frozen=True)
class Usable:
    """A recording that a candidate may be compared with.

    Attributes
    ----------
    recording
        Its row i is item i of `golden`.
    golden
        The items that both sides were asked about: all of the check's, unless fewer were allowed.
    numeric_class
        The class whose limits hold, as far as the reference is concerned: the worse of what its header says
        and what is stated of it.
    remark
        One sentence for the reader of the verdict about what is not alike, or None.
    """

    recording: Recording
    golden: selection.Selection
    numeric_class: v.NumericClass
    remark: str | None


def usable(
    reference: Reference,
    operation: str,
    golden: selection.Selection,
    *,
    numeric_class: v.NumericClass,
    stated_class: v.NumericClass | None = None,
    embedding_space: str | None = None,
    accelerator: str | None = None,
    common_items: bool = False,
) -> Usable:
    """Say whether a reference may judge a candidate, and on what terms.

    Parameters
    ----------
    reference
        What was recorded.
    operation
        Whose outputs.
    golden
        The items that the candidate is asked about.
    numeric_class, embedding_space, accelerator
        Of the candidate; None where it is not known.
    stated_class
        What is said of the reference elsewhere (the manifest of its revision).
    common_items
        Accept a reference of another version of the set by the same name, and compare the items whose
        content is the same, if they are at least half. Only where somebody asked for it: a set is often
        extended because the old items missed something.

    Returns
    -------
    The recording with its terms.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: other items, another space, no such operation. ``ReferenceNotRepeatable``: the
        server that was recorded was farther from itself than its numeric class allows.
    """
    header = reference.header
    if embedding_space is not None and header.embedding_space not in (None, embedding_space):
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference of {header.revision} is of the embedding space {header.embedding_space}, not"
            f" {embedding_space}: vectors of two spaces cannot be compared",
        )
    remarks = []
    same = (header.pack_digest, _operation(reference, operation).items) == (golden.pack.digest, golden.ids)
    if common_items and not same:
        recording, asked = _common(reference, operation, golden)
        remarks.append(
            f"recorded with version {header.pack_version} of {header.pack}: {len(asked.items)} of"
            f" {len(golden.items)} items are the same and compared"
        )
    else:
        recording, asked = recording_of(reference, operation, golden), golden
    _must_be_repeatable(header, recording)
    own_class = numeric.worse([header.numeric_class, stated_class or header.numeric_class])
    pair = numeric.worse([own_class, numeric_class])
    if own_class is not numeric_class:
        remarks.append(
            f"recorded in {own_class}, the candidate is {numeric_class}: the limits are those of {pair}"
        )
    if accelerator is not None and header.accelerator not in (None, accelerator):
        remarks.append(
            f"recorded on {header.accelerator}, the candidate runs on {accelerator}: not bit for bit the same"
        )
    return Usable(recording, asked, own_class, v.sentence("; ".join(remarks), 200) if remarks else None)


def recording_of(reference: Reference, operation: str, golden: selection.Selection) -> Recording:
    """Return the outputs of an operation whose row i is item i of a selection.

    Parameters
    ----------
    reference
        Where to look.
    operation
        Its name.
    golden
        The items that the candidate is asked about.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: another set, another version, other items or no such operation; nothing is
        adjusted silently.
    """
    header = reference.header
    recording = _operation(reference, operation)
    recorded = (header.pack, header.pack_version, header.pack_digest, recording.items)
    if recorded != (golden.pack.name, golden.pack.version, golden.pack.digest, golden.ids):
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference of {header.revision} was recorded with {header.pack} {header.pack_version}"
            f" ({header.pack_digest[:14]}, {len(recording.items)} items), this check sends {golden.pack.name}"
            f" {golden.pack.version} ({golden.pack.digest[:14]}, {len(golden.items)} items): record it again",
        )
    return recording


def _operation(reference: Reference, operation: str) -> Recording:
    recording = reference.recordings.get(operation)
    if recording is None:
        raise failure.CheckError(
            "ReferenceMismatch", f"the reference of {reference.header.revision} has no operation {operation}"
        )
    return recording


def _common(
    reference: Reference, operation: str, golden: selection.Selection
) -> tuple[Recording, selection.Selection]:
    """Narrow both sides to the items that are the same by id and content."""
    header, recording = reference.header, _operation(reference, operation)
    if header.pack != golden.pack.name or recording.digests is None:
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference of {header.revision} was recorded with {header.pack}, this check sends"
            f" {golden.pack.name}: items of two sets are not the same",
        )
    row_of = {name: row for row, name in enumerate(recording.items)}
    wanted = _digests(golden.pack, golden.ids)
    same = [
        (item, row_of[item.id])
        for item, digest in zip(golden.items, wanted, strict=True)
        if item.id in row_of and np.array_equal(recording.digests[row_of[item.id]], digest)
    ]
    if not same or len(same) < _COMMON * len(golden.items):
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference of {header.revision} shares {len(same)} of {len(golden.items)} items with this"
            " check, fewer than half: record it again",
        )
    narrowed = dataclasses.replace(golden, items=tuple(item for item, _ in same))
    return recording.take(np.array([row for _, row in same], dtype=np.intp)), narrowed


def _must_be_repeatable(header: Header, recording: Recording) -> None:
    """Refuse what was farther from itself than its class allows: any candidate would pass, or none."""
    tolerance = numeric.TOLERANCES[header.numeric_class]
    ceiling = numeric.calibrated(tolerance.cosine_distance, float("inf")).value
    norm_ceiling = numeric.calibrated(tolerance.norm_deviation, float("inf")).value
    noise = recording.noise or (0.0, 0.0)
    repeat = recording.self_repeat.cosine_distance_worst if recording.self_repeat is not None else 0.0
    for observed, limit, what in (
        (noise[0], ceiling, "1 − cos in other batches"),
        (noise[1], norm_ceiling, "norm deviation in other batches"),
        (repeat, tolerance.repeat_distance, "1 − cos when asked again"),
    ):
        if not observed <= limit:
            raise failure.CheckError(
                "ReferenceNotRepeatable",
                f"the reference of {header.revision} is of a server that was not repeatable: {what}"
                f" {observed:.2g}, more than {limit:.2g} of {header.numeric_class}",
            )


def _digests(pack: golden_pack.Pack, items: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    hexadecimal = [pack.by_id[name].digest.removeprefix("sha256:") for name in items]
    return np.frombuffer(bytes.fromhex("".join(hexadecimal)), dtype=np.uint8).reshape(len(items), 32)
