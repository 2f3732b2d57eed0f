"""Servers on loopback that take messages, or fail to."""

import contextlib
import http.server
import json
import socket
from collections.abc import Iterator
from typing import Any

from tests.unit.canary_checks import services


class Receiver:
    """Takes whatever is posted, and answers a status."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.posts: list[tuple[str, dict[str, Any]]] = []
        """Path and JSON body."""
        self.port = 0


@contextlib.contextmanager
def receiver(status: int = 200) -> Iterator[Receiver]:
    made = Receiver(status)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.posts.append((self.path, json.loads(body)))
            said = json.dumps({"secret": self.path}).encode()
            self.send_response(made.status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is http.server's
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    with services.serving(server):
        yield made


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """Accept connections and say nothing: return the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """Return a port that refuses: bound, so that nobody else gets it, and never listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
