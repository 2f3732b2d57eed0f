"""Recorded references on the move: from a cluster's ConfigMap into a file, and from there into a golden set.

Nothing here decides which revision an anchor is: an exported file is the anchor of its space only while the
index is that of the revision that it was recorded from.
"""

import base64
import binascii
import json
import pathlib
import re
from typing import Final

from canary_checks import failure, result
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import recording, reference, shipped

KEY: Final = "outputs.safetensors"
"""The key of a ConfigMap under which the operator keeps recorded outputs."""
_NAMED_DIGEST: Final = re.compile(r"-outputs-([a-f0-9]{10})$")
# As JSON a ConfigMap of 1 MiB takes 4/3 of it, and its metadata.
CONFIG_MAP_JSON_BYTES: Final = 4 << 20


def exported(content: bytes) -> bytes:
    """Return the reference in a ConfigMap, or the file itself.

    Parameters
    ----------
    content
        A safetensors file, or a ConfigMap as JSON (``kubectl get configmap NAME --output json``).

    Returns
    -------
    The bytes of the safetensors file, which can be read.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, or ``ReferenceMismatch``: the ConfigMap's name says another digest.
    """
    if content.lstrip()[:1] != b"{":
        reference.decode(content)
        return content
    name, held = _config_map(content)
    reference.decode(held)
    named = _NAMED_DIGEST.search(name)
    if named is not None and not result.digest(held).startswith(f"sha256:{named[1]}"):
        raise failure.CheckError(
            "ReferenceMismatch", f"the ConfigMap {name} holds outputs of another digest than its name says"
        )
    return held


def imported(
    into: pathlib.Path, pack: golden_pack.Pack, content: bytes, *, expected_digest: str | None
) -> pathlib.Path:
    """Put a reference beside the golden set that it was recorded with.

    Parameters
    ----------
    into
        Folder of the set.
    pack
        The set.
    content
        The bytes of a safetensors file.
    expected_digest
        Of the file, or None when nobody stated one.

    Returns
    -------
    Where it lies now: ``references/<key>/outputs.safetensors``.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, ``ReferenceMismatch`` (another digest, other items, no space and no model in
        its header) or ``ReferenceNotRepeatable``.
    OSError
        It cannot be written.
    """
    if expected_digest is not None and result.digest(content) != expected_digest:
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference has the digest {result.digest(content)}, not {expected_digest}",
        )
    read = reference.decode(content)
    for name, said in read.header.operations.items():
        modality = (
            pack.by_id[said.items[0]].modality if said.items[:1] and said.items[0] in pack.by_id else None
        )
        if modality is None:
            raise failure.CheckError(
                "ReferenceMismatch",
                f"the reference was recorded with {read.header.pack}, not with {pack.name}",
            )
        golden = selection.select(pack, modality)
        reference.usable(read, name, golden, numeric_class=read.header.numeric_class)
    target = placed(into / "references", read.header)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def placed(references: pathlib.Path, header: reference.Header) -> pathlib.Path:
    """Return where a reference lies in a folder of references.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: its header names neither an embedding space nor a model.
    """
    identity = header.embedding_space or header.model_version
    if identity is None:
        raise failure.CheckError(
            "ReferenceMismatch",
            "the reference says neither its embedding space nor its model: record it again",
        )
    return references / shipped.key(identity, header.numeric_class, header.accelerator) / KEY


def _config_map(content: bytes) -> tuple[str, bytes]:
    try:
        said = json.loads(content)
        held = base64.b64decode(said["binaryData"][KEY], validate=True)
        name = str(said["metadata"]["name"])
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise recording.unreadable(f"it is no ConfigMap with the key {KEY}") from error
    return name, held
