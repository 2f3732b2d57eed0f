"""``modelrelease compare A B``: what two folders of generators state, and which ids they make of prompts."""

import asyncio
import dataclasses
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.cli import exits, image_options, options, task

if TYPE_CHECKING:
    from canary_checks.contracts import difference, fields, generation
    from canary_checks.probes import encoders
    from canary_checks.trace import blame

_EXIT: Final = {v.Verdict.PASS: exits.PASS, v.Verdict.FAIL: exits.FAIL}
_WIDTH: Final = 10
_SHOWN: Final = 10


@dataclasses.dataclass(frozen=True)
class Encoder:
    """What was found of one text encoder's tokenizer.

    Attributes
    ----------
    message
        Of differing ids, or why there are none.
    told
        Of B; None where its tokenizer cannot be read.
    """

    name: str
    verdict: v.Verdict
    message: str
    cause: "blame.Blame | None" = None
    told: "encoders.Told | None" = None


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found; `a` is the folder that is believed."""

    a: "fields.Contract"
    b: "fields.Contract"
    fields: "generation.Difference"
    encoders: tuple[Encoder, ...]

    @property
    def verdict(self) -> v.Verdict:
        """Fail where something differs or breaks a pin, NoData where something cannot be compared."""
        found = {one.verdict for one in self.encoders} | {self.verdict_of_fields}
        order = (v.Verdict.FAIL, v.Verdict.NO_DATA)
        return next((one for one in order if one in found), v.Verdict.PASS)

    @property
    def verdict_of_fields(self) -> v.Verdict:
        """The same of the fields alone."""
        if self.fields.broken or self.fields.undeclared:
            return v.Verdict.FAIL
        return v.Verdict.NO_DATA if self.fields.silent else v.Verdict.PASS


def run(
    folders: list[pathlib.Path],
    *,
    contract: pathlib.Path | None,
    golden_set: str,
    output_format: options.Format,
    output_file: pathlib.Path | None,
) -> int:
    """Compare two folders and write what differs.

    Parameters
    ----------
    folders
        Two; the first one is believed.
    contract
        File with the contract that B is to keep, whose ``generation`` declares what it states.
    golden_set
        Whose prompts are tokenized.
    output_format, output_file
        How and where it is written.

    Raises
    ------
    UsageError
        These are not two folders, or the form is none of this command.
    CheckError
        A folder cannot be read.
    """
    if len(folders) != 2:  # noqa: PLR2004 - A and B
        raise exits.UsageError(f"{len(folders)} folder is given: two are compared, A and B")
    missing = next((folder for folder in folders if not folder.is_dir()), None)
    if missing is not None:
        raise exits.UsageError(f"{missing} is no folder")
    if output_format not in {options.Format.TEXT, options.Format.JSON}:
        raise exits.UsageError(f"--output: folders are compared as text or json, not {output_format}")
    stated = task.contract(contract, dimensions=None, unit=None, max_input_tokens=None)
    found = compare(folders[0], folders[1], stated.generation or {}, _prompts(golden_set))
    if output_format is options.Format.JSON:
        text = json.dumps(_as_json(found), ensure_ascii=False, indent=1) + "\n"
    else:
        text = "\n".join(_lines(found)) + "\n"
    if output_file is None:
        sys.stdout.write(text)
    else:
        output_file.write_text(text, encoding="utf-8")
    return _EXIT.get(found.verdict, exits.NO_DATA)


def _prompts(golden_set: str) -> dict[str, str]:
    # Here, because it takes numpy: help and mistakes need none.
    from canary_checks.golden import selection, store  # noqa: PLC0415

    pack = store.load(task.golden_set(image_options.golden_set(golden_set)))
    return {item.id: item.text for item in selection.select(pack, v.Modality.TEXT).items}


def compare(
    a: pathlib.Path, b: pathlib.Path, pinned: "Mapping[str, fields.Value]", prompts: Mapping[str, str]
) -> Report:
    """Compare what two folders state, and the ids that their tokenizers make of prompts.

    Raises
    ------
    CheckError
        ``ContractUnreadable``: one of them is no folder of a generator.
    """
    from canary_checks.contracts import generation, generation_folder  # noqa: PLC0415 - as above

    before, after = generation_folder.read(a), generation_folder.read(b)
    found = generation.compare(before.fields, after.fields, pinned)
    ours, theirs = generation_folder.tokenizers(a), generation_folder.tokenizers(b)
    moved = [one.field for one in found.expected]
    of_encoders = tuple(
        asyncio.run(_encoder(name, ours[name], theirs[name], prompts, moved))
        for name in sorted(ours.keys() & theirs.keys())
    )
    return Report(before, after, found, of_encoders)


async def _encoder(
    name: str, a: pathlib.Path, b: pathlib.Path, prompts: Mapping[str, str], moved: list[str]
) -> Encoder:
    from canary_checks.contracts import generation_folder  # noqa: PLC0415 - as above
    from canary_checks.probes import encoders  # noqa: PLC0415
    from canary_checks.trace import local_tokenizers  # noqa: PLC0415

    try:
        first, second = (local_tokenizers.load(one, generation_folder.longest(one)) for one in (a, b))
    except failure.CheckError as error:
        return Encoder(name, v.Verdict.NO_DATA, error.message)
    told = await encoders.tell(encoders.Encoder(name, second), prompts)
    gate, sentence, cause = await encoders.judge(told, await first(prompts), prompts, whose="A")
    on_purpose = [field for field in moved if field.startswith(f"{name}.")]
    if sentence and on_purpose:
        declared = f"{sentence}, as {', '.join(on_purpose)} is stated anew"
        return Encoder(name, v.Verdict.PASS, declared, cause, told)
    return Encoder(
        name, gate.verdict, sentence or f"{name}: {len(prompts)} prompts: the same ids", cause, told
    )


def _lines(found: Report) -> Iterator[str]:
    """Write a report for a terminal."""
    whole = f"{found.a.digest[:19]} and {found.b.digest[:19]}"
    count = len(found.fields.broken) + len(found.fields.undeclared) + len(found.fields.expected)
    said = f"{count} of {found.fields.compared} fields differ" if count else "no field differs"
    yield f"{found.verdict_of_fields.upper():<{_WIDTH}} generation: {said} ({whole})"
    for changes, words in (
        (found.fields.broken, "not as pinned"),
        (found.fields.undeclared, ""),
        (found.fields.expected, "declared"),
        (found.fields.remarks, "told by one side alone, and switched off"),
    ):
        for change in changes:
            yield f"{'':<{_WIDTH}} {change}" + (f"  ({words})" if words else "")
    for name in found.fields.silent:
        yield f"{'':<{_WIDTH}} {name} is pinned and not stated"
    for one in found.encoders:
        yield f"{one.verdict.upper():<{_WIDTH}} {one.message}"
        if one.cause is not None:
            yield f"{'':<{_WIDTH}} CAUSE {one.cause.cause} ({one.cause.confidence.lower()})"
            yield from (f"{'':<{_WIDTH}}   because {sentence}" for sentence in one.cause.evidence)
        cuts = dict(one.told.cuts) if one.told is not None else {}
        if cuts:
            longest = max(cut.ids for cut in cuts.values())
            yield f"{'':<{_WIDTH}} B cuts {len(cuts)} prompts at {longest} ids:"
            yield from (f"{'':<{_WIDTH}}   {name} loses {cut}" for name, cut in list(cuts.items())[:_SHOWN])
            if len(cuts) > _SHOWN:
                yield f"{'':<{_WIDTH}}   and {len(cuts) - _SHOWN} more"


def _as_json(found: Report) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "generation": {
            "verdict": found.verdict_of_fields,
            "a": {"digest": found.a.digest, "fields": dict(found.a.fields)},
            "b": {"digest": found.b.digest, "fields": dict(found.b.fields)},
            "broken": _changes(found.fields.broken),
            "undeclared": _changes(found.fields.undeclared),
            "expected": _changes(found.fields.expected),
            "switchedOff": _changes(found.fields.remarks),
            "pinnedAndNotStated": list(found.fields.silent),
        },
        "encoders": [
            {
                "name": one.name,
                "verdict": one.verdict,
                "message": one.message,
                "cuts": {
                    name: dataclasses.asdict(cut)
                    for name, cut in (one.told.cuts if one.told is not None else {}).items()
                },
            }
            | (
                {}
                if one.cause is None
                else {
                    "cause": {
                        "cause": one.cause.cause,
                        "confidence": one.cause.confidence,
                        "evidence": list(one.cause.evidence),
                    }
                }
            )
            for one in found.encoders
        ],
    }


def _changes(changes: "tuple[difference.Change, ...]") -> list[dict[str, Any]]:
    return [{"field": one.field, "a": one.before, "b": one.after} for one in changes]
