#!/usr/bin/env python3
# ruff: noqa: S310 - the URL is of the question, whose signature was verified
"""A service that judges a canary: it takes a signed question, promises an answer, and keeps the promise.

It needs nothing but Python. What it measures stands in `measure`; the rest is the protocol, and can stay as
it is: the signature is verified before anything is read, the same question is measured once, however often it
comes, and old answers are forgotten::

    export SIGNING_KEY=0123456789abcdef0123456789abcdef
    python server.py --port 8080
"""

import argparse
import collections
import concurrent.futures
import datetime
import email.message
import hashlib
import hmac
import http.server
import json
import math
import os
import threading
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

VERSION = "webhook-check 1"
FRESH_SECONDS = 300
QUESTION_BYTES_MAX = 1 << 20
ANSWERS_MAX = 1000

# What this team's users mean: the second text is nearer to the first than the third is.
TRIPLETS = (
    ("waterproof hiking boots", "boots for hiking in the rain", "a wooden kitchen table"),
    ("cheap flights to Rome", "cheap tickets to Rome", "sharpening kitchen knives"),
    ("reset my password", "I forgot my password", "opening hours on Sunday"),
    ("vegetarian lasagne recipe", "a recipe for lasagne without meat", "winter tyres for a van"),
    ("children's bicycle 20 inch", "a 20 inch bicycle for a child", "income tax return form"),
)
ACCURACY_MIN = 0.9


def measure(question: Object) -> tuple[float, int]:
    """Return the share of triplets in order, and how many requests it took."""
    operation = question["operations"][0]
    address = question["url"] + (operation.get("path") or "/v1/embeddings")
    texts = [text for triplet in TRIPLETS for text in triplet]
    body = {"model": operation.get("model"), "input": texts}
    request = urllib.request.Request(
        address,
        json.dumps(body).encode(),
        # So that the probe is not counted as a user's request.
        {"Content-Type": "application/json", "X-ModelRelease-Probe": question["answer"]["run"]},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        rows = [row["embedding"] for row in json.load(response)["data"]]
    hits = 0
    for index in range(0, len(rows), 3):
        one, near, far = rows[index : index + 3]
        hits += cosine(one, near) > cosine(one, far)
    return hits / len(TRIPLETS), 1


def cosine(one: list[float], other: list[float]) -> float:
    """Return the cosine of two vectors."""
    norm = math.sqrt(sum(x * x for x in one) * sum(y * y for y in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / norm


def result(question: Object) -> Object:
    """Return the answer: what the question bound, and what was found."""
    started = datetime.datetime.now(datetime.UTC).isoformat()
    verdict, sent = "Error", 0
    gates: list[Object] = []
    try:
        accuracy, sent = measure(question)
        verdict = "Pass" if accuracy >= ACCURACY_MIN else "Fail"
        reason, message = "Triplets", f"{accuracy:.0%} of {len(TRIPLETS)} triplets are in order"
        gate = {"metric": "TripletAccuracy", "verdict": verdict, "observed": accuracy, "operator": ">="}
        gates = [gate | {"limit": ACCURACY_MIN, "basis": "Declared", "samples": len(TRIPLETS)}]
    except Exception as error:  # noqa: BLE001 - an answer was promised
        reason, message = "ProbeFailed", f"{type(error).__name__}: {error}"[:512]
    found: Object = {
        **question["answer"],
        "verdict": verdict,
        "reason": reason,
        "message": message,
        "gates": gates,
        "requests": {"sent": sent, "failed": 0, "retried": 0},
        "timings": {
            "startTime": started,
            "completionTime": datetime.datetime.now(datetime.UTC).isoformat(),
        },
        "versions": {"checks": VERSION},
    }
    return found


def is_authentic(key: bytes, headers: "email.message.Message[str, str]", body: bytes) -> bool:
    """Return whether the operator's Job has sent this, and just now."""
    timestamp = headers.get("X-ModelRelease-Timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(time.time() - int(timestamp)) > FRESH_SECONDS:
        return False
    mac = hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers.get("X-ModelRelease-Signature", ""), f"sha256={mac}")


class Server(http.server.ThreadingHTTPServer):
    """The answers that were promised, by the question's nonce."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], key: bytes) -> None:
        super().__init__(address, Handler)
        self.key = key
        self.pool = concurrent.futures.ThreadPoolExecutor(max_workers=4)
        self.answers: collections.OrderedDict[str, concurrent.futures.Future[Object]] = (
            collections.OrderedDict()
        )
        self.lock = threading.Lock()

    def promise(self, question: Object) -> str:
        """Begin to measure, and return the path where the answer will be."""
        nonce = question["answer"]["nonce"]
        with self.lock:
            if nonce not in self.answers:
                self.answers[nonce] = self.pool.submit(result, question)
                while len(self.answers) > ANSWERS_MAX:
                    self.answers.popitem(last=False)
        return f"/answers/{nonce}"


class Handler(http.server.BaseHTTPRequestHandler):
    """POST a question anywhere, GET its answer where it was promised."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        """Take a question."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > QUESTION_BYTES_MAX:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_authentic(self.server.key, self.headers, body):
            return self.answer(401)
        try:
            where = self.server.promise(json.loads(body))
        except (ValueError, LookupError, TypeError):
            return self.answer(400)
        return self.answer(202, headers={"Location": where, "Retry-After": "1"})

    def do_GET(self) -> None:
        """Give an answer."""
        if self.path == "/healthz":
            return self.answer(200, {})
        if not is_authentic(self.server.key, self.headers, b""):
            return self.answer(401)
        found = self.server.answers.get(self.path.rpartition("/")[2])
        if found is None:
            return self.answer(404)
        if not found.done():
            return self.answer(202, headers={"Retry-After": "1"})
        return self.answer(200, found.result())

    def answer(
        self, status: int, document: Object | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Write a response."""
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet: a request says nothing that its answer does not."""


def main() -> None:
    """Serve until the process is ended."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--host", default="0.0.0.0")  # noqa: S104 - of its own pod
    options.add_argument("--port", type=int, default=8080)
    chosen = options.parse_args()
    Server((chosen.host, chosen.port), os.environ["SIGNING_KEY"].encode()).serve_forever()


if __name__ == "__main__":
    main()
