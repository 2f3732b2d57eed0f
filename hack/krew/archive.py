"""One archive for each platform: launcher, plugin, and the libraries that it needs, for several Pythons."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster.commands import run

ROOT: Final = Path(__file__).parents[2]
LAUNCHER: Final = Path(__file__).with_name("kubectl-mrel")
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""Compiled parts bear the Python in their names, so that those for all of them lie in one folder."""
NEEDED: Final = ("jinja2", "prometheus-api-client", "pydantic", "pyyaml", "rich", "typer")
"""What the plugin imports, of all that the project depends on."""
UV: Final = (sys.executable, "-m", "uv")
SECONDS: Final = 600.0
HINT: Final = "run it by hand to see more"
OF_THE_INSTALLATION: Final = {".lock", "INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""What an installer notes for itself, paths and times of this machine included."""


@dataclass(frozen=True)
class Platform:
    """What Krew selects by, and what uv calls it."""

    os: str
    arch: str
    uv: str

    def file(self, version: str) -> str:
        """Return the name of the platform's archive."""
        return f"kubectl-mrel-{version}-{self.os}-{self.arch}.tar.gz"


PLATFORMS: Final = (
    Platform("linux", "amd64", "x86_64-manylinux_2_28"),
    Platform("linux", "arm64", "aarch64-manylinux_2_28"),
    Platform("darwin", "amd64", "x86_64-apple-darwin"),
    Platform("darwin", "arm64", "aarch64-apple-darwin"),
)


def version() -> str:
    """Return the version that is in ``pyproject.toml``, as Krew wants it."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return f"v{said['project']['version']}"


def build(platform: Platform, target: Path, work: Path, pythons: Sequence[str] = PYTHONS) -> str:
    """Make the archive of a platform, and return its SHA-256.

    Parameters
    ----------
    platform
        For whom.
    target
        The archive's path.
    work
        A folder for what is needed on the way; what lies there is used again.
    pythons
        The versions of Python that it will run with.
    """
    wheel, locked = _wheel(work), _locked(work)
    library = work / f"{platform.os}-{platform.arch}" / "lib"
    shutil.rmtree(library, ignore_errors=True)
    install = [
        *UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        sys.executable,
        "--target",
        str(library),
        "--only-binary=:all:",
    ]
    for python in pythons:
        chosen = ["--python-version", python, "--python-platform", platform.uv]
        run(
            [*install, *chosen, "--reinstall", "--require-hashes", "-r", str(locked)],
            hint=HINT,
            timeout=SECONDS,
        )
    run([*install, "--no-deps", str(wheel)], hint=HINT, timeout=SECONDS)
    return _pack(library, target)


def _wheel(work: Path) -> Path:
    """Build our own wheel, once; return it."""
    folder = work / "wheel"
    if not folder.exists():
        made, plain = work / ".wheel", ["--no-build-isolation", "--python", sys.executable]
        run(
            [*UV, "build", "--quiet", "--wheel", *plain, "--out-dir", made, ROOT],
            hint=HINT,
            timeout=SECONDS,
        )
        made.rename(folder)
    return next(folder.glob("*.whl"))


def _locked(work: Path) -> Path:
    """Lock what is needed, in the versions and with the hashes that the operator's image has too."""
    asked, locked = work / "needed.in", work / "needed.txt"
    asked.write_text("\n".join(NEEDED) + "\n", encoding="utf-8")
    compiler = [*UV, "pip", "compile", "--quiet", "--universal", "--python-version", PYTHONS[0]]
    locks = ["--generate-hashes", "--no-header", "--no-emit-index-url"]
    constraint = ["-c", str(ROOT / "requirements" / "operator.txt")]
    run([*compiler, *locks, *constraint, str(asked), "-o", str(locked)], hint=HINT, timeout=SECONDS)
    return locked


def _files(library: Path) -> Iterator[tuple[str, Path]]:
    yield "LICENSE", ROOT / "LICENSE"
    yield LAUNCHER.name, LAUNCHER
    for path in sorted(library.rglob("*")):
        inside = path.relative_to(library)
        if path.is_file() and inside.parts[0] != "bin" and path.name not in OF_THE_INSTALLATION:
            yield f"lib/{inside}", path


def _pack(library: Path, target: Path) -> str:
    """Write the archive; the same files always give the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, path in _files(library):
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name == LAUNCHER.name else 0o644
            tar.addfile(entry, io.BytesIO(content))
    target.write_bytes(packed.getvalue())
    return hashlib.sha256(packed.getvalue()).hexdigest()
