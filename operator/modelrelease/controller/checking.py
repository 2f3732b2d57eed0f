"""Starts the Jobs of checks, keeps what they leave, and deletes them."""

import datetime
import functools
from collections.abc import Iterable, Mapping

from modelrelease.api import constants
from modelrelease.api import run as api_run
from modelrelease.checks import evidence, jobs, subjects
from modelrelease.cluster import act, api, facts, manifests, observe
from modelrelease.cluster import evidence as cluster_evidence
from modelrelease.controller import accelerating, live_loads
from modelrelease.core import observation, target, wanted


def missing(
    look: observe.Look, observed: observation.Observation, asked: Iterable[wanted.CheckJob]
) -> tuple[wanted.CheckJob, ...]:
    """Return the checks that must run and have no Job."""
    run = target.active_run(observed)
    if run is None:
        return ()
    known = {job["metadata"]["name"] for job in look.objects.jobs}
    return tuple(
        job
        for job in asked
        if subjects.name(run.name, job.check, job.attempt, job.pod.uid, job.portion) not in known
    )


async def start(
    port: api.Api,
    look: observe.Look,
    observed: observation.Observation,
    due: Iterable[wanted.CheckJob],
    settings: jobs.Settings,
    *,
    live: live_loads.LiveLoads | None = None,
) -> None:
    """Start the Jobs that are missing; `live` tells those that replay a load of users' requests."""
    run = target.active_run(observed)
    raw = look.objects.run(run.name) if run is not None else None
    if run is None or raw is None:
        return
    declared = {check.name: check for check in run.spec.judging.checks}
    candidate = observed.revisions.get(run.spec.revision)
    for job in due:
        subject = subjects.Subject(
            run=run,
            run_uid=raw["metadata"]["uid"],
            namespace=look.objects.owner.namespace,
            check=declared[job.check],
            attempt=job.attempt,
            pod=job.pod,
            portion=job.portion,
            embedding_space=candidate.embedding_space if candidate is not None else "",
            live=await live.seen(observed, run, declared[job.check], look.objects.owner.namespace, port.now())
            if live is not None
            else None,
        )
        await act.start_check(port, jobs.render(subject, subjects.opponents(observed, subject), settings))


def settled(look: observe.Look, observed: observation.Observation) -> tuple[api.Object, ...]:
    """Return the Jobs that nobody needs any more.

    To be decided on a fresh look: the caches are of different ages, and one that knows the Job but not yet
    the phase that asked for it would take it away.
    """
    runs = {run.name: run for run in observed.runs}
    return tuple(job for job in look.objects.jobs if _settled(runs, job))


async def harvest(
    port: api.Api,
    look: observe.Look,
    observed: observation.Observation,
    done: Iterable[api.Object],
    live: live_loads.LiveLoads | None = None,
) -> None:
    """Keep what finished checks left, and delete the Jobs that nobody needs any more.

    A check counts only once what explains it is kept, so a Job whose verdict is persisted may go.

    Parameters
    ----------
    port, look, observed
        The API server, and what it holds.
    done
        The Jobs that nobody needs (:func:`settled`); one whose evidence is still to be kept stays.
    live
        Tells what the GPU of a loaded pod did.

    Raises
    ------
    modelrelease.cluster.api.Unavailable
        A log can't be read yet: try again.
    """
    release = look.objects.owner.reference()
    waiting: set[str] = set()
    for run in observed.runs:
        raw = look.objects.run(run.name)
        if raw is None:
            continue
        owner = manifests.Owner.of(api.RUN, raw)
        own = [job for job in look.objects.jobs if owner.owns(job)]
        for due in evidence.due(owner.uid, own, look.objects.check_pods):
            log = cluster_evidence.Log(due.pod, jobs.CONTAINER, due.finished_time, evidence.LOG_LIMIT_BYTES)
            seen = await _seen(live, look, run, due, port.now())
            plan = functools.partial(_plan, due, release, run.spec.revision, seen or {})
            if seen is None or not await cluster_evidence.keep(port, due.job, log, plan):
                waiting.add(due.job["metadata"]["uid"])
    for job in done:
        if job["metadata"]["uid"] not in waiting:
            await act.delete_job(port, job)
    if waiting:
        raise api.Unavailable("what a finished check left can't be read yet")


async def _seen(
    live: live_loads.LiveLoads | None,
    look: observe.Look,
    run: observation.Run,
    due: evidence.Due,
    now: datetime.datetime,
) -> Mapping[str, str] | None:
    """Return what the GPU under a finished check's load is noted with, or None while that is to be asked."""
    labels, said = facts.labels_of(due.job), facts.annotations_of(due.job)
    check = next((c for c in run.spec.judging.checks if c.name == labels.get(constants.LABEL_CHECK)), None)
    loaded = next((pod for pod in run.status.checked_pods if pod.uid == said.get(jobs.POD_UID)), None)
    if live is None or check is None or loaded is None:
        return {}
    namespace = look.objects.owner.namespace
    return await accelerating.notes(live, check, due.load, namespace=namespace, pod=loaded.name, now=now)


def _plan(
    due: evidence.Due,
    release: Mapping[str, object],
    revision: str,
    seen: Mapping[str, str],
    log: str | None,
) -> tuple[api.Objects, Mapping[str, str]]:
    keeping = evidence.keeping(due, log, release, revision)
    return list(keeping.config_maps), {**keeping.annotations, **seen}


def _settled(runs: Mapping[str, observation.Run], job: api.Object) -> bool:
    """Return whether the check has spoken, or is not asked any more."""
    labels = facts.labels_of(job)
    run = runs.get(labels.get(constants.LABEL_RUN, ""))
    if run is None or "deletionTimestamp" in job["metadata"]:
        return False
    if run.status.phase is not api_run.Phase.CHECKING:
        return True
    attempt = int(facts.annotations_of(job).get(jobs.ATTEMPT) or 0)
    for said in run.status.checks:
        if said.name == labels.get(constants.LABEL_CHECK):
            spoken = said.verdict is not None or said.skipped
            return attempt < said.attempt or (attempt == said.attempt and spoken)
    return False
