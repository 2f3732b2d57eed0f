"""The cluster's objects as the models of the API, also those that an operator of another version wrote."""

import copy
import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from modelrelease.api import base, constants, parse
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api import status as api_status
from modelrelease.cli.mrel import port
from modelrelease.cluster import facts, manifests
from modelrelease.core import observation

_Model = TypeVar("_Model", bound=base.ApiModel)

SILENT_SECONDS = 120.0
"""Of a change that the operator has not taken note of."""


@dataclasses.dataclass(frozen=True, slots=True)
class Release:
    """A ModelRelease: what was asked for, and what the operator says."""

    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    raw: Mapping[str, Any]
    spec: api_spec.ReleaseSpec | parse.SpecProblem
    override: api_spec.Override
    status: api_status.ReleaseStatus
    unknown: tuple[str, ...] = ()
    """Fields of the status that only another version knows."""
    written: datetime.datetime | None = None
    """When its spec was written last, by whoever."""
    said: datetime.datetime | None = None
    """When the operator wrote its status last."""

    def condition(self, kind: str) -> api_status.Condition | None:
        """Return a condition, or None when it was never said."""
        return next((entry for entry in self.status.conditions if entry.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Return whether a condition is True."""
        found = self.condition(kind)
        return found is not None and found.status is api_status.ConditionStatus.TRUE

    @property
    def behind(self) -> bool:
        """Whether the operator has not seen the latest spec yet."""
        return self.status.observed_generation < self.generation

    def silent_for(self, now: datetime.datetime) -> float:
        """Return for how many seconds the operator has owed an answer; 0 when it owes none."""
        if not self.behind or self.written is None:
            return 0.0
        return max(0.0, (now - self.written).total_seconds())


def release(obj: Mapping[str, Any]) -> Release:
    """Read a ModelRelease.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        Its status has a shape that this version can't read.
    """
    metadata, parsed = obj["metadata"], parse.parse_release(obj)
    said, unknown = _lenient(
        api_status.ReleaseStatus, obj.get("status") or {}, f"status of {metadata['name']}"
    )
    return Release(
        name=metadata["name"],
        namespace=metadata.get("namespace") or "",
        uid=metadata.get("uid") or "",
        generation=int(metadata.get("generation") or 0),
        resource_version=str(metadata.get("resourceVersion") or ""),
        raw=obj,
        spec=parsed.spec,
        override=parsed.override,
        status=said,
        unknown=unknown,
        written=_last_write(metadata, status=False),
        said=_last_write(metadata, status=True),
    )


def _last_write(metadata: Mapping[str, Any], *, status: bool) -> datetime.datetime | None:
    fields = metadata.get("managedFields") or ()
    times = [facts.time_of(entry.get("time")) for entry in fields if ("subresource" in entry) is status]
    created = [] if status else [facts.time_of(metadata.get("creationTimestamp"))]
    return max((time for time in [*times, *created] if time is not None), default=None)


def runs(objects: Iterable[Mapping[str, Any]]) -> tuple[observation.Run, ...]:
    """Read runs, the oldest first.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        One has a shape that this version can't read.
    """
    return tuple(run(obj) for obj in sorted(objects, key=facts.age_order))


def run(obj: Mapping[str, Any]) -> observation.Run:
    """Read one run."""
    name = obj["metadata"]["name"]
    spec, _ = _lenient(api_run.RunSpec, obj.get("spec") or {}, f"run {name}")
    said, _ = _lenient(api_run.RunStatus, obj.get("status") or {}, f"status of run {name}")
    return observation.Run(name, spec, said)


def _lenient(model: type[_Model], value: Any, what: str) -> tuple[_Model, tuple[str, ...]]:
    """Read a part of an object without the fields that this version does not know, and name those."""
    try:
        return model.model_validate(value, by_alias=True, by_name=False), ()
    except pydantic.ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    rest = copy.deepcopy(value)
    unknown = [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]
    for loc in unknown:
        _without(rest, loc)
    try:
        read = model.model_validate(rest, by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise port.Failed(
            f"the {what} can't be read ({where}: {first['msg']}): the operator there is of another version "
            "than this plugin; install the same one, and until then use kubectl get -o yaml"
        ) from error
    return read, tuple(".".join(str(part) for part in loc) for loc in unknown)


def _without(value: Any, loc: tuple[int | str, ...]) -> None:
    for part in loc[:-1]:
        value = value[part]
    value.pop(loc[-1], None)


# --- Stored revisions ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A ControllerRevision: what a revision is, and what is known of it."""

    facts: observation.Revision
    identity: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.facts.name


def stored(objects: Iterable[Mapping[str, Any]]) -> dict[str, Stored]:
    """Read the stored revisions, by name."""
    found = {}
    for obj in objects:
        known = facts.revision(obj, {}, ())
        if known.name:
            found[known.name] = Stored(known, (obj.get("data") or {}).get("identity") or {})
    return found


def promoted(known: Mapping[str, Stored]) -> list[Stored]:
    """Return the promoted revisions that are still stored, the newest promotion first."""
    times = {one.name: one.facts.promoted_time for one in known.values()}
    named = [one for one in known.values() if times[one.name] is not None]
    return sorted(named, key=lambda one: (str(times[one.name]), one.name), reverse=True)


def pods(objects: Iterable[Mapping[str, Any]]) -> tuple[observation.Pod, ...]:
    """Read the serving pods of a release."""
    labelled = [
        obj for obj in objects if facts.labels_of(obj).get(constants.LABEL_ROLE) == constants.ROLE_SERVING
    ]
    return tuple(facts.pod(obj) for obj in labelled)


def selector(release_name: str) -> str:
    """Return the label selector of everything that belongs to a release."""
    return f"{constants.LABEL_RELEASE}={release_name}"


def is_kind(obj: Mapping[str, Any], kind: str) -> bool:
    """Return whether an object of a mixed list is of a kind."""
    return bool(obj.get("kind") == kind)


def child(release_name: str, revision: str) -> str:
    """Return the name of a revision's Deployment."""
    return manifests.child_name(release_name, revision)


# --- Which one is meant -------------------------------------------------------------------------------------


def chosen(prefix: str, known: Iterable[str]) -> str:
    """Return the revision that a person means by its name or the beginning of it.

    Parameters
    ----------
    prefix
        With or without the leading ``r``.
    known
        The revisions there are.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        None begins so, or more than one.
    """
    names = sorted(set(known))
    wanted = prefix.lower()
    found = [name for name in names if name == wanted] or [
        name for name in names if name.startswith((wanted, f"r{wanted}"))
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        there = f"there are {', '.join(names)}" if names else "none is stored yet"
        raise port.Failed(f"no revision begins with {prefix}: {there}")
    raise port.Failed(f"{prefix} is the beginning of {', '.join(found)}: write more of it")


def chosen_run(
    release_: Release, known: Sequence[observation.Run], prefix: str | None, attempt: int | None
) -> observation.Run:
    """Return the run that a person means: by default the latest.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        There is none.
    """
    if not known:
        raise port.Failed(
            f"{release_.name} has had no run yet: {release_.status.message or 'nothing was said'}"
        )
    if prefix is None and attempt is None:
        current = next((one for one in known if one.name == release_.status.current_run), None)
        return current or known[-1]
    revision = chosen(prefix, [one.spec.revision for one in known]) if prefix else known[-1].spec.revision
    own = [one for one in known if one.spec.revision == revision and attempt in {None, one.spec.attempt}]
    if not own:
        kept = ", ".join(str(one.spec.attempt) for one in known if one.spec.revision == revision)
        raise port.Failed(f"{revision} has no attempt {attempt} that is kept: there is {kept}")
    return own[-1]


def served_by(release_: Release, where: str) -> str:
    """Return the stable revision of a release in a cluster."""
    if release_.status.stable is None:
        raise port.Failed(f"nothing is stable in {where} yet")
    return release_.status.stable.revision


def chosen_pair(
    release_: Release, known: Mapping[str, Stored], before: str | None, after: str | None
) -> tuple[str, str]:
    """Return the two revisions to compare: by default stable and the candidate, or the one before stable.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        They can't be told.
    """
    said = release_.status
    if before is not None and after is not None:
        return chosen(before, known), chosen(after, known)
    stable = said.stable.revision if said.stable is not None else None
    if before is not None:
        if stable is None:
            raise port.Failed("nothing is stable yet: name two revisions")
        return chosen(before, known), stable
    if stable is not None and said.candidate is not None:
        return stable, said.candidate.revision
    earlier = [one.name for one in promoted(known) if one.name != stable]
    if stable is None or not earlier:
        raise port.Failed("there is only one revision to look at: name two")
    return earlier[0], stable
