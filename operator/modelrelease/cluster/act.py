"""What the operator does to a cluster: each action is idempotent, and refuses what has changed meanwhile.

Every write carries the resourceVersion it was decided on, or is server-side apply under one field manager.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from modelrelease.api import constants
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cluster import adoption, api, facts, manifests, observe
from modelrelease.core import observation, target, wanted
from modelrelease.core import revision as revision_identity

FAILED_DIGESTS_MAX: Final = 64


class NameTaken(api.ApiError):
    """An object of this name exists that is not the release's; it is never written to."""


# --- Revisions ----------------------------------------------------------------------------------------------


async def store_revision(port: api.Api, look: observe.Look) -> bool:
    """Store the wanted revision: first its ConfigMap copies, then the ControllerRevision that refers to them.

    Returns
    -------
    Whether it was not stored yet.
    """
    draft = look.resolved.draft
    if draft is None or look.objects.revision(draft.revision) is not None:
        return False
    owner = look.objects.owner
    for index, source in enumerate(draft.sources):
        config_map = manifests.config_map_copy(owner, draft.revision, index, source)
        await create_once(port, api.CONFIG_MAP, config_map)
    number = 1 + max((int(obj.get("revision") or 0) for obj in look.objects.controller_revisions), default=0)
    stored = manifests.controller_revision(owner, draft.revision, number, draft.data, draft.model_version)
    await create_once(port, api.CONTROLLER_REVISION, stored)
    return True


async def ensure_deployment(port: api.Api, look: observe.Look, revision: str) -> bool:
    """Make a revision's Deployment exist with the stored template; its replicas are left alone.

    Returns
    -------
    Whether a hand edit of the template was undone.
    """
    owner = look.objects.owner
    stored, live = look.objects.revision(revision), look.objects.deployment(revision)
    if stored is None:
        raise api.NotFound(f"revision {revision} is not stored", 404)
    template = stored["data"]["template"]
    if live is None:
        await create_once(port, api.DEPLOYMENT, manifests.deployment(owner, revision, template))
        return False
    if facts.template_matches(live, template):
        return False
    before = live["spec"]["template"]
    patch = {
        "metadata": {"resourceVersion": live["metadata"]["resourceVersion"]},
        "spec": {"template": replacement(before, template)},
    }
    namespace, name = api.key_of(live)
    after = await port.merge(api.DEPLOYMENT, namespace, name, patch)
    if after["spec"]["template"] != before:
        return True
    # Fields that the server puts there itself, such as a newer version's defaults: no edit.
    digest = revision_identity.digest(facts.without_nulls(before))
    await annotate(port, api.DEPLOYMENT, after, {manifests.ACCEPTED_TEMPLATE: digest})
    return False


def replacement(live: Any, stored: Any) -> Any:
    """Return the merge patch that turns a live value into the stored one: what is not stored becomes null."""
    if not isinstance(live, Mapping) or not isinstance(stored, Mapping):
        return copy.deepcopy(stored)
    patch: dict[str, Any] = {key: None for key in live if key not in stored}
    for key, value in stored.items():
        if key not in live or live[key] != value:
            patch[key] = replacement(live.get(key), value)
    return patch


async def delete_revision(port: api.Api, look: observe.Look, revision: str) -> None:
    """Delete a revision that nobody needs any more: its Deployment, its copies and at last itself."""
    stored, live = look.objects.revision(revision), look.objects.deployment(revision)
    if live is not None:
        await _delete(port, api.DEPLOYMENT, live)
    namespace, name = look.objects.owner.namespace, look.objects.owner.name
    selector = f"{constants.LABEL_RELEASE}={name},{constants.LABEL_REVISION}={revision}"
    copies, _ = await port.list(api.CONFIG_MAP, namespace, selector)
    for found in copies:
        if look.objects.owner.owns(found):
            await _delete(port, api.CONFIG_MAP, found)
    if stored is not None:
        await _delete(port, api.CONTROLLER_REVISION, stored)


async def mark(port: api.Api, look: observe.Look, fact: wanted.Mark) -> None:
    """Write a durable fact on a ControllerRevision."""
    stored = look.objects.revision(fact.revision)
    if stored is None:
        raise api.NotFound(f"revision {fact.revision} is not stored", 404)
    said: dict[str, str] = {}
    if fact.failed_digest:
        known = facts.failed_digests(stored)
        if fact.failed_digest not in known:
            digests = [*known, fact.failed_digest][-FAILED_DIGESTS_MAX:]
            said[manifests.FAILED_DIGESTS] = json.dumps(digests)
    if fact.promoted_by:
        said |= _promotion(look.observation, fact)
    if all(facts.annotations_of(stored).get(key) == value for key, value in said.items()):
        return
    await annotate(port, api.CONTROLLER_REVISION, stored, said)


def _promotion(seen: observation.Observation, fact: wanted.Mark) -> dict[str, str]:
    """Return what a promotion says about a revision; the first of a vector space becomes its anchor."""
    run = next((run for run in seen.runs if run.name == fact.promoted_by), None)
    if run is None:
        raise api.NotFound(f"run {fact.promoted_by} is gone", 404)
    status, model = run.status, run.spec.judging.model
    dumped = status.model_dump(mode="json", by_alias=True)
    said = {
        manifests.PROMOTED_TIME: dumped["completionTime"] or dumped["updatedTime"],
        manifests.NUMERIC_CLASS: model.numeric_class.value,
        manifests.MODEL_VERSION: model.version,
    }
    if status.artifact is not None:
        said[manifests.ARTIFACT] = status.artifact.model_dump_json(by_alias=True)
    if status.outputs is not None:
        recorded = [known.model_dump(mode="json", by_alias=True) for known in status.recorded]
        said[manifests.OUTPUTS] = (
            json.dumps(recorded) if recorded else status.outputs.model_dump_json(by_alias=True)
        )
        space = seen.revisions[fact.revision].embedding_space
        if all(revision.anchor_of != space for revision in seen.revisions.values()):
            said[manifests.ANCHOR_OF] = space
    return said


# --- Traffic and pods ---------------------------------------------------------------------------------------


def traffic_settled(look: observe.Look, traffic: observation.Traffic) -> bool:
    """Return whether the live Service already is what it must be, its port and annotations included."""
    live = look.objects.service()
    if live is None:
        return traffic.selects is observation.Selects.NOTHING
    if traffic.selects in {observation.Selects.FOREIGN, observation.Selects.OFFERED}:
        return True
    owner = look.objects.owner
    applied = adoption.kept(manifests.service(owner, _service_settings(look, live), traffic), live)
    same_selector = live["spec"].get("selector") == applied["spec"]["selector"]
    return owner.owns(live) and same_selector and _contains(live, applied)


async def set_traffic(port: api.Api, look: observe.Look, traffic: observation.Traffic) -> None:
    """Move traffic: one write to the one object.

    Raises
    ------
    NameTaken
        A Service of this name exists that is not the release's.
    """
    live, owner = look.objects.service(), look.objects.owner
    if live is not None and not facts.is_own_service(owner, live):
        raise NameTaken(f"Service {owner.name} exists and is not this release's")
    taken = port.now() if live is not None and facts.is_offered(owner, live) else None
    applied = adoption.kept(manifests.service(owner, _service_settings(look, live), traffic), live, taken)
    if live is not None:
        # Of this very object: a Service that somebody puts in its place in between is not ours.
        applied["metadata"]["uid"] = live["metadata"]["uid"]
        applied["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    # Without force where there was none: whoever made one in between keeps it.
    await port.apply(api.SERVICE, applied, force=live is not None)


def _service_settings(look: observe.Look, live: api.Object | None) -> api_spec.Service:
    """Return the spec's settings; while the spec can't be read, those of the live Service."""
    if look.resolved.service is not None or live is None:
        return look.resolved.service or api_spec.Service()
    ports = live["spec"].get("ports") or [{}]
    return api_spec.Service.model_construct(
        port=ports[0].get("port") or 80,
        type=api_spec.ServiceType(live["spec"].get("type") or "ClusterIP"),
        annotations=dict(facts.annotations_of(live)),
    )


async def scale(port: api.Api, look: observe.Look, revision: str, replicas: int) -> None:
    """Write a Deployment's replicas, if it is still the one that was looked at."""
    live = look.objects.deployment(revision)
    if live is None:
        raise api.NotFound(f"revision {revision} has no Deployment", 404)
    if live["spec"].get("replicas") != replicas:
        namespace, name = api.key_of(live)
        await port.scale(namespace, name, replicas, live["metadata"]["resourceVersion"])


async def protect(port: api.Api, look: observe.Look, revisions: Iterable[str]) -> None:
    """Give each serving revision its PodDisruptionBudget, and take it from the others."""
    owner, serving = look.objects.owner, set(revisions)
    known = {facts.revision_of(obj): obj for obj in look.objects.budgets}
    for revision in sorted(serving):
        budget = manifests.disruption_budget(owner, revision, look.observation.release.max_unavailable)
        if revision not in known or not _contains(known[revision], budget):
            await port.apply(api.POD_DISRUPTION_BUDGET, budget)
    for revision, obj in known.items():
        if revision not in serving:
            await _delete(port, api.POD_DISRUPTION_BUDGET, obj)


# --- Runs and status ----------------------------------------------------------------------------------------


async def create_run(port: api.Api, look: observe.Look, run: target.NextRun) -> None:
    """Create a run; its name holds revision and attempt, so that it can't be created twice."""
    spec = run.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    obj = manifests.run(look.objects.owner, run.name, spec, run.spec.revision)
    await create_once(port, api.RUN, obj)


async def write_run_status(port: api.Api, look: observe.Look, name: str, status: api_run.RunStatus) -> None:
    """Write a transition.

    Raises
    ------
    modelrelease.cluster.api.Conflict
        The run has changed since the look: look again.
    """
    live = look.objects.run(name)
    if live is None:
        raise api.NotFound(f"run {name} is gone", 404)
    await _write_status(port, api.RUN, live, status.model_dump(mode="json", by_alias=True, exclude_none=True))


async def write_release_status(port: api.Api, look: observe.Look, status: Mapping[str, Any]) -> bool:
    """Write what people see, if it differs.

    Returns
    -------
    Whether it was written.
    """
    live = look.objects.release
    if live.get("status") == dict(status):
        return False
    await _write_status(port, api.RELEASE, live, status)
    return True


async def _write_status(port: api.Api, kind: api.Kind, live: api.Object, status: Mapping[str, Any]) -> None:
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
    await port.apply(kind, {"metadata": metadata, "status": dict(status)}, subresource="status")


async def delete_run(port: api.Api, look: observe.Look, name: str) -> None:
    """Delete a run with its Jobs and evidence."""
    live = look.objects.run(name)
    if live is not None:
        await _delete(port, api.RUN, live)


# --- Checks -------------------------------------------------------------------------------------------------


async def start_check(port: api.Api, job: api.Object) -> None:
    """Create a check's Job; one that exists already is the same, if it belongs to the same run."""
    await create_once(port, api.JOB, job)


async def delete_job(port: api.Api, job: api.Object) -> None:
    """Delete a check's Job with its pods; only once its evidence is kept and its verdict is persisted."""
    await _delete(port, api.JOB, job)


# --- Shared -------------------------------------------------------------------------------------------------


async def adopt(port: api.Api, look: observe.Look) -> None:
    """Take over children that were left without an owner, as after a deletion with ``--cascade=orphan``."""
    owner, found = look.objects.owner, look.objects
    for kind, objects in (
        (api.CONTROLLER_REVISION, found.controller_revisions),
        (api.DEPLOYMENT, found.deployments),
        (api.RUN, found.runs),
        (api.POD_DISRUPTION_BUDGET, found.budgets),
    ):
        for obj in objects:
            if not owner.owns(obj):
                references = [*(obj["metadata"].get("ownerReferences") or ()), owner.reference()]
                await _merge_metadata(port, kind, obj, {"ownerReferences": references})


def _contains(live: api.Object, applied: api.Object) -> bool:
    """Return whether a live object says all that would be applied; owners may have been added to it."""
    said = {key: applied["metadata"].get(key) or {} for key in ("labels", "annotations")}
    return facts.contains(live["metadata"], {k: v for k, v in said.items() if v}) and facts.contains(
        live["spec"], applied["spec"]
    )


async def create_once(port: api.Api, kind: api.Kind, obj: api.Object) -> None:
    """Create an object; one that exists already must have the same owner.

    Raises
    ------
    NameTaken
        It is somebody else's.
    """
    try:
        await port.create(kind, obj)
    except api.AlreadyExists:
        namespace, name = api.key_of(obj)
        found = await port.get(kind, namespace, name)
        if _owners(found).isdisjoint(_owners(obj)):
            raise NameTaken(f"{kind.kind} {name} exists and is somebody else's") from None


def _owners(obj: api.Object) -> set[str]:
    return {ref["uid"] for ref in obj["metadata"].get("ownerReferences") or ()}


async def annotate(port: api.Api, kind: api.Kind, obj: api.Object, said: Mapping[str, str]) -> None:
    """Write annotations on an object that has not changed since it was read."""
    await _merge_metadata(port, kind, obj, {"annotations": dict(said)})


async def _merge_metadata(
    port: api.Api, kind: api.Kind, obj: api.Object, metadata: Mapping[str, Any]
) -> None:
    namespace, name = api.key_of(obj)
    version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
    await port.merge(kind, namespace, name, {"metadata": {**metadata, **version}})


async def _delete(port: api.Api, kind: api.Kind, obj: api.Object) -> None:
    namespace, name = api.key_of(obj)
    await port.delete(kind, namespace, name, uid=obj["metadata"]["uid"])
