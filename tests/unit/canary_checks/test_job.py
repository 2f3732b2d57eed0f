"""The Job's entry point as Kubernetes starts it: a process, an environment, a termination log and signals."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest

from canary_checks import result
from tests.unit.canary_checks import asking, toy_server


def start(request: Any, log: pathlib.Path) -> subprocess.Popen[str]:
    text = request if isinstance(request, str) else json.dumps(request)
    return subprocess.Popen(
        [sys.executable, "-m", "canary_checks", "job"],
        env=os.environ | {"MODELRELEASE_CHECK_REQUEST": text, "MODELRELEASE_TERMINATION_LOG": str(log)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_job_leaves_its_verdict_and_as_its_last_line_the_evidence(tmp_path):
    log = tmp_path / "termination-log"
    with toy_server.serving() as toy:
        job = start(asking.raw_request(toy.url, "EmbeddingParity", record=True), log)
        out, err = job.communicate(timeout=60)
        sent = sum(body["path"].endswith("/embeddings") for body in toy.bodies)
    assert (job.returncode, err) == (0, "")
    found = result.parse_termination_message(log.read_text("utf-8"), asking.NONCE)
    assert (found.verdict, found.requests.sent) == ("Pass", sent)
    assert found.evidence is not None
    last = out.rstrip("\n").split("\n")[-1]
    evidence = result.parse_evidence(last, expected_digest=found.evidence.digest)
    assert evidence is not None
    assert evidence.reference is not None
    assert found.evidence.size_bytes == len(last.removeprefix(result.EVIDENCE_PREFIX).encode())
    assert result.parse_evidence(out) == evidence


def test_a_contract_that_fails_is_a_verdict_and_exits_with_0(tmp_path):
    log = tmp_path / "termination-log"
    with toy_server.serving() as toy:
        job = start(asking.raw_request(toy.url, contract={"dimensions": 7}), log)
        job.communicate(timeout=60)
    assert job.returncode == 0
    assert result.parse_termination_message(log.read_text("utf-8"), asking.NONCE).verdict == "Fail"


@pytest.mark.parametrize(
    "request_text",
    ["", "rubbish", "{}", json.dumps(asking.raw_request("http://127.0.0.1:1", "Robustness")), '{"schema":'],
)
def test_a_request_that_cannot_be_understood_exits_with_2_and_leaves_no_verdict(tmp_path, request_text):
    log = tmp_path / "termination-log"
    job = start(request_text, log)
    out, err = job.communicate(timeout=60)
    assert (job.returncode, out) == (2, "")
    assert log.read_text("utf-8").startswith("invalid request: ")
    assert "Traceback" not in err
    with pytest.raises(result.ResultInvalid):
        result.parse_termination_message(log.read_text("utf-8"), asking.NONCE)


def test_a_limit_that_the_check_would_ignore_exits_with_2_and_an_error(tmp_path):
    log = tmp_path / "termination-log"
    gates = [{"metric": "RecallAt10", "min": "0.9"}]
    job = start(asking.raw_request("http://127.0.0.1:1", gates=gates), log)
    job.communicate(timeout=60)
    found = result.parse_termination_message(log.read_text("utf-8"), asking.NONCE)
    assert (job.returncode, found.verdict, found.reason) == (2, "Error", "InvalidRequest")


def test_a_job_that_is_terminated_says_so_and_never_passes(tmp_path):
    log = tmp_path / "termination-log"
    with toy_server.serving(hang=True) as toy:
        job = start(asking.raw_request(toy.url), log)
        assert toy.asked.wait(60)
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=60)
    found = result.parse_termination_message(log.read_text("utf-8"), asking.NONCE)
    assert (job.returncode, found.verdict, found.reason) == (0, "Error", "DeadlineExceeded")
    assert found.requests.sent == 1


def test_a_job_that_is_killed_leaves_nothing_that_could_pass(tmp_path):
    log = tmp_path / "termination-log"
    log.touch()
    with toy_server.serving(hang=True) as toy:
        job = start(asking.raw_request(toy.url), log)
        assert toy.asked.wait(60)
        job.kill()
        out, _ = job.communicate(timeout=60)
    assert job.returncode == -signal.SIGKILL
    assert result.parse_evidence(out) is None
    with pytest.raises(result.ResultInvalid, match="left no result"):
        result.parse_termination_message(log.read_text("utf-8"), asking.NONCE)
