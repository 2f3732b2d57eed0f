"""The six lives. Each applies what a team or an engineer on call would, and tells what came of it."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from hack.demo import kube, stage

STARTUP_SECONDS: Final = 420
RUN_SECONDS: Final = 900


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What one life showed."""

    observed: str
    faulty_requests: int | None = None
    """User requests to the revision that was refused or returned; None where there was none."""
    problems: tuple[str, ...] = ()
    """What differed from the expectation; empty when the life went as it must."""


@dataclasses.dataclass(frozen=True, slots=True)
class Life:
    """One row of the table."""

    name: str
    expected: str
    live: Callable[[stage.Stage], Told]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A life and how it went."""

    life: Life
    told: Told
    seconds: float


def live(on: stage.Stage, life: Life) -> Row:
    """Live one life; what does not happen in time is a problem of the row, not the end of the demo."""
    began = time.monotonic()
    on.say(f"\n== {life.name}\n   expected: {life.expected}")
    try:
        told = life.live(on)
    except (stage.Failed, kube.Unreachable) as error:
        told = Told(observed=str(error), problems=(str(error),))
    row = Row(life, told, time.monotonic() - began)
    on.say(f"   observed: {told.observed}  ({row.seconds:.0f} s)")
    for problem in told.problems:
        on.say(f"   PROBLEM:  {problem}")
    return row


class _Expect:
    """Collects what differs."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def that(self, *, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)


def _said(status: Mapping[str, Any]) -> str:
    return f"{status.get('outcome')} ({status.get('reason')}): {status.get('message', '')}"


def _check(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((check for check in status.get("checks", []) if check["name"] == name), {})


def _revision(on: stage.Stage, run: str) -> str:
    return str(on.run(run)["spec"]["revision"])


def first_release(on: stage.Stage) -> Told:
    run = on.apply("1-first-release.yaml")
    status = on.wait_done(run, STARTUP_SECONDS)
    revision = _revision(on, run)
    expect = _Expect()
    expect.that(holds=status.get("outcome") == "Promoted", otherwise=_said(status))
    on.wait("stable to be named", 60, lambda: on.stable() == revision)
    on.wait(
        "2 Ready pods",
        STARTUP_SECONDS,
        lambda: on.account.latest and on.account.latest.pods.get(revision, (0, 0))[0] >= 2,
    )
    expect.that(
        holds=on.selector().get("modelrelease.dev/revision") == revision,
        otherwise=f"the Service selects {on.selector()}",
    )
    return Told(f"{revision}: {_said(status)}", problems=tuple(expect.problems))


def benign_change(on: stage.Stage) -> Told:
    run = on.apply("2-modules.yaml")
    status = on.wait_done(run, RUN_SECONDS)
    revision = _revision(on, run)
    expect = _Expect()
    expect.that(holds=status.get("outcome") == "Promoted", otherwise=_said(status))
    parity = _check(status, "parity")
    expect.that(holds=parity.get("verdict") == "Pass", otherwise=f"parity said {parity.get('verdict')}")
    alive = {pod["metadata"]["uid"] for pod in on.pods(revision)}
    tested = {pod["uid"] for pod in status.get("checkedPods", [])}
    expect.that(
        holds=bool(tested) and tested <= alive, otherwise="the pods that were checked no longer serve"
    )
    expect.that(
        holds=on.selector().get("modelrelease.dev/revision") == revision,
        otherwise=f"the Service selects {on.selector()}",
    )
    return Told(f"{revision}: {_said(status)} Its checked pods serve.", problems=tuple(expect.problems))


def lost_lowercase(on: stage.Stage) -> Told:
    stable = on.stable()
    run = on.apply("3-lost-lowercase.yaml")
    status = on.wait_done(run, RUN_SECONDS)
    revision = _revision(on, run)
    parity = _check(status, "parity")
    diagnosis = parity.get("diagnosis", {})
    requests = on.account.user_requests(revision)
    expect = _Expect()
    expect.that(holds=status.get("outcome") == "RolledBack", otherwise=_said(status))
    expect.that(holds=bool(status.get("failed")), otherwise="the Fail is not remembered")
    expect.that(holds=parity.get("verdict") == "Fail", otherwise=f"parity said {parity.get('verdict')}")
    expect.that(holds=diagnosis.get("cause") == "Casing", otherwise=f"the cause named is {diagnosis}")
    expect.that(holds=requests == 0, otherwise=f"{requests} user requests reached {revision}")
    expect.that(holds=on.stable() == stable, otherwise=f"stable is {on.stable()}, not {stable}")
    expect.that(holds="cased" in parity.get("message", ""), otherwise="the strata that moved are not named")
    return Told(
        f"{revision}: {_said(status)}",
        requests,
        tuple(expect.problems),
    )


def cpu_limit(on: stage.Stage) -> Told:
    stable = on.stable()
    run = on.apply("4-cpu-limit.yaml")
    status = on.wait_done(run, RUN_SECONDS)
    revision = _revision(on, run)
    expect = _Expect()
    parity = _check(status, "parity")
    slo: Mapping[str, Any] = next((slo for slo in status.get("slos", []) if slo["name"] == "latency"), {})
    expect.that(holds=parity.get("verdict") == "Pass", otherwise=f"parity said {parity.get('verdict')}")
    expect.that(holds=slo.get("verdict") == "Fail", otherwise=f"the latency SLO said {slo.get('verdict')}")
    expect.that(holds=status.get("outcome") == "RolledBack", otherwise=_said(status))
    expect.that(holds=on.stable() == stable, otherwise=f"stable is {on.stable()}, not {stable}")
    expect.that(
        holds=on.selector().get("modelrelease.dev/revision") == stable,
        otherwise=f"the Service selects {on.selector()}",
    )
    return Told(f"{revision}: {_said(status)}", on.account.user_requests(revision), tuple(expect.problems))


def rejected_in_bake(on: stage.Stage) -> Told:
    stable = on.stable()
    run = on.apply("5-grace-period.yaml")
    revision = _revision(on, run)
    steps = len(on.run(run)["spec"]["judging"]["strategy"]["steps"])
    on.wait_phase(run, "Holding", steps + 1, RUN_SECONDS)
    on.prometheus("stop")
    try:
        began = time.monotonic()
        on.reject(revision, "INC-1", "users complain while it bakes")
        on.wait(
            "traffic to be back on stable",
            60,
            lambda: on.selector().get("modelrelease.dev/revision") == stable,
        )
        seconds = time.monotonic() - began
        status = on.wait_done(run, RUN_SECONDS)
    finally:
        on.prometheus("start")
    expect = _Expect()
    expect.that(holds=status.get("outcome") == "Rejected", otherwise=_said(status))
    expect.that(holds=on.stable() == stable, otherwise=f"stable is {on.stable()}, not {stable}")
    return Told(
        f"{revision}: {_said(status)} All traffic was back {seconds:.1f} s after the edit, Prometheus down.",
        on.account.user_requests(revision),
        tuple(expect.problems),
    )


def rejected_after_bake(on: stage.Stage) -> Told:
    rejected = on.stable()
    before, served = set(on.runs()), on.account.user_requests(rejected)
    first = min(on.runs().values(), key=lambda run: run["metadata"]["creationTimestamp"])
    on.reject(rejected, "INC-2", "relevance dropped since yesterday")
    run = on.new_run(before)
    status = on.wait_done(run, RUN_SECONDS)
    back = _revision(on, run)
    expect = _Expect()
    expect.that(holds=status.get("outcome") == "Promoted", otherwise=_said(status))
    expect.that(
        holds=back == first["spec"]["revision"], otherwise=f"{back} was reloaded, not life 1's revision"
    )
    expect.that(holds=not status.get("checks"), otherwise="checks ran in a reload")
    on.wait(f"the pods of {rejected} to go", 60, lambda: not on.pods(rejected))
    expect.that(
        holds=on.selector().get("modelrelease.dev/revision") == back,
        otherwise=f"the Service selects {on.selector()}",
    )
    return Told(
        f"{back} reloaded: {_said(status)}",
        on.account.user_requests(rejected) - served,
        tuple(expect.problems),
    )


LIVES: Final = (
    Life("1 first release", "Promoted: becomes stable", first_release),
    Life("2 looks dangerous, is not", "Promoted, its checked pods still serving", benign_change),
    Life("3 tokenizer lost lowercasing", "RolledBack: Casing, 0 user requests", lost_lowercase),
    Life("4 CPU limit cut", "RolledBack: parity passes, the latency SLO burns", cpu_limit),
    Life("5a rejected in the bake", "Rejected: back on stable, Prometheus down", rejected_in_bake),
    Life("5b rejected after the bake", "life 1's revision is reloaded", rejected_after_bake),
)
