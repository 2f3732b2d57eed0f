"""What a word of a person will do, in sentences, and what it is in ``spec.override``. Pure."""

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cli.mrel import objects, override, port, screen, words
from modelrelease.core import observation

Phase = api_run.Phase


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """All that a plan is made from."""

    release: objects.Release
    runs: Sequence[observation.Run]
    """Oldest first."""
    stored: Mapping[str, objects.Stored]

    @property
    def active(self) -> observation.Run | None:
        """The run that is under way."""
        return next((run for run in reversed(self.runs) if run.status.phase is not Phase.DONE), None)

    @property
    def stable(self) -> str:
        """The last fully promoted revision, or an empty name."""
        said = self.release.status.stable
        return said.revision if said is not None else ""

    def names(self) -> set[str]:
        """Return every revision that anybody can mean."""
        said = self.release.status
        tried = {said.candidate.revision} if said.candidate is not None else set()
        return {
            *self.stored,
            *(run.spec.revision for run in self.runs),
            *tried,
            *([self.stable] if self.stable else []),
        }

    def meant(self, prefix: str) -> str:
        """Return the revision that begins so."""
        return objects.chosen(prefix, self.names())

    def tried(self, verb: str) -> str:
        """Return the candidate, when none was named.

        Raises
        ------
        modelrelease.cli.mrel.port.Failed
            Nothing is tried.
        """
        if self.active is not None:
            return self.active.spec.revision
        if self.release.status.candidate is not None:
            return self.release.status.candidate.revision
        raise port.Failed(f"no candidate is tried, so there is nothing to {verb}: name a revision")

    def last_run(self, revision: str) -> observation.Run | None:
        """Return the newest run of a revision."""
        return next((run for run in reversed(self.runs) if run.spec.revision == revision), None)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """One word of a person."""

    says: tuple[str, ...]
    """What will happen, a sentence each, the most important first."""
    edits: tuple[override.Edit, ...]
    type_to_go_on: str = ""
    """What the person has to type, instead of a y, when it is dangerous."""


def approve(known: Known, revision: str | None, stage: str | None, why: str) -> Plan:
    """Let the candidate pass a gate."""
    name = known.meant(revision) if revision else known.tried("approve")
    run = known.last_run(name)
    gate = run.spec.judging.strategy.approval if run is not None else None
    paused = known.release.condition("Paused")
    if stage is None and paused is not None and paused.reason == reasons.SLO_INFEASIBLE:
        stage = api_spec.Stage.INFEASIBLE.value
    if stage is None:
        if gate is None or gate is api_spec.Approval.NONE:
            raise port.Failed(f"the strategy asks for no approval of {name}: nothing waits for one")
        stage = gate.value
    waits = known.release.status.phase == "AwaitingApproval"
    now = "goes on at once" if waits else "does not wait for it when it comes there"
    edit = override.Edit("approvals", {"revision": name, "stage": stage, "reason": why})
    says = [f"Will approve {name} ({stage}): its run {now}."]
    asked = gate is not None and gate is not api_spec.Approval.NONE
    if gate is not None and asked and stage not in {gate.value, api_spec.Stage.INFEASIBLE.value}:
        says.append(f"The strategy asks for {gate.value}, not for {stage}: this alone lets nothing pass.")
    return Plan(tuple(says), (edit,))


def reject(known: Known, revision: str | None, why: str) -> Plan:
    """Never serve a revision."""
    if revision is None and known.active is None:
        raise port.Failed("no run is under way, so no candidate is meant: name a revision, or use rollback")
    name = known.meant(revision) if revision else known.tried("reject")
    if name == known.stable:
        return _reject_stable(known, why)
    says = [f"Will reject {name}: it is not served, and not tried again until Git changes."]
    active = known.active
    if active is not None and active.spec.revision == name:
        says.append(_returns(active, known.stable))
    return Plan(tuple(says), (override.Edit("rejected", {"revision": name, "reason": why}),))


def _returns(run: observation.Run, stable: str) -> str:
    if not stable:
        return "Its run ends; nothing else is stable, so nothing serves."
    if run.status.live_since is None:
        return f"Its run ends, and its canary goes. {stable} serves all the while."
    return f"All traffic goes back to {stable}, whose pods are warm: one write to one Service."


def unreject(known: Known, revision: str | None, why: str) -> Plan:
    """Let a revision be tried again that a person has rejected."""
    rejected = {entry.revision: entry.reason for entry in known.release.override.rejected}
    if not rejected:
        raise port.Failed(f"no revision of {known.release.name} is rejected")
    if revision is None and len(rejected) > 1:
        raise port.Failed(f"{', '.join(sorted(rejected))} are rejected: name one of them")
    name = objects.chosen(revision, rejected) if revision else next(iter(rejected))
    says = [
        reasons.sentence(
            f"Will take back the rejection of {name} ({why}), whose reason was: {rejected[name]}"
        ),
        "If the spec wants it, it is tried again: without checks where it was promoted before and has not "
        "failed since (rollbackWindow), else by every check. A remembered Fail stays: retry it, too.",
    ]
    if name == known.stable:
        says.insert(1, f"{name} is still stable: the return to what was promoted before it ends.")
    edit = override.Edit("rejected", {"revision": name}, gone=True)
    return Plan(tuple(says), (edit,))


def rollback(known: Known, why: str) -> Plan:
    """Take back what users get now."""
    active = known.active
    if (
        active is not None
        and active.status.live_since is not None
        and active.status.phase is not Phase.RETURNING
    ):
        name = active.spec.revision
        says = (
            f"Will reject {name}, which takes {known.release.status.weight} % of traffic.",
            _returns(active, known.stable),
        )
        return Plan((*says, _git(name)), (override.Edit("rejected", {"revision": name, "reason": why}),))
    return _reject_stable(known, why)


def _reject_stable(known: Known, why: str) -> Plan:
    if not known.stable:
        raise port.Failed("nothing was promoted yet, so there is nothing to roll back")
    refused = {known.stable, *(entry.revision for entry in known.release.override.rejected)}
    earlier = [one for one in objects.promoted(known.stored) if one.name not in refused]
    if not earlier:
        raise port.Failed(
            f"no promoted revision before {known.stable} is kept, so there is nothing to return to: apply a "
            "good manifest instead (kubectl mrel force promotes it whatever its verdicts say)"
        )
    back, stable = earlier[0], known.stored.get(known.stable)
    space, spec = stable.facts.embedding_space if stable is not None else "", known.release.spec
    says = [
        f"Will reject the stable revision {known.stable} and return to {back.name}"
        f"{f' ({back.facts.model_version})' if back.facts.model_version else ''}, promoted before it.",
        "No checks, steps or SLOs: it was stable before.",
    ]
    if isinstance(spec, api_spec.ReleaseSpec):
        surge = spec.strategy.max_surge
        pods = reasons.counted(spec.replicas, "pod")
        says.append(
            f"{back.name} is cold: {pods} to load, with maxSurge {surge}; traffic moves as they become "
            f"Ready, and {known.stable} serves until then."
        )
    if space and back.facts.embedding_space != space:
        says.append(
            f"The embedding space changes from {space} to {back.facts.embedding_space}: answers of both "
            "can't be mixed, so users' indexes have to be those of the old space."
        )
    if known.active is not None:
        says.append(f"The run of {known.active.spec.revision} ends first.")
    says.append(_git(known.stable))
    return Plan(tuple(says), (override.Edit("rejected", {"revision": known.stable, "reason": why}),))


def _git(revision: str) -> str:
    return f"If Git still wants {revision}, it is not tried again until Git changes: revert it there."


def retry(known: Known, revision: str | None, why: str) -> Plan:
    """Try a revision once more."""
    name = known.meant(revision) if revision else known.tried("retry")
    active = known.active
    if active is not None and active.spec.revision == name:
        raise port.Failed(f"a run of {name} is under way: {active.name}")
    attempts = [run.spec.attempt for run in known.runs if run.spec.revision == name]
    attempts += [one.attempt for one in known.release.status.history if one.revision == name]
    attempt = max(attempts, default=0) + 1
    says = [f"Will try {name} again, as attempt {attempt}, by every check it has to pass."]
    if any(entry.revision == name for entry in known.release.override.rejected):
        says.append(f"{name} is rejected, so nothing begins while that stands.")
    edit = override.Edit("retry", {"revision": name, "attempt": attempt, "reason": why})
    return Plan(tuple(says), (edit,))


def force(known: Known, revision: str | None, why: str) -> Plan:
    """Promote a revision, whatever its verdicts say."""
    name = known.meant(revision) if revision else known.tried("force")
    run = known.last_run(name)
    says = [f"Will promote {name} whatever its verdicts say."]
    if run is not None and run.status.failed:
        says.insert(0, f"{name} FAILED: {reasons.sentence(run.status.message)}")
    says.append(
        "Checks and SLOs are still run and reported, and decide nothing; no approval is waited for. Kept: "
        "the artifact's digest, readiness, the pod budget, the record of the run."
    )
    return Plan(
        tuple(says), (override.Edit("forced", {"revision": name, "reason": why}),), type_to_go_on=name
    )


def cancel(known: Known, why: str) -> Plan:
    """End the run that is under way, without a judgement of its revision."""
    active = known.active
    if active is None or active.status.phase is Phase.RETURNING:
        raise port.Failed("no run is under way, so there is nothing to cancel")
    if active.spec.mode is api_run.Mode.RELOAD:
        raise port.Failed(
            f"{active.spec.revision} is loaded again because the stable revision was rejected: a return "
            "can't be cancelled"
        )
    name = active.spec.revision
    says = [
        f"Will cancel the run of {name}: not rejected, but not tried again until it changes or is retried.",
        _returns(active, known.stable),
    ]
    edit = override.Edit("cancelled", {"revision": name, "attempt": active.spec.attempt, "reason": why})
    return Plan(tuple(says), (edit,))


def debug(known: Known, revision: str | None, seconds: int, why: str) -> Plan:
    """Keep the canary of a run that fails for a look."""
    name = known.meant(revision) if revision else known.tried("debug")
    run, active = known.last_run(name), known.active
    kept = words.duration(seconds)
    says = [f"Will keep the canary of {name} for {kept} if its run fails, without traffic."]
    under_way = active is not None and active.spec.revision == name
    if not under_way:
        says.append(
            f"No run of {name} is under way, so its canary is gone: retry brings it back, to fail once "
            f"more (kubectl mrel retry {known.release.name} -n {known.release.namespace})."
        )
    pods = [pod.name for pod in run.status.checked_pods] if run is not None else []
    if under_way and pods:
        says.append(f"Look at it: kubectl -n {known.release.namespace} port-forward pod/{pods[0]} 8000:model")
    edit = override.Edit("debug", {"revision": name, "seconds": seconds, "reason": why})
    return Plan(tuple(says), (edit,))


def pause(known: Known, why: str) -> Plan:
    """Hold every forward transition."""
    active = known.active
    what = f"The run of {active.spec.revision} stays where it is" if active is not None else "No run begins"
    says = f"Will pause: {what} until somebody resumes it. A return to stable is never held."
    return Plan((says,), (override.Edit("paused", {"reason": why}),))


def resume(known: Known, why: str) -> Plan:
    """Take the pause away."""
    if known.release.override.paused is None:
        raise port.Failed(f"{known.release.name} is not paused")
    says = f"Will resume ({why}) what was paused because: {known.release.override.paused.reason}"
    return Plan((reasons.sentence(says),), (override.Edit("paused", None),))


def pin(known: Known, revision: str, why: str) -> Plan:
    """Serve a revision whatever the spec says."""
    name = known.meant(revision)
    says = [f"Will pin {name}: it is what is wanted, whatever Git says, until somebody unpins it."]
    if name != known.stable:
        stored = known.stored.get(name)
        proven = stored is not None and stored.facts.promoted_time is not None
        judged = "it was promoted before" if proven else "it was never promoted, so it has to pass its checks"
        says.append(f"A run begins that brings it there: {judged}.")
    return Plan(tuple(says), (override.Edit("pinned", {"revision": name, "reason": why}),))


def unpin(known: Known, why: str) -> Plan:
    """Take the pin away."""
    pinned = known.release.override.pinned
    if pinned is None:
        raise port.Failed(f"{known.release.name} is not pinned")
    says = f"Will unpin {pinned.revision} ({why}), which was pinned because: {pinned.reason}"
    then = "What the spec says is wanted again, and is tried if it is not what is served."
    return Plan((reasons.sentence(says), then), (override.Edit("pinned", None),))


# --- Showing ------------------------------------------------------------------------------------------------


def command(written: override.Written, namespace: str, name: str) -> str:
    """Return the kubectl command that does the same."""
    if written.applied is None:
        patch = _quoted(list(written.operations))
        return (
            f"kubectl -n {namespace} patch modelrelease {name} --type=json "
            f"--field-manager={override.MANAGER} -p {patch}"
        )
    manifest = {**written.applied, "metadata": {"name": name, "namespace": namespace}}
    said = _quoted(manifest)
    return f"kubectl apply --server-side --field-manager={override.MANAGER} -f - <<< {said}"


def _quoted(value: Any) -> str:
    """Return JSON as one word of a shell."""
    return shlex.quote(json.dumps(value, ensure_ascii=False))


def show(plan: Plan, written: override.Written, namespace: str, name: str) -> screen.Screen:
    """Return what is printed before the person is asked."""
    notes: list[str] = []
    if written.others:
        notes.append(
            f"Also set by {', '.join(written.others)}: if that is Git, its next sync brings it back."
        )
    parts: list[Any] = [plan.says[0], *(screen.indented(text) for text in (*plan.says[1:], *notes))]
    parts.append(screen.indented(screen.styled(f"= {command(written, namespace, name)}", "dim")))
    return screen.Screen(tuple(parts))
