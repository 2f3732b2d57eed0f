"""Messages reach real servers, and what fails is said without a secret."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelrelease.notifications import delivery, notice, sending, settings
from tests.unit.notifications import receivers

SECRET = "T0K3N-of-nobody"
MESSAGE = notice.Message(
    "search/embedder: CheckFailed", "parity failed.\nNobody was reached <by it>.", "warning"
)


def target(tmp_path: Path, url: str, name: str = "team") -> settings.Target:
    path = tmp_path / f"{name}.url"
    path.write_text(f"{url}\n", encoding="utf-8")
    return settings.Target(name=name, url_file=path)


def deliver(to: settings.Target) -> str | None:
    return delivery.deliver(
        {
            "target": to.name,
            "urlFile": str(to.url_file),
            "title": MESSAGE.title,
            "body": MESSAGE.body,
            "kind": MESSAGE.kind,
        }
    )


def heard(caplog: Any) -> str:
    """What apprise said; what its HTTP library says is heard by nobody in the process that sends."""
    return "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")
    )


def test_a_webhook_gets_title_body_and_kind(tmp_path: Path):
    with receivers.receiver() as server:
        assert deliver(target(tmp_path, f"json://127.0.0.1:{server.port}/hook/{SECRET}")) is None
    ((path, said),) = server.posts
    assert path == f"/hook/{SECRET}"
    assert (said["title"], said["message"], said["type"]) == (MESSAGE.title, MESSAGE.body, "warning")


def test_a_chat_that_takes_what_slack_takes(tmp_path: Path):
    with receivers.receiver() as server:
        assert deliver(target(tmp_path, f"mmost://127.0.0.1:{server.port}/{'a' * 26}?image=no")) is None
    ((path, said),) = server.posts
    assert path == f"/hooks/{'a' * 26}"
    assert MESSAGE.title in said["text"]
    assert "parity failed." in said["text"]
    assert said["username"] == "ModelRelease"


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_a_server_that_refuses_is_named_by_its_status_alone(tmp_path: Path, status: int, caplog: Any):
    caplog.set_level(logging.DEBUG)
    with receivers.receiver(status) as server:
        why = deliver(target(tmp_path, f"json://user:{SECRET}@127.0.0.1:{server.port}/{SECRET}"))
    assert why == f"it answered {status}"
    assert len(server.posts) == 1, "apprise itself repeats nothing"
    assert SECRET not in heard(caplog)


def test_a_dead_and_a_hanging_server_are_not_reached(tmp_path: Path, caplog: Any):
    caplog.set_level(logging.DEBUG)
    with receivers.nobody() as port:
        assert deliver(target(tmp_path, f"json://127.0.0.1:{port}/{SECRET}")) == delivery.UNREACHED
    with receivers.silent() as port:
        # The time that a mounted URL gives the server; the process has a deadline of its own.
        url = f"json://127.0.0.1:{port}/{SECRET}?rto=0.2&cto=0.2"
        assert deliver(target(tmp_path, url)) == delivery.UNREACHED
    assert SECRET not in heard(caplog)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nothing",
        f"unknown://{SECRET}",
        "json://one json://two",
        f"slack://{SECRET}",
        "json://" + "a" * 5000,
    ],
)
def test_what_is_no_url_is_said_and_not_quoted(tmp_path: Path, url: str, caplog: Any):
    caplog.set_level(logging.DEBUG)
    assert deliver(target(tmp_path, url)) == delivery.NO_URL
    assert SECRET not in heard(caplog)


def test_a_file_that_is_gone(tmp_path: Path):
    to = target(tmp_path, "json://127.0.0.1")
    to.url_file.unlink()
    assert deliver(to) == delivery.NO_FILE
    to.url_file.write_bytes(b"\xff\xfe")
    assert deliver(to) == delivery.NO_FILE


def test_one_target_does_not_keep_the_others(tmp_path: Path):
    with receivers.receiver() as server, receivers.nobody() as port:
        urls = {"good": f"json://127.0.0.1:{server.port}", "dead": f"json://127.0.0.1:{port}"}
        tasks = [
            {
                "target": name,
                "urlFile": str(target(tmp_path, url, name).url_file),
                "title": "t",
                "body": "b",
                "kind": "info",
            }
            for name, url in urls.items()
        ]
        answers = io.StringIO()
        assert delivery.main(io.StringIO(json.dumps(tasks)), answers) == 0
    said = {line["target"]: line["why"] for line in map(json.loads, answers.getvalue().splitlines())}
    assert said == {"good": None, "dead": delivery.UNREACHED}


async def test_the_process_is_ended_when_its_time_is_up(tmp_path: Path):
    """A server that drips, or a plugin that hangs, holds nobody for longer than the deadline."""
    with receivers.silent() as port:
        to = target(tmp_path, f"json://127.0.0.1:{port}/{SECRET}?rto=60")
        assert await sending.send([(to, MESSAGE)], seconds=0.3) == {
            "team": "it did not take the message within 0.3 s"
        }


def test_the_operator_does_not_load_what_it_may_never_need():
    """Neither apprise nor the exporter of spans costs an operator that is configured for neither."""
    code = (
        "import sys, modelrelease.controller.turn, modelrelease.controller.settings;"
        "import modelrelease.notifications.delivery, modelrelease.notifications.sending;"
        "import modelrelease.controller.tracing, modelrelease.tracing.export;"
        "print([name for name in sys.modules if name.split('.')[0] in ('apprise', 'opentelemetry')])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
