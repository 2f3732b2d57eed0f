"""Who is told, and what is written: pure."""

from pathlib import Path
from typing import Any

import pydantic
import pytest

from modelrelease.api import escalation, reasons
from modelrelease.notifications import notice as notices
from modelrelease.notifications import routing, settings

FILE = Path("/secrets/url")


def notice(reason: str = reasons.CHECK_FAILED, **changes: Any) -> notices.Notice:
    said: dict[str, Any] = {
        "key": "e",
        "namespace": "search",
        "release": "embedder",
        "reason": reason,
        "message": "parity failed.",
        "urgency": escalation.of(reason),
        "labels": {"team": "search", "tier": "1"},
    }
    return notices.Notice(**(said | changes))


def told(target: dict[str, Any], **changes: Any) -> bool:
    known = settings.Notifications.model_validate({"targets": [{"name": "a", "urlFile": "/u"} | target]})
    return bool(routing.targets(notice(**changes), known))


@pytest.mark.parametrize(
    ("target", "said", "expected"),
    [
        ({}, {}, True),
        ({}, {"reason": reasons.PROMOTED}, True),
        ({}, {"reason": reasons.HOLDING}, False),
        ({"severities": ["progress"]}, {"reason": reasons.HOLDING}, True),
        ({"severities": ["page"]}, {}, False),
        ({"severities": ["page"]}, {"reason": reasons.NOTHING_TO_RETURN_TO}, True),
        ({"teams": ["sre"]}, {}, False),
        ({"teams": ["sre"]}, {"reason": reasons.QUOTA_EXCEEDED}, True),
        ({"reasons": ["Promoted"]}, {}, False),
        ({"reasons": ["Promoted", "CheckFailed"]}, {}, True),
        ({"namespaces": ["sea*"]}, {}, True),
        ({"namespaces": ["prod"]}, {}, False),
        ({"labels": {"team": "search"}}, {}, True),
        ({"labels": {"team": "search", "tier": "2"}}, {}, False),
        ({"onlyNamed": True}, {}, False),
        ({"onlyNamed": True}, {"targets": ("b", "a")}, True),
        # A release that names a target gets no more than what the installation lets it have.
        ({"onlyNamed": True, "namespaces": ["prod"]}, {"targets": ("a",)}, False),
    ],
)
def test_filters(target: dict[str, Any], said: dict[str, Any], expected: bool):
    assert told(target, **said) is expected


def test_a_release_names_targets_in_an_annotation():
    assert routing.named({}) == ()
    assert routing.named({routing.ANNOTATION: " a, b,,a ,"}) == ("a", "b")
    assert len(routing.named({routing.ANNOTATION: ",".join(f"t{i}" for i in range(99))})) == 8
    known = settings.Notifications.model_validate(
        {"targets": [{"name": "a", "urlFile": "/u", "namespaces": ["prod"]}, {"name": "b", "urlFile": "/u"}]}
    )
    assert routing.unknown(("a", "b", "c"), "search", known) == ("a", "c")


@pytest.mark.parametrize(
    ("written", "namespace", "cure"),
    [
        ("serch-oncall", "search", "write search-oncall."),
        ("pagers", "search", "there are search-oncall, chat."),
        # Whoever may not have a target does not learn its name.
        ("search-oncall", "ranking", "there are chat."),
        ("chat", "ranking", None),
        ("", "ranking", None),
    ],
)
def test_whoever_names_a_target_that_is_not_there_is_told_what_to_write(
    written: str, namespace: str, cure: str | None
):
    known = settings.Notifications.model_validate(
        {
            "targets": [
                {"name": "search-oncall", "urlFile": "/u", "namespaces": ["search"]},
                {"name": "chat", "urlFile": "/u"},
            ]
        }
    )
    said = routing.misnamed({routing.ANNOTATION: written}, namespace, known)
    begins = f"{routing.ANNOTATION} names {written}, which this installation does not have for namespace"
    assert said == (() if cure is None else (f"{begins} {namespace}: {cure}",))


def test_where_nobody_is_told_of_anything_a_name_is_wrong_too():
    (said,) = routing.misnamed({routing.ANNOTATION: "chat"}, "search", settings.Notifications())
    assert said.endswith("for namespace search: it has none.")


def test_a_misspelt_reason_of_a_target_is_an_error_and_not_silence():
    with pytest.raises(pydantic.ValidationError, match="ChekFailed is no reason: write CheckFailed"):
        settings.Target.model_validate({"name": "a", "urlFile": "/u", "reasons": ["ChekFailed"]})


def test_a_message_of_one_notice_tells_all_of_it():
    one = notice(facts=("revision r1", "No user request reached r1."), links=("kubectl mrel explain x",))
    message = notices.message([one], cluster="prod-eu")
    assert message.title == "[prod-eu] search/embedder: CheckFailed"
    assert message.body.splitlines() == [
        "parity failed.",
        "revision r1",
        "No user request reached r1.",
        "kubectl mrel explain x",
    ]
    assert message.kind == "warning"
    assert notices.message([notice(reasons.PROMOTED, good=True)]).kind == "success"
    assert notices.message([notice(reasons.NOTHING_TO_RETURN_TO)]).kind == "failure"


def test_a_storm_is_one_message_with_the_loudest_first():
    storm = [notice(reasons.PROMOTED, release=f"m{number}") for number in range(30)]
    message = notices.message([*storm, notice(reasons.NOTHING_TO_RETURN_TO, release="last")])
    assert message.title == "31 transitions: NothingToReturnTo, Promoted"
    assert message.body.startswith("search/last: NothingToReturnTo\n")
    assert "And 21 more: search/m9 Promoted, " in message.body
    assert message.kind == "failure"
    huge = notices.message([notice(message="x" * 1024, facts=("y" * 600,) * 50) for _ in range(200)])
    assert len(huge.body) <= notices.BODY_MAX


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"targets": [{"name": "a", "urlFile": "/u"}] * 2}, "named twice: a"),
        ({"targets": [{"name": "a", "urlFile": "u"}]}, "absolute"),
        ({"targets": [{"name": "a", "url": "json://secret"}]}, "url"),
        ({"targets": [{"name": "A_b", "urlFile": "/u"}]}, "name"),
        ({"targets": [{"name": "a", "urlFile": "/u", "severities": ["loud"]}]}, "severities"),
        ({"dashboard": "javascript:x"}, "http"),
        ({"dashboard": "https://g/{who}"}, "knows no {who}"),
        ({"runbook": "https://g/{reason.__class__}"}, "knows no"),
        ({"runbook": "https://g/{"}, "template"),
    ],
)
def test_what_can_not_be_used_is_said(said: dict[str, Any], error: str):
    with pytest.raises(pydantic.ValidationError, match=error):
        settings.Notifications.model_validate(said)


def test_a_missing_secret_is_found_at_the_start(tmp_path: Path):
    made = tmp_path / "url"
    made.write_text("json://127.0.0.1", encoding="utf-8")
    for path, missing in ((made, False), (tmp_path / "none", True)):
        known = settings.Notifications.model_validate({"targets": [{"name": "a", "urlFile": str(path)}]})
        assert (known.missing() is not None) is missing


def test_every_reason_that_ends_or_holds_a_run_has_a_place_in_the_table():
    """A new reason must be given one: what is not there is a ticket only where it is a warning."""
    every = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    quiet = {
        reasons.ADOPTING,
        reasons.SERVING_STABLE,
        reasons.SERVING_CANDIDATE,
        reasons.NO_STABLE,
        reasons.SCALED_TO_ZERO,
        reasons.CANARY_STARTING,
        reasons.TOO_FEW_REQUESTS,
        reasons.NOT_LIVE,
        reasons.RUN_STARTED,
        reasons.QUEUED,
        reasons.CHECKING,
        reasons.SHIFTING,
        reasons.HOLDING,
        reasons.BAKING,
        reasons.RETURNING,
        reasons.RELOADING,
        reasons.WEIGHT_ROUNDED,
        reasons.RETRY_LATER,
        reasons.NOT_PAUSED,
        reasons.NO_OVERRIDE,
        reasons.SETTLED,
        reasons.NOT_STALLED,
        reasons.ARTIFACT_UNVERIFIED,
    }
    assert every - quiet == set(escalation.TABLE)
    assert escalation.of(reasons.HOLDING).severity is escalation.Severity.PROGRESS
    assert escalation.of("Unheard", warning=True).severity is escalation.Severity.TICKET
