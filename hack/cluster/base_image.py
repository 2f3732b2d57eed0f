"""The base image of locally built images, and the pause image: nothing can be pulled here.

The base stands in for a public ``python:3.11-slim-bookworm``. It also knows the certificate authorities
of this machine, so that pip and uv reach their registry inside a build; that belongs to the machine,
and therefore into this local image and never into a Dockerfile of the project.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from hack.cluster import binaries, packages, registry
from hack.cluster.commands import run, succeeds
from hack.cluster.disk import require_free
from hack.cluster.locks import lock
from hack.cluster.mounts import unmount_below
from hack.cluster.paths import ClusterPaths, cache_dir, content_key
from hack.cluster.settings import Settings, choose
from hack.cluster.steps import Progress, StepError

SUITE = "bookworm"
LOCAL_PREFIX = "localhost/modelrelease/"
LOCAL_BASE = f"{LOCAL_PREFIX}base:{SUITE}"
REGISTRY_BASE = f"modelrelease/base:{SUITE}"
LOCAL_PAUSE = f"{LOCAL_PREFIX}pause:1"
REGISTRY_PAUSE = "modelrelease/pause:1"
KEY_LABEL = "modelrelease.content-key"
WORKING = "modelrelease-image-build"
INCLUDE = "ca-certificates,python3,python3-venv"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
OLD_SOURCES = Path("/etc/apt/sources.list")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
HINT = "run as root on Debian, with debootstrap and buildah installed"
ENVIRONMENT = {
    "SSL_CERT_FILE": BUNDLE,
    "PIP_CERT": BUNDLE,
    "UV_NATIVE_TLS": "1",
    "UV_SYSTEM_CERTS": "1",
    "LANG": "C.UTF-8",
}


def mirror() -> str:
    """Return the Debian mirror that this machine is set up with."""
    for path, pattern in ((SOURCES, r"^URIs:\s*(\S+)"), (OLD_SOURCES, r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)")):
        if path.exists():
            found = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
            if found:
                return found[1]
    raise StepError(f"neither {SOURCES} nor {OLD_SOURCES} names a Debian mirror", HINT)


def image_key(name: str) -> str | None:
    """Return the content key that a local image was labelled with."""
    if not succeeds(["buildah", "inspect", "--type", "image", name]):
        return None
    described = json.loads(run(["buildah", "inspect", "--type", "image", name], hint=HINT))
    labels = described["OCIv1"]["config"].get("Labels") or {}
    return str(labels.get(KEY_LABEL))


def local_images() -> list[str]:
    """Return the project's images in buildah's storage."""
    if shutil.which("buildah") is None:
        return []
    listed = run(["buildah", "images", "--format", "{{.Name}}:{{.Tag}}"], hint=HINT).split()
    return [name for name in listed if name.startswith(LOCAL_PREFIX)]


def _commit(name: str, key: str, root: Path, config: Sequence[str]) -> None:
    """Make an image of one layer from a folder."""
    # A build that was interrupted leaves its working container behind.
    succeeds(["buildah", "rm", WORKING])
    run(["buildah", "from", "--name", WORKING, "scratch"], hint=HINT)
    run(["buildah", "add", "--quiet", WORKING, root, "/"], hint=HINT, timeout=600)
    run(["buildah", "config", "--label", f"{KEY_LABEL}={key}", *config, WORKING], hint=HINT)
    run(["buildah", "commit", "--quiet", "--rm", WORKING, name], hint=HINT, timeout=600)


def _provide(name: str, remote: str, key: str, settings: Settings, build: Callable[[], None]) -> str:
    """Have an image both locally and in the registry, by the cheapest way."""
    address = f"docker://{settings.registry}/{remote}"
    repository = remote.partition(":")[0]
    keyed = f"{settings.registry}/{repository}:{key}"
    note = ""
    served = registry.responds(settings.registry_port, f"/v2/{repository}/manifests/{key}")
    with lock(cache_dir() / "images.lock"):
        if image_key(name) != key:
            if served():
                run(["buildah", "pull", "--quiet", "--tls-verify=false", keyed], hint=HINT, timeout=300)
                run(["buildah", "tag", keyed, name], hint=HINT)
                run(["buildah", "rmi", keyed], hint=HINT)
                note = "pulled from the registry"
            else:
                build()
                note = "built"
        if not served():
            for target in (address, f"docker://{keyed}"):
                run(
                    ["buildah", "push", "--quiet", "--tls-verify=false", name, target],
                    hint=f"is the registry at {settings.registry} running? see `status`",
                    timeout=600,
                )
    return note or "present"


def _build_base(key: str) -> None:
    root = cache_dir() / "base-image.partial"
    unmount_below(root)
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    require_free(cache_dir(), 2.0, "the base image")
    try:
        run(
            ["debootstrap", "--variant=minbase", f"--include={INCLUDE}", SUITE, root, mirror()],
            hint=f"see {root}/debootstrap/debootstrap.log, and check that {mirror()} can be reached",
            timeout=1200,
        )
        for folder in ("var/cache/apt/archives", "var/lib/apt/lists"):
            for path in (root / folder).iterdir():
                if path.is_file():
                    path.unlink()
        shutil.copyfile(BUNDLE, root / BUNDLE.lstrip("/"))
        # The public image that this one stands in for calls its interpreter `python`.
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        config = [word for name, value in ENVIRONMENT.items() for word in ("--env", f"{name}={value}")]
        _commit(LOCAL_BASE, key, root, [*config, "--cmd", "python"])
    finally:
        # An interrupted debootstrap leaves /proc mounted inside.
        unmount_below(root)
        shutil.rmtree(root, ignore_errors=True)


def _build_pause(key: str) -> None:
    binaries.ensure(binaries.PAUSE)
    root = cache_dir() / "pause-image.partial"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    shutil.copy(binaries.PAUSE.target() / "pause", root / "pause")
    _commit(LOCAL_PAUSE, key, root, ["--entrypoint", '["/pause"]', "--user", "65535:65535"])
    shutil.rmtree(root)


def provide_base(settings: Settings) -> str:
    """Have the base image in buildah's storage and in the cluster's registry."""
    facts = (mirror(), SUITE, INCLUDE, json.dumps(ENVIRONMENT))
    key = content_key([Path(BUNDLE)], *facts)
    return _provide(LOCAL_BASE, REGISTRY_BASE, key, settings, lambda: _build_base(key))


def provide_pause(settings: Settings) -> str:
    """Have the pause image in buildah's storage and in the cluster's registry."""
    key = binaries.PAUSE.key()
    return _provide(LOCAL_PAUSE, REGISTRY_PAUSE, key, settings, lambda: _build_pause(key))


def ensure_base(progress: Progress | None = None, paths: ClusterPaths | None = None) -> str:
    """Provide the base image, with all that this takes.

    Parameters
    ----------
    progress : Progress or None
        Where to show the step.
    paths : ClusterPaths or None
        The cluster whose registry gets the image; the default cluster's by default.

    Returns
    -------
    str
        The image's reference in buildah's storage.
    """
    cluster = paths if paths is not None else ClusterPaths()
    shown = progress if progress is not None else Progress(1)
    with shown.step(f"base image {LOCAL_BASE}") as notes, lock(cluster.lock):
        packages.ensure(packages.IMAGES)
        cluster.make()
        settings = choose(cluster)
        registry.ensure(cluster, settings)
        notes.append(provide_base(settings))
    return LOCAL_BASE
