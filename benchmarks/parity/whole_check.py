"""What a parity check adds to the time of the server it asks: a process, its imports, and the judgement."""

import dataclasses
import hashlib
import http.server
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import table
from canary_checks import job, operation, request, result, termination
from canary_checks import vocabulary as v
from canary_checks.golden import pack

WIDTH = 384
ROUNDS = 7
SECONDS = 2.0
HEAVY = ("torch", "numba", "sklearn", "faiss")
NOTE = """\
Whole check: a Job's process from start to exit, less the time for which the server had a request. TextV1 is
no smaller than the 64 texts of the target. This environment has torch and numba."""


class Server(http.server.ThreadingHTTPServer):
    """A server of embeddings that looks each one up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.busy = 0.0
        self.requests = 0
        self.known: dict[str, list[float]] = {}

    def vector(self, text: str) -> list[float]:
        """Return the vector of a text, always the same."""
        if text not in self.known:
            seed = list(hashlib.sha256(text.encode()).digest())
            drawn = np.random.default_rng(seed).standard_normal(WIDTH)
            self.known[text] = (drawn / np.linalg.norm(drawn)).astype(np.float32).tolist()
        return self.known[text]


class Handler(http.server.BaseHTTPRequestHandler):
    """The OpenAI protocol, as far as the check asks for it."""

    protocol_version = "HTTP/1.1"
    # Without it each answer's body waits for the client's delayed acknowledgement of its head.
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """List the model."""
        self._answer({"object": "list", "data": [{"id": "bench", "object": "model"}]})

    def do_POST(self) -> None:
        """Embed."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        start = time.perf_counter()
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        vectors = [
            {"object": "embedding", "index": i, "embedding": self.server.vector(text)}
            for i, text in enumerate(texts)
        ]
        self._answer({"object": "list", "model": "bench", "data": vectors, "usage": {}})
        self.server.busy += time.perf_counter() - start
        self.server.requests += 1

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Seconds of one check: what it adds to the server's, what the server takes, and of processors."""

    added: float
    server: float
    processors: float


def measure() -> Iterator[table.Row]:
    """Yield the rows of the table."""
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = folder / "reference.safetensors"
        url = f"http://127.0.0.1:{server.server_port}"
        evidence = result.parse_evidence(_run(_request(url, None), folder)[0])
        if evidence is None or evidence.reference is None:
            raise RuntimeError("the check recorded no reference")
        reference.write_bytes(evidence.reference.content())
        asked = _request(url, reference)
        runs = [_timed(server, asked, folder) for _ in range(ROUNDS)]
        imported = _imported(asked, folder)
    server.shutdown()
    texts = len(pack.builtin("TextV1").items)
    added = statistics.median(run.added for run in runs)
    yield table.Row(f"parity check of {texts} texts: time it adds", added, "s", table.Target(SECONDS))
    processors = statistics.median(run.processors for run in runs)
    yield table.Row("  its processor time: what it adds on a machine at rest", processors, "s")
    own = statistics.median(run.server for run in runs)
    yield table.Row(f"  the server's own, {server.requests} requests", own, "s")
    heavy = sum(name in imported for name in HEAVY)
    yield table.Row(f"  imported of {', '.join(HEAVY)}", heavy, "", table.Target(0, table.Bound.EXACTLY))
    yield table.Row("  modules imported", len(imported), "")


def _timed(server: Server, asked: request.CheckRequest, folder: Path) -> Run:
    server.busy, server.requests = 0.0, 0
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _run(asked, folder)
    whole, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(added=whole - server.busy, server=server.busy, processors=used)


def _request(url: str, reference: Path | None) -> request.CheckRequest:
    """Ask for parity with a reference, or to record one."""
    digest = "sha256:" + "0" * 64
    references: tuple[request.ReferenceSource, ...] = ()
    if reference is not None:
        content = hashlib.sha256(reference.read_bytes()).hexdigest()
        references = (
            request.ReferenceSource(
                role=v.Role.STABLE,
                revision="bench",
                path=str(reference),
                digest=f"sha256:{content}",
                numeric_class=v.NumericClass.FP32,
            ),
        )
    return request.CheckRequest(
        schema_version=v.SCHEMA,
        check=request.CheckIdentity(name="parity", kind=v.CheckKind.EMBEDDING_PARITY, config_digest=digest),
        run="bench",
        attempt=1,
        nonce="benchmark-of-parity",
        pod=request.PodIdentity(name="none", uid="none"),
        url=url,
        operations=(
            operation.Operation(name="embeddings", protocol=v.Protocol.OPENAI_EMBEDDINGS, model="bench"),
        ),
        subject=request.Subject(revision="bench"),
        numeric_class=v.NumericClass.FP32,
        golden_set=request.GoldenSet(builtin="TextV1"),
        references=references,
        record=reference is None,
        deadline_seconds=60,
    )


def _run(asked: request.CheckRequest, folder: Path, *options: str) -> tuple[str, str]:
    """Run a check as a Job does; return the last line of its output, and its errors."""
    log = folder / "termination-log"
    variables = os.environ | {
        job.REQUEST_VARIABLE: asked.model_dump_json(by_alias=True, exclude_none=True),
        termination.LOG_VARIABLE: str(log),
    }
    command = [sys.executable, *options, "-m", "canary_checks", "job"]
    done = subprocess.run(command, env=variables, capture_output=True, check=False, encoding="utf-8")
    said = json.loads(log.read_text(encoding="utf-8")) if log.exists() else {}
    if said.get("verdict") != "Pass":
        raise RuntimeError(f"the check did not pass: {said or done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1], done.stderr


def _imported(asked: request.CheckRequest, folder: Path) -> set[str]:
    """Return the names of all modules that a check imports."""
    _, errors = _run(asked, folder, "-X", "importtime")
    lines = (line for line in errors.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}
