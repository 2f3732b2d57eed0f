"""What the images are called in the cluster's registry, and the index that says so."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path

from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.steps import StepError
from hack.images.catalogue import IMAGES

PREFIX = "modelrelease"
REGISTRY_HINT = "is the registry running? see `python -m hack.cluster status`"
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    # What Docker pushes out of containerd's image store is an index, of one image and how it was made.
    "application/vnd.oci.image.index.v1+json",
)


def pushed_digest(registry: str, name: str, tag: str) -> str | None:
    """Ask a registry for the digest of an image; None where it has no such image.

    Raises
    ------
    StepError
        If nobody answers there.
    """
    connection = http.client.HTTPConnection(registry, timeout=10)
    try:
        path = f"/v2/{PREFIX}/{name}/manifests/{tag}"
        connection.request("HEAD", path, headers={"Accept": ", ".join(MANIFESTS)})
        answer = connection.getresponse()
        return answer.getheader("Docker-Content-Digest") if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException) as error:
        raise StepError(f"no image registry answers at {registry}: {error}", REGISTRY_HINT) from error
    finally:
        connection.close()


def reference(registry: str, name: str, digest: str) -> str:
    """Return what a pod calls an image."""
    return f"{registry}/{PREFIX}/{name}@{digest}"


def index(paths: ClusterPaths) -> Path:
    """Return the file that says what the images of a cluster are called."""
    return paths.state / "images.json"


def publish(paths: ClusterPaths, references: Mapping[str, str]) -> None:
    """Write references into the index, beside those of other images that are there already."""
    path = index(paths)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept = {name: found for name, found in known.items() if name in IMAGES}
    write_if_changed(path, json.dumps({**kept, **references}, indent=2, sort_keys=True) + "\n")


def references(paths: ClusterPaths | None = None) -> dict[str, str]:
    """Return the reference of each image that was pushed, by name, with its digest.

    Parameters
    ----------
    paths : ClusterPaths or None
        The cluster; the default one by default.

    Returns
    -------
    dict
        References such as ``registry/name@sha256:...``.

    Raises
    ------
    StepError
        If no image was pushed yet.
    """
    path = index(paths if paths is not None else ClusterPaths())
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StepError("no images were built for this cluster", "run `python -m hack.images`") from error
    return found
