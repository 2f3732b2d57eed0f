"""Some of ImageV1: two of each stratum and two pairs of each kind, few enough to be computed in a moment."""

import pathlib

from canary_checks import vocabulary as v
from canary_checks.golden import files, folder, pack, selection

WHOLE = selection.select(pack.builtin("ImageV1"), v.Modality.IMAGE)
_EACH = 2


def _kept() -> frozenset[str]:
    pairs: dict[pack.Difference, list[pack.Relation]] = {}
    for relation in WHOLE.pack.relations:
        if relation.item in WHOLE.rows and len(pairs.setdefault(relation.differs, [])) < _EACH:
            pairs[relation.differs].append(relation)
    sampled = {WHOLE.items[row].id for row in WHOLE.sample(_EACH)}
    return frozenset(
        sampled | {name for some in pairs.values() for one in some for name in (one.item, one.of)}
    )


KEPT = _kept()
ITEMS = tuple(item for item in WHOLE.items if item.id in KEPT)


def written(target: pathlib.Path) -> pathlib.Path:
    """Write them as a golden set of their own, and return its folder."""
    source = folder.PACKS / "ImageV1"
    items = [
        line.model_copy(update={"pair": None})
        for line in files.read_items((source / files.ITEMS).read_bytes())
        if line.id in KEPT
    ]
    relations = [
        line
        for line in files.read_relations((source / files.RELATIONS).read_bytes())
        if {line.item, line.of} <= KEPT
    ]
    target.mkdir()
    for name, content in files.write("FewImages", "1", items, relations, license_name="CC0-1.0").items():
        (target / name).write_bytes(content)
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for item in ITEMS:
        (blobs / item.blob.removeprefix("sha256:")).write_bytes(WHOLE.pack.content(item))
    return target
