"""``modelrelease trace``: two processes side by side, stage by stage, and the first stage that differs."""

import asyncio
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.cli import exits, options, task

if TYPE_CHECKING:
    from canary_checks.trace import session

_TOKEN: Final = "MODELRELEASE_PROBE_TOKEN"
_EXIT: Final = {v.Verdict.PASS: exits.PASS, v.Verdict.FAIL: exits.FAIL}
_WIDTH: Final = 12
_MEDIA_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
_PER_STRATUM: Final = 2


def trace(
    *,
    items: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ITEM]…", help="Ids of golden items; none for two of every stratum."),
    ] = None,
    a: Annotated[str, typer.Option("--a", metavar="[NAME=]URL", help="The process that is believed.")],
    b: Annotated[
        str, typer.Option("--b", metavar="[NAME=]URL", help="The process that is compared with it.")
    ],
    golden_set: options.GoldenSet = "builtin:TextV1",
    text: Annotated[list[str] | None, typer.Option(help="A text of your own; repeatable.")] = None,
    image: Annotated[
        list[pathlib.Path] | None, typer.Option(metavar="FILE", help="An image of your own; repeatable.")
    ] = None,
    numeric_class: options.NumericClass = v.NumericClass.FP32,
    seed: Annotated[int | None, typer.Option(help="For stages that draw noise.")] = None,
    output: Annotated[options.Format, typer.Option(help="text or json.")] = options.Format.TEXT,
) -> None:
    """Name the first stage at which two processes differ, and why.

    Both servers have the probe endpoint (docs/probe-endpoint.md). The environment variable
    MODELRELEASE_PROBE_TOKEN holds their token; MODELRELEASE_PROBE_TOKEN_A and _B where they have two.

    Exit codes: 0 nothing differs, 1 a stage differs, 2 nothing is certain, 3 Error, 64 usage.
    """

    def run() -> int:
        if output not in {options.Format.TEXT, options.Format.JSON}:
            raise exits.UsageError(f"--output: trace writes text or json, not {output}")
        servers = (task.server(a, "--a", "A"), task.server(b, "--b", "B"))
        own = _own(text or (), image or ())
        chosen = {} if own and not items else _golden(items or (), golden_set)
        found = asyncio.run(_compared(servers, chosen | own, numeric_class, seed))
        if output is options.Format.JSON:
            sys.stdout.write(json.dumps(_as_json(found), ensure_ascii=False, indent=1) + "\n")
        else:
            sys.stdout.write("\n".join(_lines(found)) + "\n")
        return _EXIT.get(found.verdict, exits.NO_DATA)

    raise typer.Exit(exits.guarded(run))


def _own(texts: Sequence[str], images: Sequence[pathlib.Path]) -> dict[str, inputs.Input]:
    found: dict[str, inputs.Input] = {f"text-{n}": inputs.Text(one) for n, one in enumerate(texts, start=1)}
    for file in images:
        media_type = _MEDIA_TYPES.get(file.suffix.lower())
        if media_type is None:
            raise exits.UsageError(f"--image: {file}: its name ends in none of {', '.join(_MEDIA_TYPES)}")
        try:
            found[file.name] = inputs.Image(file.read_bytes(), media_type)
        except OSError as error:
            raise exits.UsageError(f"--image: {file}: {error.strerror}") from error
    return found


def _golden(wanted: Sequence[str], golden_set: str) -> dict[str, inputs.Input]:
    # Here, because it takes numpy: help and mistakes need none.
    from canary_checks.golden import selection, store  # noqa: PLC0415

    pack = store.load(task.golden_set(golden_set))
    chosen: dict[str, inputs.Input] = {}
    for modality in v.Modality:
        of_modality = selection.select(pack, modality)
        rows = of_modality.sample(_PER_STRATUM) if not wanted else range(len(of_modality.items))
        for item in (of_modality.items[row] for row in rows):
            if not wanted or item.id in wanted:
                chosen[item.id] = of_modality.input(item)
    unknown = [name for name in wanted if name not in chosen]
    if unknown:
        raise exits.UsageError(f"the golden set {pack.name} has no item {', '.join(unknown)}")
    return chosen


async def _compared(
    servers: tuple[task.Server, task.Server],
    items: dict[str, inputs.Input],
    numeric_class: v.NumericClass,
    seed: int | None,
) -> "session.Report":
    # As above.
    from canary_checks.trace import client, session  # noqa: PLC0415

    one, other = (
        client.TraceClient(url=server.url, token=_token(side), run="trace")
        for server, side in zip(servers, ("A", "B"), strict=True)
    )
    async with one, other:
        return await session.run(one, other, items, numeric_class=numeric_class, seed=seed)


def _token(side: str) -> str:
    token = os.environ.get(f"{_TOKEN}_{side}") or os.environ.get(_TOKEN)
    if not token:
        raise exits.UsageError(f"the environment variable {_TOKEN} is to hold the servers' token")
    return token


def _lines(found: "session.Report") -> list[str]:
    """Write a report for a terminal."""
    lines = []
    for stage in found.stages:
        lines.append(f"{stage.verdict.upper():<{_WIDTH}} {stage.name:<20} {stage.message}")
        if stage.cause is not None:
            lines.append(f"{'':<{_WIDTH}} CAUSE {stage.cause.cause} ({stage.cause.confidence.lower()})")
            lines += [f"{'':<{_WIDTH}}   because {sentence}" for sentence in stage.cause.evidence]
    first = found.first
    if first is not None:
        lines.append(f"The first stage that differs is {first.name}.")
        within = [s.name for s in found.stages[: found.stages.index(first)] if s.differing]
        if within:
            lines.append(f"Before it, {', '.join(within)} differs within its limit.")
    elif found.verdict is v.Verdict.PASS:
        lines.append("No stage differs beyond its limit.")
    for what, difference in found.statements.items():
        if difference.changes:
            lines.append(f"Of the {what}: {difference.sentence()}.")
    return lines


def _as_json(found: "session.Report") -> dict[str, Any]:
    first = found.first
    return {
        "verdict": found.verdict,
        "firstDifference": first.name if first is not None else None,
        "stages": [
            {
                "name": stage.name,
                "verdict": stage.verdict,
                "message": stage.message,
                "items": stage.items,
                "differing": list(stage.differing),
                "measured": {name: v.number(value) for name, value in stage.measured.items()},
            }
            | (
                {}
                if stage.cause is None
                else {
                    "cause": {
                        "cause": stage.cause.cause,
                        "confidence": stage.cause.confidence,
                        "evidence": list(stage.cause.evidence),
                    }
                }
            )
            for stage in found.stages
        ],
        "statements": {
            what: [
                {"field": change.field, "a": change.before, "b": change.after}
                for change in difference.changes
            ]
            for what, difference in found.statements.items()
        },
    }
