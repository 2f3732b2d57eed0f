"""``diff``: what tells two revisions apart, sorted by what it means for users. Pure."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelrelease.api import run as api_run
from modelrelease.cli.mrel import objects, screen, words
from modelrelease.core import observation

_NAMED: Final = ("name", "containerPort", "mountPath", "key")
"""What tells the entries of a list in a pod template apart: two of them in another order are no change."""
_VALUE_MAX: Final = 72


class Area(enum.StrEnum):
    """What a difference is about."""

    ARTIFACT = "artifact"
    IMAGE = "image"
    SPACE = "space"
    CONTRACT = "contract"
    CONFIGURATION = "config"
    ENVIRONMENT = "environment"
    TEMPLATE = "template"
    SAID = "said"
    """A statement; it is no part of what runs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """One of two revisions, with all that is known of it."""

    label: str
    revision: str
    identity: Mapping[str, Any]
    said: Mapping[str, str]
    contract: Mapping[str, Any] | None
    """None where no run of it is kept, so that nobody knows."""
    environment: Mapping[str, str]
    files: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs; empty where a side does not have it."""

    area: Area
    what: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Two sides and what tells them apart."""

    before: str
    after: str
    changes: tuple[Change, ...]
    same: tuple[Area, ...]
    unknown: tuple[Area, ...]
    """What can't be compared, because one side does not know it."""


def side(
    revision: str,
    stored: Mapping[str, objects.Stored],
    runs: Sequence[observation.Run],
    label: str = "",
) -> Side:
    """Return what is known of a revision.

    Parameters
    ----------
    revision
        Its name.
    stored
        The stored revisions.
    runs
        The release's runs, oldest first.
    label
        How to call it; by default its name.
    """
    known = stored.get(revision)
    own = [run for run in runs if run.spec.revision == revision]
    last = own[-1] if own else None
    checked = next((run.status.checked_pods for run in reversed(own) if run.status.checked_pods), [])
    said: dict[str, str] = {}
    if known is not None and known.facts.model_version:
        said["model.version"] = known.facts.model_version
    if last is not None:
        model = last.spec.judging.model
        said |= {"model.version": model.version, "model.numericClass": model.numeric_class.value}
    artifact = known.facts.artifact if known is not None else None
    artifact = next((run.status.artifact for run in reversed(own) if run.status.artifact), artifact)
    return Side(
        label=label or revision,
        revision=revision,
        identity=known.identity if known is not None else {},
        said=said,
        contract=_contract(last) if last is not None else None,
        environment=_environment(checked),
        files={file.name: file.digest for file in artifact.files} if artifact is not None else {},
    )


def _contract(run: observation.Run) -> Mapping[str, Any]:
    return run.spec.judging.model.contract.model_dump(mode="json", by_alias=True, exclude_none=True)


def _environment(checked: Sequence[api_run.CheckedPod]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pod in checked[:1]:
        if pod.accelerator:
            found["accelerator"] = pod.accelerator
        found |= {f"imageID[{index}]": image for index, image in enumerate(pod.image_ids)}
    return found


def difference(before: Side, after: Side) -> Difference:
    """Return what tells two sides apart."""
    changes = sorted(_changes(before, after), key=lambda one: (list(Area).index(one.area), one.what))
    unknown = []
    if before.contract is None or after.contract is None:
        unknown.append(Area.CONTRACT)
    if not before.environment or not after.environment:
        unknown.append(Area.ENVIRONMENT)
    told = {change.area for change in changes}
    same = tuple(area for area in Area if area not in told and area not in unknown)
    return Difference(before.label, after.label, tuple(changes), same, tuple(unknown))


def _changes(before: Side, after: Side) -> Iterator[Change]:
    old, new = before.identity, after.identity
    yield from _compared(Area.SPACE, "embeddingSpace", old.get("embeddingSpace"), new.get("embeddingSpace"))
    yield from _compared(Area.ARTIFACT, "", old.get("artifact") or {}, new.get("artifact") or {})
    if before.files and after.files:
        yield from _compared(Area.ARTIFACT, "", before.files, after.files)
    yield from _compared(Area.CONFIGURATION, "", old.get("configMaps") or {}, new.get("configMaps") or {})
    for change in _compared(Area.TEMPLATE, "", old.get("template") or {}, new.get("template") or {}):
        image = change.what.endswith(".image")
        what = change.what.removeprefix("spec.")
        yield dataclasses.replace(change, area=Area.IMAGE if image else Area.TEMPLATE, what=what)
    yield from _compared(Area.SAID, "", before.said, after.said)
    if before.contract is not None and after.contract is not None:
        yield from _compared(Area.CONTRACT, "", before.contract, after.contract)
    if before.environment and after.environment:
        yield from _compared(Area.ENVIRONMENT, "", before.environment, after.environment)


def _compared(area: Area, at: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = dict(_leaves(at, old)), dict(_leaves(at, new))
    for what in sorted(before.keys() | after.keys()):
        if before.get(what) != after.get(what):
            yield Change(area, what, before.get(what, ""), after.get(what, ""))


def _leaves(at: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every scalar below a value with its path; entries of lists by their name, not their place."""
    if isinstance(value, Mapping):
        if not value and at:
            yield at, "{}"
        for key, inner in value.items():
            yield from _leaves(f"{at}.{key}" if at else str(key), inner)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _leaves(f"{at}[{_entry_name(entry, index)}]", entry)
    elif value is not None:
        yield at, str(value)


def _entry_name(entry: Any, index: int) -> str:
    if isinstance(entry, Mapping):
        return next((str(entry[key]) for key in _NAMED if key in entry), str(index))
    return str(index)


# --- Showing ------------------------------------------------------------------------------------------------


def lines(found: Difference) -> list[tuple[str, str]]:
    """Return each difference as an area and a sentence."""
    return [
        (change.area.value, f"{change.what}  {_value(change.before)} -> {_value(change.after)}")
        for change in found.changes
    ]


def _value(text: str) -> str:
    said = words.short(text) if text.startswith("sha256:") else text
    if "@sha256:" in said:
        name, _, digits = said.partition("@sha256:")
        said = f"{name}@sha256:{digits[:12]}…"
    if len(said) > _VALUE_MAX:
        said = f"{said[: _VALUE_MAX - 1]}…"
    return said or "(none)"


def show(found: Difference) -> screen.Screen:
    """Return the screen of ``diff``."""
    head = screen.line((found.before, "bold"), " -> ", (found.after, "bold"))
    body: list[tuple[str, str]] = lines(found)
    if not body:
        body.append(("", "No difference in anything that is known of both."))
    if found.same:
        body.append(("same", ", ".join(area.value for area in found.same)))
    if found.unknown:
        areas = words.and_([area.value for area in found.unknown])
        body.append(("unknown", f"{areas}: no run of one of the two is kept, which recorded it"))
    return screen.Screen((head, screen.indented(screen.rows(_merged(body)))))


def _merged(body: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Write each label once."""
    return [(label if not n or body[n - 1][0] != label else "", text) for n, (label, text) in enumerate(body)]
