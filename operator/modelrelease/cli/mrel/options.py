"""The options that commands share."""

import enum
from typing import Annotated

import typer

from modelrelease.cli.mrel import completing


class Form(enum.StrEnum):
    """What is printed."""

    JSON = "json"
    YAML = "yaml"


_CLUSTER = "Cluster"

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The ModelRelease.",
        show_default=False,
        autocompletion=completing.releases,
    ),
]
Revision = Annotated[
    str | None,
    typer.Argument(
        metavar="[REVISION]",
        help="A revision, or the beginning of its name.",
        show_default=False,
        autocompletion=completing.revisions,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace; by default the context's.", show_default=False),
]
Context = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig.", show_default=False)
]
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", help="Path of the kubeconfig.", show_default=False)
]
Output = Annotated[
    Form | None, typer.Option("--output", "-o", help="For programs: json or yaml.", show_default=False)
]
Reason = Annotated[
    str,
    typer.Option("--reason", help="Why, such as the incident; kept with the release.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Ask the API server whether it would take it, and write nothing.")
]


def kubectl(namespace: str | None, context: str | None, kubeconfig: str | None) -> tuple[str, ...]:
    """Return kubectl's own options."""
    chosen = (("--namespace", namespace), ("--context", context), ("--kubeconfig", kubeconfig))
    return tuple(f"{name}={value}" for name, value in chosen if value is not None)
