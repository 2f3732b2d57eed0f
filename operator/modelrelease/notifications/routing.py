"""Which targets are told of what."""

from collections.abc import Mapping
from typing import Final

from modelrelease.api import constants
from modelrelease.notifications import notice as notices
from modelrelease.notifications import settings

ANNOTATION: Final = f"{constants.GROUP}/notify"
"""Of a ModelRelease: names of the installation's targets, separated by commas."""
_NAMES_MAX: Final = 8
_NAME_LENGTH_MAX: Final = 63


def named(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the targets that a release names."""
    said = annotations.get(ANNOTATION, "").split(",")
    names = [name.strip()[:_NAME_LENGTH_MAX] for name in said if name.strip()]
    return tuple(dict.fromkeys(names))[:_NAMES_MAX]


def targets(notice: notices.Notice, known: settings.Notifications) -> tuple[settings.Target, ...]:
    """Return who is told of it."""
    return tuple(target for target in known.targets if _wants(target, notice))


def unknown(notice: notices.Notice, known: settings.Notifications) -> tuple[str, ...]:
    """Return the targets that the release names and that it cannot have."""
    return tuple(
        name
        for name in notice.targets
        if (found := known.named(name)) is None or not found.serves(notice.namespace)
    )


def _wants(target: settings.Target, notice: notices.Notice) -> bool:
    return (
        (not target.only_named or target.name in notice.targets)
        and notice.urgency.severity in target.severities
        and (not target.teams or notice.urgency.team in target.teams)
        and (not target.reasons or notice.reason in target.reasons)
        and target.serves(notice.namespace)
        and target.labels.items() <= notice.labels.items()
    )
