"""The targets that an installation names. A release may name one too; it can give no URL of its own."""

import difflib
import fnmatch
import string
from pathlib import Path
from typing import Annotated, Final

import pydantic

from modelrelease.api import base, escalation, reasons

TARGETS_MAX: Final = 32

_LOUD: Final = (escalation.Severity.PAGE, escalation.Severity.TICKET, escalation.Severity.INFO)
_PLACES: Final = frozenset({"namespace", "name", "reason", "revision", "run"})

_REASONS: Final = frozenset(
    value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)
)

Word = Annotated[str, pydantic.Field(min_length=1, max_length=128)]
LabelValue = Annotated[str, pydantic.Field(max_length=63)]
Words = Annotated[tuple[Word, ...], pydantic.Field(max_length=64)]


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _page(url: str) -> str:
    """Accept a URL whose places can be filled in."""
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("must be an http or https URL")
    try:
        named = {field for _, field, _, _ in string.Formatter().parse(url) if field is not None}
    except ValueError as error:
        raise ValueError(f"is no template: {error}") from None
    unknown = sorted(named - _PLACES)
    if unknown:
        raise ValueError(f"knows no {{{unknown[0]}}}; there are {', '.join(sorted(_PLACES))}")
    return url


Page = Annotated[str, pydantic.Field(max_length=1024), pydantic.AfterValidator(_page)]


def _reason(said: str) -> str:
    """Accept a reason that there is: one that is misspelt would keep silent for ever."""
    if said not in _REASONS:
        close = difflib.get_close_matches(said, _REASONS, n=1)
        raise ValueError(f"{said} is no reason{f': write {close[0]}' if close else ''}")
    return said


class Target(base.ApiModel):
    """One place where people read: a channel, a mailbox, a pager."""

    name: base.DnsLabel
    url_file: Annotated[Path, pydantic.AfterValidator(_absolute)]
    """A mounted key of a Secret: one apprise URL. Read for each message, so a rotated one is used at once."""
    severities: Annotated[tuple[escalation.Severity, ...], pydantic.Field(min_length=1, max_length=4)] = _LOUD
    teams: Annotated[tuple[escalation.Team, ...], pydantic.Field(max_length=2)] = ()
    """Empty for both."""
    reasons: Annotated[
        tuple[Annotated[Word, pydantic.AfterValidator(_reason)], ...], pydantic.Field(max_length=64)
    ] = ()
    """Empty for all of them."""
    namespaces: Words = ()
    """Patterns such as ``team-*``; empty for all namespaces."""
    labels: Annotated[dict[Word, LabelValue], pydantic.Field(max_length=16)] = pydantic.Field(
        default_factory=dict
    )
    """Which the release must bear."""
    only_named: bool = False
    """Only of releases that name it."""

    def serves(self, namespace: str) -> bool:
        """Return whether releases of a namespace may be told of here."""
        return not self.namespaces or any(fnmatch.fnmatchcase(namespace, one) for one in self.namespaces)


class Notifications(base.ApiModel):
    """Whom the operator tells; nobody by default."""

    targets: Annotated[tuple[Target, ...], pydantic.Field(max_length=TARGETS_MAX)] = ()
    cluster: Annotated[str, pydantic.Field(max_length=63)] = ""
    """Which cluster it is, for people who run several."""
    runbook: Page = ""
    """The page of a reason, such as ``https://docs.example/reasons/{reason}/``."""
    dashboard: Page = ""
    """A release's page: both have places for reason, namespace, name, run and revision."""

    @pydantic.model_validator(mode="after")
    def _unique(self) -> "Notifications":
        names = [target.name for target in self.targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return self

    def named(self, name: str) -> Target | None:
        """Return one target, or None."""
        return next((target for target in self.targets if target.name == name), None)

    def missing(self) -> str | None:
        """Return which mounted file cannot be read, in a sentence, or None: asked once, at the start."""
        for target in self.targets:
            try:
                with target.url_file.open("rb"):
                    pass
            except OSError as error:
                return (
                    f"notification target {target.name!r} needs {target.url_file}: {error.strerror or error}"
                )
        return None
