"""Where the tool keeps things: binaries and images in a cache, everything else in a state folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

DEFAULT_NAME = "modelrelease"
MODULES = Path(__file__).resolve().parent.parent / "modules"


def cache_dir() -> Path:
    """Return the folder of things that are expensive to make and safe to delete."""
    own = os.environ.get("MODELRELEASE_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "modelrelease"


def state_home() -> Path:
    """Return the folder that holds one state folder for each cluster."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "modelrelease"


def content_key(files: Iterable[Path], *facts: str) -> str:
    """Name a result by everything that it is made from.

    Parameters
    ----------
    files : Iterable of Path
        The files whose names and contents count, in any order.
    *facts : str
        Other inputs, such as a compiler's version.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    parts = [(path.name, path.read_bytes()) for path in sorted(files)]
    parts += [("fact", fact.encode()) for fact in facts]
    digest = hashlib.sha256()
    for name, content in parts:
        # Lengths keep two different lists of inputs from running together into the same bytes.
        digest.update(f"{len(name)}:{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def given_kubeconfig() -> Path | None:
    """Return the kubeconfig of the cluster that the user wants to be used instead of one of ours."""
    path = os.environ.get("MODELRELEASE_KUBECONFIG")
    return Path(path) if path else None


class ClusterPaths:
    """The files and addresses of one cluster.

    Parameters
    ----------
    name : str
        The cluster's name.
    control_plane : bool
        Whether the cluster without a kubelet is meant, which has a state of its own.
    """

    def __init__(self, name: str = DEFAULT_NAME, *, control_plane: bool = False) -> None:
        self.name = name
        self.control_plane = control_plane
        self.id = f"{name}-control-plane" if control_plane else name
        self.state = state_home() / self.id
        self.lock = state_home() / f"{self.id}.lock"
        self.binaries = self.state / "bin"
        self.pids = self.state / "pids"
        self.logs = self.state / "logs"
        self.config = self.state / "config"
        self.pki = self.state / "pki"
        self.data = self.state / "data"
        self.kubeconfig = self.state / "kubeconfig"
        self.audit_log = self.logs / "audit.log"
        self.settings = self.state / "settings.json"
        self.cache = cache_dir()

    @property
    def registry(self) -> str:
        """The address of the cluster's image registry, once `up` has chosen it."""
        try:
            settings = json.loads(self.settings.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return "127.0.0.1:5050"
        return f"127.0.0.1:{settings['registry_port']}"

    def make(self) -> None:
        """Create the state folder; it holds keys, so only its owner may enter it."""
        for folder in (self.binaries, self.pids, self.logs, self.config, self.pki, self.data):
            folder.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)


def kubeconfig(name: str = DEFAULT_NAME, *, control_plane: bool = False) -> Path:
    """Return the kubeconfig to use: the given one, else that of the named cluster."""
    return given_kubeconfig() or ClusterPaths(name, control_plane=control_plane).kubeconfig


def write_if_changed(path: Path, text: str, mode: int = 0o644) -> bool:
    """Replace a file's content in one move, and tell whether anything changed."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=mode)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return True
