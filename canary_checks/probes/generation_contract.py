"""The contract of operations that draw: what the process generates with, and the ids of locked prompts.

It is asked of the probe endpoint alone: an image does not show its scheduler. What the manifest pins must be
so; what differs from what Stable recorded must be stated anew, or it fails.
"""

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final

from canary_checks import request, schema
from canary_checks import vocabulary as v
from canary_checks.contracts import difference, fields, generation, generation_record
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import comparison, gates
from canary_checks.probes import contract as contracts
from canary_checks.probes import encoders, finding, parties, telling
from canary_checks.trace import blame
from canary_checks.trace import client as tracing

TOLD: Final = "GenerationFieldsTold"
PINS: Final = "GenerationChanges"
UNDECLARED: Final = "GenerationUndeclaredChanges"
_FROM_FILES: Final = "Artifact"
_TEMPLATE: Final = "promptTemplate"
_SHOWN: Final = 6
_HOW: Final = "docs/probe-endpoint.md shows how"
_REASONS: Final = {
    v.Verdict.PASS: "ContractKept",
    v.Verdict.FAIL: "ContractBroken",
    v.Verdict.NO_DATA: "NothingMeasured",
}

Count = Callable[[tracing.TraceClient], None]


@dataclasses.dataclass(frozen=True)
class _Judged:
    """What is concluded so far."""

    gates: tuple[schema.Gate, ...] = ()
    sentences: tuple[str, ...] = ()
    cause: blame.Blame | None = None


async def probe(asked: request.CheckRequest, pack: golden_pack.Pack, count: Count) -> finding.Finding:
    """Ask a process what it generates with, and judge it by the manifest and by what was recorded.

    Parameters
    ----------
    asked
        The request. Of several references the first one is compared with.
    pack
        Where the locked prompts are from.
    count
        Told of the client, whose requests are counted.

    Returns
    -------
    The judgement, and what was told as a file where recording was asked for.

    Raises
    ------
    CheckError
        The endpoint cannot be asked, or a reference is none.
    """
    source = next(iter(asked.references), None)
    recorded = generation_record.load(source.path, source.digest) if source is not None else None
    async with telling.connected(asked.probe, asked.run) as client:
        if client is None:
            return _silent(f"nobody tells what images are made with: declare a probe endpoint ({_HOW})")
        count(client)
        info = await client.info()
        contract = generation.contract(info.generation)
        if not contract.fields:
            return _silent(f"the probe endpoint tells nothing of the generation ({_HOW})")
        prompts = _prompts(asked, pack)
        told = [await encoders.tell(one, prompts) for one in encoders.served(client, info)]
        from_files = info.source == _FROM_FILES
        against = comparison.AGAINST[source.role] if source is not None else "Stable"
        judged = judge(contract, asked.contract.generation or {}, recorded, against, from_files=from_files)
        moved = _announced(contract, asked.contract.generation or {}, recorded)
        of_tokens = [
            one
            async for one in _tokens(
                told, _fitting(recorded, pack, from_files=from_files), prompts, moved, against
            )
        ]
    parts = (judged, *of_tokens)
    found = tuple(_proven(gate, from_files=from_files) for part in parts for gate in part.gates)
    verdict = gates.verdict_of(found)
    said = [sentence for part in parts for sentence in part.sentences]
    said += [one.sentence for one in told if one.sentence]
    cause = next((part.cause for part in parts if part.cause is not None), None)
    payload = generation_record.encode(
        contract.fields,
        {one.encoder.name: one.ids for one in told},
        pack,
        revision=asked.subject.revision,
        artifact_only=from_files,
    )
    return finding.Finding(
        verdict=verdict,
        reason=_REASONS[verdict],
        message=v.sentence("; ".join(said)),
        gates=found,
        items_used=len(prompts) if told else 0,
        measurements=tuple(one.measurement for one in told),
        diagnosis=contracts.diagnosis(cause),
        references=(parties.recorded(source, recorded),)
        if source is not None and recorded is not None
        else (),
        payload=payload if asked.record and verdict is v.Verdict.PASS else None,
    )


def judge(
    contract: fields.Contract,
    pinned: Mapping[str, fields.Value],
    recorded: generation_record.Recorded | None,
    against: gates.Against = "Stable",
    *,
    from_files: bool = False,
) -> _Judged:
    """Judge the fields that a process tells.

    Parameters
    ----------
    contract
        What it tells, something at least.
    pinned
        What the manifest states.
    recorded
        What the reference told; None when there is none.
    against
        Whose it is.
    from_files
        Whether the files of the model tell: they are compared with what files told.
    """
    comparable = recorded is not None and recorded.header.artifact_only is from_files
    before = recorded.header.told if recorded is not None and comparable else None
    found = generation.compare(before, contract.fields, pinned)
    judged = [_told(len(contract.fields))]
    if pinned:
        # Pinned and not told is no evidence of anything.
        samples = found.compared if found.broken or not found.silent else 0
        judged.append(gates.exactly(PINS, len(found.broken), 0, samples=samples))
    if before is not None:
        undeclared = len(found.undeclared)
        judged.append(gates.exactly(UNDECLARED, undeclared, 0, samples=found.compared, against=against))
    sentences = [*_differences(found, against)]
    if recorded is not None and not comparable:
        sentences.append(f"{against} was told by another source (process or files), and is not compared")
    elif not sentences:
        whole = f"{len(contract.fields)} fields of the generation ({contract.digest[:19]})"
        told = f"as {against} told them" if recorded is not None else "nothing was recorded to compare with"
        sentences.append(f"{whole}: {told}")
    if from_files:
        sentences.append("told by the model's files, and not by the served process")
    return _Judged(tuple(judged), tuple(sentences))


def _told(count: int) -> schema.Gate:
    return schema.Gate(
        metric=TOLD,
        verdict=v.Verdict.PASS,
        observed=float(count),
        operator=">=",
        limit=1.0,
        basis=v.Basis.EXACT,
        samples=count,
    )


def _differences(found: generation.Difference, against: gates.Against) -> Iterator[str]:
    for changes, said in (
        (found.broken, "not as pinned"),
        (found.undeclared, f"other than {against}'s and not declared"),
        (found.expected, "changed as declared"),
        (found.remarks, "told by one side alone, and switched off"),
    ):
        if changes:
            yield f"{said}: {shown(changes)}"
    if found.silent:
        yield f"pinned and not told: {_some(found.silent)}"


def shown(changes: Sequence[difference.Change]) -> str:
    """Name the first changes with their values, and how many more there are or follow from another class."""
    following = generation.following_from(changes, generation.classes(changes))
    named = _some([str(one) for one in changes if one not in following])
    return f"{named}, with {len(following)} settings that only one class has" if following else named


def _announced(
    contract: fields.Contract,
    pinned: Mapping[str, fields.Value],
    recorded: generation_record.Recorded | None,
) -> tuple[str, ...]:
    """Return the fields that the manifest states, and that are not what the reference told."""
    before = recorded.header.told if recorded is not None else None
    return tuple(one.field for one in generation.compare(before, contract.fields, pinned).expected)


def _prompts(asked: request.CheckRequest, pack: golden_pack.Pack) -> dict[str, str]:
    """Return the locked prompts: every one, or as many of each stratum of a large set."""
    golden = selection.select(pack, v.Modality.TEXT, shard=asked.shard, shards=asked.shards)
    most = generation_record.MOST_PROMPTS
    strata = len({item.stratum for item in golden.items})
    rows = range(len(golden.items)) if len(golden.items) <= most else golden.sample(max(1, most // strata))
    return {golden.items[row].id: golden.items[row].text for row in rows[:most]}


def _fitting(
    recorded: generation_record.Recorded | None, pack: golden_pack.Pack, *, from_files: bool
) -> generation_record.Recorded | None:
    """Return a record whose token ids are of the same prompts, told by a source of the same kind."""
    if recorded is None or recorded.header.artifact_only is not from_files:
        return None
    return recorded if recorded.header.pack_digest == pack.digest else None


async def _tokens(
    told: Sequence[encoders.Told],
    recorded: generation_record.Recorded | None,
    prompts: Mapping[str, str],
    moved: Sequence[str],
    against: gates.Against,
) -> AsyncIterator[_Judged]:
    """Compare the ids of every text encoder that the reference told."""
    known = recorded.tokens if recorded is not None else {}
    for one in told:
        name = one.encoder.name
        if name not in known:
            continue
        before = {prompt: ids for prompt, ids in known[name].items() if prompt in prompts}
        gate, sentence, cause = await encoders.judge(one, before, prompts, against=against)
        on_purpose = [field for field in moved if name in field.split(".") or field.endswith(_TEMPLATE)]
        if sentence and on_purpose:
            yield _Judged(sentences=(f"{sentence}, as {_some(on_purpose)} is stated anew",))
        else:
            yield _Judged((gate,), (sentence,) if sentence else (), cause)
    for name in known.keys() - {one.encoder.name for one in told}:
        metric = encoders.metric(name, encoders.DIFFERENCES)
        yield _Judged(
            (gates.exactly(metric, 0, 0, samples=0, against=against),),
            (f"{name}: {against} told its token ids, and the candidate does not",),
        )


def _proven(gate: schema.Gate, *, from_files: bool) -> schema.Gate:
    """Take from a gate that rests on files alone that it passes: files say what is declared."""
    if not from_files or gate.verdict is not v.Verdict.PASS:
        return gate
    return gate.model_copy(update={"verdict": v.Verdict.NO_DATA, "samples": 0})


def _silent(why: str) -> finding.Finding:
    return finding.Finding(
        verdict=v.Verdict.NO_DATA, reason="NothingMeasured", message=v.sentence(why), gates=(), items_used=0
    )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
