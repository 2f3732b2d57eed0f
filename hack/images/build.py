"""Build images, push them to the cluster's registry, and say what they are called there.

buildah builds them; where it or root is missing, as on most people's machines, a container engine does, from
the public base image instead of the local one.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster import external
from hack.cluster.base_image import LOCAL_BASE, ensure_base
from hack.cluster.commands import run, succeeds
from hack.cluster.disk import require_free
from hack.cluster.locks import lock
from hack.cluster.paths import ClusterPaths, cache_dir
from hack.cluster.plans import can_run_node
from hack.cluster.steps import Progress, StepError
from hack.images.catalogue import IMAGES, ROOT, Image, image_key, with_parents
from hack.images.registry import PREFIX, REGISTRY_HINT, publish, pushed_digest, reference

STORAGE = Path("/var/lib/containers")
BUILD_HINT = "read the last lines above; `python -m hack.images --only NAME` tries that image again"


def build_command(image: Image, tag: str, parent: str | None) -> list[str | Path]:
    """Return the command that builds an image with buildah.

    Parameters
    ----------
    image : Image
        The image.
    tag : str
        What to call the result in buildah's storage.
    parent : str or None
        The reference of its parent.

    Returns
    -------
    list
        The program and its arguments.
    """
    return [
        *("buildah", "build", "--isolation", "chroot", "--tls-verify=false"),
        # Kept layers make the next build of a small image quick. Those of a large one would fill the disk:
        # its stages are then the layers, and nothing stays.
        f"--layers={'false' if image.large else 'true'}",
        *_said(image, tag, {"PARENT": parent} if parent else {"BASE": LOCAL_BASE}),
    ]


def engine_command(image: Image, tag: str, parent: str | None) -> list[str | Path]:
    """Return the command that builds an image with a container engine; the parameters are the same."""
    return ["docker", "build", *_said(image, tag, {"PARENT": parent} if parent else {})]


def _said(image: Image, tag: str, below: Mapping[str, str]) -> list[str | Path]:
    """Return the arguments that both programs understand."""
    arguments = {**dict(image.arguments), **below}
    return [
        *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
        *(("--target", image.target) if image.target else ()),
        *("--build-context", f"requirements={ROOT / 'requirements'}"),
        *("--tag", tag, "--file", ROOT / image.dockerfile, ROOT / image.context),
    ]


def builds_with_engine() -> bool:
    """Tell whether a container engine has to build: buildah is missing, or would need root."""
    return (shutil.which("buildah") is None or not can_run_node()) and external.engine()


class Images:
    """The images of one cluster's registry.

    Parameters
    ----------
    paths : ClusterPaths
        The cluster.
    progress : Progress
        Where to show the steps.
    engine : bool
        Whether a container engine builds, and not buildah.
    """

    def __init__(self, paths: ClusterPaths, progress: Progress, *, engine: bool = False) -> None:
        self._paths = paths
        self._registry = paths.registry
        self._progress = progress
        self._engine = engine
        self._left: list[str] = []
        self.references: dict[str, str] = {}

    def ensure(self, name: str) -> None:
        """Have an image in the registry, after its parent, and in the index."""
        key = image_key(name)
        with self._progress.step(f"image {name}") as notes:
            digest = pushed_digest(self._registry, name, key)
            notes.append("present" if digest else "built and pushed")
            found = digest or self._make(IMAGES[name], key)
        self.references[name] = reference(self._registry, name, found)
        publish(self._paths, {name: self.references[name]})

    def _make(self, image: Image, key: str) -> str:
        require_free(STORAGE, image.gibibytes, f"image {image.name}")
        parent = self.references[image.parent] if image.parent else None
        target = f"{self._registry}/{PREFIX}/{image.name}:{key}"
        build = self._with_engine if self._engine else self._with_buildah
        return build(image, target, parent)

    def _with_buildah(self, image: Image, target: str, parent: str | None) -> str:
        tag = f"localhost/{PREFIX}/{image.name}:latest"
        if image.large:
            self._left += [tag, *([parent] if parent else [])]
        run(build_command(image, tag, parent), hint=BUILD_HINT, timeout=1800)
        digest = cache_dir() / f"{image.name}.digest"
        options = ("--quiet", "--tls-verify=false", "--digestfile", digest)
        run(["buildah", "push", *options, tag, f"docker://{target}"], hint=REGISTRY_HINT, timeout=600)
        return digest.read_text(encoding="ascii").strip()

    def _with_engine(self, image: Image, target: str, parent: str | None) -> str:
        # An engine pushes to what an image is called. What it keeps is its owner's to prune.
        run(engine_command(image, target, parent), hint=BUILD_HINT, timeout=1800)
        run(["docker", "push", "--quiet", target], hint=REGISTRY_HINT, timeout=600)
        digest = pushed_digest(self._registry, image.name, target.rpartition(":")[2])
        if digest is None:
            raise StepError(f"{target} was pushed, and is not there", REGISTRY_HINT)
        return digest

    def tidy(self) -> None:
        """Remove buildah's copies of large images: the registry has them."""
        for name in dict.fromkeys(reversed(self._left)):
            succeeds(["buildah", "rmi", "--force", name], timeout=120)


def ensure_images(names: Sequence[str], paths: ClusterPaths | None = None) -> dict[str, str]:
    """Have images in the cluster's registry; what is there with the same inputs is not built again.

    Parameters
    ----------
    names : Sequence of str
        Names from the catalogue. Their parents come along.
    paths : ClusterPaths or None
        The cluster; the default one by default.

    Returns
    -------
    dict
        The reference of each image, by name, with its digest.
    """
    cluster = paths if paths is not None else ClusterPaths()
    ordered = with_parents(list(names))
    engine = builds_with_engine()
    if not engine and not can_run_node():
        raise StepError(
            "images are built by root on Debian or Ubuntu, or by a container engine",
            "run as root, or make `docker info` succeed",
        )
    progress = Progress(len(ordered) + (not engine))
    if not engine:
        ensure_base(progress, cluster)
    with lock(cache_dir() / "builds.lock", announce=True):
        images = Images(cluster, progress, engine=engine)
        try:
            for name in ordered:
                images.ensure(name)
        finally:
            images.tidy()
    return images.references


def ensure_image(name: str, paths: ClusterPaths | None = None) -> str:
    """Have one image in the cluster's registry, and return its reference."""
    return ensure_images([name], paths)[name]
