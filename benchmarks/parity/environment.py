"""The environments of the peers: made once, in the cache, from hashed requirements, never in the checkout."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import uv

from hack.cluster import paths
from hack.images.infinity import cpu_only

HERE: Final = Path(__file__).parent
PEERS: Final = "requirements.txt"
ALIBI: Final = "alibi.txt"
_DONE: Final = "complete"


class CannotInstall(Exception):
    """The packages could not be had; the message says which and why."""


def python_of(requirements: str, *, beneath: Path | None = None) -> Path:
    """Return the interpreter of an environment with exactly these packages; make it where it is missing.

    Parameters
    ----------
    requirements
        A file beside this one.
    beneath
        The interpreter of another environment, whose packages are found where this one has none.

    Raises
    ------
    CannotInstall
        The package index cannot be reached, or has no build for this machine and Python.
    """
    file = HERE / requirements
    key = hashlib.sha256(file.read_bytes() + sys.version.encode() + str(beneath).encode()).hexdigest()[:12]
    folder = paths.cache_dir() / f"bench-parity-{file.stem}-{key}"
    interpreter = folder / "bin" / "python"
    if (folder / _DONE).exists():
        return interpreter
    print(f"installing {file.name} into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    _uv("venv", "--python", sys.executable, folder, about=requirements)
    # Copied, not linked: torch is edited, and uv's cache must stay what it is.
    install = ("pip", "install", "--link-mode", "copy", "--no-deps", "--require-hashes")
    _uv(*install, "--python", interpreter, "-r", file, about=requirements)
    packages = next(folder.glob("lib/python3*/site-packages"))
    if (packages / "torch").exists():
        cpu_only.slim(packages / "torch")
    if beneath is not None:
        others = next(beneath.parents[1].glob("lib/python3*/site-packages"))
        (packages / "beneath.pth").write_text(f"{others}\n", encoding="utf-8")
    (folder / _DONE).touch()
    return interpreter


def _uv(*arguments: str | Path, about: str) -> None:
    command = [uv.find_uv_bin(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8")
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise CannotInstall(f"cannot install {about}: is the package index reachable?\n{said}")
