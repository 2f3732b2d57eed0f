"""What a person's word is in ``spec.override``, and how it is written so that nobody else's is lost. Pure.

A word is applied server-side under a field manager of the plugin's own: Git, which never names the field,
takes nothing of it back. Such an apply replaces *everything* that its manager has applied before, so it
repeats what the manager owns already and carries the ``resourceVersion`` that this was read at.
"""

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrelease.api import constants

MANAGER: Final = "modelrelease-override"
_KEYS: Final = {
    "rejected": ("revision",),
    "approvals": ("revision", "stage"),
    "waivers": ("revision", "check"),
}
"""The lists of ``spec.override``, and what tells two entries of each apart."""
_OPERATORS: Final = frozenset({constants.FIELD_MANAGER})
_CLIENT_SIDE: Final = "f:kubectl.kubernetes.io/last-applied-configuration"
"""The field that whoever applies on the client's side, as Argo CD does by default, leaves behind."""

Override = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """One word of a person: a field of ``spec.override`` set, or taken away.

    ``value`` is the object, of a list the one entry; None takes the field away. With ``gone`` that one entry
    of a list is taken away, and the others stay.
    """

    field: str
    value: Mapping[str, Any] | None
    gone: bool = False

    @property
    def removes(self) -> bool:
        """Whether something is taken away."""
        return self.value is None or self.gone


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """How an edit is to be written."""

    applied: Mapping[str, Any] | None
    """For server-side apply; None where that would leave the field to another manager that owns it too, or
    take over the rest of the object."""
    operations: tuple[Mapping[str, Any], ...] = ()
    """Instead of it: a JSON patch."""
    others: tuple[str, ...] = ()
    """Managers beside the plugin that own the field."""


def write(obj: Mapping[str, Any], edits: Sequence[Edit]) -> Written:
    """Return how to write edits to a ModelRelease.

    Parameters
    ----------
    obj
        The object as it was read, with its managed fields.
    edits
        What changes; each of another field.
    """
    live = (obj.get("spec") or {}).get("override") or {}
    managed = obj["metadata"].get("managedFields") or ()
    removed = [edit.field for edit in edits if edit.removes]
    others = owners(managed, [edit.field for edit in edits])
    stays = any(field in live and owners(managed, [field]) for field in removed)
    if stays or not _may_apply(managed):
        version = {"op": "test", "path": "/metadata/resourceVersion", "value": _version(obj)}
        # A patch can't add to what is not there.
        there = "override" in (obj.get("spec") or {})
        room = () if there else ({"op": "add", "path": "/spec/override", "value": {}},)
        return Written(None, (version, *room, *_patch(live, edits)), others)
    mine = owned(live, managed)
    for edit in edits:
        mine = _edited(mine, edit)
    return Written(_manifest(obj, mine), (), others)


def _manifest(obj: Mapping[str, Any], override: Override) -> dict[str, Any]:
    metadata = obj["metadata"]
    manifest: dict[str, Any] = {
        "apiVersion": constants.API_VERSION,
        "kind": constants.RELEASE_KIND,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata.get("namespace"),
            # With the UID nothing is created; with the version nobody's word in between is lost.
            "uid": metadata.get("uid"),
            "resourceVersion": _version(obj),
        },
    }
    return manifest | ({"spec": {"override": dict(override)}} if override else {})


def _version(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("resourceVersion") or "")


def _edited(override: Override, edit: Edit) -> dict[str, Any]:
    changed = copy.deepcopy(dict(override))
    if edit.value is None:
        changed.pop(edit.field, None)
        return changed
    if edit.field not in _KEYS:
        changed[edit.field] = dict(edit.value)
        return changed
    keys = _KEYS[edit.field]
    value = edit.value
    kept = [entry for entry in changed.get(edit.field) or () if any(entry[key] != value[key] for key in keys)]
    changed[edit.field] = kept if edit.gone else [*kept, dict(value)]
    if not changed[edit.field]:
        del changed[edit.field]
    return changed


def _patch(live: Override, edits: Sequence[Edit]) -> tuple[Mapping[str, Any], ...]:
    """Return the operations of a JSON patch."""
    result = dict(live)
    for edit in edits:
        result = _edited(result, edit)
    operations: list[Mapping[str, Any]] = []
    for edit in edits:
        path = f"/spec/override/{edit.field}"
        if edit.field in result:
            operations.append({"op": "add", "path": path, "value": result[edit.field]})
        elif edit.field in live:
            operations.append({"op": "remove", "path": path})
    return tuple(operations)


# --- Who owns what ------------------------------------------------------------------------------------------


def _may_apply(managed: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether ``kubectl apply --server-side`` may be used.

    Of an object that somebody applies on the client's side, it makes all fields its own manager's, to migrate
    it: the next apply, which names the override alone, would take them all away.
    """
    for entry in managed:
        fields = entry.get("fieldsV1") or {}
        applied = entry.get("operation") == "Apply"
        annotations = (fields.get("f:metadata") or {}).get("f:annotations") or {}
        if not applied and _CLIENT_SIDE in annotations:
            return False
        named = set(fields.get("f:spec") or {}) - {"f:override", "."}
        if applied and entry.get("manager") == MANAGER and named:
            return False
    return True


def owned(live: Override, managed: Sequence[Mapping[str, Any]], manager: str = MANAGER) -> dict[str, Any]:
    """Return the part of the override that a manager has applied."""
    mine: dict[str, Any] = {}
    for entry in managed:
        if entry.get("manager") != manager or entry.get("operation") != "Apply":
            continue
        fields = _override_fields(entry)
        for name, value in live.items():
            below = fields.get(f"f:{name}")
            if below is None:
                continue
            kept = _owned_entries(value, below, _KEYS[name]) if name in _KEYS else value
            if kept:
                mine[name] = copy.deepcopy(kept)
    return mine


def _owned_entries(value: Any, below: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    named = [json.loads(name.removeprefix("k:")) for name in below if name.startswith("k:")]
    return [entry for entry in value if {key: entry.get(key) for key in keys} in named]


def owners(managed: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> tuple[str, ...]:
    """Return the managers beside the plugin that own one of these fields of the override."""
    found = {
        str(entry.get("manager"))
        for entry in managed
        if entry.get("manager") not in {MANAGER, *_OPERATORS}
        and any(f"f:{field}" in _override_fields(entry) for field in fields)
    }
    return tuple(sorted(found))


def _override_fields(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    below = ((entry.get("fieldsV1") or {}).get("f:spec") or {}).get("f:override")
    return below if isinstance(below, Mapping) else {}
