"""A real HTTP server in front of a model: OpenAI embeddings, texts and images (as data URLs)."""

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Embed = Callable[[Sequence[Any]], npt.NDArray[np.float32]]
_LONGEST_BODY: Final = 1 << 28


class Declined(Exception):
    """The model does not embed this input."""


@contextlib.contextmanager
def serving(embed: Embed, model: str) -> Iterator[str]:
    """Serve a model on a free port of this machine.

    Parameters
    ----------
    embed
        Computes the vectors of one request; its texts are strings, its images bytes. It raises `Declined` for
        what it does not embed, which is answered with 422.
    model
        The served name.

    Yields
    ------
    The base URL.
    """
    busy = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 20  # head and body in one packet

        def do_GET(self) -> None:
            self._answer(200, {"data": [{"id": model}]} if self.path == "/v1/models" else {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(min(int(self.headers["content-length"]), _LONGEST_BODY)))
            if self.path != "/v1/embeddings":
                self._answer(404, {})
                return
            try:
                with busy:
                    vectors = embed([_content(one) for one in body["input"]])
            except Declined as error:
                self._answer(422, {"error": str(error)})
                return
            data = [
                {"object": "embedding", "index": i, "embedding": [float(x) for x in row]}
                for i, row in enumerate(vectors)
            ]
            self._answer(200, {"object": "list", "model": model, "data": data})

        def _answer(self, status: int, whole: dict[str, Any]) -> None:
            content = json.dumps(whole).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _content(one: str) -> str | bytes:
    return base64.b64decode(one.partition(",")[2]) if one.startswith("data:") else one
