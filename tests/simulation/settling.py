"""Where a release ends up once nothing disturbs it: the liveness half of the invariants."""

from modelrelease.cluster import api
from tests.simulation.transitions import Transitions
from tests.simulation.view import View, phase_of, revision_of


def unsettled(view: View, known: Transitions) -> str:
    """Return what is not as it must be in the end; empty when all is."""
    release = view.release
    if release is None:
        return "there is no release"
    status = release.get("status") or {}
    if status.get("observedGeneration") != release["metadata"]["generation"]:
        return "the newest spec was not seen"
    run = view.active()
    if run is not None:
        return (
            ""
            if _may_wait(view, run) or known.untested(run) or known.mixed(run)
            else f"{run['metadata']['name']} is {phase_of(run)}: {status.get('message')}"
        )
    return _children(view, known.stable, release) or _promoted(view, known.stable, release)


def _children(view: View, stable: str | None, release: api.Object) -> str:
    """Without a run stable alone has pods, all of them, and all traffic."""
    desired = {name: count for name, count in view.desired().items() if count}
    replicas = release["spec"].get("replicas", 1)
    if stable is None:
        return f"nothing is stable, but {desired} are asked for" if desired else ""
    if desired != ({stable: replicas} if replicas else {}):
        return f"{desired} are asked for instead of {stable}: {replicas}"
    if view.ready(stable) != replicas:
        return f"{view.ready(stable)} of {replicas} pods are Ready"
    service = view.service
    if service is None or service["spec"]["selector"].get("modelrelease.dev/revision") != stable:
        return f"traffic is not at {stable}"
    said = {entry["type"]: entry["status"] for entry in (release.get("status") or {}).get("conditions") or ()}
    if replicas and said.get("Ready") != "True":
        return f"{stable} serves, but Ready is {said.get('Ready')}"
    if said.get("Reconciling") == "True":
        return "nothing is under way, but Reconciling is True"
    return ""


def _promoted(view: View, stable: str | None, release: api.Object) -> str:
    """A good revision that nobody objects to becomes stable."""
    wanted = view.wanted()
    if wanted == stable or release["spec"].get("replicas", 1) == 0:
        return ""
    override = release["spec"].get("override") or {}
    if any(override.get(field) for field in ("paused", "pinned", "rejected")):
        return ""
    if wanted is None:
        return "the wanted revision is not even stored"
    if view.behaviour(wanted) not in {"good", "shaky"}:
        return ""
    stored = view.stored(wanted)
    if "modelrelease.dev/failed-digests" in ((stored or {}).get("metadata", {}).get("annotations") or {}):
        return ""
    ended = [r for r in view.runs() if revision_of(r) == wanted and (r.get("status") or {}).get("outcome")]
    if any(r["status"]["outcome"] == "RolledBack" for r in ended):
        return ""
    return f"{wanted} is wanted and good, but {stable} is stable"


def _may_wait(view: View, run: api.Object) -> bool:
    """Return whether a run may wait for a person, for ever."""
    spec, status = run["spec"], run.get("status") or {}
    judging = spec["judging"]
    phase, approval = phase_of(run), judging["strategy"].get("approval", "None")
    if phase in {"Starting", "Checking"} and view.crosses(spec["revision"], spec.get("stable")):
        # A cut-over is a person's: until then nothing moves.
        return phase == "Starting" or _checked(view, run)
    if phase == "Starting":
        return spec.get("mode") == "Fast" and approval == "BeforeFull" and _asks(view)
    if phase == "Checking":
        return _checked(view, run) and (approval != "None" or not status.get("outputs"))
    if phase != "Holding":
        return False
    if judging["slos"] and view.behaviour(spec["revision"]) == "mute":
        return bool(judging["onInconclusive"] == "Hold")
    skipped = False
    if judging["slos"] and view.behaviour(spec["revision"]) == "scarce":
        slo = judging["slos"][0]
        skipped = view.not_waited_for(spec["revision"], slo)
        if not skipped:
            return bool(slo.get("whenInfeasible", "Hold") == "Hold")
    passing = skipped or all(slo["verdict"] == "Pass" for slo in status.get("slos") or ())
    return passing and approval == "BeforeFull" and status["step"] == len(judging["strategy"]["steps"])


def _asks(view: View) -> bool:
    """Return whether the release says that it waits for a person."""
    said = (view.release or {}).get("status", {}).get("conditions") or ()
    return any(entry["type"] == "Paused" and entry["reason"] == "AwaitingApproval" for entry in said)


def _checked(view: View, run: api.Object) -> bool:
    """Return whether every check has said what lets the run go on."""
    spec, found = run["spec"], {c["name"]: c for c in (run.get("status") or {}).get("checks") or ()}
    return all(
        found.get(check["name"], {}).get("verdict") == "Pass"
        or found.get(check["name"], {}).get("skipped")
        or (
            found.get(check["name"], {}).get("verdict") and view.excused(spec["revision"], check["name"], run)
        )
        for check in spec["judging"]["checks"]
    )
