"""What a pod template names and no pod can be made or started without, which nobody checks before.

The API server accepts a Deployment that names a ServiceAccount, a volume claim or a class that does not
exist, or a key that a ConfigMap does not have. Only its pods are refused, and a ReplicaSet that was refused
often tries again after a quarter of an hour. Whether ConfigMaps and Secrets exist is asked by
:mod:`modelrelease.cluster.resolve`, where their contents matter, too.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from modelrelease.api import reasons
from modelrelease.cluster import api

_MADE_BY_KUBERNETES: Final = "default"
"""The ServiceAccount of each namespace."""

Template = Mapping[str, Any]


def named(template: Template) -> Iterator[tuple[api.Kind, str]]:
    """Yield the objects that must exist, each once, as kind and name.

    Parameters
    ----------
    template
        As the API server has accepted it: complete, and of the right shape.
    """
    spec = template.get("spec") or {}
    account = spec.get("serviceAccountName") or ""
    if account not in {"", _MADE_BY_KUBERNETES}:
        yield api.SERVICE_ACCOUNT, account
    for kind, field in (
        (api.PRIORITY_CLASS, "priorityClassName"),
        (api.RUNTIME_CLASS, "runtimeClassName"),
    ):
        if spec.get(field):
            yield kind, spec[field]
    claims = ((volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in _volumes(template))
    for claim in sorted({claim for claim in claims if claim}):
        yield api.PERSISTENT_VOLUME_CLAIM, claim


def absent(kind: api.Kind, name: str, namespace: str) -> str:
    """Say that an object which must exist does not."""
    where = "the cluster" if kind in api.CLUSTER_SCOPED else f"namespace {namespace}"
    return reasons.names_nothing(f"{kind.kind} {name}", where)


def missing_key(template: Template, config_maps: Mapping[str, api.Object]) -> str:
    """Say which key a ConfigMap lacks; empty when there are all.

    Parameters
    ----------
    template
        As the API server has accepted it, with the ConfigMaps' own names.
    config_maps
        Those that exist, by name.
    """
    text = {name: set(obj.get("data") or ()) for name, obj in config_maps.items()}
    files = {name: text[name] | set(obj.get("binaryData") or ()) for name, obj in config_maps.items()}
    return _missing_key(template, "configMap", text, files)


def missing_secret_key(template: Template, keys: Mapping[str, Collection[str]]) -> str:
    """Say which key a Secret lacks; empty when there are all.

    Parameters
    ----------
    template
        As the API server has accepted it.
    keys
        Of those that exist and may be read, by name.
    """
    return _missing_key(template, "secret", keys, keys)


def _missing_key(
    template: Template,
    kind: str,
    in_environment: Mapping[str, Collection[str]],
    in_volumes: Mapping[str, Collection[str]],
) -> str:
    needed = [
        *((name, key, in_environment) for name, key in _environment_keys(template, kind)),
        *((name, key, in_volumes) for name, key in _volume_keys(template, kind)),
    ]
    what = f"{kind[0].upper()}{kind[1:]}"
    lacking = ((name, key) for name, key, have in needed if name in have and key not in have[name])
    return next((reasons.no_key(f"{what} {name}", key) for name, key in lacking), "")


def _environment_keys(template: Template, kind: str) -> Iterator[tuple[str, str]]:
    pod = template.get("spec") or {}
    for group in ("initContainers", "containers"):
        for container in pod.get(group) or ():
            for entry in container.get("env") or ():
                reference = (entry.get("valueFrom") or {}).get(f"{kind}KeyRef") or {"optional": True}
                if not reference.get("optional"):
                    yield reference.get("name") or "", reference["key"]


def _volume_keys(template: Template, kind: str) -> Iterator[tuple[str, str]]:
    for volume in _volumes(template):
        sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for reference in (source[kind] for source in sources if source.get(kind)):
            if reference.get("optional"):
                continue
            for item in reference.get("items") or ():
                yield reference.get("name") or reference.get("secretName") or "", item["key"]


def _volumes(template: Template) -> Iterator[Mapping[str, Any]]:
    yield from (template.get("spec") or {}).get("volumes") or ()
