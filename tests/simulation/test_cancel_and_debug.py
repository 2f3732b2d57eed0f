"""Two words of people, in whole lives: end this attempt, and keep the canary should it fail."""

import asyncio
from typing import Any

from tests.simulation import people, plots, virtual, world

COMMIT = (60.0, "commit", {"behaviour": "good", "number": 1})
BAD = (60.0, "commit", {"behaviour": "casing", "number": 1})


def lived(*events: Any, moments: tuple[float, ...], **setup: Any) -> list[dict[str, Any]]:
    """Return the release at some moments, each with its runs and the revisions of its pods."""

    async def main() -> list[dict[str, Any]]:
        lived_in = world.World(plots.life(*events, seconds=600.0, **setup))
        seen = []

        async def look() -> None:
            for moment in moments:
                await asyncio.sleep(moment - lived_in.server.seconds())
                release = lived_in.server.get("ModelRelease", people.NAMESPACE, people.NAME)
                pods = lived_in.server.select("Pod", people.NAMESPACE, "modelrelease.dev/role=serving")
                names = [pod["metadata"]["labels"]["modelrelease.dev/revision"] for pod in pods]
                seen.append({"status": release["status"], "runs": lived_in.people.runs(), "pods": names})

        looking = asyncio.create_task(look())
        problem = (await lived_in.live()).problem
        assert problem == ""
        await looking
        return seen

    return virtual.run(main())


def test_a_cancelled_run_returns_and_nothing_begins_until_it_is_retried():
    while_held, cancelled, again = lived(
        COMMIT, (130.0, "cancel", {}), (400.0, "retry", {}), moments=(125.0, 390.0, 590.0), steps=[[50, 200]]
    )
    candidate = while_held["status"]["candidate"]["revision"]
    assert while_held["status"]["phase"] == "Holding"
    assert cancelled["status"]["phase"] == "Cancelled"
    assert f"{candidate} was cancelled: because." in cancelled["status"]["message"]
    assert candidate not in cancelled["pods"]
    runs = [run["status"] for run in cancelled["runs"] if run["spec"]["revision"] == candidate]
    assert [(run["outcome"], run["failed"]) for run in runs] == [("Cancelled", False)]
    attempts = [run["spec"]["attempt"] for run in again["runs"] if run["spec"]["revision"] == candidate]
    assert attempts == [1, 2]


def test_a_first_release_can_be_cancelled():
    cancelled, again = lived((4.0, "cancel", {}), (310.0, "retry", {}), moments=(300.0, 590.0))
    assert again["status"]["phase"] == "Stable"
    assert cancelled["status"]["phase"] == "Cancelled"
    assert cancelled["pods"] == []


def test_the_canary_of_a_failed_run_stays_for_as_long_as_was_asked():
    looking, gone = lived(BAD, (70.0, "debug", {"seconds": 200}), moments=(200.0, 590.0))
    candidate = looking["status"]["candidate"]["revision"]
    assert looking["status"]["phase"] == "Returning"
    assert looking["pods"].count(candidate) == 1
    overridden = next(c for c in looking["status"]["conditions"] if c["type"] == "Overridden")
    assert (overridden["status"], overridden["reason"]) == ("True", "CanaryKept")
    assert gone["status"]["phase"] == "RolledBack"
    assert candidate not in gone["pods"]
