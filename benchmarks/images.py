"""``python -m benchmarks.images``: how quick texts in images are read, and how small the whole check stays.

The check runs in a process of its own against a renderer in another one, so that its peak is its own. Readers
are processes too: the peak of the largest counts once for each that runs at a time.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import table
from canary_checks import request, runner
from canary_checks import vocabulary as v
from canary_checks.fidelity import reading
from canary_checks.golden import drawing, files
from hack.images.renderer import server

READ: Final = 100
DRAWN: Final = 1000
SIDE: Final = 512
READERS: Final = 2
SECONDS: Final = 60.0
MEBIBYTES: Final = 512.0
KIBIBYTE: Final = 1024
READY_SECONDS: Final = 30.0
WORDS: Final = (
    "OPEN",
    "VILLAGE",
    "BREAD",
    "COFFEE",
    "MUSEUM",
    "GARDEN",
    "Summer",
    "Winter",
    "Autumn",
    "Orchard",
)
NOTE: Final = f"Images of {SIDE} × {SIDE} pixels with a title of two words; {READERS} readers at a time."


def main(arguments: list[str] | None = None) -> int:
    """Measure; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=DRAWN, help="of the whole check (%(default)s)")
    parser.add_argument("--check", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.check is not None:
        print(json.dumps(_checked(*options.check)))
        return 0
    rows = [_reading(), *_whole(options.images)]
    print(table.render("Images", rows, NOTE))
    return int(any(row.verdict == "MISSED" for row in rows))


def _title(number: int) -> str:
    return f"{WORDS[number % len(WORDS)]} {WORDS[(number * 7 + 1) % len(WORDS)]}"


def _prompt(number: int) -> str:
    return f'A poster with the title "{_title(number)}" in medium letters'


def _reading() -> table.Row:
    drawn = [server.draw(server.Asked(_prompt(n), n, (SIDE, SIDE), 1), server.Quality()) for n in range(READ)]

    async def read() -> None:
        places = asyncio.Semaphore(READERS)

        async def one(number: int) -> None:
            async with places:
                await reading.look_for(_title(number), drawn[number])

        await asyncio.gather(*(one(number) for number in range(READ)))

    started = time.perf_counter()
    asyncio.run(read())
    return table.Row(f"reading {READ} images", time.perf_counter() - started, "s", table.Target(SECONDS))


def _whole(images: int) -> Iterator[table.Row]:
    with tempfile.TemporaryDirectory() as folder, _renderer() as url:
        _write(Path(folder), images)
        command = [sys.executable, "-m", "benchmarks.images", "--check", url, folder]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    what = f"the check of {images} images"
    yield table.Row(f"{what}, time", told["seconds"], "s")
    memory = told["mebibytes"] + READERS * _reader()
    yield table.Row(f"{what}, peak memory", memory, "MiB", table.Target(MEBIBYTES))
    yield table.Row(f"{what}, texts read", told["fidelity"], "")


def _reader() -> float:
    """Return the peak of one reader in MiB, started by a process that has hardly any memory."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.ppm"
        drawn = server.draw(server.Asked(_prompt(1), 1, (2 * SIDE, 2 * SIDE), 1), server.Quality())
        drawn.convert("L").save(page)
        script = (
            "import resource, subprocess, sys\n"
            "subprocess.run(sys.argv[1:], check=True, capture_output=True)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        )
        command = [
            sys.executable,
            "-S",
            "-c",
            script,
            reading.PROGRAM,
            str(page),
            "stdout",
            "--psm",
            "3",
            "tsv",
        ]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return int(told) / KIBIBYTE


def _write(folder: Path, images: int) -> None:
    items = [
        files.ItemLine(
            id=f"p-{n:06}",
            stratum="titles",
            modality=v.Modality.TEXT,
            text=_prompt(n),
            generation=drawing.Generation(seed=n, width=SIDE, height=SIDE),
            expect=files.Expect(drawn=drawing.Drawn(text=_title(n))),
        )
        for n in range(images)
    ]
    for name, content in files.write("Bench", "1", items, license_name="CC0-1.0").items():
        (folder / name).write_bytes(content)


@contextlib.contextmanager
def _renderer() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, server.__file__, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.getcwd()})  # noqa: PTH109
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    limit = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)
        else:
            return


def _checked(url: str, folder: str) -> dict[str, float]:
    asked = request.CheckRequest.model_validate(
        {
            "schema": v.SCHEMA,
            "check": request.CheckIdentity(
                name="images", kind=v.CheckKind.FIDELITY, config_digest="sha256:" + "0" * 64
            ),
            "run": "bench",
            "attempt": 1,
            "nonce": "benchmark-nonce-1",
            "pod": request.PodIdentity(name="bench", uid="bench"),
            "url": url,
            "operations": ({"name": "images", "protocol": v.Protocol.OPENAI_IMAGES},),
            "subject": request.Subject(revision="bench"),
            "numericClass": v.NumericClass.FP32,
            "goldenSet": request.GoldenSet(path=folder),
            "deadlineSeconds": 3600,
        }
    )
    started = time.perf_counter()
    outcome = asyncio.run(runner.run(asked))
    seconds = time.perf_counter() - started
    # Of this process alone: what it starts counts its own memory once more, until the program is loaded.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = next(
        (gate.observed for gate in outcome.result.gates if gate.metric == "TextFidelity"), float("nan")
    )
    sys.stderr.write(f"{outcome.result.verdict}: {outcome.result.message}\n")
    return {
        "seconds": seconds,
        "mebibytes": own / KIBIBYTE,
        "fidelity": float(text),
    }


if __name__ == "__main__":
    sys.exit(main())
