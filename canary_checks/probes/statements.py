"""What a served process tells of itself, against what a reference told and what the manifest pins.

Exact, and free of any tolerance: token ids of locked texts, named fields of the preprocessing contract, the
packages and the accelerator, the schema of the API, and the digests of files.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from canary_checks import failure, inputs, schema
from canary_checks.clients import client as clients
from canary_checks.contracts import difference, fields, process
from canary_checks.golden import selection
from canary_checks.parity import gates, reference
from canary_checks.trace import blame, compare, tokens
from canary_checks.trace import client as tracing

TOKEN_DIFFERENCES: Final = "TokenDifferingItems"
_STAGE: Final = "text.tokens"
_AT_ONCE: Final = 64
"""Texts that are tokenized by one request."""

Stated = Mapping[str, fields.Value]


@dataclasses.dataclass(frozen=True)
class Statements:
    """What one process tells of itself; what it does not tell is empty.

    Attributes
    ----------
    preprocessing, environment
        By canonical and by dotted name.
    interface
        Inputs and outputs of its API, by dotted name.
    files
        SHA-256 of the files that it, or the init container of its pod, read.
    """

    preprocessing: Stated = dataclasses.field(default_factory=dict)
    environment: Stated = dataclasses.field(default_factory=dict)
    interface: Stated = dataclasses.field(default_factory=dict)
    files: Stated = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Pins:
    """What the manifest states, and which changes were announced; names as in `Statements`."""

    preprocessing: Stated = dataclasses.field(default_factory=dict)
    environment: Stated = dataclasses.field(default_factory=dict)
    interface: Stated = dataclasses.field(default_factory=dict)
    files: Stated = dataclasses.field(default_factory=dict)
    expected: frozenset[str] = frozenset()


_METRICS: Final = {
    "preprocessing": ("PreprocessingChanges", "the preprocessing"),
    "environment": ("EnvironmentChanges", "the environment"),
    "interface": ("InterfaceChanges", "the schema of the API"),
    "files": ("FileChanges", "files"),
}


@dataclasses.dataclass(frozen=True)
class Context:
    """What a candidate's statements are judged by, and where else it can be asked; all of it is optional.

    Attributes
    ----------
    recorded
        References with token ids, by whose they are.
    before
        What the reference told.
    pins
        What the manifest states.
    probe
        Of the candidate's probe endpoint.
    files
        Digests that the init container of the candidate's pod found.
    """

    recorded: Mapping[gates.Against, reference.Recording] = dataclasses.field(default_factory=dict)
    before: Statements | None = None
    pins: Pins = dataclasses.field(default_factory=Pins)
    probe: tracing.TraceClient | None = None
    files: Stated | None = None


@dataclasses.dataclass(frozen=True)
class Told:
    """What was found: gates, one sentence for each thing that changed, and the cause of other token ids."""

    gates: tuple[schema.Gate, ...]
    sentences: tuple[str, ...]
    cause: blame.Blame | None


async def examine(client: clients.EmbeddingClient, golden: selection.Selection, context: Context) -> Told:
    """Ask a candidate for everything that it tells of itself, and judge it.

    Parameters
    ----------
    client
        Of one of its operations.
    golden
        The texts whose token ids a reference may hold.
    context
        What it is judged by.

    Raises
    ------
    CheckError
        The candidate cannot be asked.
    """
    judged, sentences = judge(await tell(client, context.probe, context.files), context.before, context.pins)
    cause = None
    for against, recorded in context.recorded.items():
        found = await judge_tokens(client, golden, recorded, against=against, probe=context.probe)
        if found is not None:
            gate, sentence, blamed = found
            judged.append(gate)
            cause = cause or blamed
            sentences += [sentence] if sentence else []
    return Told(tuple(judged), tuple(sentences), cause)


async def tell(
    client: clients.EmbeddingClient,
    probe: tracing.TraceClient | None = None,
    files: Stated | None = None,
) -> Statements:
    """Ask a process what it tells of itself.

    Parameters
    ----------
    client
        Of one of its operations.
    probe
        Of its probe endpoint, where it has one.
    files
        Digests that are known from elsewhere (the pod's init container); they win over what it says.

    Raises
    ------
    CheckError
        It cannot be asked.
    """
    interface = await client.describe()
    if probe is None:
        return Statements(interface=interface, files=files or {})
    info = await probe.info()
    return Statements(
        preprocessing=process.preprocessing(info).fields,
        environment=process.environment(info),
        interface=interface,
        files=files or process.files(info),
    )


def judge(
    candidate: Statements, before: Statements | None, pins: Pins | None = None
) -> tuple[list[schema.Gate], list[str]]:
    """Judge everything that a candidate tells.

    Parameters
    ----------
    candidate
        What it tells.
    before
        What the reference told; None when there is none.
    pins
        What the manifest states.

    Returns
    -------
    One gate for each kind of statement that is pinned or that both sides tell, and one sentence for each that
    changed. What is not pinned never fails: parity judges what it does.
    """
    stated = pins or Pins()
    judged, sentences = [], []
    for kind, (metric, what) in _METRICS.items():
        after, pinned = getattr(candidate, kind), getattr(stated, kind)
        known = getattr(before, kind) if before is not None else {}
        if not pinned and not (after and known):
            continue
        found = difference.compare(known or None, after, pinned=pinned, expected=stated.expected)
        broken = len(found.of(difference.Standing.PINNED))
        # Pinned and not told is no evidence of anything: no samples.
        judged.append(gates.exactly(metric, broken, 0, samples=0 if found.unknown else found.compared))
        if found.changes or found.unknown:
            sentences.append(f"{what}: {found.sentence()}")
    return judged, sentences


async def token_ids(
    client: clients.EmbeddingClient, texts: Mapping[str, str], probe: tracing.TraceClient | None = None
) -> dict[str, tuple[int, ...]] | None:
    """Ask the served process for the token ids of some texts.

    Parameters
    ----------
    client
        Of the server.
    texts
        By item.
    probe
        Of its probe endpoint, which is asked where the protocol has no such route.

    Returns
    -------
    Ids by item; None when the server does not tell.

    Raises
    ------
    CheckError
        It cannot be asked, or answers another number of texts.
    """
    found: dict[str, tuple[int, ...]] = {}
    names = list(texts)
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        answered = await client.tokenize([texts[name] for name in part])
        if answered is None:
            return await _traced(probe, texts) if probe is not None else None
        if len(answered) != len(part):
            raise failure.CheckError(
                "ResponseInvalid", f"the server tokenized {len(part)} texts into {len(answered)} lists of ids"
            )
        found |= dict(zip(part, answered, strict=True))
    return found or None


async def _traced(probe: tracing.TraceClient, texts: Mapping[str, str]) -> dict[str, tuple[int, ...]] | None:
    info = await probe.info()
    if _STAGE not in info.stages or info.source != "Process":
        # What the model's files say may fail elsewhere, and passes nowhere in place of the process.
        return None
    made = await probe.digests({name: inputs.Text(text) for name, text in texts.items()}, [_STAGE])
    found = compare.ids_of({name: stages[_STAGE] for name, stages in made.items() if _STAGE in stages})
    return found if len(found) == len(texts) else None


async def judge_tokens(
    client: clients.EmbeddingClient,
    golden: selection.Selection,
    recorded: reference.Recording,
    *,
    against: gates.Against = "Stable",
    probe: tracing.TraceClient | None = None,
) -> tuple[schema.Gate, str, blame.Blame | None] | None:
    """Compare the token ids of the served process with those of a reference.

    Parameters
    ----------
    client
        Of the candidate.
    golden
        The texts.
    recorded
        The reference; row i is item i of the selection.
    against
        Whose it is.
    probe
        Of the candidate's probe endpoint.

    Returns
    -------
    The gate, a sentence (empty when nothing differs) and what is to blame; None when one side does not tell.

    Raises
    ------
    CheckError
        The candidate cannot be asked.
    """
    if recorded.tokens is None:
        return None
    told = {
        name: tuple(int(x) for x in ids)
        for name, ids, refused in zip(recorded.items, recorded.tokens, recorded.refused, strict=True)
        if not refused
    }
    texts = {name: golden.items[golden.rows[name]].text for name in told}
    ours = await token_ids(client, texts, probe)
    if ours is None:
        return None
    found = tokens.compare(told, ours)
    gate = gates.exactly(TOKEN_DIFFERENCES, len(found.differing), 0, samples=found.items, against=against)
    if not found.differing:
        return gate, "", None
    changed = tokens.variants(texts)
    names = {f"{variant}/{name}": text for variant, of in changed.items() for name, text in of.items()}
    asked: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, ids in (await token_ids(client, names, probe) or {}).items():
        variant, _, name = key.partition("/")
        asked.setdefault(variant, {})[name] = ids
    cause = tokens.explain(told, ours, _recorded_twins(told, texts, changed), asked)
    message = (
        f"other token ids than recorded in {len(found.differing)} of {found.items} texts"
        f" ({_shown(found.differing)}): edit distance up to {found.edit_distance_worst:.2f}"
    )
    return gate, "; ".join((message, *found.special)), cause


def _recorded_twins(
    told: Mapping[str, tuple[int, ...]], texts: Mapping[str, str], changed: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, tuple[int, ...] | None]]:
    """Answer for a reference, which cannot be asked: its ids of a changed text are those of a golden twin."""
    by_text = {texts[name]: ids for name, ids in told.items()}
    return {
        variant: {name: by_text.get(text) for name, text in of.items()} for variant, of in changed.items()
    }


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")  # noqa: PLR2004 - a few
