"""Looks at objects that a test makes up: what no API server lets through, and what is not asked twice."""

import asyncio
import copy
import datetime
from typing import Any

import pytest

from modelrelease.cluster import act, api, cache, manifests, observe, resolve
from modelrelease.core import observation

NOW = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
TEMPLATE = {
    "spec": {
        "containers": [
            {
                "name": "m",
                "image": "i:1",
                "ports": [{"name": "model", "containerPort": 8000}],
                "envFrom": [{"configMapRef": {"name": "prompts"}}],
            }
        ]
    }
}


def release(**spec: Any) -> api.Object:
    return {
        "apiVersion": "modelrelease.dev/v1alpha1",
        "kind": "ModelRelease",
        "metadata": {
            "name": "embedder",
            "namespace": "shop",
            "uid": "u-1",
            "resourceVersion": "1",
            "generation": 3,
        },
        "spec": {
            "replicas": 4,
            "model": {"version": "1"},
            "endpoint": {"protocol": "OpenAIEmbeddings"},
            "template": copy.deepcopy(TEMPLATE),
            **spec,
        },
    }


class Port:
    """An API server that only holds things."""

    def __init__(self, obj: api.Object) -> None:
        self.time = NOW
        self.held: dict[str, api.Objects] = {
            "ModelRelease": [obj],
            "ConfigMap": [{"metadata": {"name": "prompts", "namespace": "shop"}, "data": {"a": "b"}}],
            "PersistentVolumeClaim": [{"metadata": {"name": "models", "namespace": "shop"}}],
        }
        self.calls: list[str] = []

    def now(self) -> datetime.datetime:
        return self.time

    async def get(self, kind: api.Kind, namespace: str, name: str) -> api.Object:
        self.calls.append(f"get {kind.kind}")
        for obj in self.held.get(kind.kind, []):
            if obj["metadata"]["name"] == name:
                return obj
        raise api.NotFound(name, 404)

    async def list(
        self, kind: api.Kind, namespace: str | None = None, selector: str = ""
    ) -> tuple[api.Objects, str]:
        return self.held.get(kind.kind, []), "1"

    async def create(self, kind: api.Kind, obj: api.Object, *, dry_run: bool = False) -> api.Object:
        self.calls.append(f"create {kind.kind}{' dry' if dry_run else ''}")
        return obj


class World:
    def __init__(self, obj: api.Object | None = None) -> None:
        self.port = Port(obj or release())
        self.caches = cache.Caches(
            self.port,  # type: ignore[arg-type]
            sleep=asyncio.sleep,
            monotonic=lambda: 0.0,
        )
        resolver = resolve.Resolver(self.port, "checks:1")  # type: ignore[arg-type]
        self.observer = observe.Observer(
            self.port,  # type: ignore[arg-type]
            self.caches,
            resolver,
            lambda *_: [],
        )

    async def look(self, *, fresh: bool = True) -> observe.Look:
        return await self.observer.observe("shop", "embedder", fresh=fresh)


OWNER = manifests.Owner(api.RELEASE, "shop", "embedder", "u-1")
RUN = manifests.run(OWNER, "embedder-r0123456789-1", {}, "r0123456789")


async def test_a_run_that_can_not_be_read_stops_what_is_new_and_is_said():
    world = World()
    world.port.held["ModelReleaseRun"] = [RUN | {"status": {"phase": "Dancing"}}]
    found = (await world.look()).observation
    assert found.runs == ()
    assert found.release.desired is None
    assert found.release.problem is not None
    assert found.release.problem.reason == "StateUnknown"
    assert "embedder-r0123456789-1" in found.release.problem.message


async def test_children_of_a_namesake_are_not_ours():
    world = World()
    other = manifests.Owner(api.RELEASE, "shop", "embedder", "u-0")
    template: dict[str, Any] = {"metadata": {}, "spec": {}}
    world.port.held["ControllerRevision"] = [manifests.controller_revision(other, "r00000000aa", 1, {}, "1")]
    world.port.held["Deployment"] = [manifests.deployment(other, "r00000000aa", template)]
    look = await world.look()
    assert look.observation.revisions == {}
    assert look.objects.deployments == []


async def test_a_candidate_is_exposed_before_it_has_a_pod():
    world = World(release(template={"metadata": {"labels": {"app": "clip"}}, **TEMPLATE}))
    users = {"metadata": {"name": "users", "namespace": "shop"}, "spec": {"selector": {"app": "clip"}}}
    world.port.held["Service"] = [users]
    assert (await world.look()).observation.exposed_by == ("users",)


@pytest.mark.parametrize(
    ("declared", "replicas", "max_surge"),
    [({"replicas": 6}, 6, 1), ({"replicas": "many"}, 3, 1), ({"strategy": {"maxSurge": "50%"}}, 4, 2)],
)
async def test_a_broken_spec_moves_no_pods(declared: dict[str, Any], replicas: int, max_surge: int):
    world = World(release(model="nonsense", service={"port": 81}, **declared))
    deployment = manifests.deployment(OWNER, "r00000000aa", {"metadata": {}, "spec": {}})
    deployment["spec"]["replicas"] = 3
    world.port.held["Deployment"] = [deployment]
    look = await world.look()
    found = look.observation.release
    assert found.problem is not None
    assert (found.problem.reason, found.desired) == ("InvalidSpec", None)
    assert (found.replicas, found.max_surge) == (replicas, max_surge)
    assert look.resolved.service is not None
    assert look.resolved.service.port == 81


async def test_an_override_acts_although_the_spec_is_broken():
    override = {"rejected": [{"revision": "r00000000aa", "reason": "wrong answers"}]}
    found = (await World(release(model=3, override=override)).look()).observation.release
    assert [entry.revision for entry in found.override.rejected] == ["r00000000aa"]


async def test_a_template_is_validated_once_and_a_config_map_read_anew_only_for_writing():
    world = World()
    await world.look()
    await world.look()
    assert world.port.calls.count("create Deployment dry") == 1
    assert world.port.calls.count("get ConfigMap") == 2
    world.caches[api.RELEASE]._apply(api.WatchEvent("ADDED", world.port.held["ModelRelease"][0]))
    await world.look(fresh=False)
    assert world.port.calls.count("get ConfigMap") == 2, "known well enough to see that nothing is to do"
    world.port.time += datetime.timedelta(seconds=31)
    await world.look(fresh=False)
    assert world.port.calls.count("get ConfigMap") == 3


async def test_a_release_that_the_cache_does_not_know_is_not_found():
    with pytest.raises(api.NotFound):
        await World().look(fresh=False)


async def test_the_same_spec_has_the_same_revision_everywhere():
    first = (await World().look()).observation.release.desired
    other = release()
    other["metadata"] |= {"uid": "u-2", "namespace": "shop"}
    second = (await World(other).look()).observation.release.desired
    assert first is not None
    assert first == second


ARTIFACT = {"uri": "pvc://models/bge/3", "digest": "sha256:" + "a" * 64}


async def desired(**spec: Any) -> observation.Desired:
    found = (await World(release(**spec)).look()).observation.release.desired
    assert found is not None
    return found


async def test_what_lies_at_the_artifacts_place_is_part_of_the_revision():
    plain = await desired()
    first = await desired(model={"version": "1", "artifact": ARTIFACT})
    said = await desired(
        model={"version": "2", "artifact": ARTIFACT, "contract": {"files": ["tokenizer.json"]}}
    )
    moved = await desired(model={"version": "1", "artifact": ARTIFACT | {"uri": "pvc://models/bge/4"}})
    other = await desired(model={"version": "1", "artifact": ARTIFACT | {"digest": "sha256:" + "b" * 64}})
    assert len({plain.revision, first.revision, moved.revision, other.revision}) == 4
    assert said.revision == first.revision, "which files are named is only said"
    assert said.judging_digest != first.judging_digest


async def test_an_artifact_is_rendered_into_what_is_stored_and_never_again():
    world = World(release(model={"version": "1", "artifact": ARTIFACT}))
    draft = (await world.look()).resolved.draft
    assert draft is not None
    assert draft.data["template"]["spec"]["initContainers"][0]["image"] == "checks:1"
    assert draft.data["identity"]["artifact"] == ARTIFACT
    stored = manifests.controller_revision(OWNER, draft.revision, 1, draft.data, "1")
    world.port.held["ControllerRevision"] = [stored]
    newer = resolve.Resolver(world.port, "checks:2")  # type: ignore[arg-type]
    resolved = await newer.resolve(world.port.held["ModelRelease"][0], [stored], [])
    assert resolved.release.desired is not None
    assert (resolved.release.desired.revision, resolved.draft) == (draft.revision, None)
    assert resolved.template == draft.data["template"], "an upgrade of the checks restarts no pod"


def golden(**more: Any) -> dict[str, Any]:
    volume = {"configMap": {"name": "golden-v3"}}
    return {
        "goldenSets": [{"name": "judged", "volume": volume}],
        "checks": [{"name": "a", "contract": {"goldenSet": "judged"}}],
        **more,
    }


async def test_a_golden_sets_contents_are_judged_by_and_are_no_part_of_the_revision():
    world, found = World(release(**golden())), []
    for text in ("one", "two"):
        world.port.held["ConfigMap"] = [
            *world.port.held["ConfigMap"][:1],
            {"metadata": {"name": "golden-v3", "namespace": "shop"}, "data": {"items.jsonl": text}},
        ]
        found.append((await world.look()).observation.release.desired)
    first, second = found
    assert first is not None
    assert second is not None
    assert first.revision == second.revision == (await desired()).revision
    assert first.judging_digest != second.judging_digest


async def test_a_golden_set_that_is_missing_is_said():
    problem = (await World(release(**golden())).look()).observation.release.problem
    assert problem is not None
    assert problem.reason == "ConfigMapNotFound"
    assert "golden set judged is in ConfigMap golden-v3" in problem.message


async def test_a_golden_set_that_no_check_names_is_not_looked_for():
    assert (await desired(**golden(checks=[{"name": "a", "contract": {}}]))).judging.golden_sets == []


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "budget"),
    [
        (4, 1, 0, (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (5, "25%", "25%", (2, 1)),
        (1, "0%", "50%", (0, 1)),
        (4, 0, 0, (0, 1)),
        (0, "50%", "50%", (0, 1)),
    ],
)
def test_the_budget_is_rounded_as_a_deployment_does(
    replicas: int, surge: int | str, unavailable: int | str, budget: tuple[int, int]
):
    assert resolve.resolved_budget(replicas, surge, unavailable) == budget


@pytest.mark.parametrize(
    ("live", "stored", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": None}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_a_merge_patch_that_restores(live: dict[str, Any], stored: dict[str, Any], patch: dict[str, Any]):
    assert act.replacement(live, stored) == patch
