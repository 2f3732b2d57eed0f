"""A real HTTP server with a toy model behind it: deterministic vectors, and one thing broken at a time."""

import contextlib
import dataclasses
import hashlib
import http.server
import json
import threading
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Answer = tuple[int, bytes]


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
        text = text.lower() if self.lower else text
        if self.strip:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        words = text.split()[: self.longest]
        total = sum(self._word(word) / (place + 2) for place, word in enumerate(words))
        if self.wobble:
            total = total + self.wobble * self._word(f"question {question}")
        return np.asarray(self.length * total / np.linalg.norm(total))

    def _word(self, word: str) -> npt.NDArray[np.float64]:
        digest = hashlib.sha256((self.seed + word).encode()).digest()
        return np.random.default_rng(list(digest)).standard_normal(self.dimensions)


@dataclasses.dataclass
class ToyServer:
    """What the server does, and what it has seen."""

    model: ToyModel = dataclasses.field(default_factory=ToyModel)
    served_name: str = "toy"
    alter: Callable[[list[str], dict[str, Any]], dict[str, Any] | Answer] | None = None
    url: str = ""
    headers: list[dict[str, str]] = dataclasses.field(default_factory=list)
    bodies: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    hang: bool = False
    hang_up: bool = False
    closing: threading.Event = dataclasses.field(default_factory=threading.Event)
    asked: threading.Event = dataclasses.field(default_factory=threading.Event)

    def answer(self, body: dict[str, Any]) -> Answer:
        texts = body["input"]
        data = [
            {"object": "embedding", "index": i, "embedding": list(self.model.vector(text, len(self.bodies)))}
            for i, text in enumerate(texts)
        ]
        whole: dict[str, Any] | Answer = {"object": "list", "model": self.served_name, "data": data}
        if self.alter is not None:
            whole = self.alter(texts, whole)
        return whole if isinstance(whole, tuple) else (200, json.dumps(whole).encode())


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[ToyServer]:
    toy = ToyServer(**settings)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet, or each answer waits 40 ms for a delayed acknowledgement.
        wbufsize = 1 << 20

        def do_GET(self) -> None:
            known = self.path == "/v1/models" and toy.served_name
            content = json.dumps({"data": [{"id": toy.served_name}]} if known else {}).encode()
            self.send_response(200 if known else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            toy.headers.append({name.lower(): value for name, value in self.headers.items()})
            toy.bodies.append(body | {"path": self.path})
            toy.asked.set()
            if toy.hang:
                toy.closing.wait()
            if toy.hang or toy.hang_up:
                self.close_connection = True
                return
            status, content = toy.answer(body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
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
