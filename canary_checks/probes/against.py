"""What an operation's rows are compared with: recorded references, the golden set's own, or live stable."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable, Sequence

from canary_checks import failure, request
from canary_checks import vocabulary as v
from canary_checks.golden import selection
from canary_checks.parity import comparison, gates, recording, reference, shipped
from canary_checks.probes import parties

Live = Callable[[request.LiveSource], Awaitable[comparison.Opponent]]
"""Records a live server; see `canary_checks.probes.live`."""


@dataclasses.dataclass(frozen=True)
class Against:
    """Opponents, and what the reader of the verdict should know of them."""

    opponents: tuple[comparison.Opponent, ...]
    remarks: tuple[str, ...]


async def choose(
    asked: request.CheckRequest,
    operation: str,
    golden: selection.Selection,
    known: Sequence[comparison.Known],
    live: Live,
) -> Against:
    """Choose what an operation is compared with.

    Parameters
    ----------
    asked
        The request: the candidate's class and space, whether the golden set's own reference counts, and where
        live stable is.
    operation
        Its name.
    golden
        The items that the candidate is asked about.
    known
        The references that were given.
    live
        Records live stable; called at most once, and only where no given reference of stable can be used.

    Raises
    ------
    CheckError
        A reference cannot be used and nothing stands in for it.
    """
    found: list[comparison.Opponent] = []
    remarks: list[str] = []
    for one in known:
        try:
            opponent, remark = _usable(asked, operation, golden, one)
        except failure.CheckError as error:
            if one.role is not v.Role.STABLE or asked.live is None:
                raise
            remarks.append(f"stable was asked live, because {error.message}")
            continue
        found.append(opponent)
        remarks += [f"{one.role}: {remark}"] if remark is not None else []
    if asked.live is not None and all(one.role != "Stable" for one in found):
        found.append(await live(asked.live))
    if asked.recorded:
        own = _shipped(asked)
        if own is None:
            remarks.append(f"{golden.pack.name} ships no recorded reference for this space")
        else:
            opponent, remark = _usable(asked, operation, golden, own)
            found.append(opponent)
            remarks += [f"{own.role}: {remark}"] if remark is not None else []
    return Against(tuple(found), tuple(remarks))


def recordings(
    asked: request.CheckRequest,
    operation: str,
    golden: selection.Selection,
    known: Sequence[comparison.Known],
) -> dict[gates.Against, recording.Recording]:
    """Return what was recorded of an operation, as far as it can be used; the rest is passed over."""
    found = {}
    for one in known:
        with contextlib.suppress(failure.CheckError):
            opponent, _ = _usable(asked, operation, golden, one)
            found[opponent.role] = opponent.recorded
    return found


def _usable(
    asked: request.CheckRequest, operation: str, golden: selection.Selection, one: comparison.Known
) -> tuple[comparison.Opponent, str | None]:
    terms = reference.usable(
        one.reference,
        operation,
        golden,
        numeric_class=asked.numeric_class,
        stated_class=one.numeric_class,
        embedding_space=asked.embedding_space,
    )
    party = parties.recorded(one, one.reference)
    opponent = comparison.Opponent(party, comparison.AGAINST[one.role], terms.numeric_class, terms.recording)
    return opponent, terms.remark


def _shipped(asked: request.CheckRequest) -> comparison.Known | None:
    """Read the reference that came with the golden set; a built-in set has none."""
    if asked.golden_set.path is None or asked.embedding_space is None:
        return None
    found = shipped.find(pathlib.Path(asked.golden_set.path), asked.embedding_space, asked.numeric_class)
    if found is None:
        return None
    return comparison.Known(v.Role.RECORDED, found.header.revision, found.header.numeric_class, found)
