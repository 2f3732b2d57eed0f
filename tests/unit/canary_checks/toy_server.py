"""A real HTTP server with a toy model behind it: deterministic vectors, and one thing broken at a time."""

import contextlib
import dataclasses
import functools
import hashlib
import http.server
import json
import threading
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.unit.canary_checks import toy_protocols

Answer = tuple[int, bytes]


@functools.lru_cache(maxsize=1 << 15)
def _direction(word: str, dimensions: int) -> npt.NDArray[np.float64]:
    """Return what stands for a word: the same in every server, so it is computed once."""
    made = np.random.default_rng(list(hashlib.sha256(word.encode()).digest())).standard_normal(dimensions)
    made.flags.writeable = False
    return made


@functools.lru_cache(maxsize=1 << 12)
def _words(text: str, *, lower: bool, strip: bool) -> tuple[str, ...]:
    text = text.lower() if lower else text
    if strip:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return tuple(text.split())


@dataclasses.dataclass(frozen=True)
class ToyModel:
    """An uncased bag of words with a limit, as far as a tokenizer's faults go: a little like BERT."""

    lower: bool = True
    strip: bool = True
    longest: int = 200
    dimensions: int = 24
    length: float = 1.0
    seed: str = ""
    wobble: float = 0.0

    def vector(self, text: str, question: int) -> npt.NDArray[np.float64]:
        words = _words(text, lower=self.lower, strip=self.strip)[: self.longest]
        total = sum(self._word(word) / (place + 2) for place, word in enumerate(words))
        if self.wobble:
            total = total + self.wobble * self._word(f"question {question}")
        return np.asarray(self.length * total / np.linalg.norm(total))

    def _word(self, word: str) -> npt.NDArray[np.float64]:
        return _direction(self.seed + word, self.dimensions)


@dataclasses.dataclass
class ToyServer:
    """What the server does, and what it has seen."""

    model: ToyModel = dataclasses.field(default_factory=ToyModel)
    served_name: str = "toy"
    alter: Callable[[list[str], dict[str, Any]], dict[str, Any] | Answer] | None = None
    # Writes the whole response to a POST itself, head included; what it writes to is the handler.
    raw: Callable[[Any], None] | None = None
    response_headers: dict[str, str] = dataclasses.field(default_factory=dict)
    # Documents that GET finds, by their path.
    documents: dict[str, Any] = dataclasses.field(default_factory=dict)
    tokenizes: bool = True
    url: str = ""
    headers: list[dict[str, str]] = dataclasses.field(default_factory=list)
    bodies: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    hang: bool = False
    hang_up: bool = False
    closing: threading.Event = dataclasses.field(default_factory=threading.Event)
    asked: threading.Event = dataclasses.field(default_factory=threading.Event)

    def answer(self, path: str, body: dict[str, Any], rest: bytes = b"") -> tuple[int, bytes, dict[str, str]]:
        asked = toy_protocols.asked(path, body, rest)
        if asked is None or (path.endswith("/tokenize") and not self.tokenizes):
            return 404, b"", {}
        rows = [list(self.model.vector(text, len(self.bodies))) for text in asked]
        whole, headers = toy_protocols.answer(path, body, asked, rows, self.served_name)
        if self.alter is not None:
            whole = self.alter(asked, whole)
        if isinstance(whole, bytes):
            return 200, whole, headers
        if isinstance(whole, tuple):
            return *whole, {}
        return 200, json.dumps(whole).encode(), headers


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[ToyServer]:
    toy = ToyServer(**settings)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet, or each answer waits 40 ms for a delayed acknowledgement.
        wbufsize = 1 << 20

        def do_GET(self) -> None:
            documents = {"/v1/models": {"data": [{"id": toy.served_name}]}} if toy.served_name else {}
            found = (documents | toy.documents).get(self.path)
            self.reply(200 if found is not None else 404, json.dumps(found or {}).encode(), {})

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            head = int(self.headers.get("inference-header-content-length") or len(content))
            body = json.loads(content[:head])
            toy.headers.append({name.lower(): value for name, value in self.headers.items()})
            toy.bodies.append(body | {"path": self.path})
            toy.asked.set()
            if toy.hang:
                toy.closing.wait()
            if toy.hang or toy.hang_up:
                self.close_connection = True
                return
            if toy.raw is not None:
                self.close_connection = True
                with contextlib.suppress(ConnectionError):
                    toy.raw(self)
                return
            self.reply(*toy.answer(self.path, body, content[head:]))

        def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            for name, value in (headers | toy.response_headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    toy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield toy
    finally:
        toy.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
