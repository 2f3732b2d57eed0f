"""The service of `examples/webhook-check`, and one that follows a script, over real HTTP on loopback."""

import contextlib
import dataclasses
import http.server
import importlib.util
import pathlib
import ssl
import threading
import types
from collections.abc import Callable, Iterator

KEY = "0123456789abcdef-a-key"
ROOT = pathlib.Path(__file__).parents[3]


def example() -> types.ModuleType:
    path = ROOT / "examples" / "webhook-check" / "server.py"
    spec = importlib.util.spec_from_file_location("webhook_check_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def serving(server: http.server.ThreadingHTTPServer, scheme: str = "http") -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request that the scripted service has had."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True)
class Said:
    """What it says to it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


Script = Callable[[Seen], Said | None]
"""None says nothing, until the service ends."""


class Scripted(http.server.ThreadingHTTPServer):
    """Answers every request as its script says, and remembers it."""

    daemon_threads = True

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.seen: list[Seen] = []
        self.over = threading.Event()
        self.asked = threading.Event()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def shutdown(self) -> None:
        self.over.set()
        super().shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Scripted
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.server.seen.append(seen)
        said = self.server.script(seen)
        self.server.asked.set()
        if said is None:
            self.server.over.wait()
            self.close_connection = True
            return
        self.send_response(said.status)
        for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)

    do_GET = do_POST  # noqa: N815 - the name is the library's

    def log_message(self, *_: object) -> None:
        pass
