"""One look at a release: its objects, from the caches or read afresh, and the facts they amount to."""

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from modelrelease.api import constants, reasons
from modelrelease.api import run as api_run
from modelrelease.cluster import adoption, api, cache, facts, manifests, recent, resolve
from modelrelease.core import observation

PartsReader = Callable[[observation.Run, str, api.Objects, api.Objects], Sequence[observation.CheckPart]]
"""Reads the results of a run's checks from its UID, its Jobs and their pods (:mod:`modelrelease.checks`)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Objects:
    """The raw objects of a release, each kind its own; those of another owner are left out."""

    release: api.Object
    controller_revisions: api.Objects
    deployments: api.Objects
    pods: api.Objects
    check_pods: api.Objects
    services: api.Objects
    """Those of the namespace that may send users to the release's pods."""
    runs: api.Objects
    jobs: api.Objects
    budgets: api.Objects

    @property
    def owner(self) -> manifests.Owner:
        """The release as an owner of its children."""
        return manifests.Owner.of(api.RELEASE, self.release)

    def revision(self, name: str) -> api.Object | None:
        """Return a stored revision."""
        return _of_revision(self.controller_revisions, name)

    def deployment(self, revision: str) -> api.Object | None:
        """Return a revision's Deployment."""
        return _of_revision(self.deployments, revision)

    def service(self) -> api.Object | None:
        """Return the Service of the release's name, whoever's it is."""
        return _named(self.services, self.owner.name)

    def run(self, name: str) -> api.Object | None:
        """Return a run."""
        return _named(self.runs, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One consistent look: what the core decides on, and the objects that actions start from."""

    observation: observation.Observation
    objects: Objects
    resolved: resolve.Resolved


def _of_revision(found: api.Objects, name: str) -> api.Object | None:
    return next((obj for obj in found if facts.revision_of(obj) == name), None)


def _named(found: api.Objects, name: str) -> api.Object | None:
    return next((obj for obj in found if obj["metadata"]["name"] == name), None)


class Observer:
    """Looks at releases.

    Parameters
    ----------
    port
        The API server.
    caches
        What is followed; enough to find that nothing has to be done.
    resolver
        What a manifest wants.
    read_parts
        Reads the results of checks.
    """

    def __init__(
        self,
        port: api.Api,
        caches: cache.Caches,
        resolver: resolve.Resolver,
        read_parts: PartsReader,
    ) -> None:
        self._port = port
        self._caches = caches
        self._resolver = resolver
        self._read_parts = read_parts
        self._runs: recent.Recent[observation.Run] = recent.Recent()

    async def observe(self, namespace: str, name: str, *, fresh: bool = False) -> Look:
        """Look at one release.

        Parameters
        ----------
        namespace, name
            Of the ModelRelease.
        fresh
            Read everything from the API server: what a turn that is about to write decides on.

        Raises
        ------
        modelrelease.cluster.api.NotFound
            The release does not exist.
        modelrelease.cluster.api.ApiError
            Something could not be read.
        """
        found = await (self._fresh(namespace, name) if fresh else self._cached(namespace, name))
        accelerators = facts.accelerators(self._caches.nodes.list(""))
        pods = [facts.pod(obj, accelerators) for obj in found.pods]
        resolved = await self._resolver.resolve(
            found.release, found.controller_revisions, found.deployments, fresh=fresh
        )
        return Look(self._observation(found, resolved, pods), found, resolved)

    async def _cached(self, namespace: str, name: str) -> Objects:
        release = next(iter(self._caches[api.RELEASE].list(namespace, name)), None)
        if release is None:
            raise api.NotFound(f"ModelRelease {namespace}/{name} is not known", 404)
        children = {kind: self._caches[kind].list(namespace, name) for kind in _CHILDREN}
        return _objects(release, children, _exposing(self._caches[api.SERVICE].each(namespace), name))

    async def _fresh(self, namespace: str, name: str) -> Objects:
        selector = f"{constants.LABEL_RELEASE}={name}"
        release, services, lists = await asyncio.gather(
            self._port.get(api.RELEASE, namespace, name),
            self._services(namespace, name),
            asyncio.gather(*(self._list(kind, namespace, selector) for kind in _CHILDREN)),
        )
        return _objects(release, dict(zip(_CHILDREN, lists, strict=True)), services)

    async def _list(self, kind: api.Kind, namespace: str, selector: str) -> api.Objects:
        """Return what the caches would tell: the turn keeps it through all its calls."""
        objects, _ = await self._port.list(kind, namespace, selector)
        return [cache.TRIMS[kind](obj) for obj in objects]

    async def _services(self, namespace: str, release: str) -> api.Objects:
        objects, _ = await self._port.list(api.SERVICE, namespace)
        return _exposing(map(cache.trim_service, objects), release)

    def _observation(
        self, found: Objects, resolved: resolve.Resolved, pods: Sequence[observation.Pod]
    ) -> observation.Observation:
        deployments = {facts.revision_of(obj): obj for obj in found.deployments}
        revisions = [facts.revision(obj, deployments, pods) for obj in found.controller_revisions]
        runs, unreadable = self._readable(found)
        release = resolved.release
        if unreadable:
            # What the run was doing is unknown: nothing new starts, and without a run stable serves.
            problem = observation.Problem(reasons.STATE_UNKNOWN, unreadable)
            release = dataclasses.replace(release, desired=None, problem=problem)
        active = next((run for run in reversed(runs) if run.status.phase is not api_run.Phase.DONE), None)
        return observation.Observation(
            release=release,
            revisions={revision.name: revision for revision in revisions},
            traffic=facts.traffic(found.owner, found.services),
            runs=runs,
            parts=self._parts(found, active),
            exposed_by=_exposed_by(found, resolved, active),
            offer_problem=_offer_problem(found, resolved),
            config_drift=resolved.config_drift,
        )

    def _readable(self, found: Objects) -> tuple[tuple[observation.Run, ...], str]:
        """Return the runs that can be read, and why one of them can't."""
        uid, runs, unreadable = found.release["metadata"]["uid"], [], ""
        for obj in found.runs:
            written = (obj.get("spec"), obj.get("status"))
            try:
                runs.append(self._runs.made(uid, api.key_of(obj), written, functools.partial(facts.run, obj)))
            except facts.Unreadable as error:
                unreadable = str(error)
        return tuple(runs), unreadable

    def _parts(self, found: Objects, active: observation.Run | None) -> tuple[observation.CheckPart, ...]:
        raw = found.run(active.name) if active is not None else None
        if active is None or raw is None:
            return ()
        owner = manifests.Owner.of(api.RUN, raw)
        jobs = [job for job in found.jobs if owner.owns(job)]
        return tuple(self._read_parts(active, owner.uid, jobs, found.check_pods))


_CHILDREN = (
    api.CONTROLLER_REVISION,
    api.DEPLOYMENT,
    api.POD,
    api.RUN,
    api.JOB,
    api.POD_DISRUPTION_BUDGET,
)


def _exposing(services: Iterable[api.Object], release: str) -> api.Objects:
    """Return the release's own Service, and those that don't select the pods of another release only."""

    def may(service: api.Object) -> bool:
        selector = (service.get("spec") or {}).get("selector") or {}
        other = selector.get(constants.LABEL_RELEASE, release) != release
        return bool(service["metadata"]["name"] == release) or not other

    return [service for service in services if may(service)]


def _objects(release: api.Object, children: Mapping[api.Kind, api.Objects], services: api.Objects) -> Objects:
    owner = manifests.Owner.of(api.RELEASE, release)

    def mine(kind: api.Kind) -> api.Objects:
        return [obj for obj in children[kind] if facts.belongs(owner, obj)]

    def of_role(*, serving: bool) -> api.Objects:
        return [pod for pod in children[api.POD] if _serves(pod) is serving]

    return Objects(
        release=release,
        controller_revisions=mine(api.CONTROLLER_REVISION),
        deployments=mine(api.DEPLOYMENT),
        # Pods belong to ReplicaSets and Jobs: the label alone says whose they are, as it does to the Service.
        pods=of_role(serving=True),
        check_pods=of_role(serving=False),
        services=services,
        runs=sorted(mine(api.RUN), key=facts.age_order),
        jobs=children[api.JOB],
        budgets=mine(api.POD_DISRUPTION_BUDGET),
    )


def _serves(pod: Mapping[str, Any]) -> bool:
    return facts.labels_of(pod).get(constants.LABEL_ROLE) == constants.ROLE_SERVING


def _offer_problem(found: Objects, resolved: resolve.Resolved) -> str:
    """Return why the Service that is offered to the release can't be taken over."""
    live = found.service()
    if live is None or not facts.is_offered(found.owner, live):
        return ""
    return adoption.problem(live, resolved.service)


def _exposed_by(
    found: Objects, resolved: resolve.Resolved, active: observation.Run | None
) -> tuple[str, ...]:
    """Return the foreign Services that select the candidate's pods, those to come and those that exist."""
    desired = resolved.release.desired
    candidate = active.spec.revision if active is not None else desired.revision if desired else ""
    if not candidate:
        return ()
    stored = found.revision(candidate)
    template = (stored.get("data") or {}).get("template") if stored else resolved.template
    labels = [((template or {}).get("metadata") or {}).get("labels") or {}]
    labels += [dict(facts.labels_of(pod)) for pod in found.pods if facts.revision_of(pod) == candidate]
    return facts.exposing_services(found.owner, found.services, labels)
