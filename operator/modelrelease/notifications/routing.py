"""Which targets are told of what."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from modelrelease.api import base, constants
from modelrelease.notifications import notice as notices
from modelrelease.notifications import settings

ANNOTATION: Final = f"{constants.GROUP}/notify"
"""Of a ModelRelease: names of the installation's targets, separated by commas."""
_NAMES_MAX: Final = 8
_NAME_LENGTH_MAX: Final = 63


def named(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the targets that a release names."""
    names = [name[:_NAME_LENGTH_MAX] for name in _names(annotations.get(ANNOTATION, ""))]
    return tuple(dict.fromkeys(names))[:_NAMES_MAX]


def impossible(said: str) -> Iterator[str]:
    """Yield what is wrong with the annotation wherever it is applied, whatever targets there are."""
    names = dict.fromkeys(_names(said))
    if not names:
        yield "names nobody: leave it out, or name a target"
    for name in names:
        if len(name) > _NAME_LENGTH_MAX or not re.fullmatch(base.DNS_LABEL, name):
            yield f"names {name[:_NAME_LENGTH_MAX]!r}, which can't be a target: names are separated by commas"
    if len(names) > _NAMES_MAX:
        yield f"names more than {_NAMES_MAX} targets: the first {_NAMES_MAX} count"


def _names(said: str) -> list[str]:
    return [name for word in said.split(",") if (name := word.strip())]


def targets(notice: notices.Notice, known: settings.Notifications) -> tuple[settings.Target, ...]:
    """Return who is told of it."""
    return tuple(target for target in known.targets if _wants(target, notice))


def unknown(names: Sequence[str], namespace: str, known: settings.Notifications) -> tuple[str, ...]:
    """Return the targets that a release of this namespace names and cannot have."""
    had = {target.name for target in known.targets if target.serves(namespace)}
    return tuple(name for name in names if name not in had)


def misnamed(
    annotations: Mapping[str, str], namespace: str, known: settings.Notifications
) -> tuple[str, ...]:
    """Return a sentence for each target that a release names and cannot have: what to write instead."""
    had = [target.name for target in known.targets if target.serves(namespace)]
    said = []
    for name in unknown(named(annotations), namespace, known):
        close = difflib.get_close_matches(name, had, n=1)
        instead = close[0] if close else ", ".join(had)
        cure = f"write {instead}" if close else f"there are {instead}" if had else "it has none"
        said.append(
            f"{ANNOTATION} names {name}, which this installation does not have for namespace {namespace}: "
            f"{cure}."
        )
    return tuple(said)


def _wants(target: settings.Target, notice: notices.Notice) -> bool:
    return (
        (not target.only_named or target.name in notice.targets)
        and notice.urgency.severity in target.severities
        and (not target.teams or notice.urgency.team in target.teams)
        and (not target.reasons or notice.reason in target.reasons)
        and target.serves(notice.namespace)
        and target.labels.items() <= notice.labels.items()
    )
