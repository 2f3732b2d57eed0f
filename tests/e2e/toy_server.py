"""A model server that costs nothing: vectors from a hash, gates that a test opens, faults on request.

It runs in a pod of the `checks` image, mounted from a ConfigMap, with nothing but the standard library.

TAG            says which server this is; it changes nothing.
MEANING        changes every vector, as another model does.
GATED          comma-separated gates that are shut until `GET /open`: `ready`, `answers`.
CRASH          the exit code of a server that can't start.
DRAINS         seconds that it goes on after SIGTERM, telling every client to connect anew; 0 by default.
"""

import hashlib
import http.server
import json
import math
import os
import signal
import sys
import threading
import time

GATES = {name: threading.Event() for name in ("ready", "answers")}
PROBED = []
"""Of each request of a check: when it came, seconds, and how many texts it asked about."""
DRAINING = threading.Event()
DIMENSIONS = 32


def vector(text):
    digest = hashlib.sha256((os.environ.get("MEANING", "") + "\n" + text).encode("utf-8", "surrogatepass"))
    values = [byte - 127.5 for byte in digest.digest()]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/open":
            for gate in GATES.values():
                gate.set()
        if self.path == "/health" and not GATES["ready"].is_set():
            self.answer(503, {"status": "loading"})
        elif self.path == "/probed":
            self.answer(200, PROBED)
        elif self.path == "/v1/models":
            self.answer(200, {"object": "list", "data": [{"id": "toy"}]})
        else:
            self.answer(200, {"tag": os.environ.get("TAG", "")})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/embeddings":
            self.answer(404, {})
            return
        if self.headers.get("X-ModelRelease-Probe"):
            PROBED.append((time.monotonic(), len(asked["input"])))
        GATES["answers"].wait()
        data = [
            {"object": "embedding", "index": index, "embedding": vector(text)}
            for index, text in enumerate(asked["input"])
        ]
        self.answer(200, {"object": "list", "model": asked["model"], "data": data})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if DRAINING.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def end(*_):
    DRAINING.set()
    threading.Timer(float(os.environ.get("DRAINS", "0")), os._exit, [0]).start()


def main():
    if os.environ.get("CRASH"):
        sys.exit(int(os.environ["CRASH"]))
    signal.signal(signal.SIGTERM, end)
    shut = os.environ.get("GATED", "").split(",")
    for name, gate in GATES.items():
        if name not in shut:
            gate.set()
    http.server.ThreadingHTTPServer(("", 8000), Server).serve_forever()


if __name__ == "__main__":
    main()
