"""The options of a load: what ``check performance`` and ``check soak`` replay."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pydantic
import typer

from canary_checks.cli import exits
from canary_checks.performance import replay

Concurrency = Annotated[
    int, typer.Option(min=1, max=256, metavar="N", help="Load: requests in flight, at most.")
]
Duration = Annotated[
    int, typer.Option(min=1, max=7200, metavar="SECONDS", help="Load: how long, for each operation.")
]
MaxRequests = Annotated[
    int, typer.Option(min=1, max=1_000_000, metavar="N", help="Load: how many requests at most.")
]
Warmup = Annotated[
    int, typer.Option(min=0, max=600, metavar="SECONDS", help="Load: what is sent before and not measured.")
]
ArrivalsPerSecond = Annotated[
    str | None,
    typer.Option(
        metavar="RATE",
        help="Load: so many requests per second at random times, whether or not the server keeps up; without"
        " it the next request waits for an answer.",
    ),
]
Mix = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE:SHARE,…",
        help="Load: sizes of the inputs up to SIZE characters (images: bytes), such as 128:0.7,4096:0.3.",
    ),
]
Accelerator = Annotated[str | None, typer.Option(help="Load: what answers, such as NVIDIA-H200.")]
Gpus = Annotated[int | None, typer.Option(min=0, max=1024, metavar="N", help="Cost: GPUs behind the URL.")]
Servers = Annotated[int, typer.Option(min=1, max=1024, metavar="N", help="Load: servers behind the URL.")]
PricePerGpuHour = Annotated[str | None, typer.Option(metavar="PRICE", help="Cost: of one GPU for an hour.")]
LiveRequestsPerSecond = Annotated[
    str | None,
    typer.Option(metavar="RATE", help="Cost: of users' traffic, to project GPU-hours and cost a day."),
]
MetricsPath = Annotated[str, typer.Option(metavar="/PATH", help="Soak: where the server tells its memory.")]
Record = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="FILE|DIR", help="Load: where the measured performance is kept, as a later --reference."
    ),
]


def performance(*, soak: bool, mix: str | None, metrics_path: str, **fields: Any) -> replay.Performance:
    """Put a load together.

    Parameters
    ----------
    soak
        Whether memory and restarts are watched.
    mix, metrics_path
        As given.
    fields
        What a `replay.Performance` is made of, in the words of a request; None is left to its default.

    Raises
    ------
    UsageError
        There is no such load.
    """
    said = {name: value for name, value in fields.items() if value is not None}
    if mix is not None:
        said["mix"] = _bins(mix)
    if soak:
        said["soak"] = {"metricsPath": metrics_path}
    if "requestsPerSecond" in said:
        said["arrivals"] = replay.Arrivals.POISSON
    try:
        return replay.Performance.model_validate(said, by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        raise exits.UsageError(f"the load: {exits.first_problem(error)}") from error


def _bins(text: str) -> tuple[dict[str, Any], ...]:
    found = []
    for part in text.split(","):
        size, colon, share = part.partition(":")
        if not colon or not size.strip().isascii() or not size.strip().isdigit():
            raise exits.UsageError(f"--mix: {part!r} is not SIZE:SHARE")
        found.append({"upTo": int(size), "share": share.strip()})
    return tuple(found)


def only(
    checks: Sequence[str], load: Sequence[str], record: pathlib.Path | None, unfit: Mapping[str, object]
) -> None:
    """Refuse what a load cannot share a command with.

    Parameters
    ----------
    checks, load
        What is asked for, and which checks replay a load.
    record
        Where the measured performance is to be kept.
    unfit
        Options that a load has no use for, by their name; None where they are not given.

    Raises
    ------
    UsageError
        Another check stands beside it, an option is unfit, or a record is wanted of something else.
    """
    loads = [one for one in checks if one in load]
    if loads and len(checks) > 1:
        raise exits.UsageError(
            f"{loads[0]} is asked for alone: its load would be in the others' way, and its --reference is"
            " another file than theirs"
        )
    given = [name for name, value in unfit.items() if value is not None]
    if loads and given:
        raise exits.UsageError(
            f"{loads[0]} has no use for {given[0]}: record stable with --record, where it serves nobody else,"
            " and compare by --reference"
        )
    if record is not None and not loads:
        raise exits.UsageError(f"--record is of {' and '.join(load)}; `golden record` records outputs")
