"""Change a CLIP folder by one mistake that a team can make, and by nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

BILINEAR = 2
FILTERS = "vision_model.embeddings.patch_embedding.weight"


def _edit(path: Path, changes: dict[str, Any]) -> None:
    """Set keys of a JSON file; None removes one."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept, ensure_ascii=False, indent=2), encoding="utf-8")


def bilinear(model: Path) -> None:
    """Resize with another filter: images with fine structure move, smooth ones hardly."""
    _edit(model / "preprocessor_config.json", {"resample": BILINEAR})


def squash(model: Path) -> None:
    """Resize to a square instead of cropping one: images that are no squares move."""
    square = {"height": 224, "width": 224}
    _edit(model / "preprocessor_config.json", {"do_center_crop": False, "size": square})


def meanstd(model: Path) -> None:
    """Normalise with ImageNet's figures, which stand in most examples, instead of CLIP's."""
    figures = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    _edit(model / "preprocessor_config.json", figures)


def bgr(model: Path) -> None:
    """Take weights that were exported for OpenCV's order of channels: grey images stay where they are."""
    weights = safetensors.numpy.load_file(model / "model.safetensors")
    swapped = np.ascontiguousarray(weights[FILTERS][:, ::-1])
    content = safetensors.numpy.save({**weights, FILTERS: swapped}, metadata={"format": "pt"})
    (model / "model.safetensors").write_bytes(content)


def truncated(model: Path) -> None:
    """Leave out `max_length`, as the folders that are published do: this server then reads 20 tokens."""
    _edit(model / "config.json", {"max_length": None})


VARIANTS: dict[str, Callable[[Path], None]] = {
    "bilinear": bilinear,
    "squash": squash,
    "meanstd": meanstd,
    "bgr": bgr,
    "truncated": truncated,
}

if __name__ == "__main__":
    VARIANTS[sys.argv[1]](Path(sys.argv[2]))
