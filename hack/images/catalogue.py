"""Which images there are, what each is made from, and the key that tells whether it must be made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.base_image import INCLUDE, SUITE
from hack.cluster.paths import content_key

ROOT = Path(__file__).resolve().parents[2]
SERVER = "hack/images/infinity"
CLIP = "hack/images/clip"
MLSERVER = "hack/images/mlserver"
PROBE = "hack/images/probe"
TORCH = "hack/images/torch"
DIFFUSER = "hack/images/diffuser"


@dataclass(frozen=True)
class Image:
    """One image.

    Parameters
    ----------
    name : str
        Its name in the registry, below the project's.
    dockerfile : str
        Its Dockerfile; like all paths here, relative to the repository.
    context : str
        The folder that the build sees.
    inputs : tuple of str
        The files and folders that the image is made from, besides its Dockerfile.
    target : str or None
        The stage of the Dockerfile; the last one by default.
    parent : str or None
        The image of ours that it is made from; the local base image by default.
    arguments : tuple of pairs
        Build arguments.
    gibibytes : float
        How much disk the build needs for a while.
    large : bool
        Whether buildah's copy is removed once the registry has the image.
    on_request : bool
        Whether it is built only where somebody names it.
    """

    name: str
    dockerfile: str
    context: str
    inputs: tuple[str, ...]
    target: str | None = None
    parent: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    gibibytes: float = 1.0
    large: bool = False
    on_request: bool = False


def _own(name: str, *environments: str, **more: Any) -> Image:
    sources = ("operator", "canary_checks", "pyproject.toml", "LICENSE", ".dockerignore")
    named = (*environments, "dev", "uv")
    locked = tuple(f"requirements/{name}.txt" for name in named)
    return Image(name, "Dockerfile", ".", (*sources, *locked), target=name, **more)


def _variant(model: str, folder: str, name: str, *, on_request: bool = False) -> Image:
    return Image(
        f"{model}-{name}",
        f"{SERVER}/variant.Dockerfile",
        folder,
        (f"{folder}/variant.py",),
        parent=model,
        arguments=(("MODEL", model), ("VARIANT", name)),
        gibibytes=2.5,
        large=True,
        on_request=on_request,
    )


MODEL_SERVER = Image(
    "minilm",
    f"{SERVER}/Dockerfile",
    SERVER,
    (
        f"{SERVER}/cpu_only.py",
        f"{SERVER}/model.txt",
        f"{SERVER}/requirements.txt",
        f"{SERVER}/torch.txt",
        "requirements/uv.txt",
    ),
    gibibytes=6.0,
    large=True,
)

IMAGES: Mapping[str, Image] = {
    image.name: image
    for image in (
        _own("operator", "operator"),
        _own("checks", "checks"),
        # torch with the libraries of CUDA.
        _own("checks-torch", "checks", "torch", gibibytes=16.0, large=True, on_request=True),
        Image(
            "torch-cpu",
            f"{TORCH}/Dockerfile",
            "hack/images",
            (
                f"{SERVER}/cpu_only.py",
                f"{PROBE}/requirements.txt",
                "requirements/checks.txt",
                "requirements/torch.txt",
                "requirements/uv.txt",
            ),
            gibibytes=7.0,
            large=True,
        ),
        Image(
            "checks-torch-cpu",
            f"{TORCH}/checks.Dockerfile",
            ".",
            ("canary_checks", ".dockerignore"),
            parent="torch-cpu",
            gibibytes=2.5,
            large=True,
        ),
        Image(
            "diffuser",
            f"{DIFFUSER}/Dockerfile",
            "hack",
            (f"{DIFFUSER}/server.py", "hack/faults/generators/pipelines.py"),
            parent="checks-torch-cpu",
            gibibytes=2.5,
            large=True,
        ),
        Image(
            "loadgen",
            "hack/loadgen/Dockerfile",
            "hack/loadgen",
            ("hack/loadgen/loadgen.py",),
            parent="checks",
        ),
        Image("probe", f"{PROBE}/Dockerfile", PROBE, (f"{PROBE}/requirements.txt",), parent="checks"),
        Image(
            "renderer",
            "hack/images/renderer/Dockerfile",
            "hack/images/renderer",
            ("hack/images/renderer/server.py",),
            parent="checks",
        ),
        MODEL_SERVER,
        *(_variant("minilm", SERVER, name) for name in ("modules", "cased", "truncated", "cls")),
        Image(
            "clip",
            f"{CLIP}/Dockerfile",
            CLIP,
            (f"{CLIP}/model.py", f"{CLIP}/requirements.txt"),
            parent="minilm",
            gibibytes=2.5,
            large=True,
        ),
        _variant("clip", CLIP, "bilinear"),
        *(
            _variant("clip", CLIP, name, on_request=True)
            for name in ("squash", "meanstd", "bgr", "truncated")
        ),
        Image(
            "mlserver",
            f"{MLSERVER}/Dockerfile",
            MLSERVER,
            (
                f"{MLSERVER}/models",
                f"{MLSERVER}/runtime.py",
                f"{MLSERVER}/requirements.txt",
                "requirements/uv.txt",
            ),
        ),
    )
}


def files(image: Image, root: Path = ROOT) -> Iterator[Path]:
    """Give the files that an image is made from, in a fixed order."""
    for entry in (image.dockerfile, *image.inputs):
        path = root / entry
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def image_key(name: str, root: Path = ROOT) -> str:
    """Name an image by everything that it is made from, so also by what its parent is made from."""
    image = IMAGES[name]
    inputs = list(files(image, root))
    below = image_key(image.parent, root) if image.parent else f"{SUITE} {INCLUDE}"
    places = "\n".join(str(path.relative_to(root)) for path in inputs)
    return content_key(inputs, name, str(image.target), repr(image.arguments), below, places)


def with_parents(names: list[str]) -> list[str]:
    """Return the names and those of their parents, in the order in which they can be built."""
    ordered: dict[str, None] = {}
    for name in names:
        parent = IMAGES[name].parent
        for each in (*(with_parents([parent]) if parent else ()), name):
            ordered[each] = None
    return list(ordered)
