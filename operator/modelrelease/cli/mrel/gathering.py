"""From the cluster's objects to what a report is made from. Pure."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from canary_checks import result
from modelrelease.api import constants
from modelrelease.cli.mrel import difference, explaining, objects
from modelrelease.cluster import facts
from modelrelease.core import observation
from modelrelease.report import material as report_material
from modelrelease.report import model

Objects = Sequence[Mapping[str, Any]]

_AREAS: Final = {
    difference.Area.SAID: "statements",
    difference.Area.CONFIGURATION: "configuration",
    difference.Area.SPACE: "embedding space",
}


def evidence_of(release: objects.Release, run: observation.Run) -> str:
    """Return the label selector of a run's evidence; recorded outputs, which are large, are none."""
    labels = f"{constants.LABEL_RELEASE}={release.name},{constants.LABEL_RUN}={run.name}"
    return f"{labels},!{constants.LABEL_REVISION}"


def material(
    release: objects.Release,
    runs: Sequence[observation.Run],
    run: observation.Run,
    *,
    revisions: Objects | None,
    evidence: Objects | str,
    events: Objects | str,
) -> report_material.Material:
    """Return what a report is made from.

    Parameters
    ----------
    release, runs, run
        The release, its runs, oldest first, and the one that is reported.
    revisions
        The stored revisions; None where they may not be read.
    evidence, events
        ConfigMaps and Events, or why they can't be read.
    """
    stored = objects.stored(revisions or ())
    stable = run.spec.stable
    changes: tuple[model.Change, ...] = ()
    same: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    if stable is not None and stable in stored and run.spec.revision in stored:
        until = [one for one in runs if one.name == run.name or one.spec.revision != run.spec.revision]
        before = difference.side(stable, stored, until)
        found = difference.difference(before, difference.side(run.spec.revision, stored, until))
        changes = tuple(_change(one) for one in found.changes)
        same = tuple(_area(area) for area in found.same)
        unknown = tuple(_area(area) for area in found.unknown)
    elif stable is not None and revisions is not None:
        unknown = ("the revisions themselves",)
    place = [one.name for one in runs].index(run.name)
    return report_material.Material(
        namespace=release.namespace,
        release=release.name,
        run=run,
        later=tuple(runs[place + 1 :]),
        stable_version=stored[stable].facts.model_version if stable is not None and stable in stored else "",
        override=release.override,
        events=tuple(_events(events, release.uid)) if not isinstance(events, str) else (),
        results=_results(evidence, run.name) if not isinstance(evidence, str) else {},
        changes=changes,
        same=same,
        unknown=unknown,
        evidence_unread=evidence if isinstance(evidence, str) else "",
        events_unread=events if isinstance(events, str) else "",
        revisions_unread=revisions is None,
    )


def _area(area: difference.Area) -> str:
    return _AREAS.get(area, area.value)


def _change(found: difference.Change) -> model.Change:
    return model.Change(area=_area(found.area), what=found.what, before=found.before, after=found.after)


def _results(evidence: Objects, run: str) -> dict[str, list[result.CheckResult]]:
    """Return what the checks left, by check; what can't be read is as good as lost."""
    found: dict[str, list[result.CheckResult]] = {}
    for config_map in sorted(evidence, key=lambda one: str(one["metadata"]["name"])):
        labels = facts.labels_of(config_map)
        check, said = labels.get(constants.LABEL_CHECK), explaining.decoded(config_map)
        if check is not None and said is not None and labels.get(constants.LABEL_RUN) == run:
            found.setdefault(check, []).append(said)
    return found


def _events(events: Objects, uid: str) -> Iterable[report_material.Event]:
    """Yield the Events about a release; a namesake that was deleted may have left some."""
    for event in sorted(events, key=_written):
        involved = event.get("involvedObject") or {}
        if involved.get("kind") != "ModelRelease" or involved.get("uid") not in {uid, None}:
            continue
        time = _time(event)
        if time is not None:
            yield report_material.Event(
                time=time,
                reason=str(event.get("reason") or ""),
                message=str(event.get("message") or ""),
                warning=event.get("type") == "Warning",
            )


def _time(event: Mapping[str, Any]) -> datetime.datetime | None:
    told = (event.get("firstTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return next((time for said in told if said and (time := facts.time_of(str(said))) is not None), None)


def _written(event: Mapping[str, Any]) -> int:
    """Return in which order Events of one second were written, as far as that can be told."""
    version = str(event["metadata"].get("resourceVersion") or "")
    return int(version) if version.isdecimal() else 0
