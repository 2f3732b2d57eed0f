"""Change a model folder by one mistake that a team can make, and by nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file; `change` returns the new content."""
    changed = change(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(changed, ensure_ascii=False, indent=2), encoding="utf-8")


def without_normalize(model: Path) -> None:
    """Drop the last module. It looks dangerous and is not: the server normalises by itself."""
    _edit(
        model / "modules.json",
        lambda modules: [entry for entry in modules if not entry["type"].endswith(".Normalize")],
    )


def cased(model: Path) -> None:
    """Keep upper case, which the vocabulary does not know: only cased inputs break."""

    def tokenizer(content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "normalizer": {**content["normalizer"], "lowercase": False}}

    _edit(model / "tokenizer.json", tokenizer)
    _edit(model / "tokenizer_config.json", lambda content: {**content, "do_lower_case": False})


def truncated(model: Path) -> None:
    """Read 16 tokens of each input: only long inputs break."""
    _edit(model / "sentence_bert_config.json", lambda content: {**content, "max_seq_length": 16})


def cls(model: Path) -> None:
    """Take the first token's vector instead of the mean: everything changes."""
    switches = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    _edit(model / "1_Pooling" / "config.json", lambda content: {**content, **switches})


VARIANTS: dict[str, Callable[[Path], None]] = {
    "modules": without_normalize,
    "cased": cased,
    "truncated": truncated,
    "cls": cls,
}

if __name__ == "__main__":
    VARIANTS[sys.argv[1]](Path(sys.argv[2]))
