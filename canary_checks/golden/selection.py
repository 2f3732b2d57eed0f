"""The part of a golden set that one operation is asked about: its modality, and its share of a large set."""

import dataclasses
import functools

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack


@dataclasses.dataclass(frozen=True)
class Selection:
    """Some items of a golden set, in the order of the rows of every output.

    Attributes
    ----------
    pack
        The whole set: its name, version and digest are what a reference is bound to.
    items
        The items of one modality.
    """

    pack: golden_pack.Pack
    items: tuple[golden_pack.Item, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the items, in order."""
        return tuple(item.id for item in self.items)

    @functools.cached_property
    def rows(self) -> dict[str, int]:
        """The row of each item by its id."""
        return {item.id: row for row, item in enumerate(self.items)}

    def input(self, item: golden_pack.Item) -> inputs.Input:
        """Return what the server is sent for an item.

        Raises
        ------
        CheckError
            ``GoldenSetUnreadable`` or ``GoldenSetMismatch``: an image cannot be read, or is another one.
        """
        if item.modality is v.Modality.IMAGE:
            return inputs.Image(self.pack.content(item), item.media_type)
        return inputs.Text(item.text)

    def sample(self, per_stratum: int, *, without: frozenset[str] = frozenset()) -> tuple[int, ...]:
        """Choose rows from every stratum, the same ones every time.

        Parameters
        ----------
        per_stratum
            How many of each stratum, at least 1.
        without
            Strata to leave out.

        Returns
        -------
        Rows in ascending order: of each stratum those that must be included, then the first ones.
        """
        taken: dict[str, int] = {}
        rows = []
        for row in sorted(range(len(self.items)), key=lambda row: not self.items[row].must_include):
            stratum = self.items[row].stratum
            if stratum not in without and taken.get(stratum, 0) < per_stratum:
                taken[stratum] = taken.get(stratum, 0) + 1
                rows.append(row)
        return tuple(sorted(rows))


def select(pack: golden_pack.Pack, modality: v.Modality, *, shard: int = 0, shards: int = 1) -> Selection:
    """Choose the items that one operation is asked about.

    Parameters
    ----------
    pack
        The golden set.
    modality
        What the operation reads.
    shard, shards
        Which share, 0 to ``shards - 1``, of how many. Twins and pairs stay together: they explain each other.

    Returns
    -------
    The selection; it may be empty.
    """
    family = _families(pack)
    order = {root: place for place, root in enumerate(dict.fromkeys(family[item.id] for item in pack.items))}
    chosen = [item for item in pack.items if order[family[item.id]] % shards == shard]
    return Selection(pack, tuple(item for item in chosen if item.modality is modality))


def _families(pack: golden_pack.Pack) -> dict[str, str]:
    """Return, for each item, one that stands for all that relations and pairs join it with."""
    parent = {item.id: item.id for item in pack.items}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    joined = [(relation.item, relation.of) for relation in pack.relations]
    joined += [(item.id, item.pair) for item in pack.items if item.pair is not None]
    for one, other in joined:
        parent[root(one)] = root(other)
    return {name: root(name) for name in parent}
