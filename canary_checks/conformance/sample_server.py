"""A small model server to ask questions about: embeddings in OpenAI's protocol, on loopback."""

import contextlib
import http.server
import json
import math
import socket
import threading
import zlib
from collections.abc import Iterator
from typing import Any, Final

MODEL: Final = "sample"
_DIMENSIONS: Final = 256
_GRAM: Final = 3
_BODY_BYTES_MAX: Final = 16 << 20


def embed(text: str) -> list[float]:
    """Return the unit vector of a text: texts that share many short pieces are near each other."""
    vector = [0.0] * _DIMENSIONS
    for word in text.lower().split():
        padded = f" {word} "
        for start in range(len(padded) - _GRAM + 1):
            code = zlib.crc32(padded[start : start + _GRAM].encode())
            vector[code % _DIMENSIONS] += 1.0 if code & (1 << 16) else -1.0
    norm = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / norm for x in vector]


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve the sample model on a free port; give its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Accept connections on a free port and never answer; give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def absent() -> Iterator[str]:
    """Give the URL of a port where nothing listens, and that nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """List the models, and say that all is well."""
        if self.path == "/v1/models":
            return self._say(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        return self._say(200 if self.path in {"/health", "/healthz"} else 404, {})

    def do_POST(self) -> None:
        """Embed texts."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _BODY_BYTES_MAX:
            self.close_connection = True
            return self._say(413, {})
        body = self.rfile.read(int(length))
        if not self.path.endswith("/embeddings"):
            return self._say(404, {})
        try:
            given = json.loads(body)["input"]
        except (ValueError, LookupError, TypeError):
            return self._say(400, {"error": {"message": "input is missing"}})
        texts = [given] if isinstance(given, str) else given
        if not (isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)):
            return self._say(400, {"error": {"message": "input is a text or a list of texts"}})
        rows = [
            {"object": "embedding", "index": index, "embedding": embed(text)}
            for index, text in enumerate(texts)
        ]
        return self._say(200, {"object": "list", "model": MODEL, "data": rows})

    def _say(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet: the terminal belongs to the report."""
