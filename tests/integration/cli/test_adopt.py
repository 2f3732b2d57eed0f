"""A live Deployment and Service become a release's on a real API server, by the verb, and go back."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api, CustomObjectsApi, DiscoveryV1Api

from hack.cluster import binaries
from modelrelease.cli.mrel import kubectl, main, shell
from modelrelease.cluster import act, adoption, api, cache, client, manifests, observe, resolve
from modelrelease.core import observation, traffic

Selects = observation.Selects
TARGET, NAME = "deployment/clip-server", "clip"
SECONDS = 180
WHY = ("--reason", "first week", "--yes")
LABELS = {"app": "clip"}
DEPLOYMENT = {
    "metadata": {"name": "clip-server"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {"name": "server", "image": "example/infinity:1", "ports": [{"containerPort": 8000}]}
                ],
            },
        },
    },
}
SERVICE = {
    "metadata": {"name": NAME, "annotations": {"team": "search"}},
    "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
}


class Live:
    """What serves users, and an operator that looks at it when it is told to."""

    def __init__(
        self, port: client.KubernetesApi, api_client: ApiClient, kubeconfig: str, namespace: str
    ) -> None:
        self.port, self.namespace = port, namespace
        self._options = (f"--namespace={namespace}", f"--kubeconfig={kubeconfig}")
        self.core, self.apps = CoreV1Api(api_client), AppsV1Api(api_client)
        self.slices, self.custom = DiscoveryV1Api(api_client), CustomObjectsApi(api_client)
        caches = cache.Caches(port, sleep=asyncio.sleep, monotonic=time.monotonic, namespace=self.namespace)
        resolver = resolve.Resolver(port, "registry.test/checks:1")
        self._observer = observe.Observer(port, caches, resolver, lambda *_: [])

    async def say(self, *arguments: str, code: int = 0) -> str:
        """Say adopt, as somebody whose words are piped."""
        built = binaries.KUBERNETES.target() / "kubectl"
        program = str(built) if built.exists() else "kubectl"
        out = io.StringIO()
        here = shell.Shell(
            out=out, err=out, environ={}, connect=lambda options: kubectl.Kubectl(options, program)
        )
        said = await asyncio.to_thread(main.run, ["adopt", TARGET, *arguments, *self._options], here)
        assert said == code, out.getvalue()
        return out.getvalue()

    async def look(self) -> observe.Look:
        return await self._observer.observe(self.namespace, NAME, fresh=True)

    async def until(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.1)

    async def pods_ready(self, selector: str, count: int) -> None:
        def ready() -> bool:
            pods = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
            return sum(_ready(pod) for pod in pods) == count

        await self.until(f"{count} pods of {selector} to be Ready", ready)

    def service(self) -> dict[str, Any]:
        found = self.core.read_namespaced_service(NAME, self.namespace, _preload_content=False)
        parsed: dict[str, Any] = json.loads(found.data)
        return parsed

    def behind(self) -> tuple[int, set[str]]:
        """Return how many EndpointSlices there are, and the pods that users reach."""
        label = f"kubernetes.io/service-name={NAME}"
        slices = self.slices.list_namespaced_endpoint_slice(self.namespace, label_selector=label).items
        ready = [e for one in slices for e in one.endpoints or () if e.conditions.ready]
        return len(slices), {endpoint.target_ref.name for endpoint in ready}

    async def made_stable(self) -> str:
        """Do what a first run does: store the revision, start its pods, promote it."""
        await act.store_revision(self.port, await self.look())
        look = await self.look()
        assert look.observation.release.desired is not None
        revision = look.observation.release.desired.revision
        await act.ensure_deployment(self.port, look, revision)
        while True:
            try:
                look = await self.look()
                await act.scale(self.port, look, revision, 2)
                break
            except api.Conflict:
                continue
        stored = look.objects.revision(revision)
        assert stored is not None
        when = {manifests.PROMOTED_TIME: self.port.now().isoformat()}
        await act.annotate(self.port, api.CONTROLLER_REVISION, stored, when)
        return revision


def _ready(pod: Any) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


@pytest.fixture
async def live(api_client: ApiClient, kubeconfig: str, namespace: str) -> AsyncIterator[Live]:
    port = client.KubernetesApi(await client.configuration(kubeconfig), time.monotonic)
    found = Live(port, api_client, kubeconfig, namespace)
    found.apps.create_namespaced_deployment(namespace, DEPLOYMENT, field_manager="kubectl")
    found.core.create_namespaced_service(namespace, SERVICE, field_manager="kubectl")
    await found.pods_ready("app=clip", 2)
    yield found
    await port.close()


async def test_a_service_is_offered_taken_over_and_given_back(live: Live):
    await live.until("the Service to find its pods", lambda: len(live.behind()[1]) == 2)
    before, (_, old) = live.service(), live.behind()

    # When it is offered, nothing moves, and the new pods are found by no Service.
    assert "Users notice nothing" in await live.say(*WHY)
    look = await live.look()
    assert look.observation.traffic == observation.Traffic(Selects.OFFERED)
    assert (look.observation.offer_problem, look.observation.exposed_by) == ("", ())
    assert live.service()["spec"] == before["spec"]
    assert "is offered to the release already" in await live.say(*WHY)

    # When stable has all its pods, one write moves everybody, and nothing else of the Service changes.
    revision = await live.made_stable()
    assert traffic.wanted_of((await live.look()).observation, live.port.now()).traffic.selects in {
        Selects.OFFERED,
        Selects.PINNED,
    }
    await live.pods_ready(f"modelrelease.dev/revision={revision}", 2)
    look = await live.look()
    wanted = traffic.wanted_of(look.observation, live.port.now()).traffic
    assert wanted == observation.Traffic(Selects.PINNED, revision)
    assert not act.traffic_settled(look, wanted)
    await act.set_traffic(live.port, look, wanted)
    look = await live.look()
    assert look.observation.traffic == wanted
    assert act.traffic_settled(look, wanted)
    after = live.service()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["annotations"]["team"] == "search"
    (port,), (was,) = after["spec"].pop("ports"), before["spec"]["ports"]
    assert port == was | {"targetPort": "model"}
    same = {key: value for key, value in before["spec"].items() if key not in {"selector", "ports"}}
    assert {key: after["spec"][key] for key in same} == same

    def moved() -> bool:
        count, reached = live.behind()
        return count == 1 and len(reached) == 2 and reached.isdisjoint(old)

    await live.until("users to reach the new pods by the same slice", moved)

    # The old pods go when their connections have drained, by a person's word.
    assert "drain for" in await live.say("--finish", *WHY, code=1)
    _patched(live, {"spec": {"strategy": {"drainSeconds": 0}}})
    await live.say("--finish", *WHY)
    old_one = live.apps.read_namespaced_deployment("clip-server", live.namespace)
    assert old_one.spec.replicas == 0
    assert old_one.metadata.annotations["modelrelease.dev/replicas-before-adoption"] == "2"

    # The way back needs somebody who serves, and is one write.
    await live.pods_ready("app=clip", 0)
    assert "--replicas=2" in await live.say("--undo", *WHY, code=1)
    live.apps.patch_namespaced_deployment_scale("clip-server", live.namespace, {"spec": {"replicas": 2}})
    await live.pods_ready("app=clip", 2)
    await live.say("--undo", *WHY)
    look = await live.look()
    assert look.observation.traffic == observation.Traffic(Selects.FOREIGN)
    back = live.service()
    assert back["spec"]["selector"] == before["spec"]["selector"]
    assert back["spec"]["ports"] == before["spec"]["ports"]
    assert back["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert not back["metadata"].get("labels")
    assert not back["metadata"].get("ownerReferences"), "it would go with the release"
    with pytest.raises(act.NameTaken):
        await act.set_traffic(live.port, look, wanted)


def _patched(live: Live, body: dict[str, Any]) -> None:
    live.custom.patch_namespaced_custom_object(
        "modelrelease.dev", "v1alpha1", live.namespace, "modelreleases", NAME, body,
        _content_type="application/merge-patch+json",
    )  # fmt: skip


async def test_what_does_not_fit_is_left_as_it_is_and_said(live: Live):
    await live.say(*WHY)
    _patched(live, {"spec": {"service": {"port": 81}}})
    revision = await live.made_stable()
    await live.pods_ready(f"modelrelease.dev/revision={revision}", 2)
    look = await live.look()
    assert look.observation.offer_problem == "its port is 80, and spec.service.port 81"
    wanted = traffic.wanted_of(look.observation, live.port.now()).traffic
    assert wanted == observation.Traffic(Selects.OFFERED)
    assert act.traffic_settled(look, wanted)


async def test_a_dry_run_writes_nothing_and_the_api_server_agrees(live: Live):
    assert "The API server would take it" in await live.say(*WHY, "--dry-run")
    assert adoption.before(live.service()) is None
    assert "labels" not in live.service()["metadata"]
    found = live.custom.list_namespaced_custom_object(
        "modelrelease.dev", "v1alpha1", live.namespace, "modelreleases"
    )
    assert found["items"] == []
