"""What the installation decides: read once, from a mounted file; the environment wins over it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
import yaml
from pydantic import alias_generators

from modelrelease.api import base
from modelrelease.controller import loop
from modelrelease.notifications import settings as notify_settings
from modelrelease.prometheus import sources
from modelrelease.tracing import settings as trace_settings

PATH_VARIABLE: Final = "MODELRELEASE_CONFIG"
PATH_DEFAULT: Final = Path("/etc/modelrelease/config.yaml")
PREFIX: Final = "MODELRELEASE_"

_SCALARS: Final = (
    "checks_image",
    "checks_torch_image",
    "namespaces",
    "log_level",
    "health_host",
    "health_port",
)
"""What the environment can say too."""

Interval = Annotated[float, pydantic.Field(gt=0, le=3600, allow_inf_nan=False)]


class SettingsError(Exception):
    """The settings can't be used; the message says which and why."""


class _Section(pydantic.BaseModel):
    """Closed, so that a misspelt setting is an error and not a default."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", alias_generator=alias_generators.to_camel, populate_by_name=True
    )


class Intervals(_Section):
    """How often things happen, in seconds."""

    resync_seconds: Interval = 60.0
    """Longest time between two turns of a release."""
    turn_seconds: Interval = 60.0
    """Deadline of one turn."""
    judging_seconds: Interval = 5.0
    """Shortest time between two judgements of a release's SLOs; the sources' scrape interval, or more."""

    def pacing(self) -> loop.Pacing:
        """Return what the loops go by."""
        return loop.Pacing(resync_seconds=self.resync_seconds, turn_seconds=self.turn_seconds)


class Settings(_Section):
    """The operator's configuration."""

    checks_image: Annotated[str, pydantic.Field(min_length=1, max_length=512)]
    """Image of the check Jobs, as the cluster's nodes pull it."""
    checks_torch_image: Annotated[str, pydantic.Field(max_length=512)] = ""
    """The same, of checks that run a model themselves; only they need it."""
    namespaces: Annotated[tuple[base.DnsLabel, ...], pydantic.Field(max_length=100)] = ()
    """Which namespaces are served; empty for all of them."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    health_host: str = "0.0.0.0"  # noqa: S104 - the kubelet probes the pod's address
    health_port: Annotated[int, pydantic.Field(ge=0, le=65_535)] = 8080
    intervals: Intervals = Intervals()
    prometheus: sources.Sources = sources.Sources()
    """The Prometheus servers that releases may name."""
    notifications: notify_settings.Notifications = notify_settings.Notifications()
    """Whom the operator tells of transitions."""
    tracing: trace_settings.Tracing = trace_settings.Tracing()
    """Where it sends the spans of runs."""


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings.

    Parameters
    ----------
    environment
        ``MODELRELEASE_CONFIG`` names the file. ``MODELRELEASE_CHECKS_IMAGE``, ``MODELRELEASE_LOG_LEVEL`` and
        so on win over it, for every scalar at the top; ``MODELRELEASE_NAMESPACES`` is separated by commas.

    Raises
    ------
    SettingsError
        If the file can't be read, or what it says is no setting.
    """
    variables = os.environ if environment is None else environment
    said = _read(variables) | _overrides(variables)
    try:
        found = Settings.model_validate(said)
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise SettingsError(problems) from error
    missing = found.prometheus.missing() or found.notifications.missing()
    if missing is not None:
        raise SettingsError(missing)
    return found


def _read(variables: Mapping[str, str]) -> dict[str, Any]:
    named = variables.get(PATH_VARIABLE)
    path = Path(named) if named else PATH_DEFAULT
    if not named and not path.exists():
        return {}
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if not isinstance(said, dict):
        raise SettingsError(f"{path} must hold a mapping of settings")
    return said


def _overrides(variables: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _SCALARS:
        value = variables.get(PREFIX + name.upper())
        if value is None:
            continue
        split = [part.strip() for part in value.split(",") if part.strip()]
        found[alias_generators.to_camel(name)] = split if name == "namespaces" else value
    return found
