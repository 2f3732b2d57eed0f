"""A folder with a model's files: which library they are for, and that nothing in it is code."""

import json
import pathlib
from typing import Any, Final

from canary_checks import failure
from canary_checks.internals import asked

_PIPELINE: Final = "model_index.json"
_MODEL: Final = "config.json"
_CONFIG_BYTES: Final = 4 << 20
_LIBRARIES: Final = frozenset(
    {
        "diffusers",
        "transformers",
        # Parts of diffusers that pipelines name by themselves, such as a safety checker.
        *("audioldm2", "deepfloyd_if", "kandinsky", "latent_diffusion", "paint_by_example", "shap_e"),
        *("stable_audio", "stable_cascade", "stable_diffusion", "stable_diffusion_xl", "wuerstchen"),
    }
)


def library(path: pathlib.Path, wanted: asked.Library | None) -> asked.Library:
    """Tell which library loads a folder.

    Parameters
    ----------
    path
        The folder.
    wanted
        What the request says; None takes what the files are for.

    Raises
    ------
    CheckError
        ``ModelMissing`` (no such folder, or no model in it), ``ModelRefused`` (weights that are pickles, or a
        pipeline that brings its own code) or ``InvalidRequest`` (files of the other library).
    """
    if not path.is_dir():
        raise failure.CheckError("ModelMissing", f"there is no folder {path}")
    found = {
        name: (path / file).is_file()
        for name, file in ((asked.Library.DIFFUSERS, _PIPELINE), (asked.Library.TRANSFORMERS, _MODEL))
    }
    if not any(found.values()):
        raise failure.CheckError(
            "ModelMissing", f"{path} holds neither {_PIPELINE} (diffusers) nor {_MODEL} (transformers)"
        )
    chosen = wanted or next(name for name, there in found.items() if there)
    if not found[chosen]:
        raise failure.CheckError("InvalidRequest", f"{path} holds no model of {chosen}")
    weights = list(path.rglob("*.safetensors"))
    if not weights:
        raise failure.CheckError(
            "ModelRefused",
            f"{path} holds no *.safetensors; weights in another form are pickles, which can run code, and are"
            " not loaded",
        )
    if chosen is asked.Library.DIFFUSERS:
        _refuse_code(path / _PIPELINE)
    return chosen


def _refuse_code(index: pathlib.Path) -> None:
    for name, value in config(index).items():
        if name == "_class_name" and not isinstance(value, str):
            raise failure.CheckError(
                "ModelRefused", f"{index.name} names a class of its own, which is not run"
            )
        origin = value[0] if isinstance(value, list) and value and not name.startswith("_") else None
        if origin is not None and origin not in _LIBRARIES:
            raise failure.CheckError(
                "ModelRefused",
                f"{index.name} takes {name} from {origin}, which is code of its own and is not run",
            )


def config(path: pathlib.Path) -> dict[str, Any]:
    """Read a JSON file of a model.

    Raises
    ------
    CheckError
        ``ModelUnreadable``.
    """
    try:
        if path.stat().st_size > _CONFIG_BYTES:
            raise failure.CheckError("ModelUnreadable", f"{path.name} is larger than {_CONFIG_BYTES} bytes")
        read = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise failure.CheckError("ModelUnreadable", f"{path.name} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise failure.CheckError("ModelUnreadable", f"{path.name} is no JSON object")
    return read
