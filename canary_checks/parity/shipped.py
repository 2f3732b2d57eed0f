"""Recorded references that ship with a golden set: how they are named, and which one suits a candidate."""

import pathlib
import re
from typing import Final

from canary_checks import vocabulary as v
from canary_checks.golden import folder as golden_folder
from canary_checks.parity import numeric, recording, reference

_SHIPPED_FLAT: Final = re.compile(r"reference-([a-z0-9.-]{1,200})\.safetensors")
_SHIPPED_LIMIT: Final = 64


def key(identity: str, numeric_class: v.NumericClass, accelerator: str | None) -> str:
    """Name a reference that ships with a golden set.

    Parameters
    ----------
    identity
        The embedding space, or else the model.
    numeric_class
        Of what was recorded.
    accelerator
        Where it ran, such as ``NVIDIA L4``, or None for a CPU.

    Returns
    -------
    Such as ``clip-vit-b32-openai-512-fp16-nvidia-l4``.
    """
    return "-".join((_slug(identity), numeric_class.value, _slug(accelerator or "cpu")))


def find(
    folder: pathlib.Path, identity: str, numeric_class: v.NumericClass, accelerator: str | None = None
) -> reference.Reference | None:
    """Find the recorded reference that ships with a golden set.

    Parameters
    ----------
    folder
        Of the set: ``references/<key>/outputs.safetensors``, or flat ``reference-<key>.safetensors``.
    identity
        The embedding space, or else the model.
    numeric_class, accelerator
        Of the candidate. A recording of the same class comes first, then the most exact one; then one of the
        same accelerator. `usable` says what the difference means.

    Returns
    -------
    The reference, or None when the set ships none of this space.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, or ``GoldenSetUnreadable``: it is there and cannot be read.
    """
    opened = golden_folder.Folder(folder)
    shipped = {
        match[1]: name for name in opened.names(".") if (match := _SHIPPED_FLAT.fullmatch(name)) is not None
    }
    if (folder / "references").is_dir():
        shipped |= {name: f"references/{name}/outputs.safetensors" for name in opened.names("references")}
    order = list(numeric.TOLERANCES)
    ranked: dict[tuple[bool, int, bool, str], str] = {}
    for name, path in shipped.items():
        for other in v.NumericClass:
            if name.startswith(f"{_slug(identity)}-{other}-"):
                rank = (
                    other is not numeric_class,
                    order.index(other),
                    name != key(identity, other, accelerator),
                    name,
                )
                ranked[rank] = path
    for rank in sorted(ranked)[:_SHIPPED_LIMIT]:
        found = reference.decode(opened.bytes_of(ranked[rank], recording.LIMIT_BYTES))
        if identity in (found.header.embedding_space, found.header.model_version):
            return found
    return None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unknown"
