"""What is applied, and whose words survive it."""

from typing import Any

import pytest

from modelrelease.cli.mrel import override

REJECTED = {"revision": "r1111111111", "reason": "a"}
OTHER = {"revision": "r2222222222", "reason": "b"}
KEY = 'k:{"revision":"%s"}'


def managed(manager: str, fields: dict[str, Any], operation: str = "Apply") -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:spec": {"f:override": fields}},
    }


def release(live: dict[str, Any] | None, *owners: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        "name": "embedder",
        "namespace": "search",
        "uid": "u",
        "resourceVersion": "7",
        "managedFields": list(owners),
    }
    return {"metadata": metadata, "spec": {"override": live} if live is not None else {}}


def rejecting(entry: dict[str, Any]) -> override.Edit:
    return override.Edit("rejected", entry)


MINE = managed(override.MANAGER, {"f:rejected": {KEY % "r1111111111": {".": {}, "f:reason": {}}}})
THEIRS = managed("inc-1", {"f:rejected": {KEY % "r2222222222": {".": {}}}})


@pytest.mark.parametrize(
    ("obj", "edit", "applied"),
    [
        (release(None), rejecting(REJECTED), {"rejected": [REJECTED]}),
        # What was applied before is repeated, or it would be taken back.
        (release({"rejected": [REJECTED]}, MINE), rejecting(OTHER), {"rejected": [REJECTED, OTHER]}),
        # Others' entries are theirs.
        (release({"rejected": [REJECTED, OTHER]}, MINE, THEIRS), override.Edit("paused", {"reason": "c"}),
         {"rejected": [REJECTED], "paused": {"reason": "c"}}),
        # The same entry again is the new one.
        (release({"rejected": [REJECTED]}, MINE), rejecting({**REJECTED, "reason": "z"}),
         {"rejected": [{**REJECTED, "reason": "z"}]}),
        # Another manager of the same name, by another operation, is somebody with `kubectl edit`.
        (release({"rejected": [REJECTED]}, managed(override.MANAGER, {"f:rejected": {}}, "Update")),
         rejecting(OTHER), {"rejected": [OTHER]}),
        (release({"paused": {"reason": "c"}}, managed(override.MANAGER, {"f:paused": {"f:reason": {}}})),
         override.Edit("paused", None), None),
    ],
)  # fmt: skip
def test_what_is_applied(obj: dict[str, Any], edit: override.Edit, applied: dict[str, Any] | None):
    written = override.write(obj, [edit])
    assert written.operations == ()
    assert written.applied is not None
    assert written.applied.get("spec", {}).get("override") == applied
    assert written.applied["metadata"] == {
        "name": "embedder",
        "namespace": "search",
        "uid": "u",
        "resourceVersion": "7",
    }


def test_what_another_manager_owns_too_is_taken_away_by_a_patch():
    paused = managed("kubectl-edit", {"f:paused": {"f:reason": {}}}, "Update")
    written = override.write(release({"paused": {"reason": "c"}}, paused), [override.Edit("paused", None)])
    assert written.applied is None
    assert written.others == ("kubectl-edit",)
    assert written.operations == (
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/override/paused"},
    )


def test_two_words_at_once():
    edits = [rejecting(REJECTED), override.Edit("retry", {"revision": "r3", "attempt": 2, "reason": "d"})]
    written = override.write(release({}), edits)
    assert written.applied is not None
    assert set(written.applied["spec"]["override"]) == {"rejected", "retry"}


CLIENT_SIDE = {
    "manager": "argocd-controller",
    "operation": "Update",
    "fieldsV1": {
        "f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}},
        "f:spec": {".": {}, "f:model": {}},
    },
}
MIGRATED = {
    "manager": override.MANAGER,
    "operation": "Apply",
    "fieldsV1": {"f:spec": {".": {}, "f:model": {}, "f:override": {"f:paused": {"f:reason": {}}}}},
}


@pytest.mark.parametrize("owner", [CLIENT_SIDE, MIGRATED], ids=["client-side", "migrated"])
def test_the_rest_of_the_object_is_never_taken_over(owner: dict[str, Any]):
    version = {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    written = override.write(release(None, owner), [rejecting(REJECTED)])
    assert written.applied is None
    assert written.operations == (
        version,
        {"op": "add", "path": "/spec/override", "value": {}},
        {"op": "add", "path": "/spec/override/rejected", "value": [REJECTED]},
    )
    again = override.write(release({"paused": {"reason": "c"}}, owner), [override.Edit("paused", None)])
    assert again.operations == (version, {"op": "remove", "path": "/spec/override/paused"})
