import datetime

from modelrelease.cluster import api, events, manifests

OWNER = manifests.Owner(api.RELEASE, "shop", "embedder", "u-1")
NOW = datetime.datetime(2026, 11, 20, 12, 0, 0, 123, tzinfo=datetime.UTC)


def test_one_transition_is_one_event_and_another_is_another():
    names = [
        events.event(owner, transition, reason, "text", NOW)["metadata"]["name"]
        for owner, transition, reason in (
            (OWNER, "run-1 Starting", "RunStarted"),
            (OWNER, "run-1 Starting", "RunStarted"),
            (OWNER, "run-2 Starting", "RunStarted"),
            (OWNER, "run-1 Starting", "Other"),
            (manifests.Owner(api.RELEASE, "shop", "embedder", "u-2"), "run-1 Starting", "RunStarted"),
        )
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 4


def test_a_long_message_is_cut_where_a_character_ends():
    message = events.event(OWNER, "t", "Reason", "é" * 2000, NOW, warning=True)["message"]
    assert len(message.encode()) <= 1024
    assert message.endswith("é…")


def test_what_an_event_says():
    found = events.event(OWNER, "t", "Reason", "text", NOW, warning=True)
    assert (found["type"], found["reason"], found["message"]) == ("Warning", "Reason", "text")
    assert found["involvedObject"]["uid"] == "u-1"
    assert found["firstTimestamp"] == "2026-11-20T12:00:00Z"
