"""``modelrelease notify``: as a person types it, through the process that sends, to a real server."""

from pathlib import Path
from typing import Any

import pytest

from modelrelease.cli import main
from tests.unit.notifications import receivers

SECRET = "T0K3N-of-nobody"


def config(tmp_path: Path, port: int) -> str:
    (tmp_path / "chat").write_text(f"json://127.0.0.1:{port}/{SECRET}", encoding="utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(
        "checksImage: checks:1\n"
        "notifications:\n"
        "  cluster: prod-eu\n"
        "  targets:\n"
        f"    - {{name: chat, urlFile: {tmp_path}/chat, teams: [ml], namespaces: ['search-*']}}\n",
        encoding="utf-8",
    )
    return str(path)


def test_a_target_is_tried_and_the_url_stays_where_it_is(tmp_path: Path, capfd: Any):
    with receivers.receiver() as server:
        chosen = config(tmp_path, server.port)
        assert main.run(["notify", "test", "chat", "--config", chosen]) == 0
        server.status = 403
        assert main.run(["notify", "test", "chat", "--config", chosen]) == 3
    assert [said["title"] for _, said in server.posts] == ["[prod-eu] example/example: Promoted"] * 2
    said = capfd.readouterr()
    assert said.out == "chat was told.\n"
    assert said.err == "error: chat was not told: it answered 403\n"


def test_targets_are_listed_without_their_urls(tmp_path: Path, capfd: Any):
    assert main.run(["notify", "list", "--config", config(tmp_path, 1)]) == 0
    said = capfd.readouterr().out
    assert said == "chat: severities page, ticket, info; teams ml; namespaces search-*\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test", "nobody"], "error: no target 'nobody'; the configuration has chat\n"),
        (
            ["test", "chat", "--config", "/none"],
            "error: /none: [Errno 2] No such file or directory: '/none'\n",
        ),
    ],
)
def test_what_does_not_exist_is_one_sentence(tmp_path: Path, arguments: list[str], said: str, capfd: Any):
    chosen = config(tmp_path, 1)
    assert main.run(["notify", *arguments, *([] if "--config" in arguments else ["--config", chosen])]) == 64
    assert capfd.readouterr().err == said
