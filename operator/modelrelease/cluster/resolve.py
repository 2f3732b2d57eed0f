"""What a manifest wants: its revision, what that is judged by, or the problem that stands in the way."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pydantic

from modelrelease.api import parse, reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cluster import api, artifacts, facts, manifests, prerequisites, recent
from modelrelease.core import observation, refusals, revision

_REMEMBERED_MAX: Final = 256
"""Templates; what has been forgotten is asked for once more."""
_KNOWN_FOR: Final = datetime.timedelta(seconds=30)
"""How old a ConfigMap may be in a turn that writes nothing."""
_MESSAGE_MAX: Final = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """A revision that is not stored yet, complete."""

    revision: str
    data: Mapping[str, Any]
    """Of the ControllerRevision."""
    sources: tuple[api.Object, ...]
    """The ConfigMaps to copy, in the order of their copies."""
    model_version: str


@dataclasses.dataclass(frozen=True, slots=True)
class Resolved:
    """What a manifest amounts to."""

    release: observation.Release
    service: api_spec.Service | None
    """Settings of the live Service; None while the spec can't be read."""
    template: Mapping[str, Any] | None = None
    """The rendered pod template of the wanted revision."""
    draft: Draft | None = None
    """What has to be stored, when it is not."""
    config_drift: tuple[str, ...] = ()


class _Refused(Exception):
    """The manifest can't be acted on."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.problem = _problem(reason, message)


class Resolver:
    """Resolves manifests, and remembers what it has read and validated for a while.

    Parameters
    ----------
    port
        The API server.
    checks_image
        What verifies the model's files in every pod.
    """

    def __init__(self, port: api.Api, checks_image: str) -> None:
        self._port = port
        self._checks_image = checks_image
        self._validated: dict[str, tuple[str, Mapping[str, Any]]] = {}
        """By release, until its revision is stored: the digest of what was asked, and what was accepted."""
        self._read: dict[tuple[api.Kind, str, str], tuple[datetime.datetime, api.Object | None]] = {}
        self._parsed: recent.Recent[parse.ParsedRelease] = recent.Recent()
        self._identified: recent.Recent[tuple[revision.Json, str | None]] = recent.Recent()
        self._judged: recent.Recent[tuple[str, api_run.Judging]] = recent.Recent()

    async def resolve(
        self,
        release: api.Object,
        controller_revisions: api.Objects,
        deployments: api.Objects,
        *,
        fresh: bool = True,
    ) -> Resolved:
        """Return what a ModelRelease wants.

        Parameters
        ----------
        release
            The object.
        controller_revisions, deployments
            Its stored revisions and their Deployments.
        fresh
            Read again what the manifest refers to.

        Raises
        ------
        modelrelease.cluster.api.Unavailable
            The API server could not be asked; anything that is the manifest's fault becomes its problem.
        """
        metadata = release["metadata"]
        written = (metadata.get("generation"), metadata["name"], release.get("spec"))
        parsed = self._parsed.made(metadata["uid"], "", written, lambda: parse.parse_release(release))
        live = _live(release, parsed, deployments)
        if isinstance(parsed.spec, parse.SpecProblem):
            problem = _problem(reasons.INVALID_SPEC, parsed.spec.message)
            return Resolved(dataclasses.replace(live, problem=problem), _service(release))
        owner = manifests.Owner.of(api.RELEASE, release)
        try:
            return await self._wanted(owner, parsed.spec, live, controller_revisions, fresh=fresh)
        except _Refused as refused:
            return Resolved(dataclasses.replace(live, problem=refused.problem), parsed.spec.service)

    async def _wanted(
        self,
        owner: manifests.Owner,
        spec: api_spec.ReleaseSpec,
        live: observation.Release,
        controller_revisions: api.Objects,
        *,
        fresh: bool,
    ) -> Resolved:
        template = spec.template
        sources = await self._config_maps(owner.namespace, template, fresh=fresh)
        secrets = await self._secrets(owner.namespace, template, fresh=fresh)
        digests = {secret: found["digest"] for secret, found in secrets.items()}
        space = spec.model.embedding_space or owner.name
        artifact = spec.model.artifact
        contents = {name: _contents(obj) for name, obj in sources.items()}
        stored = {facts.revision_of(obj): obj.get("data") or {} for obj in controller_revisions}
        identities = {name: data.get("identity") or {} for name, data in stored.items()}

        def identified() -> tuple[revision.Json, str | None]:
            found = revision.identity(
                template, space, contents, artifact.identity() if artifact is not None else None
            )
            return found, revision.find_equal(found, identities)

        identity, known = self._identified.made(
            owner.uid, "", (live.generation, spec, contents, identities), identified
        )
        name = known or revision.free_name(identity, stored)
        golden_sets = await self._golden_sets(owner.namespace, spec, fresh=fresh)

        def judged() -> tuple[str, api_run.Judging]:
            judging = judging_of(spec, golden_sets)
            return revision.judging_digest(judging), judging

        digest, judging = self._judged.made(owner.uid, "", (live.generation, spec, golden_sets), judged)
        desired = observation.Desired(name, digest, judging, stored=known is not None)
        resolved = Resolved(dataclasses.replace(live, desired=desired), spec.service)
        if known is not None:
            self._validated.pop(owner.uid, None)
            data = stored[known]
            return dataclasses.replace(
                resolved,
                template=data.get("template"),
                config_drift=_drift(data.get("secrets") or {}, digests),
            )
        order = sorted(sources)
        copies = {source: manifests.copy_name(owner.name, name, i) for i, source in enumerate(order)}
        rewritten = revision.rewrite_config_maps(template, copies)
        if artifact is not None:
            files = spec.model.contract.files or []
            rewritten = artifacts.rendered(rewritten, artifact, files, self._checks_image)
        rendered = manifests.rendered_template(rewritten, owner.name, name)
        accepted = await self._accepted(owner, name, rendered)
        await self._possible(owner.namespace, template, accepted, sources, secrets, fresh=fresh)
        data = {"identity": identity, "template": accepted, "embeddingSpace": space, "secrets": digests}
        draft = Draft(name, data, tuple(sources[source] for source in order), spec.model.version)
        return dataclasses.replace(resolved, template=accepted, draft=draft)

    async def _accepted(
        self, owner: manifests.Owner, name: str, rendered: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the template as the API server accepts it, with its defaults; asked once for each revision.

        The defaults are stored with it: then a live template that differs was edited by hand.
        """
        asked = revision.digest(rendered)
        known, before = self._validated.get(owner.uid, ("", rendered))
        if known == asked:
            return before
        accepted: Mapping[str, Any] = rendered
        try:
            created = await self._port.create(
                api.DEPLOYMENT, manifests.deployment(owner, name, rendered), dry_run=True
            )
            accepted = facts.without_nulls(created["spec"]["template"])
        except api.AlreadyExists:
            pass  # validation comes before the name is looked up
        except (api.Invalid, api.Forbidden) as error:
            if refusals.is_quota(str(error)):
                raise _Refused(reasons.QUOTA_EXCEEDED, f"No Deployment can be created: {error}") from error
            raise _Refused(
                reasons.INVALID_TEMPLATE, f"The API server refuses the template: {error}"
            ) from error
        while len(self._validated) >= _REMEMBERED_MAX:
            del self._validated[next(iter(self._validated))]
        self._validated[owner.uid] = (asked, accepted)
        return accepted

    async def _possible(
        self,
        namespace: str,
        template: Mapping[str, Any],
        accepted: Mapping[str, Any],
        sources: Mapping[str, api.Object],
        secrets: Mapping[str, api.Object],
        *,
        fresh: bool,
    ) -> None:
        """Refuse a template that the API server accepts and that no pod can be made of, as things are.

        Asked until the revision is stored, and then no more: what is missing later is told by its pods.
        """
        keys = {name: found["keys"] for name, found in secrets.items()}
        for reason, said in (
            (reasons.CONFIG_MAP_NOT_FOUND, prerequisites.missing_key(template, sources)),
            (reasons.SECRET_NOT_FOUND, prerequisites.missing_secret_key(template, keys)),
        ):
            if said:
                raise _Refused(reason, said)
        for kind, name in prerequisites.named(accepted):
            try:
                where = "" if kind in api.CLUSTER_SCOPED else namespace
                found = await self._get(kind, where, name, fresh=fresh)
            except api.Forbidden:
                continue
            if found is None:
                raise _Refused(reasons.OBJECT_NOT_FOUND, prerequisites.absent(kind, name, namespace))

    async def _config_maps(
        self, namespace: str, template: Mapping[str, Any], *, fresh: bool
    ) -> dict[str, api.Object]:
        optional = revision.optional_references(template)
        found = {}
        for name in sorted(revision.referenced_config_maps(template)):
            obj = await self._get(api.CONFIG_MAP, namespace, name, fresh=fresh)
            if obj is not None:
                found[name] = obj
            elif name not in optional:
                said = prerequisites.absent(api.CONFIG_MAP, name, namespace)
                raise _Refused(reasons.CONFIG_MAP_NOT_FOUND, said)
        return found

    async def _golden_sets(
        self, namespace: str, spec: api_spec.ReleaseSpec, *, fresh: bool
    ) -> list[api_run.JudgedGoldenSet]:
        """Return the sets that checks name, with the contents of those that lie in a ConfigMap."""
        named = {check.probe.golden_set for check in spec.all_checks()}
        found = []
        for golden in spec.golden_sets:
            if golden.name not in named:
                continue
            contents = None
            if golden.volume.config_map is not None:
                source = golden.volume.config_map.name
                obj = await self._get(api.CONFIG_MAP, namespace, source, fresh=fresh)
                if obj is None:
                    holder = f"The golden set {golden.name} is in"
                    said = reasons.not_found(holder, f"ConfigMap {source}", f"namespace {namespace}")
                    raise _Refused(reasons.CONFIG_MAP_NOT_FOUND, said)
                contents = _contents(obj)
            found.append(api_run.JudgedGoldenSet(**dict(golden), contents=contents))
        return found

    async def _secrets(
        self, namespace: str, template: Mapping[str, Any], *, fresh: bool
    ) -> dict[str, api.Object]:
        """Return digest and keys of each Secret; where the installation may not read Secrets, of none."""
        optional = _optional_secrets(template)
        found = {}
        for name in sorted(revision.referenced_secrets(template)):
            try:
                obj = await self._get(api.SECRET, namespace, name, fresh=fresh)
            except api.Forbidden:
                continue
            if obj is not None:
                found[name] = obj
            elif name not in optional:
                said = prerequisites.absent(api.SECRET, name, namespace)
                raise _Refused(reasons.SECRET_NOT_FOUND, said)
        return found

    async def _get(self, kind: api.Kind, namespace: str, name: str, *, fresh: bool) -> api.Object | None:
        """Return an object, or None when it does not exist; of a Secret digest and keys, not its content."""
        key = (kind, namespace, name)
        if not fresh and key in self._read:
            then, known = self._read[key]
            if self._port.now() - then < _KNOWN_FOR:
                return known
        try:
            obj: api.Object | None = await self._port.get(kind, namespace, name)
        except api.NotFound:
            obj = None
        if kind == api.SECRET and obj is not None:
            # Salted by its name: equal Secrets of two namespaces do not show that they are equal.
            contents = obj.get("data") or {}
            obj = {"digest": revision.digest([namespace, name, contents]), "keys": sorted(contents)}
        now = self._port.now()
        # In the order in which they were read: ConfigMaps are large, and of no use when they are old.
        self._read.pop(key, None)
        while self._read and now - next(iter(self._read.values()))[0] >= _KNOWN_FOR:
            del self._read[next(iter(self._read))]
        self._read[key] = (now, obj)
        return obj


def judging_of(
    spec: api_spec.ReleaseSpec, golden_sets: Sequence[api_run.JudgedGoldenSet] = ()
) -> api_run.Judging:
    """Return everything that a run of this spec is judged by."""
    return api_run.Judging(
        model=spec.model,
        endpoint=spec.endpoint,
        strategy=spec.strategy,
        checks=list(spec.all_checks()),
        check_template=spec.check_template,
        slos=spec.slos,
        enforcement=spec.enforcement,
        on_inconclusive=spec.on_inconclusive,
        on_error=spec.on_error,
        golden_sets=list(golden_sets),
    )


def _problem(reason: str, message: str) -> observation.Problem:
    return observation.Problem(reason, message[:_MESSAGE_MAX])


def _live(release: api.Object, parsed: parse.ParsedRelease, deployments: api.Objects) -> observation.Release:
    """Return the fields that act at once, whatever the rest of the spec says."""
    metadata, live, broken = release["metadata"], parsed.live, parsed.override_problem
    declared = (release.get("spec") or {}).get("replicas")
    replicas = live.replicas
    if declared is not None and declared != replicas:
        # It can't be read: what is asked for now stays, rather than a default that takes pods away.
        replicas = max((int(obj["spec"].get("replicas") or 0) for obj in deployments), default=replicas)
    max_surge, max_unavailable = resolved_budget(replicas, live.max_surge, live.max_unavailable)
    return observation.Release(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=int(metadata.get("generation") or 0),
        replicas=replicas,
        max_surge=max_surge,
        max_unavailable=max_unavailable,
        override=parsed.override,
        desired=None,
        problem=_problem(reasons.INVALID_SPEC, broken.message) if broken is not None else None,
        revision_history_limit=live.revision_history_limit,
        run_history_limit=live.run_history_limit,
    )


def resolved_budget(replicas: int, surge: int | str, unavailable: int | str) -> tuple[int, int]:
    """Return both in pods, rounded as a Deployment does: surge up, unavailable down, never both 0."""
    more, fewer = _pods(replicas, surge, up=True), _pods(replicas, unavailable, up=False)
    return more, fewer if more or fewer else 1


def _pods(replicas: int, value: int | str, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    share = replicas * int(value.removesuffix("%"))
    return -(-share // 100) if up else share // 100


def _service(release: api.Object) -> api_spec.Service | None:
    try:
        return api_spec.Service.model_validate((release.get("spec") or {}).get("service") or {})
    except (pydantic.ValidationError, AttributeError):
        return None


def _contents(config_map: api.Object) -> str:
    return revision.digest({key: config_map.get(key) or {} for key in ("data", "binaryData")})


def _drift(stored: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, digest in now.items() if stored.get(name, digest) != digest))


def _optional_secrets(value: Any) -> frozenset[str]:
    """Return the Secrets that may be missing, wherever in a template they are referred to."""
    if isinstance(value, list):
        return frozenset().union(*map(_optional_secrets, value))
    if not isinstance(value, Mapping):
        return frozenset()
    found = frozenset().union(*map(_optional_secrets, value.values()))
    name = value.get("secretName") or value.get("name")
    return found | {name} if value.get("optional") is True and isinstance(name, str) else found
