"""A release with traffic, and the proof that an operation on the operator left both alone."""

import json
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hack.demo import kube, stage
from tests.e2e.release import Release

SCRIPT = pathlib.Path(__file__).with_name("load.py")
LOAD = "load"
REQUESTS = 20
"""So many more must be answered after each step."""


class Serving:
    """One stable release under load.

    Parameters
    ----------
    release
        Stable already.
    """

    def __init__(self, release: Release) -> None:
        self.release = release
        self._on = release.kube
        self._pods = self._seen()
        self._runs = release.runs()
        self._stable = release.stable()
        self._sent = 0

    @contextmanager
    def under_load(self) -> Iterator["Serving"]:
        """Send requests from inside the cluster all the while."""
        pod = _pod(self.release)
        self._on.apply(pod)
        try:
            self._further_requests()
            yield self
        finally:
            self._on.delete(kube.path_of(pod))

    def untouched(self) -> dict[str, int]:
        """Wait for further requests; every one was answered, by the same pods, and no run was started."""
        counted = self._further_requests()
        assert counted["failed"] == 0, self.release.kubectl("-n", self.release.namespace, "logs", LOAD)
        assert self._seen() == self._pods
        assert self.release.runs().keys() == self._runs.keys(), "a run was started"
        assert self.release.stable() == self._stable
        return counted

    def _seen(self) -> dict[str, list[int]]:
        """Return restarts of containers by the pod's UID."""
        return {
            pod["metadata"]["uid"]: [status["restartCount"] for status in pod["status"]["containerStatuses"]]
            for pod in self.release.all_pods()
        }

    def _further_requests(self) -> dict[str, int]:
        def enough() -> dict[str, int] | None:
            counted = self._counted()
            return counted if counted["sent"] >= self._sent + REQUESTS else None

        counted = self.release.wait("further requests", 60, enough)
        self._sent = counted["sent"]
        return counted

    def _counted(self) -> dict[str, int]:
        try:
            said = self.release.kubectl("-n", self.release.namespace, "logs", LOAD, "--tail=30")
        except stage.Failed:  # it has not started
            return {"sent": 0, "failed": 0}
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return lines[-1] if lines else {"sent": 0, "failed": 0}


def _pod(release: Release) -> dict[str, Any]:
    host = f"{release.name}.{release.namespace}.svc"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": LOAD, "namespace": release.namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": LOAD,
                    "image": release.images["checks"],
                    "command": ["python", "-c", SCRIPT.read_text(), host],
                }
            ],
        },
    }
