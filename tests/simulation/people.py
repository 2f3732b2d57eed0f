"""What people do to a release, by kubectl: events of a script, applied to the server."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelrelease.api import parse
from modelrelease.api import spec as api_spec
from modelrelease.cluster import api
from tests.simulation import kubernetes, nodes

NAMESPACE, NAME = "search", "embedder"
USER = "kubectl"
WHY = "because"
SHARED = "shared"
"""Name of the ConfigMap and of the Secret that several releases refer to."""
CLAIM = "models"
ARTIFACT = {"uri": f"pvc://{CLAIM}/embedder/1", "digest": f"sha256:{'0' * 64}"}

Setup = Mapping[str, Any]


def manifest(setup: Setup, name: str = NAME) -> api.Object:
    """Return the ModelRelease that a life begins with."""
    chosen = {field: setup[field] for field in ("checks", "goldenSets") if field in setup}
    if setup.get("shards", 1) > 1:
        parity = {"name": "parity", "embeddingParity": {"shards": setup["shards"]}}
        chosen = {"checks": [{"name": "contract", "contract": {}}, parity]}
    model: dict[str, Any] = {"version": "1", "contract": {"dimensions": 8}}
    if setup.get("artifact"):
        model |= {"artifact": ARTIFACT, "contract": {"dimensions": 8, "files": ["tokenizer.json"]}}
    return {
        "apiVersion": "modelrelease.dev/v1alpha1",
        "kind": "ModelRelease",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": setup["replicas"],
            "model": model,
            "endpoint": {"protocol": "OpenAIEmbeddings"},
            "template": template(f"registry/{setup['first']}:0", name, shares=setup.get("shares", False)),
            "strategy": {
                "maxSurge": setup["surge"],
                "maxUnavailable": setup["unavailable"],
                "canary": {
                    "replicas": setup["canary"],
                    "startupDeadlineSeconds": 120,
                    "capacityDeadlineSeconds": 240,
                    "warmupSeconds": setup["warmup"],
                    "retainFailedSeconds": setup["retain"],
                },
                "steps": [{"weight": weight, "holdSeconds": hold} for weight, hold in setup["steps"]],
                "bakeSeconds": setup["bake"],
                "drainSeconds": setup["drain"],
                "approval": setup["approval"],
                "onSupersede": setup["supersede"],
                "rollbackWindow": {"revisions": setup["window"]},
                "retryPolicy": {"limit": 2, "backoffSeconds": 40},
                "deadlines": {
                    "checkSeconds": 240,
                    "inconclusiveSeconds": 120,
                    "noDataSeconds": 90,
                    "errorSeconds": 120,
                },
            },
            "checkTemplate": {"activeDeadlineSeconds": 60},
            "slos": [
                {
                    "name": "availability",
                    "objective": "99",
                    "availability": {},
                    "whenInfeasible": setup.get("scarce", "Hold"),
                }
            ]
            if setup["slos"]
            else [],
            "enforcement": setup["enforcement"],
            "onInconclusive": setup["onInconclusive"],
            "onError": setup["onError"],
            "revisionHistoryLimit": 3,
            "runHistoryLimit": 5,
            **chosen,
        },
    }


def template(image: str, name: str = NAME, *, shares: bool = False) -> dict[str, Any]:
    """Return a pod template, which may refer to what other releases refer to as well."""
    container = {"name": "server", "image": image, "ports": [{"name": "model", "containerPort": 8000}]}
    if shares:
        container["envFrom"] = [{"configMapRef": {"name": SHARED}}, {"secretRef": {"name": SHARED}}]
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def foreign(name: str) -> str:
    """Return the Service of a team's own that may catch a release's pods."""
    return "mine" if name == NAME else f"mine-{name}"


class People:
    """Everyone with kubectl, and with one release."""

    def __init__(self, server: kubernetes.Server, setup: Setup, name: str = NAME) -> None:
        self._server, self._setup, self.name = server, setup, name
        self.foreign = foreign(name)

    # --- Reading -------------------------------------------------------------------------------------------

    def release(self) -> api.Object | None:
        """Return the release."""
        return self._server.find("ModelRelease", NAMESPACE, self.name)

    def runs(self) -> list[api.Object]:
        """Return its runs, oldest first."""
        found = self._server.of("ModelReleaseRun", self.name)
        return sorted(found, key=lambda run: (run["metadata"]["creationTimestamp"], run["spec"]["attempt"]))

    def promoted(self) -> list[str]:
        """Return the promoted revisions, the newest first, as far as they are stored."""
        times = {}
        for obj in self._server.of("ControllerRevision", self.name):
            time = (obj["metadata"].get("annotations") or {}).get("modelrelease.dev/promoted-time")
            if time:
                times[obj["metadata"]["labels"]["modelrelease.dev/revision"]] = time
        return sorted(times, key=lambda name: (times[name], name), reverse=True)

    def who(self, role: str) -> str | None:
        """Return the revision that a person means."""
        promoted = self.promoted()
        if role == "candidate":
            last = next(reversed(self.runs()), None)
            return str(last["spec"]["revision"]) if last else None
        index = 0 if role == "stable" else 1
        return promoted[index] if len(promoted) > index else None

    def image(self, revision: str) -> str | None:
        """Return the image of a stored revision."""
        stored = self._server.find("ControllerRevision", NAMESPACE, f"{self.name}-{revision}")
        return nodes.image_of(stored["data"]["template"]["spec"]) if stored else None

    def _space(self, revision: str) -> str | None:
        """Return the vector space that a revision was committed with; None for the default one."""
        stored = self._server.find("ControllerRevision", NAMESPACE, f"{self.name}-{revision}")
        space = stored["data"]["embeddingSpace"] if stored else self.name
        return str(space) if space != self.name else None

    # --- Writing -------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the release."""
        if self.release() is None:
            with self._server.as_actor(USER):
                self._make_claim()
                self._server.create("ModelRelease", manifest(self._setup, self.name))

    def _make_claim(self) -> None:
        """Create the claim that holds the model's files, once."""
        kind = "PersistentVolumeClaim"
        if self._setup.get("artifact") and self._server.find(kind, NAMESPACE, CLAIM) is None:
            self._server.create(kind, {"metadata": {"name": CLAIM, "namespace": NAMESPACE}})

    def _template(self, image: str) -> dict[str, Any]:
        return template(image, self.name, shares=self._setup.get("shares", False))

    def edit(self, change: Mapping[str, Any], *, anyway: bool = False) -> bool:
        """Merge into the spec; what the API server's rules refuse does not happen."""
        live = self.release()
        if live is None:
            return False
        changed = kubernetes.copied(kubernetes.fields.merged(live, {"spec": change}))
        parsed = parse.parse_release(changed)
        refused = not isinstance(parsed.spec, api_spec.ReleaseSpec) or parsed.override_problem is not None
        if refused and not anyway:
            return False
        with self._server.as_actor(USER):
            self._server.replace("ModelRelease", changed)
        return True

    def override(self, field: str, value: Any) -> None:
        """Set one override."""
        self.edit({"override": {field: value}})

    def add(self, field: str, entry: Mapping[str, Any], keys: Sequence[str]) -> None:
        """Add an entry to a list of overrides."""
        live = self.release()
        known = ((live or {}).get("spec", {}).get("override") or {}).get(field) or []
        others = [old for old in known if any(old[key] != entry[key] for key in keys)]
        self.override(field, [*others, dict(entry)])

    # --- The verbs -----------------------------------------------------------------------------------------

    def commit(self, behaviour: str, number: int, space: str | None = None) -> None:
        """Roll out a new revision, which may answer in another vector space."""
        model = {"version": str(number), "embeddingSpace": space}
        self.edit({"template": self._template(f"registry/{behaviour}:{number}"), "model": model})

    def revert(self, who: str) -> None:
        """Commit an old revision again."""
        revision = self.who(who) or ""
        image = self.image(revision)
        if image is not None:
            self.edit({"template": self._template(image), "model": {"embeddingSpace": self._space(revision)}})

    def reject(self, who: str) -> None:
        """Reject a revision."""
        revision = self.who(who)
        if revision:
            self.add("rejected", {"revision": revision, "reason": WHY}, ["revision"])

    def unreject(self) -> None:
        """Reject nothing any more."""
        self.override("rejected", None)

    def pin(self, who: str) -> None:
        """Pin a revision."""
        revision = self.who(who)
        if revision:
            self.override("pinned", {"revision": revision, "reason": WHY})

    def unpin(self) -> None:
        """Pin nothing any more."""
        self.override("pinned", None)

    def pause(self) -> None:
        """Pause."""
        self.override("paused", {"reason": WHY})

    def resume(self) -> None:
        """Go on."""
        self.override("paused", None)

    def approve(self, stage: str) -> None:
        """Approve the candidate."""
        revision = self.who("candidate")
        if revision:
            self.add(
                "approvals", {"revision": revision, "stage": stage, "reason": WHY}, ["revision", "stage"]
            )

    def waive(self, check: str) -> None:
        """Waive a check of the candidate."""
        revision = self.who("candidate")
        if revision:
            self.add("waivers", {"revision": revision, "check": check, "reason": WHY}, ["revision", "check"])

    def force(self, who: str) -> None:
        """Force a revision."""
        revision = self.who(who)
        if revision:
            self.override("forced", {"revision": revision, "reason": WHY})

    def unforce(self) -> None:
        """Force nothing any more."""
        self.override("forced", None)

    def retry(self) -> None:
        """Ask for another attempt of the candidate."""
        last = next(reversed(self.runs()), None)
        if last:
            entry = {
                "revision": last["spec"]["revision"],
                "attempt": last["spec"]["attempt"] + 1,
                "reason": WHY,
            }
            self.override("retry", entry)

    def cancel(self) -> None:
        """End the attempt that is under way."""
        last = next(reversed(self.runs()), None)
        if last:
            ended = {"revision": last["spec"]["revision"], "attempt": last["spec"]["attempt"]}
            self.override("cancelled", ended | {"reason": WHY})

    def debug(self, seconds: int) -> None:
        """Keep the canary, should it fail."""
        revision = self.who("candidate")
        if revision:
            self.override("debug", {"revision": revision, "seconds": seconds, "reason": WHY})

    def scale(self, replicas: int) -> None:
        """Change replicas, as an autoscaler does."""
        self.edit({"replicas": replicas})

    def budget(self, surge: int | str, unavailable: int | str) -> None:
        """Change the pod budget."""
        self.edit({"strategy": {"maxSurge": surge, "maxUnavailable": unavailable}})

    def rejudge(self, hold: int) -> None:
        """Edit what runs are judged by."""
        live = self.release()
        steps = live["spec"]["strategy"]["steps"] if live else []
        changed = [{**step, "holdSeconds": hold} for step in steps]
        self.edit({"strategy": {"steps": changed, "bakeSeconds": hold}})

    def say(self, version: str) -> None:
        """Correct a statement."""
        self.edit({"model": {"version": version, "numericClass": "fp16"}})

    def delete_run(self, index: int) -> None:
        """Delete a run."""
        self._delete("ModelReleaseRun", self.runs()[::-1], index)

    def delete_deployment(self, who: str) -> None:
        """Delete a revision's Deployment."""
        found = self._server.find("Deployment", NAMESPACE, f"{self.name}-{self.who(who)}")
        self._delete("Deployment", [found] if found else [], 0)

    def delete_service(self) -> None:
        """Delete the live Service."""
        found = self._server.find("Service", NAMESPACE, self.name)
        self._delete("Service", [found] if found else [], 0)

    def delete_job(self) -> None:
        """Delete a check's Job."""
        self._delete("Job", sorted(self._server.of("Job", self.name), key=api.key_of), 0)

    def delete_release(self) -> None:
        """Delete the release itself."""
        found = self.release()
        self._delete("ModelRelease", [found] if found else [], 0)

    def _delete(self, kind: str, found: Sequence[api.Object], index: int) -> None:
        if found:
            with self._server.as_actor(USER):
                self._server.remove(kind, *api.key_of(found[index % len(found)]))

    def edit_deployment(self, who: str) -> None:
        """Edit a Deployment's template by hand."""
        found = self._server.find("Deployment", NAMESPACE, f"{self.name}-{self.who(who)}")
        if found:
            changed = kubernetes.copied(found)
            changed["spec"]["template"]["spec"]["containers"][0]["image"] = "registry/good:by-hand"
            with self._server.as_actor(USER):
                self._server.replace("Deployment", changed)

    def wipe_run(self, index: int) -> None:
        """Lose a run's status, as a restore does."""
        runs = self.runs()[::-1]
        if runs:
            changed = kubernetes.copied(runs[index % len(runs)])
            changed.pop("status", None)
            with self._server.as_actor(USER):
                self._server.replace("ModelReleaseRun", changed)

    def expose(self) -> None:
        """Make a Service of one's own whose selector catches every pod of the release."""
        if self._server.find("Service", NAMESPACE, self.foreign) is None:
            service = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": self.foreign, "namespace": NAMESPACE},
                "spec": {"selector": {"app": self.name}, "ports": [{"port": 80}]},
            }
            with self._server.as_actor(USER):
                self._server.create("Service", service)

    def hide(self) -> None:
        """Delete that Service."""
        found = self._server.find("Service", NAMESPACE, self.foreign)
        self._delete("Service", [found] if found else [], 0)

    def share(self) -> None:
        """Create what several releases refer to, where it is missing."""
        for kind in ("ConfigMap", "Secret"):
            if self._setup.get("shares") and self._server.find(kind, NAMESPACE, SHARED) is None:
                made = {"apiVersion": "v1", "kind": kind, "data": {"key": "dmFsdWU="}}
                with self._server.as_actor(USER):
                    self._server.create(kind, made | {"metadata": {"name": SHARED, "namespace": NAMESPACE}})

    def rotate(self, number: int) -> None:
        """Change the Secret that several releases refer to."""
        found = self._server.find("Secret", NAMESPACE, SHARED)
        if found is not None:
            with self._server.as_actor(USER):
                self._server.replace("Secret", kubernetes.copied(found) | {"data": {"key": f"{number:04}"}})

    def lose_config(self) -> None:
        """Delete the ConfigMap that several releases refer to."""
        found = self._server.find("ConfigMap", NAMESPACE, SHARED)
        self._delete("ConfigMap", [found] if found else [], 0)

    def break_spec(self) -> None:
        """Store a spec that this operator can't read, as an older CRD may have allowed."""
        self.edit({"endpoint": {"protocol": "Unheard"}}, anyway=True)

    def mend_spec(self) -> None:
        """Make it readable again."""
        self.edit({"endpoint": {"protocol": "OpenAIEmbeddings"}})

    def want_possible(self) -> None:
        """Want something that fits on a node: what never gets a place is tried again for ever."""
        live = self.release()
        image = nodes.image_of(live["spec"]["template"]["spec"]) if live else ""
        pinned = ((live or {}).get("spec", {}).get("override") or {}).get("pinned") or {}
        if nodes.behaviour_of(image) == "hungry":
            self.commit("good", 999)
        if (
            live
            and not live["spec"]["replicas"]
            and any(r.get("status", {}).get("phase") != "Done" for r in self.runs())
        ):
            self.scale(1)
        if nodes.behaviour_of(self.image(pinned.get("revision", "")) or "") == "hungry":
            self.unpin()
