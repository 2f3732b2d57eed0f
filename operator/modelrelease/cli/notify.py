"""``modelrelease notify``: which targets an installation has, and whether they can be told."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from modelrelease.api import escalation, reasons
from modelrelease.controller import settings as operator_settings
from modelrelease.notifications import notice, sending, settings

USAGE: Final = 64
FAILED: Final = 3

app = typer.Typer(help="Notification targets of an installation.", no_args_is_help=True)

_CONFIG: Final = "The operator's configuration file; by default what the operator itself reads."
Config = Annotated[Path | None, typer.Option("--config", help=_CONFIG)]


@app.callback()
def together() -> None:
    """Notification targets of an installation."""


@app.command("list")
def list_targets(config: Config = None) -> None:
    """Print the targets and what each is told. No URL is read."""
    for target in _read(config).targets:
        filters = [f"severities {', '.join(target.severities)}"]
        filters += [f"teams {', '.join(target.teams)}"] if target.teams else []
        filters += [f"reasons {', '.join(target.reasons)}"] if target.reasons else []
        filters += [f"namespaces {', '.join(target.namespaces)}"] if target.namespaces else []
        filters += [f"labels {key}={value}" for key, value in sorted(target.labels.items())]
        filters += ["only releases that name it"] if target.only_named else []
        typer.echo(f"{target.name}: {'; '.join(filters)}")


@app.command("test")
def tell(
    target: Annotated[str, typer.Argument(help="Its name in the configuration.")],
    config: Config = None,
) -> None:
    """Send one message to a target, as the operator would, and say whether it took it.

    Exit codes: 0 told, 3 not told, 64 for a target or a configuration that does not exist.
    """
    configured = _read(config)
    found = configured.named(target)
    if found is None:
        known = ", ".join(one.name for one in configured.targets) or "none"
        raise _wrong(f"no target {target!r}; the configuration has {known}")
    outcome = asyncio.run(sending.send([(found, _trial(configured))]))[target]
    if outcome is not None:
        typer.echo(f"error: {target} was not told: {outcome}", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"{target} was told.")


def _trial(configured: settings.Notifications) -> notice.Message:
    example = notice.Notice(
        key="",
        namespace="example",
        release="example",
        reason=reasons.PROMOTED,
        message="This is a trial of a notification target: no release has changed.",
        urgency=escalation.of(reasons.PROMOTED),
    )
    return notice.message([example], cluster=configured.cluster)


def _read(config: Path | None) -> settings.Notifications:
    named = {} if config is None else {operator_settings.PATH_VARIABLE: str(config)}
    try:
        return operator_settings.load(named or None).notifications
    except operator_settings.SettingsError as error:
        raise _wrong(str(error)) from None


def _wrong(why: str) -> typer.Exit:
    typer.echo(f"error: {why}", err=True)
    return typer.Exit(USAGE)
