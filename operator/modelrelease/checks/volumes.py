"""Volumes that a manifest names, as a check's pod mounts them."""

from typing import Any

from modelrelease.api import golden_set

Object = dict[str, Any]


def source(volume: golden_set.Volume) -> Object:
    """Return the volume's source as in a pod, read-only where it says so itself."""
    found: Object = volume.model_dump(mode="json", by_alias=True, exclude_none=True)
    for kind, more in (
        ("persistentVolumeClaim", {"readOnly": True}),
        ("image", {"pullPolicy": "IfNotPresent"}),
    ):
        if kind in found:
            found[kind] |= more
    return found
