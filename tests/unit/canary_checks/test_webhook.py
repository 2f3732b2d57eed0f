"""A webhook's Job: a signed question to a team's service, and what is believed of its answer."""

import asyncio
import hashlib
import hmac
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import time
from typing import Any

import pytest

from canary_checks import result, schema
from canary_checks.webhook import exchange, job, request, signature
from tests.unit.canary_checks import asking, services, toy_server

KEYS = exchange.Keys(services.KEY.encode(), "Bearer token")
NONCE = asking.NONCE


def raw_question(url: str = "http://10.0.0.7:8000", **changes: Any) -> dict[str, Any]:
    return {
        "schema": "questions.modelrelease.dev/v1",
        "answer": {
            "schema": "checks.modelrelease.dev/v1",
            "check": {"name": "quality", "kind": "Job", "configDigest": asking.DIGEST},
            "run": "query-embedder-r9a1b4c-1",
            "attempt": 1,
            "nonce": NONCE,
            "podUID": "0b1e2f3a-22",
            "shard": 0,
            "subject": {"role": "Candidate", "revision": "r9a1b4c"},
        },
        "release": "query-embedder",
        "namespace": "search",
        "url": url,
        "pod": {"name": "query-embedder-r9a1b4c-abc", "uid": "0b1e2f3a-22"},
        "model": {"version": "1", "servedName": "toy", "numericClass": "fp32"},
        "operations": [{"name": "embed", "protocol": "OpenAIEmbeddings", "model": "toy"}],
        "deadlineSeconds": 30,
    } | changes


def raw_request(service: str, **changes: Any) -> dict[str, Any]:
    return {
        "question": raw_question(**changes),
        "url": f"{service}/check",
        "timeoutSeconds": 5,
        "pollSeconds": 1,
    }


def asked(service: str, **changes: Any) -> request.WebhookRequest:
    text = json.dumps(raw_request(service, **changes))
    return request.WebhookRequest.model_validate_json(text, by_alias=True, by_name=False)


def answer(verdict: str = "Pass", **changes: Any) -> bytes:
    bound = raw_question()["answer"]
    return json.dumps(asking.raw_result(verdict) | bound | changes).encode()


def ask(script: services.Script, keys: exchange.Keys = KEYS, **changes: Any) -> schema.CheckResult:
    with services.serving(services.Scripted(script)) as url:
        return asyncio.run(job.run(asked(url, **changes), keys))


def test_an_answer_at_once_is_the_result():
    seen: list[services.Seen] = []

    def script(one: services.Seen) -> services.Said:
        seen.append(one)
        return services.Said(200, answer("Fail"))

    found = ask(script, parameters={"team": "search"})
    assert (found.verdict, found.reason, found.check.kind) == ("Fail", "Parity", "Job")
    (sent,) = seen
    said = json.loads(sent.body)
    assert (sent.method, sent.path, sent.headers["content-type"]) == ("POST", "/check", "application/json")
    assert said["parameters"] == {"team": "search"}
    assert said["answer"] == raw_question()["answer"]
    assert sent.headers["authorization"] == "Bearer token"
    assert sent.headers["x-modelrelease-probe"] == "query-embedder-r9a1b4c-1"
    stamp = sent.headers["x-modelrelease-timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    mac = hmac.new(services.KEY.encode(), f"{stamp}.".encode() + sent.body, hashlib.sha256).hexdigest()
    assert sent.headers["x-modelrelease-signature"] == f"sha256={mac}"


def test_a_signature_is_what_its_page_says():
    found = signature.headers(b"0123456789abcdef", b'{"a":1}', 1_700_000_000.9)
    # printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
    assert found == {
        "x-modelrelease-timestamp": "1700000000",
        "x-modelrelease-signature": "sha256=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23",
    }


def test_a_promised_answer_is_waited_for_through_a_restart_of_the_service():
    said = iter(
        [
            services.Said(202, headers={"Location": "/answers/1", "Retry-After": "0"}),
            services.Said(202, headers={"Location": "/answers/2", "Retry-After": "1"}),
            services.Said(503, b"restarting", {"Retry-After": "0"}),
            services.Said(200, answer()),
        ]
    )
    with services.serving(server := services.Scripted(lambda _: next(said))) as url:
        found = asyncio.run(job.run(asked(url), KEYS))
    assert (found.verdict, found.message) == ("Pass", "106 items")
    assert [(one.method, one.path) for one in server.seen] == [
        ("POST", "/check"),
        ("GET", "/answers/1"),
        ("GET", "/answers/2"),
        ("GET", "/answers/2"),
    ]
    empty = server.seen[1].headers
    mac = hmac.new(services.KEY.encode(), f"{empty['x-modelrelease-timestamp']}.".encode(), hashlib.sha256)
    assert empty["x-modelrelease-signature"] == f"sha256={mac.hexdigest()}", "of the empty body"


DEAD = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("said", "reason", "why"),
    [
        (services.Said(200), "WebhookAnswerInvalid", "not JSON"),
        (services.Said(200, b"\xff\xfe"), "WebhookAnswerInvalid", "no text"),
        (services.Said(200, b'{"verdict": "Pass"}'), "WebhookAnswerInvalid", "does not follow the schema"),
        (services.Said(200, answer(nonce="another-nonce-0123")), "WebhookAnswerInvalid", "another attempt"),
        (services.Said(200, answer(podUID="other")), "WebhookAnswerInvalid", "podUID is other"),
        (services.Said(200, answer(gates=[])), "WebhookAnswerInvalid", "at least one gate"),
        (services.Said(200, b" " * ((1 << 20) + 1)), "ResponseInvalid", "larger than 1 MiB"),
        (services.Said(302, headers={"Location": "/x"}), "EndpointError", "a probe follows none"),
        (services.Said(401, b"no"), "EndpointError", "answered 401: no"),
        (services.Said(500), "EndpointError", "answered 500"),
        (services.Said(204), "WebhookStatusInvalid", "answered 204"),
        (services.Said(202), "WebhookStatusInvalid", "without a Location"),
        (services.Said(202, headers={"Location": "http://x:port/"}), "WebhookStatusInvalid", "no URL"),
        (
            services.Said(202, headers={"Location": f"{DEAD}/answers/1"}),
            "WebhookStatusInvalid",
            "another origin",
        ),
        (
            services.Said(202, headers={"Location": "//elsewhere.example.test/answers"}),
            "WebhookStatusInvalid",
            "another origin",
        ),
        (
            services.Said(202, headers={"Location": "file:///etc/passwd"}),
            "WebhookStatusInvalid",
            "another origin",
        ),
    ],
)
def test_whatever_is_no_valid_answer_is_an_error(said: services.Said, reason: str, why: str):
    found = ask(lambda _: said)
    assert (found.verdict, found.reason) == ("Error", reason)
    assert why in found.message
    assert not found.gates


def test_a_promise_that_is_broken_is_an_error():
    said = iter([services.Said(202, headers={"Location": "/a", "Retry-After": "0"}), services.Said(404)])
    found = ask(lambda _: next(said))
    assert (found.verdict, found.reason) == ("Error", "EndpointError")


@pytest.mark.parametrize("first", [None, services.Said(202, headers={"Location": "/answers/1"})])
def test_an_answer_that_does_not_come_is_an_error_that_says_what_is_missing(first: services.Said | None):
    found = ask(lambda one: first if one.method == "POST" else services.Said(202), deadlineSeconds=3)
    assert (found.verdict, found.reason) == ("Error", "DeadlineExceeded")
    assert ("promised" if first else "nothing came back") in found.message


def test_a_service_that_is_not_there_is_an_error():
    found = asyncio.run(job.run(asked(DEAD, deadlineSeconds=1), KEYS))
    assert (found.verdict, found.reason) == ("Error", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (exchange.Keys(b"short"), "SigningKeyInvalid"),
        (exchange.Keys(KEYS.signing, ca_bundle="-----BEGIN CERTIFICATE-----\nAAA"), "CABundleInvalid"),
    ],
)
def test_keys_that_can_not_be_used_are_an_error_before_anything_is_sent(keys: exchange.Keys, reason: str):
    with services.serving(server := services.Scripted(lambda _: services.Said(200, answer()))) as url:
        found = asyncio.run(job.run(asked(url), keys))
    assert (found.verdict, found.reason, server.seen) == ("Error", reason, [])


def test_a_certificate_is_verified_against_the_bundle(tmp_path: pathlib.Path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    server = services.Scripted(lambda _: services.Said(200, answer()), tls)
    with services.serving(server, "https") as url:
        trusted = exchange.Keys(KEYS.signing, ca_bundle=cert.read_text())
        assert asyncio.run(job.run(asked(url), trusted)).verdict == "Pass"
        stranger = asyncio.run(job.run(asked(url, deadlineSeconds=20), KEYS))
    assert (stranger.verdict, stranger.reason) == ("Error", "EndpointUnreachable")
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.message
    assert len(server.seen) == 1


# --- The process --------------------------------------------------------------------------------------------


def start(service: str, log: pathlib.Path, text: str | None = None, **changes: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "canary_checks", "webhook"],
        env=os.environ
        | {
            "MODELRELEASE_WEBHOOK_REQUEST": json.dumps(raw_request(service, **changes))
            if text is None
            else text,
            "MODELRELEASE_WEBHOOK_SIGNING_KEY": services.KEY,
            "MODELRELEASE_TERMINATION_LOG": str(log),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("unlike", "verdict"), [(False, "Pass"), (True, "Fail")])
def test_the_example_judges_a_model_and_its_answer_is_believed(tmp_path, unlike: bool, verdict: str):
    module = services.example()
    log = tmp_path / "termination-log"

    def blind(texts: list[str], reply: dict[str, Any]) -> dict[str, Any]:
        rows = reply["data"]
        # Which text is near to which is turned round.
        for index in range(0, len(rows) - 2, 3):
            rows[index + 1]["embedding"], rows[index + 2]["embedding"] = (
                rows[index + 2]["embedding"],
                rows[index + 1]["embedding"],
            )
        return reply

    with (
        toy_server.serving() as toy,
        services.serving(module.Server(("127.0.0.1", 0), services.KEY.encode())) as url,
    ):
        toy.alter = blind if unlike else None
        done = start(url, log, url=toy.url)
        out, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, "")
    found = result.parse_termination_message(log.read_text("utf-8"), NONCE)
    assert (found.verdict, found.reason) == (verdict, "Triplets"), found.message
    assert found.evidence is not None
    kept = result.parse_evidence(out, expected_digest=found.evidence.digest)
    assert kept is not None
    assert kept.result.versions.checks == "webhook-check 1"


def test_the_example_refuses_what_is_not_signed_with_its_key():
    server = services.example().Server(("127.0.0.1", 0), b"another-key-of-16-bytes")
    with services.serving(server) as url:
        found = asyncio.run(job.run(asked(url), KEYS))
    assert (found.verdict, found.reason) == ("Error", "EndpointError")
    assert "401" in found.message


def test_a_job_that_is_terminated_says_so_and_never_passes(tmp_path):
    log = tmp_path / "termination-log"
    with services.serving(server := services.Scripted(lambda _: None)) as url:
        waiting = start(url, log)
        assert server.asked.wait(60)
        waiting.send_signal(signal.SIGTERM)
        waiting.communicate(timeout=60)
    found = result.parse_termination_message(log.read_text("utf-8"), NONCE)
    assert (waiting.returncode, found.verdict, found.reason) == (0, "Error", "DeadlineExceeded")


def test_a_request_that_can_not_be_understood_exits_with_2(tmp_path):
    log = tmp_path / "termination-log"
    refused = start("http://x", log, text="{}")
    _, err = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert log.read_text("utf-8").startswith("invalid request: ")
    assert "Traceback" not in err
