"""Fidelity: images show the text, the objects and the colours that their prompts ask for, as stable's did."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from canary_checks import failure, outdated, request, schema
from canary_checks import vocabulary as v
from canary_checks.clients import drawing, generation
from canary_checks.fidelity import (
    blame,
    composition_gates,
    gather,
    limits,
    outcomes,
    pipeline,
    recording,
    sheet,
    strata,
    text_gates,
)
from canary_checks.fidelity.outcomes import Column
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import gates
from canary_checks.probes import finding, merging, parties

ADJUSTABLE: Final = limits.ADJUSTABLE
Count = Callable[[generation.ImageClient], None]
_WORST: Final = 12


@dataclasses.dataclass(frozen=True)
class _Known:
    """What stable made of the prompts of one chain."""

    outcomes: outcomes.Outcomes
    party: schema.Party


async def probe(asked: request.CheckRequest, pack: golden_pack.Pack, count: Count) -> finding.Finding:
    """Draw the prompts of a golden set with every chain of a server, and judge the images.

    Parameters
    ----------
    asked
        The request. Of several references the first one is compared with.
    pack
        Where the prompts are from.
    count
        Told of every client, whose requests are counted.

    Returns
    -------
    The judgement, and the outcomes as a file where recording was asked for.

    Raises
    ------
    CheckError
        The server cannot be asked, refuses everything or draws nothing that can be decoded; or no text can be
        read here (``OcrMissing``).

    Notes
    -----
    Where the record is of other prompts, live stable is asked, gently. Without one that is said, and what
    nobody compared is `NoData`.
    """
    demanded = limits.Limits(asked.gates)
    chains = pipeline.chains(asked.operations)
    recorded = [(one, recording.load(one.path, one.digest)) for one in asked.references[:1]]
    whole = selection.select(pack, v.Modality.TEXT, shard=asked.shard, shards=asked.shards)
    found: dict[str, finding.Finding] = {}
    drawn: dict[str, outcomes.Outcomes] = {}
    async with contextlib.AsyncExitStack() as opened:
        artist = await _artist(
            opened, asked, asked.url, urls={}, count=count, rate=asked.max_requests_per_second
        )
        for chain in chains:
            items = tuple(item for item in whole.items if chain.draws(item))
            if not items:
                raise failure.CheckError(
                    "GoldenSetUnfit",
                    f"the golden set {pack.name} has no prompt that {chain.last.name} could draw",
                )
            before, unfit = _of_record(recorded, chain, pack, items)
            if before is None and asked.live is not None:
                before = await _live(asked, asked.live, chain, items, count)
            made = await gather.gather(artist, chain, items)
            drawn[chain.last.name] = made.outcomes
            found[chain.last.name] = _conclude(items, made, before, demanded, unfit)
    merged = merging.merge(found)
    sound = all(
        gate.verdict is v.Verdict.PASS or gate.metric == outdated.METRIC
        for one in found.values()
        for gate in one.gates
    )
    payload = (
        recording.encode(pack, drawn, revision=asked.subject.revision, numeric_class=asked.numeric_class)
        if asked.record and sound
        else None
    )
    return dataclasses.replace(
        merged,
        message=v.sentence(merged.message),
        payload=payload,
        measurements=(*merged.measurements, *_stages(artist.milliseconds)),
    )


async def _artist(
    opened: contextlib.AsyncExitStack,
    asked: request.CheckRequest,
    url: str,
    *,
    urls: Mapping[str, str],
    count: Count,
    rate: int | None,
) -> pipeline.Artist:
    """Open a client for every operation; one with a URL of its own is asked there."""
    clients: dict[str, generation.ImageClient] = {}
    for operation in asked.operations:
        to = urls.get(operation.name) or operation.url or url
        client = drawing.connect(operation, url=to, run=asked.run, max_requests_per_second=rate)
        count(client)
        clients[operation.name] = await opened.enter_async_context(client)
    return pipeline.Artist(clients)


def _of_record(
    recorded: Sequence[tuple[request.ReferenceSource, recording.Recorded]],
    chain: pipeline.Chain,
    pack: golden_pack.Pack,
    items: tuple[golden_pack.Item, ...],
) -> tuple[_Known | None, str]:
    """Return what was recorded of a chain, or why that cannot be used."""
    for source, one in recorded:
        party = parties.recorded(source, one)
        try:
            fitting = recording.fitting(one, chain.last.name, pack, tuple(item.id for item in items))
        except failure.CheckError as error:
            return None, error.message
        return _Known(fitting, party), ""
    return None, ""


async def _live(
    asked: request.CheckRequest,
    source: request.LiveSource,
    chain: pipeline.Chain,
    items: tuple[golden_pack.Item, ...],
    count: Count,
) -> _Known:
    """Have stable draw the same prompts now, gently."""
    async with contextlib.AsyncExitStack() as opened:
        rate = source.max_requests_per_second
        artist = await _artist(opened, asked, source.url, urls=source.urls, count=count, rate=rate)
        made = await gather.gather(artist, chain, items)
    party = schema.Party(role=source.role, revision=source.revision, numeric_class=source.numeric_class)
    return _Known(made.outcomes, party)


def _conclude(
    items: tuple[golden_pack.Item, ...],
    made: gather.Gathered,
    before: _Known | None,
    demanded: limits.Limits,
    unfit: str,
) -> finding.Finding:
    found = made.outcomes
    stable = before.outcomes if before is not None else None
    judged = (
        *text_gates.judge(found, stable, demanded),
        *composition_gates.judge(found, stable, items, demanded),
        *([outdated.gate()] if unfit and before is None else ()),
    )
    verdict = gates.verdict_of(judged)
    said = [*sentences(judged), *made.remarks]
    if unfit and before is None:
        said.insert(0 if verdict is v.Verdict.NO_DATA else len(said), f"{unfit}; {outdated.NEXT}")
    elif unfit:
        said.append(f"stable was asked live, because {unfit}")
    elif before is None:
        said.append("there was no stable to compare with")
    return finding.Finding(
        verdict=verdict,
        reason=outdated.REASON if unfit and verdict is v.Verdict.NO_DATA else "Fidelity",
        message=v.sentence("; ".join(said)),
        gates=judged,
        items_used=len(items),
        measurements=tuple(_measurements(found, stable)),
        strata=strata.summarise(items, found),
        worst=sheet.worst(items, found, stable, _WORST),
        diagnosis=blame.diagnose(judged),
        pictures=sheet.pictures(items, found, stable, _WORST),
        references=(before.party,) if before is not None else (),
    )


def sentences(judged: Sequence[schema.Gate]) -> Iterator[str]:
    """Say what the gates saw, and when a person should look although nothing is proven."""
    verdict = gates.verdict_of(judged)
    text = next((gate for gate in judged if gate.metric == limits.TEXT_FIDELITY), None)
    if verdict is v.Verdict.PASS:
        yield (
            f"{text.observed:.1%} of {text.samples} texts can be read"
            if text is not None
            else f"{max(gate.samples for gate in judged)} images are as they should be"
        )
    for wanted in (v.Verdict.FAIL, v.Verdict.INCONCLUSIVE, v.Verdict.NO_DATA):
        for gate in judged:
            if gate.verdict is wanted and gate.metric != outdated.METRIC:
                yield gates.describe(gate) + ("" if wanted is v.Verdict.FAIL else f" ({wanted})")
    if (
        text is not None
        and text.verdict is v.Verdict.INCONCLUSIVE
        and float(text.observed) < float(text.limit)
    ):
        yield f"open a ticket: text fidelity is below {text.limit}, which {text.samples} prompts do not prove"


def _measurements(found: outcomes.Outcomes, stable: outcomes.Outcomes | None) -> Iterator[schema.Measurement]:
    for metric, column in (
        (limits.ERROR_RATE, Column.ERROR_RATE),
        ("WordsRight", Column.WORDS_RIGHT),
        (limits.CONFIDENCE, Column.CONFIDENCE),
        (limits.GLYPH_HEIGHT, Column.GLYPH_HEIGHT),
        (limits.CONTRAST, Column.CONTRAST),
        (limits.MARGIN, Column.MARGIN),
        ("UniqueLevels", Column.LEVELS),
        ("EditDistance", Column.EDIT_DISTANCE),
    ):
        for against, one in ((None, found), ("Stable", stable)):
            values = one.column(column) if one is not None else np.empty(0)
            values = values[np.isfinite(values)]
            if values.size:
                name = metric if against is None else f"{metric}OfStable"
                yield gates.summary(name, values)
    if stable is not None:
        likeness = sheet.likeness(found, stable)
        if likeness.size:
            yield gates.summary("StructuralSimilarity", likeness, against="Stable")


def _stages(milliseconds: Mapping[str, Sequence[float]]) -> Iterator[schema.Measurement]:
    for name, values in milliseconds.items():
        told = gates.summary("StageMilliseconds", np.array(values, dtype=np.float64))
        yield told.model_copy(update={"operation": name, "unit": "ms"})
