"""What a run knows of the model's files: read by its pods, compared with stable's by name."""

from collections.abc import Iterable

from modelrelease.api import run as api_run
from modelrelease.core import observation
from modelrelease.core.situation import Situation


def status_of(here: Situation, ready: Iterable[observation.Pod]) -> api_run.ArtifactStatus | None:
    """Return what the tested pods have verified, or None where nothing is mounted.

    Parameters
    ----------
    here
        The run, with the contract that names files.
    ready
        The pods that are tested; each has verified the same digest before its server started.
    """
    read = next((pod.artifact for pod in ready if pod.artifact is not None and pod.artifact.matches), None)
    if read is None:
        return None
    names = here.judging.model.contract.files or []
    files = [api_run.ArtifactFile(name=name, digest=read.files.get(name, "")) for name in names]
    return api_run.ArtifactStatus(digest=read.digest, files=files, changed_files=_changed(here, files))


def _changed(here: Situation, files: Iterable[api_run.ArtifactFile]) -> list[str]:
    stable = here.observed.revisions.get(here.stable or "")
    if stable is None or stable.artifact is None:
        return []
    known = {file.name: file.digest for file in stable.artifact.files}
    return [
        file.name
        for file in files
        if file.digest and known.get(file.name) and known[file.name] != file.digest
    ]
