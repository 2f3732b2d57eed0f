"""Have torch, transformers and diffusers for tests: ``python -m hack.torch_environment``.

They lie in a folder beside the environment. The rest of requirements/torch.txt agrees with
requirements/dev.txt: the folder comes last on the path, and everything else still is the environment's.
The package index has torch for CUDA alone; without CUDA it is a tenth of that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hack.cluster import disk, locks, packages, paths, steps
from hack.images.infinity import cpu_only

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / "requirements/torch.txt"
# cpu_only compiles small libraries in place of CUDA's.
TOOLS = {"gcc": "gcc", "nm": "binutils", "ldd": "libc-bin"}
GIBIBYTES = 4.0


def folder() -> Path:
    """Return the folder of the libraries; the first call makes it, which takes a minute or two."""
    key = paths.content_key([LOCKED, Path(cpu_only.__file__)], sys.version.split()[0])
    made = paths.cache_dir() / f"torch-{key}"
    if made.is_dir():
        return made
    with locks.lock(made.with_suffix(".lock"), announce=True):
        if not made.is_dir():
            _make(made)
    return made


def add() -> None:
    """Put the folder at the end of the path of this process, and forbid every download."""
    where = str(folder())
    if where not in sys.path:
        sys.path.append(where)
    os.environ["HF_HUB_OFFLINE"] = "1"


def _make(made: Path) -> None:
    lacking = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if lacking:
        packages.ensure(lacking)
    disk.require_free(made.parent, GIBIBYTES, "torch for tests")
    with tempfile.TemporaryDirectory(prefix=".torch-", dir=made.parent) as below:
        target = Path(below) / "packages"
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"),
                *("--require-hashes", "--target", str(target), "-r", str(LOCKED)),
            ],
            check=True,
        )
        for name, _, _ in cpu_only.EDITS:
            _unlink_from_cache(target / "torch" / name)
        cpu_only.slim(target / "torch")
        for file in (target / "nvidia").rglob("*"):
            if file.is_file() and not file.name.startswith("libcudart.so."):
                file.unlink()
        target.rename(made)


def _unlink_from_cache(file: Path) -> None:
    """Make a file that uv linked from its cache one of its own, so that the cache does not see its edits."""
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)


def main() -> int:
    """Print the folder, and return 1 where it cannot be made."""
    try:
        print(folder())
    except steps.StepError as error:
        steps.report(error)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(map(str, error.cmd[:6]))} … ended with {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
