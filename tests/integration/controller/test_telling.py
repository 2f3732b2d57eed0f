"""What the operator tells beside the API server: people, and a collector of traces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelrelease.core import traceparent
from tests.integration.controller import test_process
from tests.unit.notifications import receivers
from tests.unit.tracing import collector

Until = Callable[..., Any]
SECRET = "T0K3N-of-nobody"


def told(server: receivers.Receiver, what: str) -> int:
    """How often people were told of it, alone or among others."""
    texts = [f"{said['title']}\n{said['message']}" for _, said in server.posts]
    return sum(line.endswith(what) for text in texts for line in text.splitlines())


def warnings(cluster: Any, reason: str) -> list[Any]:
    found = cluster.core.list_namespaced_event(cluster.namespace, field_selector=f"reason={reason}").items
    return [event for event in found if event.type == "Warning"]


def test_a_promotion_is_told_once_and_traced_whole_whatever_happens_to_the_operator(
    cluster: Any, operator: Any, until: Until, tmp_path: Path
):
    with receivers.receiver() as chat, collector.collecting() as traces:
        (tmp_path / "url").write_text(f"json://127.0.0.1:{chat.port}/{SECRET}", encoding="utf-8")
        config = tmp_path / "config.yaml"
        config.write_text(
            f"notifications: {{cluster: here, targets: [{{name: chat, urlFile: {tmp_path}/url}}]}}\n"
            f"tracing: {{endpoint: '{traces.url}'}}\n",
            encoding="utf-8",
        )
        operator._environment["MODELRELEASE_CONFIG"] = str(config)
        release = test_process.manifest("told")
        release["metadata"]["annotations"] = {"modelrelease.dev/notify": "chatt"}
        cluster.create(release)
        operator.start()
        what = f"{cluster.namespace}/told: FirstRelease"
        until(lambda: told(chat, what), "the message")
        (run,) = cluster.runs()
        trace = traceparent.trace_id(run["metadata"]["uid"])
        until(lambda: "release told" in {span.name for span in traces.spans}, "the whole run's span")
        own = [span for span in traces.spans if span.trace_id.hex() == trace]
        assert {"Queued", "Starting", "Checking", "turn", "release told"} <= {span.name for span in own}
        known = {span.span_id for span in own}
        assert all(span.parent_span_id in known for span in own if span.parent_span_id)
        operator.kill()
        operator.start()
        until(lambda: 'result="success"' in operator.get("/metrics")[1], "a turn of the next operator")
        assert operator.terminate()[0] == 0
        assert told(chat, what) == 1
        # Whoever has misspelt a target is told at the release, once; the message went out all the same.
        (said,) = warnings(cluster, "UnknownNotificationTarget")
        assert (said.involved_object.name, said.count) == ("told", 1)
        assert said.message.endswith(f"does not have for namespace {cluster.namespace}: write chat.")
        assert told(chat, "told: UnknownNotificationTarget") == 0
    text = operator.log()
    assert SECRET not in text
    assert "was not told" not in text
