"""What no linter checks: where things lie, and where time and chance may come from."""

import ast
import operator
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator" / "modelrelease"

# Where the operator meets the real clock; everything else is given `now`, `sleep` and randomness.
CLOCKS_ALLOWED = {"cli/mrel/clock.py", "controller/clock.py"}
CLOCKS = {
    "asyncio.sleep",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "time.clock_gettime",
    "time.gmtime",
    "time.localtime",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.sleep",
    "time.time",
    "time.time_ns",
}
CHANCE = ("random.", "secrets.", "uuid.uuid1", "uuid.uuid4", "os.urandom")
CHANCE_ALLOWED = {"random.Random"}  # a seeded generator that is passed in; its type is no source of chance

# Split, so that this file does not find itself.
ADDRESSES = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "proxy.golang" + ".org",
    "sum.golang" + ".org",
    "goproxy" + ".io",
]
MACHINE_PATHS = ["/work" + "/", "/home" + "/", "/root" + "/", "/Users" + "/"]


def modules(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def names_of_imports(tree: ast.AST) -> dict[str, str]:
    """Local name -> what it stands for: `from time import sleep as nap` gives nap -> time.sleep."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """Return the full name of an imported thing that is referred to, else None."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value, names)):
        return f"{base}.{node.attr}"
    return None


def clocks_and_chance(source: str) -> Iterator[str]:
    """Every use of a banned name, called or only passed on; an import alone is no use."""
    tree = ast.parse(source)
    names = names_of_imports(tree)
    for node in ast.walk(tree):
        name = dotted(node, names)
        if name and (name in CLOCKS or (name.startswith(CHANCE) and name not in CHANCE_ALLOWED)):
            yield f"line {node.lineno}: {name}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.time()", True),
        ("import time as t\nt.monotonic()", True),
        ("from time import sleep as nap\nnap(1)", True),
        ("import datetime as dt\ndt.datetime.now(dt.UTC)", True),
        ("from datetime import UTC, datetime\ndatetime.now(tz=UTC)", True),
        ("import asyncio\nsleep = asyncio.sleep", True),
        ("import random\nrandom.random()", True),
        ("from random import choice\nchoice([1])", True),
        ("import uuid\nuuid.uuid4()", True),
        ("import random\ndef f(chance: random.Random) -> float:\n    return chance.random()", False),
        ("from datetime import datetime\ndatetime.fromisoformat('2026-01-01')", False),
        ("async def f(sleep):\n    await sleep(1)", False),
        ("def f(clock):\n    return clock.time.time()", False),
    ],
)
def test_the_search_for_clocks_finds_what_it_should(source: str, found: bool) -> None:
    assert bool(list(clocks_and_chance(source))) is found


def test_time_and_chance_come_from_one_place() -> None:
    uses = {
        str(path.relative_to(OPERATOR)): found
        for path in modules(OPERATOR)
        if str(path.relative_to(OPERATOR)) not in CLOCKS_ALLOWED
        and (found := list(clocks_and_chance(path.read_text(encoding="utf-8"))))
    }
    assert uses == {}, (
        "take the clock, sleep or randomness as an argument (design: functional core, imperative shell)"
    )


def test_operator_is_a_source_root_and_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would shadow the standard library's operator"
    assert Path(operator.__file__).is_relative_to(sysconfig.get_path("stdlib"))


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {p.parent for root in (OPERATOR, ROOT / "canary_checks") for p in modules(root)}
    assert [str(f) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


def test_no_module_is_a_drawer_for_everything() -> None:
    vague = {"utils", "util", "helpers", "misc", "common"}
    roots = (OPERATOR, ROOT / "canary_checks", ROOT / "hack", ROOT / "benchmarks", ROOT / "tests")
    assert [
        str(p) for root in roots for p in modules(root) if p.stem in vague or p.parent.name in vague
    ] == []


def committed_files() -> Iterator[tuple[str, str]]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # an image, weights


def test_no_addresses_of_package_indexes_and_no_paths_of_one_machine() -> None:
    found = [
        f"{name}:{number}: {needle}"
        for name, text in committed_files()
        for needle in ADDRESSES + MACHINE_PATHS
        if needle in text
        for number, line in enumerate(text.splitlines(), start=1)
        if needle in line
    ]
    assert found == []
