"""The identity of what runs, its name, and the digest of what it is judged by.

Two revisions are equal when their identities, normalised as this version does it, are equal; the name is only
a name. So a new operator that normalises differently finds the stored revision again and restarts nothing.
"""

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from modelrelease.api import base
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec

Json = Any
Template = Mapping[str, Any]

NAME_HEX_DIGITS: Final = 10


def canonical(value: Json) -> bytes:
    """Return compact JSON with sorted keys.

    The API server compares a ControllerRevision's ``data`` as bytes: any other form makes later metadata
    patches invalid.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Json) -> str:
    """Return ``sha256:`` and the hash of the canonical form."""
    return f"sha256:{hashlib.sha256(canonical(value)).hexdigest()}"


# --- Identity -----------------------------------------------------------------------------------------------


def identity(
    template: Template,
    embedding_space: str,
    config_digests: Mapping[str, str],
    artifact: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    """Return what runs, normalised: the same for every spelling of the same product.

    Parameters
    ----------
    template
        The pod template as the user wrote it, without anything that the operator adds.
    embedding_space
        The vector space that the revision answers in.
    config_digests
        Digest of every ConfigMap that the template refers to, by name.
    artifact
        ``uri`` and ``digest`` of the model's files, where they are declared.
    """
    found: dict[str, Json] = {
        "template": _pruned(template),
        "embeddingSpace": embedding_space,
        "configMaps": dict(config_digests),
    }
    if artifact:
        found["artifact"] = dict(artifact)
    normalised: dict[str, Json] = json.loads(canonical(found))
    return normalised


def _pruned(value: Json) -> Json:
    """Return the value without fields that are null: they say nothing, and some tools leave them.

    An empty object or list can say something (``emptyDir: {}``), so it stays.
    """
    if isinstance(value, Mapping):
        return {key: _pruned(item) for key, item in value.items() if item is not None}
    return [_pruned(item) for item in value] if isinstance(value, list | tuple) else value


def revision_name(of: Mapping[str, Json]) -> str:
    """Return ``r`` and ten hex digits: without the ``r`` some names would be numbers in YAML."""
    return f"r{hashlib.sha256(canonical(of)).hexdigest()[:NAME_HEX_DIGITS]}"


def find_equal(of: Mapping[str, Json], stored: Mapping[str, Mapping[str, Json]]) -> str | None:
    """Return the name of the stored revision with this identity, whatever it was named by then.

    Parameters
    ----------
    of
        The wanted identity.
    stored
        Stored identities by revision; they are normalised again, as this version does it.
    """
    wanted = canonical(_renormalised(of))
    equal = [name for name, other in stored.items() if canonical(_renormalised(other)) == wanted]
    return min(equal, default=None)


def _renormalised(stored: Mapping[str, Json]) -> dict[str, Json]:
    return identity(
        stored.get("template") or {},
        stored.get("embeddingSpace") or "",
        stored.get("configMaps") or {},
        stored.get("artifact"),
    )


def free_name(of: Mapping[str, Json], taken: Iterable[str]) -> str:
    """Return the identity's name, or another one when a different revision has it already.

    Ten hex digits do collide, once in a million revisions of one release; a stored revision that an older
    version normalised differently may also bear it.
    """
    names, salted = set(taken), dict(of)
    name = revision_name(salted)
    while name in names:
        salted["collision"] = salted.get("collision", 0) + 1
        name = revision_name(salted)
    return name


# --- Judging ------------------------------------------------------------------------------------------------

_LIVE_STRATEGY: Final = (
    "max_surge",
    "max_unavailable",
    "deadlines",
    "drain_seconds",
    "on_supersede",
    "retry_policy",
    "rollback_window",
)
"""They act at once and restart nothing: none of them decides whether a revision is good."""
_LIVE_CANARY: Final = ("startup_deadline_seconds", "capacity_deadline_seconds", "retain_failed_seconds")
_LIVE_JUDGING: Final = ("on_inconclusive", "on_error")


def judging_digest(judging: api_run.Judging) -> str:
    """Return the digest of everything that decides a run's verdict; a change of it starts the run again.

    Fields at their default are left out, so that a field which a later version adds changes no digest.
    """
    plain = judging.model_copy(
        update={
            "endpoint": judging.endpoint.normalised(),
            "strategy": _with_live_strategy(judging.strategy, api_spec.Strategy()),
            "on_inconclusive": api_spec.Policy.ROLL_BACK,
            "on_error": api_spec.Policy.HOLD,
            "slos": [
                slo.model_copy(update={"when_infeasible": api_spec.WhenInfeasible.HOLD})
                for slo in judging.slos
            ],
        }
    )
    return digest(plain.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def with_live_fields(snapshot: api_run.Judging, current: api_run.Judging) -> api_run.Judging:
    """Return a run's snapshot with the live fields of the present spec, which act at once.

    Parameters
    ----------
    snapshot
        What the run was created with.
    current
        What the spec says now.
    """
    strategy = _with_live_strategy(snapshot.strategy, current.strategy)
    declared = {slo.name: slo.when_infeasible for slo in current.slos}
    slos = [
        slo.model_copy(update={"when_infeasible": declared.get(slo.name, slo.when_infeasible)})
        for slo in snapshot.slos
    ]
    live = {**_picked(current, _LIVE_JUDGING), "strategy": strategy, "slos": slos}
    return snapshot.model_copy(update=live)


def _with_live_strategy(old: api_spec.Strategy, new: api_spec.Strategy) -> api_spec.Strategy:
    canary = old.canary.model_copy(update=_picked(new.canary, _LIVE_CANARY))
    return old.model_copy(update={**_picked(new, _LIVE_STRATEGY), "canary": canary})


def _picked(model: base.ApiModel, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(model, name) for name in names}


# --- References of a template -------------------------------------------------------------------------------


def referenced_config_maps(template: Template) -> frozenset[str]:
    """Return the ConfigMaps that a pod template refers to."""
    return frozenset(ref["name"] for ref in _references(template, "configMap") if ref.get("name"))


def referenced_secrets(template: Template) -> frozenset[str]:
    """Return the Secrets whose contents a pod template refers to, not those that pull images."""
    return frozenset(
        name for ref in _references(template, "secret") if (name := ref.get("name") or ref.get("secretName"))
    )


def optional_references(template: Template) -> frozenset[str]:
    """Return the ConfigMaps that may be missing, because every reference to them says so."""
    references = list(_references(template, "configMap"))
    needed = {ref.get("name") for ref in references if not ref.get("optional")}
    return frozenset(ref["name"] for ref in references if ref.get("name") and ref["name"] not in needed)


def rewrite_config_maps(template: Template, copies: Mapping[str, str]) -> dict[str, Json]:
    """Return the template with ConfigMaps replaced by their immutable copies.

    Parameters
    ----------
    template
        A pod template.
    copies
        Name of the copy by name of the original; others are left as they are.
    """
    rewritten = copy.deepcopy(dict(template))
    for reference in _references(rewritten, "configMap"):
        if reference.get("name") in copies:
            reference["name"] = copies[reference["name"]]
    return rewritten


def _references(template: Template, kind: str) -> Iterator[dict[str, Json]]:
    """Yield the reference objects of a kind, ``configMap`` or ``secret``: env, envFrom and volumes."""
    pod = template.get("spec") or {}
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(group) or ():
            for entry in container.get("env") or ():
                yield from _present((entry.get("valueFrom") or {}).get(f"{kind}KeyRef"))
            for entry in container.get("envFrom") or ():
                yield from _present(entry.get(f"{kind}Ref"))
    for volume in pod.get("volumes") or ():
        yield from _present(volume.get(kind))
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _present(source.get(kind))


def _present(reference: dict[str, Json] | None) -> Iterator[dict[str, Json]]:
    if reference is not None:
        yield reference
