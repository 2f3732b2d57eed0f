"""What a run's status may become, given what is true: invariants 2, 5, 6, 8 and 9 of the design."""

import datetime
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrelease.cluster import api
from tests.simulation import nodes, oracle
from tests.simulation.view import View, phase_of

Status = Mapping[str, Any]

ALLOWED: Final = {
    "Queued": {"Starting", "Shifting", "Returning", "Done"},
    "Starting": {"Queued", "Checking", "Shifting", "Returning", "Done"},
    "Checking": {"Queued", "Starting", "Shifting", "Done", "Returning"},
    "Shifting": {"Holding", "Returning", "Done"},
    "Holding": {"Shifting", "Returning", "Done"},
    "Returning": {"Done"},
    "Done": set(),
}
_KINDS: Final = ("embeddingParity", "contract", "repeatability")
RECOVERY_SETTLE_SECONDS: Final = 60
JUDGED_SECONDS: Final = 60.0
"""A judgement older than this promotes nothing."""


class Transitions:
    """Judges each write of a run's status."""

    def __init__(self, view: View, cluster: nodes.Nodes, prometheus: oracle.Oracle) -> None:
        self._view, self._cluster, self._prometheus = view, cluster, prometheus
        self.promoted: list[str] = []
        """Revisions in the order of their promotion, the newest last."""
        self.cleared: set[str] = set()
        """Revisions that have passed their gates once."""
        self.wiped: set[str] = set()
        """Runs whose status somebody has lost."""
        self.selected_at: dict[str, float] = {}
        """Since when the live Service selects what it selects, by its selector."""
        self.tested: dict[str, set[nodes.Product]] = {}
        """What the pods that a run checks were when it began to check them."""
        self.paused_ticks = 0
        self.blind_ticks = 0

    def forget(self) -> None:
        """Begin anew: the release was deleted."""
        self.promoted.clear()
        self.cleared.clear()
        self.wiped.clear()

    @property
    def stable(self) -> str | None:
        """The last promoted revision that is stored."""
        return next((name for name in reversed(self.promoted) if self._view.stored(name)), None)

    # --- A new run -----------------------------------------------------------------------------------------

    def created(self, run: api.Object) -> Iterator[str]:
        """Yield what is wrong with a run that begins."""
        view, spec = self._view, run["spec"]
        revision, mode = spec["revision"], spec["mode"]
        others = [r for r in view.runs() if phase_of(r) != "Done" and r is not run]
        if any(r["metadata"]["name"] not in self.wiped for r in others):
            yield "a second run begins while one is under way"
        if mode != "Reload" and not view.said(lambda o: o.get("paused") is None):
            yield "a run begins while the release is paused"
        if mode == "First" and self.promoted and self.stable:
            yield "a First run begins although there is a stable revision"
        if mode in {"Fast", "Reload"} and revision not in self.promoted:
            yield f"a {mode} run of {revision}, which was never promoted"
        if mode == "Reload" and not view.said(
            lambda o: self.stable in {e["revision"] for e in o.get("rejected") or ()}
        ):
            yield "a Reload although stable is not rejected"
        if view.said(lambda o: revision not in {e["revision"] for e in o.get("rejected") or ()}) is False:
            yield f"a run of {revision}, which is rejected"
        if self.stable and spec.get("stable") != self.stable:
            yield f"the run takes {spec.get('stable')} for stable, it is {self.stable}"
        yield from self._remembered(run)

    def _remembered(self, run: api.Object) -> Iterator[str]:
        revision, digest = run["spec"]["revision"], run["spec"]["judgingDigest"]
        stored = self._view.stored(revision)
        said = (stored["metadata"].get("annotations") or {}) if stored else {}
        if digest not in said.get("modelrelease.dev/failed-digests", "") or run["spec"]["mode"] == "Reload":
            return
        asked = self._view.said(
            lambda o: (
                any((o.get(f) or {}).get("revision") == revision for f in ("forced", "retry", "pinned"))
                or any(w["revision"] == revision for w in o.get("waivers") or ())
            )
        )
        if not asked:
            yield f"a run of {revision}, whose Fail is remembered, and nobody asked"

    # --- A status ------------------------------------------------------------------------------------------

    def changed(self, old: api.Object, run: api.Object) -> Iterator[str]:
        """Yield what is wrong with a new status."""
        before, after = old.get("status") or {}, run["status"]
        one, other = before.get("phase", "Queued"), after["phase"]
        if one == "Done" and _without_recovery(before) != _without_recovery(after):
            yield f"a run that was Done changes: {before} -> {after}"
        yield from _recovery_kept(before, after)
        yield from _checks_kept(before, after)
        if before.get("outcome") and before["outcome"] != after.get("outcome"):
            yield f"the outcome changes from {before['outcome']} to {after.get('outcome')}"
        if after.get("failed") and not before.get("failed"):
            yield from self._failed(run)
        if one == other:
            if one == "Holding" and _start(before) != _start(after):
                yield "the clock of a hold moves"
            return
        if other not in ALLOWED[one]:
            yield f"from {one} to {other}"
        if other in {"Shifting", "Done"} and after.get("outcome") in {None, "Promoted"}:
            yield from self._forward(run, before, after)
        if other == "Done" and after.get("outcome") != "Promoted":
            yield from self._ended(run, before)
        if one == "Starting":
            yield from self._verified(run)
        yield from self._same_product(run, before, after)
        if other == "Holding":
            self.paused_ticks = self.blind_ticks = 0
            if before.get("step") != after.get("step"):
                yield f"Holding {after.get('step')} after Shifting {before.get('step')}"

    def note(self, run: api.Object) -> None:
        """Keep a promotion."""
        status, revision = run["status"], run["spec"]["revision"]
        if status["phase"] == "Done" and status.get("outcome") == "Promoted":
            self.promoted = [name for name in self.promoted if name != revision] + [revision]

    def _same_product(self, run: api.Object, before: Status, after: Status) -> Iterator[str]:
        """A step goes on only with pods that are what was checked: the image and the GPU."""
        if after["phase"] == "Checking":
            known = (self._view.products.get(pod["uid"]) for pod in after.get("checkedPods") or ())
            self.tested[run["metadata"]["name"]] = {said[1] for said in known if said is not None}
        forward = after["phase"] in {"Holding", "Done"} or after.get("step", 0) > before.get("step", 0)
        ends = after.get("outcome") not in {None, "Promoted"}
        if not after.get("checkedPods") or not forward or ends:
            return
        if self.mixed(run):
            yield f"{run['spec']['revision']} goes on, and what was checked were several images"
        for pod in self.untested(run):
            yield f"{run['spec']['revision']} goes on with pod {pod}, which is not what was checked"

    def mixed(self, run: api.Object) -> bool:
        """Return whether the checked pods ran different images."""
        return len({image for image, _ in self.tested.get(run["metadata"]["name"], ())}) > 1

    def untested(self, run: api.Object) -> list[str]:
        """Return the candidate's pods that can be seen to be another product than the checked ones."""
        tested = self.tested.get(run["metadata"]["name"])
        seconds = self._view.now() - self._view.look_since()
        return self._view.untested(run["spec"]["revision"], tested, seconds) if tested else []

    def _verified(self, run: api.Object) -> Iterator[str]:
        """What is checked has been read, and is what is pinned; other files are no crash."""
        revision, status = run["spec"]["revision"], run["status"]
        if status.get("reason") == "CrashLoop" and revision in self._cluster.mismatched:
            yield f"{revision} has other files than the pinned ones, and is said to crash"
        if status["phase"] != "Checking":
            return
        stored = self._view.stored(revision)
        pinned = (stored["data"]["identity"].get("artifact") or {}).get("digest") if stored else None
        read = (status.get("artifact") or {}).get("digest")
        if pinned is not None and read != pinned:
            yield f"{revision} is checked, and its files are {read}, not {pinned}"
        if revision in self._cluster.mismatched:
            yield f"{revision} is checked although its files are other ones"

    def _ended(self, run: api.Object, before: Status) -> Iterator[str]:
        """A run that gave nothing away ends when nobody reaches its pods, and they are gone."""
        revision, view = run["spec"]["revision"], self._view
        if revision == self.stable or before.get("phase") == "Queued" or self.stable is None:
            return
        if view.exposed(view.service).get(revision):
            yield f"the run of {revision} ends while users reach it"
        if not before.get("keepPods") and view.desired().get(revision):
            yield f"the run of {revision} ends while it has pods"

    def _failed(self, run: api.Object) -> Iterator[str]:
        """A Fail is remembered only when somebody has really measured one."""
        name = run["metadata"]["name"]
        checks = any(key[0] == name and said == "Fail" for key, said in self._cluster.said.items())
        slos = any(said.run == name and said.verdict.value == "Fail" for said in self._prometheus.said)
        files = run["spec"]["revision"] in self._cluster.mismatched
        if not checks and not slos and not files:
            yield f"{name} is remembered as failed, but nothing has measured a Fail"

    def _forward(self, run: api.Object, before: Status, after: Status) -> Iterator[str]:
        revision, mode = run["spec"]["revision"], run["spec"]["mode"]
        one = before.get("phase", "Queued")
        if one == "Holding":
            yield from self._held(run, before, after)
            return
        if one == "Checking":
            yield from self._gates(run, after)
        elif mode not in {"Fast", "Reload"}:
            yield f"{revision} goes from {one} to {after['phase']} without checks"
        elif revision not in self.promoted:
            yield f"{revision} goes on unchecked and was never promoted"
        self.cleared.add(revision)

    def _gates(self, run: api.Object, status: Status) -> Iterator[str]:
        """Every check has passed, in truth, on every tested pod; outputs are stored; people have approved."""
        view, spec = self._view, run["spec"]
        revision, name = spec["revision"], run["metadata"]["name"]
        said = {check["name"]: check for check in status.get("checks") or ()}
        for check in spec["judging"]["checks"]:
            found = said.get(check["name"], {})
            if check.get("enforcement") == "Observe" or view.excused(revision, check["name"], run):
                continue
            if found.get("skipped") and spec["mode"] == "First":
                continue
            if found.get("verdict") != "Pass":
                yield f"{revision} goes on although {check['name']} says {found.get('verdict')}"
            shards = next((check[k]["shards"] for k in _KINDS if k in check), 1)
            for pod, shard in itertools.product(status.get("checkedPods") or (), range(shards)):
                key = (name, check["name"], found.get("attempt", 1), pod["uid"], shard)
                truth = self._cluster.said.get(key)
                if truth != "Pass":
                    yield f"{revision} goes on, but {check['name']} found {truth} on {pod['name']}"
        if not status.get("checkedPods"):
            yield f"{revision} goes on, and no pod was tested"
        yield from self._approved(run, status, "BeforeTraffic")
        if not spec["judging"]["strategy"]["steps"] and status["phase"] == "Shifting":
            yield from self._approved(run, status, "BeforeFull")

    def _approved(self, run: api.Object, status: Status, stage: str) -> Iterator[str]:
        strategy, revision = run["spec"]["judging"]["strategy"], run["spec"]["revision"]
        if strategy.get("approval") != stage:
            return
        if not self._view.said(
            lambda o: (
                (o.get("forced") or {}).get("revision") == revision
                or any(a["revision"] == revision and a["stage"] == stage for a in o.get("approvals") or ())
            )
        ):
            yield f"{revision} goes on without the approval {stage}"

    def _held(self, run: api.Object, before: Status, after: Status) -> Iterator[str]:
        """A hold ends when it has really been held, and every objective passes, in truth."""
        spec, step = run["spec"], before.get("step", 0)
        if after["phase"] == "Shifting" and after.get("step") == step:
            return
        if after["phase"] == "Shifting" and after.get("step") != step + 1:
            yield f"step {after.get('step')} follows {step}"
        if (
            after["phase"] == "Shifting"
            and after.get("step") == len(spec["judging"]["strategy"]["steps"]) + 1
        ):
            yield from self._approved(run, after, "BeforeFull")
        hold = _hold_seconds(run, step)
        clock = before.get("clock") or {}
        began = datetime.datetime.fromisoformat(clock["startTime"]).timestamp()
        selected = max(self.selected_at.values(), default=0.0)
        held = self._view.server.now().timestamp() - began
        paused = 0 if spec["mode"] == "Reload" else self.paused_ticks  # a return is never paused
        if held - paused < hold - 0.01:
            yield f"step {step} was held {held:.1f} s, {paused} of them paused, not {hold} s"
        if self._view.now() - selected < hold - 0.01:
            yield f"traffic moved {self._view.now() - selected:.1f} s ago, the hold is {hold} s"
        if self.blind_ticks > 15:
            yield f"step {step} ends although no candidate pod served for {self.blind_ticks} s of it"
        if spec["mode"] not in {"First", "Reload"}:
            yield from self._judged(run, step)

    def _judged(self, run: api.Object, step: int) -> Iterator[str]:
        revision, name = run["spec"]["revision"], run["metadata"]["name"]
        for slo in run["spec"]["judging"]["slos"]:
            if self._view.excused(revision, slo["name"], run):
                continue
            if self._view.behaviour(revision) == "scarce" and self._view.not_waited_for(revision, slo):
                continue
            said = [s for s in self._prometheus.said if (s.run, s.step, s.slo) == (name, step, slo["name"])]
            last = said[-1] if said else None
            if last is None or last.at < self._view.now() - JUDGED_SECONDS:
                yield f"step {step} of {revision} ends unjudged: {last}"
            elif not any(s.verdict.value == "Pass" for s in said[-2:]):
                yield f"step {step} of {revision} ends with {last.verdict}"


def _checks_kept(before: Status, after: Status) -> Iterator[str]:
    """What has spoken does not speak again."""
    if before.get("phase") != after["phase"] and after["phase"] != "Returning":
        return
    spoken = {(c["name"], c.get("attempt", 1)): c.get("verdict") for c in before.get("checks") or ()}
    for check in after.get("checks") or ():
        known = spoken.get((check["name"], check.get("attempt", 1)))
        if known is not None and known != check.get("verdict"):
            yield f"{check['name']} said {known} and now says {check.get('verdict')} in the same attempt"


def _without_recovery(status: Status) -> Status:
    return {key: value for key, value in status.items() if key != "recovery"}


def _recovery_kept(before: Status, after: Status) -> Iterator[str]:
    """What is said of a return is said once, and of the same pods."""
    one, other = before.get("recovery"), after.get("recovery")
    if one is None:
        if other is not None and (after["phase"], other.get("verdict")) != ("Returning", None):
            yield f"a return is judged before it has happened: {other}"
        return
    if other is None or one.get("verdict") or any(one[key] != other.get(key) for key in ("since", "pods")):
        if one != other:
            yield f"what is said of a return changes: {one} -> {other}"
        return
    if other.get("verdict") and other["seconds"] < RECOVERY_SETTLE_SECONDS:
        yield f"a return is judged after {other['seconds']} s already"


def _start(status: Status) -> str:
    return str((status.get("clock") or {}).get("startTime"))


def _hold_seconds(run: api.Object, step: int) -> float:
    strategy, mode = run["spec"]["judging"]["strategy"], run["spec"]["mode"]
    steps = [] if mode in {"Fast", "Reload"} else strategy["steps"]
    if step <= len(steps):
        return float(steps[step - 1]["holdSeconds"])
    return 0.0 if mode == "Reload" else float(strategy["bakeSeconds"])
