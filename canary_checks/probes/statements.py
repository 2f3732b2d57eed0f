"""What a served process tells of itself, against what a reference told and what the manifest pins.

Exact, and free of any tolerance: token ids of locked texts, tensors of locked images, named fields of the
preprocessing contract, the packages and the accelerator, the schema of the API, and the digests of files.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from canary_checks import probing, request, schema
from canary_checks.clients import client as clients
from canary_checks.contracts import difference, fields, stated
from canary_checks.golden import selection
from canary_checks.parity import gates, reference
from canary_checks.probes import pictures, telling
from canary_checks.trace import blame, tokens
from canary_checks.trace import client as tracing

TOKEN_DIFFERENCES: Final = "TokenDifferingItems"
_F: Final = fields.Field
_OF_TOKENS: Final = frozenset(
    {
        _F.TOKENIZER_TYPE, _F.VOCABULARY_DIGEST, _F.VOCABULARY_SIZE, _F.MERGES_DIGEST, _F.ADDED_TOKENS_DIGEST,
        _F.SPECIAL_TOKENS, _F.NORMALIZER, _F.LOWERCASE, _F.STRIP_ACCENTS, _F.PRE_TOKENIZER, _F.POST_PROCESSOR,
        _F.MAX_LENGTH, _F.TRUNCATION_SIDE, _F.PADDING_SIDE, _F.PROMPT_TEMPLATE,
    }
)  # fmt: skip
_OF_PIXELS: Final = frozenset(
    {
        _F.IMAGE_SIZE, _F.RESIZE_FILTER, _F.ANTIALIAS, _F.CROP, _F.VALUE_SCALE, _F.MEAN, _F.STD,
        _F.CHANNEL_ORDER, _F.AXIS_ORDER, _F.COLOUR_PROFILE, _F.DTYPE,
    }
)  # fmt: skip

Stated = Mapping[str, fields.Value]


@dataclasses.dataclass(frozen=True)
class Pins:
    """What the manifest states; names as in `stated.Statements`.

    Attributes
    ----------
    expected
        Fields that are changed on purpose without being pinned.
    """

    preprocessing: Stated = dataclasses.field(default_factory=dict)
    environment: Stated = dataclasses.field(default_factory=dict)
    interface: Stated = dataclasses.field(default_factory=dict)
    files: Stated = dataclasses.field(default_factory=dict)
    expected: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class _Kind:
    """One kind of statement: the metric of its gate and of what is only told, and its words."""

    gate: str
    reported: str
    words: str


_KINDS: Final = {
    "preprocessing": _Kind("PreprocessingChanges", "PreprocessingReportedChanges", "the preprocessing"),
    "environment": _Kind("EnvironmentChanges", "EnvironmentReportedChanges", "the environment"),
    "interface": _Kind("InterfaceChanges", "InterfaceReportedChanges", "the schema of the API"),
    "files": _Kind("FileChanges", "FileReportedChanges", "files"),
}
_NEAREST: Final[tuple[gates.Against, ...]] = ("Stable", "Recorded", "Anchor")
"""Whose statements a change is told against: the first that told any."""


@dataclasses.dataclass(frozen=True)
class Context:
    """What a candidate's statements are judged by, and where else it can be asked; all of it is optional.

    Attributes
    ----------
    recorded
        References, by whose they are, with their token ids and what their servers told.
    pins
        What the manifest states.
    probe
        Of the candidate's probe endpoint.
    files
        Digests that the init container of the candidate's pod found.
    """

    recorded: Mapping[gates.Against, reference.Recording] = dataclasses.field(default_factory=dict)
    pins: Pins = dataclasses.field(default_factory=Pins)
    probe: tracing.TraceClient | None = None
    files: Mapping[str, str] | None = None

    @property
    def nearest(self) -> stated.Statements | None:
        """What the reference told that a candidate's changes are told against."""
        told = (self.recorded[who].told for who in _NEAREST if who in self.recorded)
        return next((one for one in told if one is not None), None)


def context(
    asked: request.CheckRequest,
    recorded: Mapping[gates.Against, reference.Recording],
    probe: tracing.TraceClient | None,
) -> Context:
    """Make the context of a request.

    Parameters
    ----------
    asked
        The request, with the pins of the manifest.
    recorded
        References of the operation that can be used.
    probe
        Of the candidate's probe endpoint.
    """
    pins = Pins(
        preprocessing=stated.bounded(probing.preprocessing(asked.contract.preprocess or {})),
        environment=stated.bounded(asked.contract.environment or {}),
    )
    return Context(recorded=recorded, pins=pins, probe=probe)


@dataclasses.dataclass(frozen=True)
class Told:
    """What was found: gates, what changed without one, a sentence for each, and the cause of other inputs."""

    gates: tuple[schema.Gate, ...]
    measurements: tuple[schema.Measurement, ...]
    sentences: tuple[str, ...]
    cause: blame.Blame | None


async def examine(client: clients.EmbeddingClient, golden: selection.Selection, context: Context) -> Told:
    """Ask a candidate for everything that it tells of itself, and judge it.

    Parameters
    ----------
    client
        Of one of its operations.
    golden
        The items whose token ids and tensors a reference may hold.
    context
        What it is judged by.

    Raises
    ------
    CheckError
        The candidate cannot be asked.
    """
    told = await telling.tell(client, golden, context.probe, context.files)
    judged, sentences, measurements = judge(told, context.nearest, context.pins)
    cause = None
    for against, recorded in context.recorded.items():
        announced = frozenset(_announced(told, recorded.told, context.pins))
        found = await judge_tokens(client, golden, recorded, against=against, probe=context.probe)
        for gate, sentence, blamed, names in (
            *([(*found, _OF_TOKENS)] if found is not None else []),
            *((*one, _OF_PIXELS) for one in pictures.judge(told, recorded.told, against)),
        ):
            on_purpose = sorted(announced & names)
            if sentence and on_purpose:
                sentences.append(f"{sentence}, as {', '.join(on_purpose)} is stated anew")
                continue
            judged += [gate] if gate is not None else []
            cause = cause or blamed
            sentences += [sentence] if sentence else []
    return Told(tuple(judged), tuple(measurements), tuple(dict.fromkeys(sentences)), cause)


def _announced(told: stated.Statements, before: stated.Statements | None, pins: Pins) -> Iterator[str]:
    """Return the fields that the manifest states, and that are not what the reference told."""
    known = before.preprocessing if before is not None else {}
    for name in {*pins.preprocessing, *pins.expected}:
        if name in known and name in told.preprocessing and known[name] != told.preprocessing[name]:
            yield name


def judge(
    candidate: stated.Statements, before: stated.Statements | None, pins: Pins | None = None
) -> tuple[list[schema.Gate], list[str], list[schema.Measurement]]:
    """Judge the named fields that a candidate tells.

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
    One gate for each kind of statement that is pinned or that both sides tell, one sentence for each that
    changed, and the number of changes that neither break a pin nor are expected. What is not pinned never
    fails: parity judges what it does.
    """
    must = pins or Pins()
    judged, sentences, measurements = [], [], []
    for kind, said in _KINDS.items():
        after, pinned = getattr(candidate, kind), getattr(must, kind)
        known = getattr(before, kind) if before is not None else {}
        if not pinned and not (after and known):
            continue
        found = difference.compare(
            probing.as_pinned(known, pinned) or None,
            probing.as_pinned(after, pinned),
            pinned=pinned,
            expected=must.expected,
        )
        broken = len(found.of(difference.Standing.PINNED))
        reported = len(found.of(difference.Standing.REPORTED))
        # Pinned and not told is no evidence of anything, nor is what files say: no samples.
        from_files = candidate.artifact_only and kind != "interface"
        evidence = broken or not (found.unknown or from_files)
        judged.append(gates.exactly(said.gate, broken, 0, samples=found.compared if evidence else 0))
        if known:
            measurements.append(
                schema.Measurement(metric=said.reported, samples=found.compared, max=float(reported))
            )
        if found.changes or found.unknown:
            sentences.append(f"{said.words}: {found.sentence()}")
        if from_files and not broken:
            sentences.append(f"{said.words}: told by the model's files, and not by the served process")
    return judged, sentences, measurements


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
    ours = await telling.token_ids(client, texts, probe)
    if ours is None:
        return None
    found = tokens.compare(told, ours)
    gate = gates.exactly(TOKEN_DIFFERENCES, len(found.differing), 0, samples=found.items, against=against)
    if not found.differing:
        return gate, "", None
    changed = tokens.variants(texts)
    names = {f"{variant}/{name}": text for variant, of in changed.items() for name, text in of.items()}
    asked: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, ids in (await telling.token_ids(client, names, probe) or {}).items():
        variant, _, name = key.partition("/")
        asked.setdefault(variant, {})[name] = ids
    cause = tokens.explain(told, ours, recorded_twins(told, texts, changed), asked)
    message = (
        f"other token ids than recorded in {len(found.differing)} of {found.items} texts"
        f" ({_shown(found.differing)}): edit distance up to {found.edit_distance_worst:.2f}"
    )
    return gate, "; ".join((message, *found.special)), cause


def recorded_twins(
    told: Mapping[str, tuple[int, ...]], texts: Mapping[str, str], changed: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, tuple[int, ...] | None]]:
    """Answer for a reference, which cannot be asked: its ids of a changed text are those of a golden twin."""
    by_text = {texts[name]: ids for name, ids in told.items()}
    return {
        variant: {name: by_text.get(text) for name, text in of.items()} for variant, of in changed.items()
    }


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")  # noqa: PLR2004 - a few
