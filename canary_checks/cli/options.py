"""The options that several commands share, each said once."""

import enum
import pathlib
from typing import Annotated, Final

import typer

from canary_checks import vocabulary as v

STABLE_REQUESTS_PER_SECOND: Final = 2
"""Stable serves users while it is asked."""


class Format(enum.StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


Stable = Annotated[
    str | None,
    typer.Option(
        metavar="[NAME=]URL",
        help="A server to record the reference from, now; asked at most"
        f" {STABLE_REQUESTS_PER_SECOND} times a second.",
    ),
]
Reference = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help="A recorded reference (see `golden record`): a .safetensors file, or the folder of one.",
    ),
]
GoldenSet = Annotated[
    str, typer.Option(metavar="builtin:NAME|DIR", help="What to send: a built-in golden set, or a folder.")
]
OneProtocol = Annotated[v.Protocol, typer.Option(help="How the server is asked.")]
Path = Annotated[
    str | None, typer.Option(metavar="/PATH", help="Of the operation; each protocol has its own.")
]
Model = Annotated[
    str | None, typer.Option(help="The served model's name; the first that the server lists by default.")
]
OneModality = Annotated[v.Modality, typer.Option(help="What the server reads.")]
Operation = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE,…",
        help="One of several operations, in the words of the manifest:"
        " name=image,protocol=OpenAIEmbeddings,modality=Image,model=clip. Repeat it; it replaces --protocol,"
        " --path, --model and --modality.",
    ),
]
Operations = Annotated[
    pathlib.Path | None,
    typer.Option(metavar="FILE", help="The operations as in the manifest: a list, in YAML or JSON."),
]
NumericClass = Annotated[v.NumericClass, typer.Option(help="The less exact class of the pair.")]
Gate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC[.LIMIT]=VALUE",
        help="Replace a limit, such as CosineDistanceWorst=1e-4 or RecallAt10.min=0.9; repeatable.",
    ),
]
K = Annotated[
    list[int] | None,
    typer.Option(
        "--k",
        min=1,
        max=100,
        metavar="N",
        help="Retrieval: how many of the nearest documents are looked at; 10 by default, repeatable.",
    ),
]
QueryOperation = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Retrieval: which operation asks queries, where documents of the same modality have their own.",
    ),
]
ProbeUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where the server's probe endpoint is: what stands before /probe/v1."),
]
ProbeTokenEnv = Annotated[
    str, typer.Option(metavar="NAME", help="The environment variable that holds the probe endpoint's token.")
]
Deadline = Annotated[int, typer.Option(metavar="SECONDS", min=1, max=86_400, help="Of each check.")]
Rate = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=10_000,
        help="For every server, stable too. Without it the candidate is asked as fast as it answers.",
    ),
]
Output = Annotated[Format, typer.Option(help="How the results are written.")]
OutputFile = Annotated[
    pathlib.Path | None,
    typer.Option(metavar="FILE", help="Where to; the terminal then still gets the text."),
]
