"""A real Prometheus, and a proxy that answers wrongly in its place."""

import contextlib
import http.server
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

NAMESPACE = "search"
DEADLINE = 30.0


def serve(
    handler: type[http.server.BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        # The handshake belongs to the thread of the connection, not to the one that accepts.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda request, address: None  # type: ignore[method-assign,assignment]
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(binary: str, folder: Path) -> Iterator[str]:
    """Run a server with the configuration and the data of a folder; yield its URL."""
    url = f"http://127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            await_ready(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=DEADLINE)


def await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1):  # noqa: S310 - our own
                return
        except OSError:
            threading.Event().wait(0.05)


Answer = Callable[[http.server.BaseHTTPRequestHandler, dict[str, str]], None]


class Proxy:
    """A server in Prometheus' place that answers what a test tells it to."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.seen: list[tuple[dict[str, str], dict[str, str]]] = []
        self.stopping = threading.Event()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            stopping = self.stopping

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
                proxy.seen.append((form, dict(self.headers)))
                assert proxy.answer is not None
                try:
                    proxy.answer(self, form)
                except OSError:
                    self.close_connection = True  # the client had enough

            def log_message(self, *args: object) -> None:
                pass

        self.server = serve(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        """End it, with what it still holds."""
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


def hold(request: http.server.BaseHTTPRequestHandler) -> None:
    """Say nothing more until the proxy ends."""
    request.stopping.wait(DEADLINE)  # type: ignore[attr-defined]
    request.close_connection = True
