"""Build images with buildah, push them to the cluster's registry, and say what they are called there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hack.cluster.base_image import LOCAL_BASE, ensure_base
from hack.cluster.commands import run, succeeds
from hack.cluster.disk import require_free
from hack.cluster.locks import lock
from hack.cluster.paths import ClusterPaths, cache_dir
from hack.cluster.steps import Progress
from hack.images.catalogue import IMAGES, ROOT, Image, image_key, with_parents
from hack.images.registry import PREFIX, publish, pushed_digest, reference

STORAGE = Path("/var/lib/containers")
BUILD_HINT = "read the last lines above; `python -m hack.images --only NAME` tries that image again"
PUSH_HINT = "is the registry running? see `python -m hack.cluster status`"


def build_command(image: Image, tag: str, parent: str | None) -> list[str | Path]:
    """Return the command that builds an image.

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
    arguments = {**dict(image.arguments), **({"PARENT": parent} if parent else {"BASE": LOCAL_BASE})}
    return [
        *("buildah", "build", "--isolation", "chroot", "--tls-verify=false"),
        # Kept layers make the next build of a small image quick. Those of a large one would fill the disk:
        # its stages are then the layers, and nothing stays.
        f"--layers={'false' if image.large else 'true'}",
        *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
        *(("--target", image.target) if image.target else ()),
        *("--build-context", f"requirements={ROOT / 'requirements'}"),
        *("--tag", tag, "--file", ROOT / image.dockerfile, ROOT / image.context),
    ]


class Images:
    """The images of one cluster's registry.

    Parameters
    ----------
    paths : ClusterPaths
        The cluster.
    progress : Progress
        Where to show the steps.
    """

    def __init__(self, paths: ClusterPaths, progress: Progress) -> None:
        self._paths = paths
        self._registry = paths.registry
        self._progress = progress
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
        tag = f"localhost/{PREFIX}/{image.name}:latest"
        if image.large:
            self._left += [tag, *([parent] if parent else [])]
        run(build_command(image, tag, parent), hint=BUILD_HINT, timeout=1800)
        digest = cache_dir() / f"{image.name}.digest"
        target = f"docker://{self._registry}/{PREFIX}/{image.name}:{key}"
        options = ("--quiet", "--tls-verify=false", "--digestfile", digest)
        run(["buildah", "push", *options, tag, target], hint=PUSH_HINT, timeout=600)
        return digest.read_text(encoding="ascii").strip()

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
    progress = Progress(len(ordered) + 1)
    ensure_base(progress, cluster)
    with lock(cache_dir() / "builds.lock", announce=True):
        images = Images(cluster, progress)
        try:
            for name in ordered:
                images.ensure(name)
        finally:
            images.tidy()
    return images.references


def ensure_image(name: str, paths: ClusterPaths | None = None) -> str:
    """Have one image in the cluster's registry, and return its reference."""
    return ensure_images([name], paths)[name]
