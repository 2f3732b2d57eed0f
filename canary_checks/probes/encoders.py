"""The token ids of locked prompts, for every text encoder of a generator: whose differ, and which are cut."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Final

from canary_checks import inputs, schema
from canary_checks.contracts import generation_record
from canary_checks.parity import gates
from canary_checks.probes import statements
from canary_checks.trace import blame, compare, cutting, tokens
from canary_checks.trace import client as tracing

DIFFERENCES: Final = "TokenDifferingItems"
CUT: Final = "CutPrompts"
_STAGE: Final = re.compile(r"text\.tokens(_[a-z0-9]+)*")
_MOST_TOKEN: Final = 2**31
_SHOWN: Final = 3

Ids = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Encoder:
    """One text encoder's tokenizer.

    Attributes
    ----------
    name
        Such as ``tokenizer_2``.
    ask
        Tokenizes prompts as serving does.
    """

    name: str
    ask: cutting.Ask


def metric(encoder: str, what: str) -> str:
    """Return the name of a metric of an encoder: ``TokenDifferingItems2`` of ``tokenizer_2``."""
    return what + "".join(part.capitalize() for part in encoder.split("_")[1:])


@dataclasses.dataclass(frozen=True)
class Told:
    """What was found of one encoder.

    Attributes
    ----------
    ids
        By prompt, of those that are not refused.
    cuts
        The prompts that are not read to their end.
    """

    encoder: Encoder
    ids: Mapping[str, Ids]
    cuts: Mapping[str, cutting.Cut]

    @property
    def measurement(self) -> schema.Measurement:
        """How many prompts are cut."""
        return schema.Measurement(
            metric=metric(self.encoder.name, CUT), samples=len(self.ids), max=float(len(self.cuts))
        )

    @property
    def sentence(self) -> str:
        """Which prompts are cut, and what is lost; empty when none is."""
        if not self.cuts:
            return ""
        some = [f"{name} loses {cut}" for name, cut in list(self.cuts.items())[:_SHOWN]]
        longest = max(cut.ids for cut in self.cuts.values())
        more = ", …" if len(self.cuts) > _SHOWN else ""
        return (
            f"{self.encoder.name} cuts {len(self.cuts)} of {len(self.ids)} prompts at {longest} ids"
            f" ({'; '.join(some)}{more})"
        )


def served(probe: tracing.TraceClient, info: tracing.Info) -> list[Encoder]:
    """Return the encoders that a process tells: its stages ``text.tokens``, ``text.tokens_2`` and so on."""
    stages = [stage for stage in info.stages if _STAGE.fullmatch(stage)]
    return [
        Encoder("tokenizer" + stage.removeprefix("text.tokens"), _asking(probe, stage))
        for stage in stages[: generation_record.MOST_ENCODERS]
    ]


def _asking(probe: tracing.TraceClient, stage: str) -> cutting.Ask:
    async def ask(texts: Mapping[str, str]) -> Mapping[str, Ids]:
        made = await probe.digests({name: inputs.Text(text) for name, text in texts.items()}, [stage])
        found = compare.ids_of({name: stages[stage] for name, stages in made.items() if stage in stages})
        return {name: ids for name, ids in found.items() if all(0 <= one < _MOST_TOKEN for one in ids)}

    return ask


async def tell(encoder: Encoder, prompts: Mapping[str, str]) -> Told:
    """Ask an encoder about prompts, and find those that it cuts.

    Raises
    ------
    CheckError
        It cannot be asked.
    """
    ids = await encoder.ask(prompts)
    return Told(encoder, ids, await cutting.find(encoder.ask, prompts, ids))


async def judge(
    told: Told,
    before: Mapping[str, Ids],
    prompts: Mapping[str, str],
    *,
    against: gates.Against = "Stable",
    whose: str = "",
) -> tuple[schema.Gate, str, blame.Blame | None]:
    """Compare the ids of a candidate's encoder with those of a reference.

    Parameters
    ----------
    told
        Of the candidate.
    before
        Ids of the reference, by prompt.
    prompts
        Those that both were asked about; one that only one side refuses differs.
    against
        Whose the reference is.
    whose
        What sentences call it; by default as `against`.

    Returns
    -------
    The gate, a sentence (empty when nothing differs) and what is to blame.

    Raises
    ------
    CheckError
        The candidate cannot be asked.
    """
    texts = {name: text for name, text in prompts.items() if name in told.ids or name in before}
    both = {name: text for name, text in texts.items() if name in told.ids and name in before}
    ours = {name: told.ids[name] for name in both}
    theirs = {name: before[name] for name in both}
    found = tokens.compare(theirs, ours)
    one_sided = [name for name in texts if name not in both]
    differing = [*found.differing, *one_sided]
    named = metric(told.encoder.name, DIFFERENCES)
    gate = gates.exactly(named, len(differing), 0, samples=len(texts), against=against)
    if not differing:
        return gate, "", None
    cause = await _cause(told.encoder, theirs, ours, both) if found.differing else None
    parts = [
        f"{told.encoder.name}: other token ids than {whose or against}'s in {len(differing)} of"
        f" {len(texts)} prompts ({_some(differing)})",
        *([f"{len(one_sided)} of them refused by one side"] if one_sided else []),
        *found.special,
    ]
    return gate, "; ".join(parts), cause


async def _cause(
    encoder: Encoder, theirs: Mapping[str, Ids], ours: Mapping[str, Ids], texts: Mapping[str, str]
) -> blame.Blame:
    changed = tokens.variants(texts)
    names = {f"{variant}/{name}": text for variant, of in changed.items() for name, text in of.items()}
    asked: dict[str, dict[str, Ids]] = {}
    for key, ids in (await encoder.ask(names)).items():
        variant, _, name = key.partition("/")
        asked.setdefault(variant, {})[name] = ids
    return tokens.explain(theirs, ours, statements.recorded_twins(theirs, texts, changed), asked)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
