"""The invariants of the design, judged after every write and every second, from the server's objects alone.

The numbers in the messages are those of the design's §4; ``docs/invariants.md`` says which test shows what.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pydantic

from modelrelease.api import run as api_run
from modelrelease.api import status as api_status
from modelrelease.cluster import api
from tests.simulation import faults, kubernetes, nodes, oracle, people, settling, tools, transitions
from tests.simulation.people import NAMESPACE, USER
from tests.simulation.view import OPERATOR, View, phase_of, revision_of

RETURN_TICKS: Final = 60
"""So many undisturbed seconds after a reject, a revert or a Fail traffic must be back."""
YIELD: Final = "3"
YIELD_TICKS: Final = 120
WRITABLE: Final = frozenset(
    {
        "ModelRelease",
        "ModelReleaseRun",
        "ControllerRevision",
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "Job",
        "ConfigMap",
        "Event",
    }
)


class Checker:
    """Watches a life.

    Parameters
    ----------
    server, cluster, prometheus, line
        The parts of the world that know the truth.
    alarm
        Told about the first broken invariant.
    name
        Of the release that is judged.
    """

    def __init__(
        self,
        server: kubernetes.Server,
        cluster: nodes.Nodes,
        prometheus: oracle.Oracle,
        line: faults.Line,
        *,
        alarm: Callable[[str], None],
        name: str,
    ) -> None:
        self.view = View(server, line, name)
        self.fail = alarm
        self._foreign = people.foreign(name)
        self.transitions = transitions.Transitions(self.view, cluster, prometheus)
        self._prometheus = prometheus
        self._server = server
        self._up = False
        self._fair = 0
        """Undisturbed seconds in a row."""
        self._late: dict[str, int] = {}
        """So many undisturbed seconds in a row something has been owed."""
        self._silent = False
        self.last_write = 0.0

    # --- After every write ---------------------------------------------------------------------------------

    def wrote(self, write: kubernetes.Write) -> None:
        """Judge one write."""
        self.view.note(write)
        if write.actor == OPERATOR:
            self.last_write = self._server.seconds()
            # A run that waits for a person is judged anew by a new operator, and says so.
            said = write.kind == "Event" or (write.kind == "ModelRelease" and self.view.active() is not None)
            if self._silent and not said:
                self.fail(
                    f"10: nothing was to do, but {write.kind} {write.new['metadata']['name']} was written"
                )
            for problem in self._operator_wrote(write):
                self.fail(problem)
        elif write.actor == USER:
            self._user_wrote(write)

    def _user_wrote(self, write: kubernetes.Write) -> None:
        if write.kind == "ModelRelease" and write.event != "MODIFIED":
            self.transitions.forget()
            if write.event == "DELETED":
                self.view.forget()
        if write.kind == "ModelReleaseRun":
            self.transitions.wiped.add(write.new["metadata"]["name"])
            self._lose_promotion(write.old or write.new)

    def _lose_promotion(self, run: api.Object) -> None:
        """A promotion whose only record a person has deleted is nobody's fault."""
        done = (run.get("status") or {}).get("completionTime") or ""
        revision = run["spec"]["revision"]
        stored = self.view.stored(revision)
        said = (stored["metadata"].get("annotations") or {}) if stored else {}
        promoted = (run.get("status") or {}).get("outcome") == "Promoted"
        if promoted and said.get("modelrelease.dev/promoted-time", "") < done:
            self.transitions.promoted = [r for r in self.transitions.promoted if r != revision]

    def _operator_wrote(self, write: kubernetes.Write) -> Iterator[str]:
        if write.kind not in WRITABLE:
            yield f"7: the operator writes a {write.kind}"
            return
        if write.new["metadata"].get("finalizers"):
            yield f"1: a finalizer on {write.kind}"
        if (
            write.event == "ADDED"
            and write.kind != "Event"
            and not write.new["metadata"].get("ownerReferences")
        ):
            yield f"7: {write.kind} {write.new['metadata']['name']} has no owner"
        match write.kind:
            case "ModelRelease":
                yield from self._release(write)
            case "ModelReleaseRun":
                yield from self._run(write)
            case "Deployment":
                yield from self._deployment(write)
            case "Service":
                yield from self._service(write)
            case "Job":
                yield from self._job(write)
            case "ControllerRevision":
                if write.event == "MODIFIED" and write.old and write.old["data"] != write.new["data"]:
                    yield "10: the data of a revision changes"

    def _release(self, write: kubernetes.Write) -> Iterator[str]:
        old = write.old
        if write.event != "MODIFIED" or old is None or old["spec"] != write.new["spec"]:
            yield "7: the operator writes a release's spec"
            return
        if any(old["metadata"].get(f) != write.new["metadata"].get(f) for f in ("labels", "annotations")):
            yield "7: the operator writes a release's metadata"
        try:
            status = api_status.ReleaseStatus.model_validate(write.new["status"])
        except pydantic.ValidationError as error:
            yield f"the status is not one: {error}"
            return
        said = {entry.type: entry.status.value for entry in status.conditions}
        if said.get("Reconciling") == said.get("Stalled") == "True":
            yield f"Reconciling and Stalled at once: {status.message}"
        yield from tools.problems(write.new)

    def _run(self, write: kubernetes.Write) -> Iterator[str]:
        if write.event == "ADDED":
            yield from (f"2/5/9: {problem}" for problem in self.transitions.created(write.new))
            return
        if write.event == "DELETED" or write.old is None:
            return
        if write.old["spec"] != write.new["spec"]:
            yield "the snapshot of a run changes"
        try:
            api_run.RunStatus.model_validate(write.new["status"])
        except pydantic.ValidationError as error:
            yield f"the run's status is not one: {error}"
            return
        name = write.new["metadata"]["name"]
        yield from (f"5/6: {p} ({name})" for p in self.transitions.changed(write.old, write.new))
        if phase_of(write.new) == "Done":
            self.transitions.wiped.discard(name)
        self.transitions.note(write.new)

    def _deployment(self, write: kubernetes.Write) -> Iterator[str]:
        if write.event == "DELETED":
            return
        stored = self.view.stored(revision_of(write.new))
        template = stored["data"]["template"] if stored else None
        if write.old is None:
            if not contains(write.new["spec"]["template"], template):
                yield "10: a Deployment is not what was stored"
            return
        old, new = write.old["spec"], write.new["spec"]
        fits = contains(old["template"], template), contains(new["template"], template)
        if old["template"] != new["template"] and fits != (False, True):
            yield "10: a Deployment's template changes"
        if new["replicas"] > old["replicas"]:
            yield from self._grown(revision_of(write.new))
        elif new["replicas"] < old["replicas"]:
            yield from self._shrunk(revision_of(write.new), new["replicas"])

    def _grown(self, revision: str) -> Iterator[str]:
        view, ceiling = self.view, self.view.ceiling()
        if sum(view.desired().values()) > ceiling:
            yield f"3: {view.desired()} are asked for, at most {ceiling} may be"
        if view.held() > ceiling + view.shaken():
            yield f"3: {view.held()} pods are held, going ones included, at most {ceiling} may be"
        mine = self._server.find("Service", NAMESPACE, self._foreign)
        unproven = revision not in self.transitions.promoted and revision not in self.transitions.cleared
        if mine is not None and unproven and self.transitions.promoted:
            created = self._server.now().timestamp() - api_time(mine)
            if created > self.view.now() - self.view.look_since() + 2:
                yield f"2: {revision} gets pods although Service {self._foreign} selects them"

    def _shrunk(self, revision: str, replicas: int) -> Iterator[str]:
        view = self.view
        exposed = view.exposed(view.service)
        if revision not in exposed or replicas >= exposed[revision]:
            return
        left = sum(min(ready, view.desired().get(name, 0)) for name, ready in exposed.items())
        if left < view.floor() - view.shaken():
            yield f"3: {left} serving pods are left, the floor is {view.floor()}"

    def _job(self, write: kubernetes.Write) -> Iterator[str]:
        """A pod is asked one portion of a check at a time, and nobody takes the question back."""
        if write.event == "DELETED" and self._awaited(write.new):
            yield f"8: {write.new['metadata']['name']} is deleted before it is heard"
        if write.event != "ADDED":
            return
        mine = _probe_of(write.new)
        for job in self._server.of("Job", self.view.name):
            ended = (job.get("status") or {}).get("conditions")
            if job is not write.new and _probe_of(job) == mine and not ended:
                yield f"8: {write.new['metadata']['name']} starts while {job['metadata']['name']} runs"

    def _awaited(self, job: api.Object) -> bool:
        """Return whether a run is Checking, and has no verdict of this attempt yet."""
        run_name, check, attempt, _ = _probe_of(job)
        run = self._server.find("ModelReleaseRun", job["metadata"]["namespace"], str(run_name))
        status = (run or {}).get("status") or {}
        return status.get("phase") == "Checking" and any(
            said["name"] == check
            and str(said["attempt"]) == attempt
            and not said.get("verdict")
            and not said.get("skipped")
            for said in status.get("checks") or ()
        )

    def _service(self, write: kubernetes.Write) -> Iterator[str]:
        if write.new["metadata"]["name"] != self.view.name:
            yield f"7: the operator writes Service {write.new['metadata']['name']}"
            return
        if write.event == "DELETED":
            yield "4: the operator deletes the live Service"
            return
        old = ((write.old or {}).get("spec") or {}).get("selector")
        if old == write.new["spec"]["selector"]:
            return
        self.transitions.selected_at = {str(write.new["spec"]["selector"]): self.view.now()}
        before, after = self.view.exposed(write.old), self.view.exposed(write.new)
        if sum(before.values()) > 0 and not sum(after.values()) and not self.view.shaken():
            yield f"4: traffic moves from {before} to no Ready pod"
        yield from self._unproven(after)
        yield from self._moved(write, after)
        stable = self.transitions.stable
        for revision in after:
            gained = not self.view.selects(write.old, revision)
            if gained and revision != stable and self.view.crosses(revision, stable):
                yield f"3: traffic moves from {stable} to {revision}, which answers in another vector space"

    def _unproven(self, exposed: dict[str, int]) -> Iterator[str]:
        proven = self.transitions.cleared | set(self.transitions.promoted)
        for revision in exposed.keys() - proven:
            yield f"2: {revision} ({self.view.behaviour(revision)}) takes traffic and has passed nothing"

    def _moved(self, write: kubernetes.Write, after: dict[str, int]) -> Iterator[str]:
        """A write that gives traffic to a candidate fits the persisted phase."""
        view, stable = self.view, self.transitions.stable
        run = view.active()
        for revision in after.keys() - {stable}:
            fits = run is not None and run["spec"]["revision"] == revision
            if fits and run is not None and phase_of(run) in {"Shifting", "Holding"}:
                alone = after.keys() == {revision} and not view.selects(write.new, stable or "")
                if alone and after[revision] < view.floor() - view.shaken():
                    yield f"3: traffic moves to {after} alone, the floor is {view.floor()}"
                for pod in self.transitions.untested(run) if alone else ():
                    yield f"5: traffic moves to {revision} alone, and pod {pod} is not what was checked"
                yield from self._stored_outputs(run)
                continue
            if view.selects(write.old, revision) or self.transitions.wiped:
                continue
            yield f"2: traffic moves to {revision}, the run is {run and phase_of(run)}"

    def _stored_outputs(self, run: api.Object) -> Iterator[str]:
        spec, status = run["spec"], run.get("status") or {}
        records = any("embeddingParity" in check for check in spec["judging"]["checks"])
        excused = self.view.excused(spec["revision"], "parity", run)
        if not records or spec["mode"] != "Full" or excused:
            return
        stored = {
            known["portion"]
            for known in status.get("recorded") or ()
            if self._server.find("ConfigMap", NAMESPACE, known["configMap"]) is not None
        }
        shards = max(
            check["embeddingParity"]["shards"]
            for check in spec["judging"]["checks"]
            if "embeddingParity" in check
        )
        if stored != set(range(shards)):
            yield f"5: {spec['revision']} takes traffic before its outputs are stored: {sorted(stored)}"

    # --- Every second --------------------------------------------------------------------------------------

    def operator_up(self, *, up: bool) -> None:
        """Note that an operator began or ended."""
        self._up = up
        self._fair = 0

    def tick(self, *, disturbed: bool) -> None:
        """Judge the present; what is owed is owed after so many undisturbed seconds."""
        self._fair = self._fair + 1 if self._up and not disturbed else 0
        exposed = self.view.exposed(self.view.service)
        if self.view.owns_service():
            for problem in self._unproven(exposed):
                self.fail(problem)
        run = self.view.active()
        if run is not None and phase_of(run) == "Holding" and self._fair > 5:
            paused = self.view.override().get("paused") is not None
            self.transitions.paused_ticks += paused
            blind = not exposed.get(run["spec"]["revision"])
            self.transitions.blind_ticks = self.transitions.blind_ticks + 1 if blind else 0
        owed = set(self._owed(exposed, run)) if self._fair > 10 and self.view.release is not None else set()
        self._late = {what: self._late.get(what, 0) + 1 for what in owed}
        for what, ticks in self._late.items():
            if ticks > (YIELD_TICKS if what.startswith(YIELD) else RETURN_TICKS):
                self.fail(f"{what}, for {ticks} undisturbed seconds")

    def _owed(self, exposed: dict[str, int], run: api.Object | None) -> Iterator[str]:
        """Yield what must not last."""
        view, stable = self.view, self.transitions.stable
        candidate = run["spec"]["revision"] if run is not None else None
        for revision in exposed.keys() - {stable, candidate}:
            if stable is not None and view.ready(stable):
                yield f"2: {revision} is neither stable nor candidate and takes traffic"
        if run is not None and candidate not in exposed and phase_of(run) in {"Starting", "Checking"}:
            yield from self._unyielding(stable, candidate)
        if run is None or candidate not in exposed or stable in {None, candidate}:
            return
        warm = view.ready(stable or "") > 0
        if warm and candidate in view.rejected():
            yield f"4: {candidate} is rejected and takes traffic"
        if warm and view.wanted() == stable and not view.override() and run["spec"]["mode"] != "Reload":
            yield f"8: the spec wants stable {stable} again, but {candidate} takes traffic"
        name = run["metadata"]["name"]
        fails = [s for s in self._prometheus.said if s.run == name and s.verdict.value == "Fail"]
        judged = phase_of(run) == "Holding" and run["spec"]["mode"] in {"Full", "Fast"}
        excused = any(view.excused(candidate or "", s.slo, run) for s in fails[-1:])
        if warm and fails and judged and not excused:
            yield f"5: {candidate} fails its SLO and takes traffic"

    def _unyielding(self, stable: str | None, candidate: str | None) -> Iterator[str]:
        """A canary makes room for a stable pod that finds none."""
        waiting = [pod for pod in self.view.pods(stable) if not nodes.scheduled(pod)] if stable else []
        if waiting and any(nodes.scheduled(pod) for pod in self.view.pods(candidate)):
            yield f"{YIELD}: {candidate} keeps the place that a pod of {stable} waits for"

    # --- The end -------------------------------------------------------------------------------------------

    def at_rest(self) -> bool:
        """Return whether nothing is to be done for the release until something happens to it."""
        view = self.view
        if view.active() is not None or view.override() or view.wanted() != self.transitions.stable:
            return False
        last = next(reversed(view.runs()), None)
        recovery = ((last or {}).get("status") or {}).get("recovery") or {"verdict": "none"}
        return bool(recovery.get("verdict")) and not settling.unsettled(view, self.transitions)

    def unsettled(self) -> str:
        """Return why not."""
        if self._server.seconds() < self.last_write + 60.0:
            return "the operator still writes"
        return settling.unsettled(self.view, self.transitions)

    def expect_silence(self) -> None:
        """From now on nothing is to be done."""
        self._silent = True


def _probe_of(job: api.Object) -> tuple[str | None, ...]:
    """Return the run, check, attempt and pod of a check's Job."""
    labels, said = job["metadata"].get("labels") or {}, job["metadata"].get("annotations") or {}
    return (
        *(labels.get(f"modelrelease.dev/{key}") for key in ("run", "check")),
        *(said.get(f"modelrelease.dev/{key}") for key in ("attempt", "pod-uid")),
    )


def api_time(obj: api.Object) -> float:
    """Return when an object was created."""
    return kubernetes.read_time(obj["metadata"]["creationTimestamp"]).timestamp()


def contains(live: Any, stored: Any) -> bool:
    """Return whether a live value says all that a stored one says."""
    if isinstance(stored, Mapping):
        return isinstance(live, Mapping) and all(contains(live.get(k), v) for k, v in stored.items())
    if isinstance(stored, list) and isinstance(live, list):
        return len(live) == len(stored) and all(map(contains, live, stored))
    return bool(live == stored)
