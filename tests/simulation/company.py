"""Several releases in one operator, in one namespace: each is judged alone, and none may touch another."""

import asyncio
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Final

from modelrelease.cluster import api
from modelrelease.controller import loop
from tests.simulation import faults, invariants, kubernetes, people, view

QUIET_SECONDS: Final = 150.0
"""Who was left alone for so long, and has nothing to do, is not written to any more."""
PACING: Final = loop.Pacing()
LATE_SECONDS: Final = PACING.room_seconds + PACING.deaf_seconds + 2.0
"""So long a release of which something changed may wait for its turn, whatever the others do."""


@dataclasses.dataclass(slots=True)
class _Left:
    """Whether a release is left alone, and how long it waits."""

    touched: float = 0.0
    """When anybody but the operator last wrote something of it."""
    resting: bool = False
    woken: float | None = None
    """Since when it waits for a turn; None while it does not."""
    turning: bool = False
    ended: float = 0.0
    """When its last turn ended."""


class Company:
    """Judges all releases of a life.

    Parameters
    ----------
    server
        What is stored.
    """

    def __init__(self, server: kubernetes.Server) -> None:
        self._server = server
        self.of: dict[str, invariants.Checker] = {}
        """By release."""
        self._left: dict[str, _Left] = {}
        self._owners: dict[str, str] = {}
        """The release of each UID that may own something, gone or not: a turn may still write for it."""
        self.failed = asyncio.Event()
        self.problem = ""
        self.closed = False
        self._up = False

    def join(self, name: str, checker: invariants.Checker) -> None:
        """Judge one more release."""
        self.of[name] = checker
        self._left[name] = _Left()

    def fail(self, problem: str) -> None:
        """Note the first broken invariant, and end the life."""
        if not self.problem and not self.closed:
            self.problem = f"at {self._server.seconds():.1f} s: {problem}"
            self.failed.set()

    # --- After every write ---------------------------------------------------------------------------------

    def wrote(self, write: kubernetes.Write) -> None:
        """Judge one write: that of the operator by the release whose turn it was."""
        whose = owner_of(write.kind, write.new)
        if write.kind in {"ModelRelease", "ModelReleaseRun"}:
            self._owners[write.new["metadata"]["uid"]] = whose
        if write.actor != view.OPERATOR:
            self._touched(write, whose)
            if whose in self.of:
                self.of[whose].wrote(write)
            return
        turn = faults.TURN.get()
        if turn not in self.of:
            self.fail(f"7: {write.kind} {write.new['metadata']['name']} is written in nobody's turn")
            return
        for problem in self._strange(turn, whose, write):
            self.fail(f"11: {problem}")
        if self._left[turn].resting and write.kind != "Event":
            self.fail(
                f"11: nobody touched {turn}, but {write.kind} {write.new['metadata']['name']} is written"
            )
        self.of[turn].wrote(write)

    def _touched(self, write: kubernetes.Write, whose: str) -> None:
        shared = write.kind in {"ConfigMap", "Secret"} and write.new["metadata"]["name"] == people.SHARED
        foreign = write.kind == "Service" and not whose
        for name, left in self._left.items():
            if shared or foreign or name == whose:
                left.touched, left.resting = self._server.seconds(), False

    def _strange(self, turn: str, whose: str, write: kubernetes.Write) -> Iterator[str]:
        """Yield how a write of a release's turn concerns another one."""
        what = f"{write.kind} {write.new['metadata']['name']}"
        if whose != turn:
            yield f"a turn of {turn} writes {what} of {whose or 'nobody'}"
        if write.event == "DELETED":
            return
        owners = {ref["uid"] for ref in write.new["metadata"].get("ownerReferences") or ()}
        if owners and turn not in {self._owners.get(uid) for uid in owners}:
            yield f"{what} of {turn} is owned by somebody else"
        selected = _selector(write)
        if selected:
            for name in self.of.keys() - {turn}:
                caught = [
                    pod
                    for pod in self._server.of("Pod", name)
                    if selected.items() <= (pod["metadata"].get("labels") or {}).items()
                ]
                if caught:
                    yield f"{what} of {turn} selects pod {caught[0]['metadata']['name']} of {name}"

    # --- Turns ---------------------------------------------------------------------------------------------

    def woken(self, name: str) -> None:
        """Note that something of a release has changed; without a name, of every release."""
        for known, left in self._left.items():
            if name in {"", known} and left.woken is None:
                left.woken = self._server.seconds()

    def began(self, name: str) -> None:
        """Note that a turn of a release begins."""
        self._left[name].turning, self._left[name].woken = True, None

    def ended(self, name: str) -> None:
        """Note that a turn of a release has ended."""
        self._left[name].turning, self._left[name].ended = False, self._server.seconds()

    # --- Every second --------------------------------------------------------------------------------------

    def operator_up(self, *, up: bool) -> None:
        """Note that an operator began or ended."""
        self._up = up
        for name, checker in self.of.items():
            self._left[name].woken, self._left[name].turning = None, False
            checker.operator_up(up=up)

    def tick(self, disturbed: Iterable[str]) -> None:
        """Judge the present."""
        troubled, now = set(disturbed), self._server.seconds()
        for name, checker in self.of.items():
            checker.tick(disturbed=name in troubled)
            left = self._left[name]
            if checker.view.release is None:
                left.woken = None
            if left.woken is not None and not left.turning and self._up:
                waited = now - max(left.woken, left.ended)
                if waited > LATE_SECONDS:
                    self.fail(f"11: {name} waits for its turn since {waited:.0f} s")
            quiet = now - max(left.touched, checker.last_write) > QUIET_SECONDS
            if quiet and not left.resting and int(now) % 10 == 0:
                left.resting = checker.at_rest()

    # --- The end -------------------------------------------------------------------------------------------

    def unsettled(self) -> str:
        """Return what is not where it must end up; empty when all is."""
        said = ((name, checker.unsettled()) for name, checker in self.of.items())
        return next((f"{name}: {problem}" for name, problem in said if problem), "")

    def expect_silence(self) -> None:
        """From now on nothing is to be done."""
        for checker in self.of.values():
            checker.expect_silence()

    def end(self) -> None:
        """Judge the whole."""
        if not self._server.unchanged():
            self.fail("somebody changed an object that was only handed out to be read")


def owner_of(kind: str, obj: api.Object) -> str:
    """Return the release that an object is of, or an empty name."""
    if kind == "ModelRelease":
        return str(obj["metadata"]["name"])
    if kind == "Event":
        return str(obj["involvedObject"]["name"])
    return kubernetes.release_of(obj)


def _selector(write: kubernetes.Write) -> dict[str, Any]:
    """Return the labels by which a Service or a disruption budget finds its pods."""
    selector: dict[str, Any] = (write.new.get("spec") or {}).get("selector") or {}
    if write.kind == "PodDisruptionBudget":
        return dict(selector["matchLabels"])
    return selector if write.kind == "Service" else {}
