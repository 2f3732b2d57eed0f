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
        """Return what the server is sent for an item."""
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
        Rows in ascending order, the first `per_stratum` of each stratum.
        """
        taken: dict[str, int] = {}
        rows = []
        for row, item in enumerate(self.items):
            if item.stratum not in without and taken.get(item.stratum, 0) < per_stratum:
                taken[item.stratum] = taken.get(item.stratum, 0) + 1
                rows.append(row)
        return tuple(rows)


def select(pack: golden_pack.Pack, modality: v.Modality, *, shard: int = 0, shards: int = 1) -> Selection:
    """Choose the items that one operation is asked about.

    Parameters
    ----------
    pack
        The golden set.
    modality
        What the operation reads.
    shard, shards
        Which share, 0 to ``shards - 1``, of how many. Twins stay together: they explain each other.

    Returns
    -------
    The selection; it may be empty.
    """
    family: dict[str, str] = {}
    for item in pack.items:
        family[item.id] = family.get(item.twin.of, item.twin.of) if item.twin is not None else item.id
    order = {root: place for place, root in enumerate(dict.fromkeys(family.values()))}
    chosen = [item for item in pack.items if order[family[item.id]] % shards == shard]
    return Selection(pack, tuple(item for item in chosen if item.modality is modality))
