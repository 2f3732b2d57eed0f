"""Make a CPU build of torch out of the CUDA build, which is the only one on the package index.

The CUDA build is 5 GB with its libraries, and a server on a CPU uses a tenth of that. torch's kernels
register themselves when their library is loaded: where ``libtorch_cuda.so`` registers none, every operator
simply has none for that device. What keeps the file from being deleted is that other libraries name it and a
few of its symbols. So it and the libraries that only it uses are replaced by ones that hold those symbols and
nothing else; a function among them ends the process and says its name.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

REMOVED = ("libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_nvshmem.so", "libcaffe2_nvrtc.so")
STAND_IN = "libtorch_cuda.so"
EMPTY = ("libcudnn.so.9", "libcufile.so.0", "libcupti.so.13")
# While torch is imported it asks for these, and is content with zeros or with an object that does nothing.
ASKED = "_ZN4c10d15get_gil_checkerEv"
CONSTRUCTOR = re.compile(r"7OptionsC[12]E")
EDITS = (
    ("version.py", r"^cuda: Optional\[str\] = .*$", "cuda: Optional[str] = None"),
    ("backends/cuda/__init__.py", r"return torch\._C\._has_cuda$", "return False"),
)
PREAMBLE = """\
#include <stdio.h>
#include <stdlib.h>
extern char _ZTVN10__cxxabiv117__class_type_infoE[];
static void absent(const char *name) { fprintf(stderr, "torch without CUDA: %s\\n", name); abort(); }
static void *nothing(void) { return 0; }
#define FOUR nothing, nothing, nothing, nothing
static void *table[] = {FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR, FOUR};
"""


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout


def symbols(listing: str) -> set[str]:
    """Return the names in what ``nm`` printed, without versions and without the weak undefined ones."""
    fields = (line.split() for line in listing.splitlines())
    return {words[-1].split("@")[0] for words in fields if len(words) > 1 and words[-2] not in {"w", "v"}}


def definition(symbol: str) -> str:
    """Return the line of C that stands in for a symbol."""
    if symbol.startswith("_ZTI"):
        name = symbol.removeprefix("_ZTI")
        value = f'{{_ZTVN10__cxxabiv117__class_type_infoE + 16, "{name}"}}'
        return f"const struct {{ void *table; const char *name; }} {symbol} = {value};"
    if symbol.startswith("_ZTV"):
        return f"char {symbol}[4096];"
    if symbol == ASKED:
        return f"void *{symbol}(void) {{ static char zeros[256]; return zeros; }}"
    if CONSTRUCTOR.search(symbol):
        return f"void {symbol}(void **self) {{ self[0] = table; self[1] = 0; }}"
    return f"void {symbol}(void) {{ absent(__func__); }}"


def source(missing: Iterable[str]) -> str:
    """Return the C source of the library that stands in for the removed ones."""
    return PREAMBLE + "\n".join(map(definition, sorted(missing))) + "\n"


def missing_symbols(libraries: Iterable[Path]) -> set[str]:
    """Return what the libraries use and nothing that is left defines; the interpreter brings Python's own."""
    ours = set(libraries)
    linked = "".join(_output("ldd", library) for library in ours)
    present = ours | {Path(found) for found in re.findall(r"(/\S+) \(0x", linked)}
    used = set().union(*(symbols(_output("nm", "-D", "--undefined-only", path)) for path in ours))
    defined = set().union(*(symbols(_output("nm", "-D", "--defined-only", path)) for path in present))
    return {name for name in used - defined if not name.startswith(("Py", "_Py"))}


def compile_library(code: str, target: Path) -> None:
    """Compile C source into a shared library that is called what its file is called."""
    flags = ("-shared", "-fPIC", "-O1", "-s", f"-Wl,-soname,{target.name}")
    subprocess.run(["gcc", *flags, "-o", target, "-xc", "-"], check=True, input=code, encoding="utf-8")


def edit(path: Path, pattern: str, replacement: str) -> None:
    """Replace the one line that a pattern finds."""
    text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise SystemExit(f"{path}: expected one line like {pattern!r}, found {count}")
    path.write_text(text, encoding="utf-8")


def slim(torch: Path) -> None:
    """Take CUDA out of an installed torch; a CPU build stays as it is."""
    libraries = torch / "lib"
    if not (libraries / STAND_IN).exists():
        return
    for name in REMOVED:
        (libraries / name).unlink()
    # From here on only what stays counts: a later copy of the folder must not need what was removed.
    left = sorted(path for path in libraries.glob("*.so*") if path.is_file())
    compile_library(source(missing_symbols(left)), libraries / STAND_IN)
    for name in EMPTY:
        compile_library("", libraries / name)
    for name, pattern, replacement in EDITS:
        edit(torch / name, pattern, replacement)
    # Headers: nothing is compiled in the image.
    shutil.rmtree(torch / "include")


if __name__ == "__main__":
    slim(Path(sys.argv[1]))
