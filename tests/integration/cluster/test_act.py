"""Actions and looks against a real API server."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from modelrelease.api import run as api_run
from modelrelease.cluster import act, api, cache, client, events, manifests, observe, resolve
from modelrelease.core import observation, target, wanted

_T = TypeVar("_T")
Selects = observation.Selects
NAME = "embedder"
PROMPTS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "prompts"},
    "data": {"PREFIX": "q: "},
}


class World:
    """A release in its namespace, and fresh looks at it."""

    def __init__(self, port: client.KubernetesApi, namespace: str) -> None:
        self.port = port
        self.namespace = namespace
        caches = cache.Caches(port, sleep=asyncio.sleep, monotonic=time.monotonic, namespace=namespace)
        resolver = resolve.Resolver(port, "registry.test/checks:1")
        self.observer = observe.Observer(port, caches, resolver, lambda *_: [])

    async def look(self) -> observe.Look:
        return await self.observer.observe(self.namespace, NAME, fresh=True)

    async def stored(self) -> tuple[observe.Look, str]:
        await act.store_revision(self.port, await self.look())
        look = await self.look()
        assert look.observation.release.desired is not None
        revision = look.observation.release.desired.revision
        await act.ensure_deployment(self.port, look, revision)
        return await self.look(), revision

    async def settle(self, action: Callable[[observe.Look], Awaitable[_T]]) -> tuple[observe.Look, _T]:
        """Act on a look that no controller has outdated, as the next turn would."""
        while True:
            look = await self.look()
            try:
                return look, await action(look)
            except api.Conflict:
                continue

    async def scale(self, revision: str, replicas: int) -> observe.Look:
        look, _ = await self.settle(lambda look: act.scale(self.port, look, revision, replicas))
        return look

    async def edit(self, patch: dict[str, Any]) -> None:
        await self.port.merge(api.RELEASE, self.namespace, NAME, patch)


def named(namespace: str, obj: dict[str, Any]) -> dict[str, Any]:
    return obj | {"metadata": obj["metadata"] | {"namespace": namespace}}


@pytest.fixture
async def world(port: client.KubernetesApi, namespace: str, manifest: dict[str, Any]) -> World:
    await port.create(api.CONFIG_MAP, named(namespace, PROMPTS))
    await port.create(api.RELEASE, manifest)
    return World(port, namespace)


async def test_a_revision_is_stored_complete_and_once(world: World):
    look = await world.look()
    desired = look.observation.release.desired
    assert look.observation.release.problem is None
    assert desired is not None
    assert not desired.stored
    assert await act.store_revision(world.port, look)
    assert not await act.store_revision(world.port, await world.look())
    again = await world.look()
    assert again.observation.release.desired == observation.Desired(
        desired.revision, desired.judging_digest, desired.judging, stored=True
    )
    copied = await world.port.get(api.CONFIG_MAP, world.namespace, f"{NAME}-{desired.revision}-0")
    assert copied["data"] == PROMPTS["data"]
    assert copied["immutable"] is True
    template = again.objects.revision(desired.revision)["data"]["template"]  # type: ignore[index]
    assert template["spec"]["containers"][0]["envFrom"] == [
        {"configMapRef": {"name": f"{NAME}-{desired.revision}-0"}}
    ]
    assert again.observation.revisions[desired.revision].embedding_space == "space-1"


async def test_a_crash_before_the_revision_is_stored_is_repeated(world: World):
    look = await world.look()
    draft = look.resolved.draft
    assert draft is not None
    await world.port.create(
        api.CONFIG_MAP, manifests.config_map_copy(look.objects.owner, draft.revision, 0, draft.sources[0])
    )
    assert await act.store_revision(world.port, look)
    assert await act.store_revision(world.port, look), "the same look again: everything exists already"


async def test_a_changed_config_map_is_another_revision(world: World):
    look, first = await world.stored()
    await world.port.merge(api.CONFIG_MAP, world.namespace, "prompts", {"data": {"PREFIX": "other"}})
    desired = (await world.look()).observation.release.desired
    assert desired is not None
    assert desired.revision != first
    await world.port.merge(api.CONFIG_MAP, world.namespace, "prompts", {"data": {"PREFIX": "q: "}})
    desired = (await world.look()).observation.release.desired
    assert desired is not None
    assert (desired.revision, desired.stored) == (first, True)
    assert look.resolved.draft is None


async def test_scale_survives_everything_but_scale(world: World):
    look, revision = await world.stored()
    assert look.observation.revisions[revision].deployment == observation.Deployment(desired=0)
    stale = await world.scale(revision, 3)
    with pytest.raises(api.Conflict):
        await act.scale(world.port, stale, revision, 1)
    look = await world.look()
    assert not await act.ensure_deployment(world.port, look, revision)
    found = (await world.look()).observation.revisions[revision].deployment
    assert found == observation.Deployment(desired=3)


@pytest.mark.parametrize(
    "edit",
    [
        {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}},
        {"spec": {"containers": [{"name": "model", "image": "evil"}]}},
        {"spec": {"nodeSelector": {"a": "b"}}},
    ],
)
async def test_a_hand_edited_template_is_restored(world: World, edit: dict[str, Any]):
    _, revision = await world.stored()
    await world.scale(revision, 2)
    name = f"{NAME}-{revision}"
    await world.port.merge(api.DEPLOYMENT, world.namespace, name, {"spec": {"template": edit}})
    assert not (await world.look()).observation.revisions[revision].deployment.template_matches  # type: ignore[union-attr]
    _, reverted = await world.settle(lambda look: act.ensure_deployment(world.port, look, revision))
    assert reverted
    look = await world.look()
    assert (
        look.objects.deployment(revision)["spec"]["template"]
        == (  # type: ignore[index]
            look.objects.revision(revision)["data"]["template"]  # type: ignore[index]
        )
    )
    assert look.observation.revisions[revision].deployment == observation.Deployment(desired=2)
    assert not await act.ensure_deployment(world.port, look, revision)


async def test_a_deleted_deployment_comes_back_from_the_stored_revision(world: World):
    _, revision = await world.stored()
    await world.port.delete(api.DEPLOYMENT, world.namespace, f"{NAME}-{revision}")
    assert not await act.ensure_deployment(world.port, await world.look(), revision)
    assert (await world.look()).observation.revisions[revision].deployment == observation.Deployment(
        desired=0
    )


async def test_traffic_moves_pinned_widened_pinned_and_nothing(world: World):
    _, revision = await world.stored()
    for traffic in (
        observation.Traffic(Selects.PINNED, revision),
        observation.Traffic(Selects.WIDENED),
        observation.Traffic(Selects.PINNED, "r00000000aa"),
        observation.Traffic(Selects.NOTHING),
    ):
        look = await world.look()
        if look.observation.traffic != traffic:
            assert not act.traffic_settled(look, traffic)
        await act.set_traffic(world.port, look, traffic)
        look = await world.look()
        assert look.observation.traffic == traffic
        assert act.traffic_settled(look, traffic)
    stale = await world.look()
    await act.set_traffic(world.port, stale, observation.Traffic(Selects.WIDENED))
    with pytest.raises(api.Conflict):
        await act.set_traffic(world.port, stale, observation.Traffic(Selects.PINNED, revision))


async def test_service_settings_follow_the_spec_and_a_broken_spec_keeps_them(world: World):
    widened = observation.Traffic(Selects.WIDENED)
    await world.edit({"spec": {"service": {"port": 8080, "annotations": {"a": "b"}}}})
    await act.set_traffic(world.port, await world.look(), widened)
    await world.edit({"spec": {"service": {"port": 81, "annotations": {"a": None}}}})
    look = await world.look()
    assert not act.traffic_settled(look, widened)
    await act.set_traffic(world.port, look, widened)
    look = await world.look()
    live = look.objects.service()
    assert live is not None
    assert [(p["port"], p["targetPort"]) for p in live["spec"]["ports"]] == [(81, "model")]
    assert "a" not in live["metadata"].get("annotations", {})
    assert act.traffic_settled(look, widened)


async def test_a_foreign_service_is_never_written_to(world: World):
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": world.namespace},
        "spec": {"selector": {"app": "embedder"}, "ports": [{"port": 80}]},
    }
    await world.port.create(api.SERVICE, foreign)
    look = await world.look()
    assert look.observation.traffic == observation.Traffic(Selects.FOREIGN)
    assert look.observation.exposed_by == (NAME,), "it selects the labels of the template too"
    with pytest.raises(act.NameTaken):
        await act.set_traffic(world.port, look, observation.Traffic(Selects.WIDENED))


async def test_only_serving_revisions_are_protected(world: World):
    look, revision = await world.stored()
    await act.protect(world.port, look, [revision])
    look = await world.look()
    (budget,) = look.objects.budgets
    assert budget["spec"]["maxUnavailable"] == 1
    await act.protect(world.port, look, [revision])
    (again,) = (await world.look()).objects.budgets
    # The disruption controller writes its status meanwhile.
    assert [again["metadata"][field] for field in ("uid", "generation")] == [budget["metadata"]["uid"], 1]
    await act.protect(world.port, look, [])
    assert (await world.look()).objects.budgets == []


async def start_run(world: World) -> tuple[observe.Look, target.NextRun]:
    look, _ = await world.stored()
    following = target.next_run(look.observation, world.port.now())
    assert isinstance(following, target.NextRun)
    await act.create_run(world.port, look, following)
    await act.create_run(world.port, look, following)
    return await world.look(), following


async def test_a_stale_transition_is_a_conflict(world: World):
    look, following = await start_run(world)
    (run,) = look.observation.runs
    assert (run.name, run.spec) == (following.name, following.spec)
    status = run.status.model_copy(
        update={"phase": api_run.Phase.STARTING, "message": "starting", "start_time": world.port.now()}
    )
    await act.write_run_status(world.port, look, run.name, status)
    with pytest.raises(api.Conflict):
        await act.write_run_status(world.port, look, run.name, status)
    (again,) = (await world.look()).observation.runs
    assert again.status.phase is api_run.Phase.STARTING
    await act.write_run_status(
        world.port, await world.look(), run.name, again.status.model_copy(update={"start_time": None})
    )
    (last,) = (await world.look()).observation.runs
    assert last.status.start_time is None, "a field that is no longer said is gone"


async def test_what_is_said_of_a_revision_is_kept_and_its_data_stays(world: World):
    look, following = await start_run(world)
    revision = following.spec.revision
    done = look.observation.runs[0].status.model_copy(
        update={
            "phase": api_run.Phase.DONE,
            "outcome": api_run.Outcome.PROMOTED,
            "completion_time": world.port.now(),
            "outputs": api_run.Reference(config_map="outputs", digest="sha256:" + "1" * 64),
        }
    )
    await act.write_run_status(world.port, look, following.name, done)
    await act.mark(world.port, await world.look(), wanted.Mark(revision, failed_digest="sha256:a"))
    await act.mark(world.port, await world.look(), wanted.Mark(revision, promoted_by=following.name))
    look = await world.look()
    found = look.observation.revisions[revision]
    assert found.failed_digests == {"sha256:a"}
    assert found.promoted_time == look.observation.runs[0].status.completion_time
    assert found.anchor_of == "space-1"
    assert found.outputs == (done.outputs,)
    assert look.observation.release.desired is not None
    assert look.observation.release.desired.stored
    before = look.objects.revision(revision)
    await act.mark(world.port, look, wanted.Mark(revision, promoted_by=following.name))
    assert (await world.look()).objects.revision(revision) == before, "said already"


async def test_the_release_status_is_written_only_when_it_differs(world: World):
    status = {"observedGeneration": 1, "message": "new"}
    assert await act.write_release_status(world.port, await world.look(), status)
    assert not await act.write_release_status(world.port, await world.look(), status)


@pytest.mark.parametrize(
    ("patch", "reason", "said"),
    [
        ({"envFrom": [{"configMapRef": {"name": "missing"}}]}, "ConfigMapNotFound", "ConfigMap missing"),
        ({"envFrom": [{"secretRef": {"name": "missing"}}]}, "SecretNotFound", "Secret missing"),
        ({"imagePullPolicy": "Sometimes"}, "InvalidTemplate", 'Unsupported value: "Sometimes"'),
        ({"argz": []}, "InvalidTemplate", 'unknown field "spec.template.spec.containers[0].argz"'),
    ],
)
async def test_problems_are_said_in_the_servers_words(
    world: World, manifest: dict[str, Any], patch: dict[str, Any], reason: str, said: str
):
    container = manifest["spec"]["template"]["spec"]["containers"][0] | patch
    await world.edit({"spec": {"template": {"spec": {"containers": [container]}}}})
    release = (await world.look()).observation.release
    assert release.desired is None
    assert release.problem is not None
    assert release.problem.reason == reason
    assert said in release.problem.message


async def test_an_optional_reference_may_be_missing(world: World, manifest: dict[str, Any]):
    sources = [
        {"secretRef": {"name": "x", "optional": True}},
        {"configMapRef": {"name": "y", "optional": True}},
    ]
    container = manifest["spec"]["template"]["spec"]["containers"][0] | {"envFrom": sources}
    await world.edit({"spec": {"template": {"spec": {"containers": [container]}}}})
    assert (await world.look()).observation.release.problem is None


CLAIM = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}
ABSENT = [
    (api.SERVICE_ACCOUNT, {"serviceAccountName": "NAME"}, {}),
    (
        api.PERSISTENT_VOLUME_CLAIM,
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "NAME"}}]},
        {"spec": CLAIM},
    ),
    (api.PRIORITY_CLASS, {"priorityClassName": "NAME"}, {"value": 7}),
    (api.RUNTIME_CLASS, {"runtimeClassName": "NAME"}, {"handler": "runc"}),
]


@pytest.mark.parametrize(("kind", "spec", "body"), ABSENT, ids=[case[0].kind for case in ABSENT])
async def test_what_the_template_names_must_exist_and_is_found_once_it_is_made(
    world: World, kind: api.Kind, spec: dict[str, Any], body: dict[str, Any]
):
    name = f"needed-{world.namespace}"
    await world.edit(json.loads(json.dumps({"spec": {"template": {"spec": spec}}}).replace("NAME", name)))
    problem = (await world.look()).observation.release.problem
    assert problem is not None
    assert problem.reason == "ObjectNotFound"
    assert f"refers to {kind.kind} {name}, which is not in" in problem.message
    where = {} if kind in api.CLUSTER_SCOPED else {"namespace": world.namespace}
    made = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, **where}, **body}
    await world.port.create(kind, made)
    try:
        look = await world.look()
        assert look.observation.release.problem is None
        assert look.resolved.draft is not None
    finally:
        await world.port.delete(kind, where.get("namespace", ""), name)


async def test_a_quota_of_deployments_is_no_fault_of_the_template(world: World):
    quotas = api.Kind("v1", "ResourceQuota", "resourcequotas")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/deployments.apps": "0"}}}
    await world.port.create(quotas, named(world.namespace, quota))
    deadline = time.monotonic() + 60
    problem = None
    while problem is None or problem.reason != "QuotaExceeded":
        assert time.monotonic() < deadline, problem
        await world.edit({"spec": {"template": {"metadata": {"labels": {"n": str(time.monotonic_ns())}}}}})
        problem = (await world.look()).observation.release.problem
    assert "exceeded quota: none" in problem.message


@pytest.mark.parametrize(
    ("kind", "source", "field"), [(api.CONFIG_MAP, "configMap", "data"), (api.SECRET, "secret", "stringData")]
)
async def test_a_key_that_is_not_there_is_named_and_found_once_it_is_added(
    world: World, manifest: dict[str, Any], kind: api.Kind, source: str, field: str
):
    holder = {"apiVersion": "v1", "kind": kind.kind, "metadata": {"name": "keys"}, field: {"a": "1"}}
    await world.port.create(kind, named(world.namespace, holder))
    entry = {"name": "B", "valueFrom": {f"{source}KeyRef": {"name": "keys", "key": "b"}}}
    container = manifest["spec"]["template"]["spec"]["containers"][0] | {"env": [entry]}
    await world.edit({"spec": {"template": {"spec": {"containers": [container]}}}})
    problem = (await world.look()).observation.release.problem
    assert problem is not None
    assert problem.reason == f"{kind.kind}NotFound"
    assert f"key b of {kind.kind} keys" in problem.message
    await world.port.merge(kind, world.namespace, "keys", {field: {"b": "2"}})
    assert (await world.look()).observation.release.problem is None


async def test_what_must_exist_is_asked_until_the_revision_is_stored(world: World):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "gpu"}}
    await world.port.create(api.SERVICE_ACCOUNT, named(world.namespace, account))
    await world.edit({"spec": {"template": {"spec": {"serviceAccountName": "gpu"}}}})
    await world.stored()
    await world.port.delete(api.SERVICE_ACCOUNT, world.namespace, "gpu")
    assert (await world.look()).observation.release.problem is None, "stable runs; its pods tell it"


async def test_a_changed_secret_is_drift_and_its_content_is_stored_nowhere(
    world: World, manifest: dict[str, Any]
):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token"},
        "stringData": {"A": "hunter2"},
    }
    await world.port.create(api.SECRET, named(world.namespace, secret))
    container = manifest["spec"]["template"]["spec"]["containers"][0] | {
        "envFrom": [{"secretRef": {"name": "token"}}]
    }
    await world.edit({"spec": {"template": {"spec": {"containers": [container]}}}})
    look, revision = await world.stored()
    assert look.observation.config_drift == ()
    assert "aHVudGVyMg" not in str(look.objects.revision(revision))
    await world.port.merge(api.SECRET, world.namespace, "token", {"stringData": {"A": "other"}})
    assert (await world.look()).observation.config_drift == ("token",)


async def test_a_deleted_revision_takes_its_children_along(world: World):
    look, revision = await world.stored()
    await act.delete_revision(world.port, look, revision)
    look = await world.look()
    assert look.observation.revisions == {}
    assert look.objects.deployments == []
    copies, _ = await world.port.list(
        api.CONFIG_MAP, world.namespace, f"modelrelease.dev/revision={revision}"
    )
    assert copies == []


async def test_orphans_are_seen_and_adopted(world: World):
    _, revision = await world.stored()
    for kind in (api.CONTROLLER_REVISION, api.DEPLOYMENT):
        patch = {"metadata": {"ownerReferences": None}}
        await world.port.merge(kind, world.namespace, f"{NAME}-{revision}", patch)
    look = await world.look()
    assert revision in look.observation.revisions
    await world.settle(lambda look: act.adopt(world.port, look))
    look = await world.look()
    assert look.objects.owner.owns(look.objects.revision(revision) or {})
    assert look.objects.owner.owns(look.objects.deployment(revision) or {})


async def test_an_event_is_published_once(world: World):
    owner = (await world.look()).objects.owner
    event = events.event(owner, "run-1 Starting", "RunStarted", "é" * 2000, world.port.now())
    await events.publish(world.port, event)
    await events.publish(world.port, event)
    found, _ = await world.port.list(api.EVENT, world.namespace)
    assert [e["reason"] for e in found] == ["RunStarted"]
