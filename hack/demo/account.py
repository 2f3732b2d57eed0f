"""A live account of the release: one line whenever something changed, and the requests users made."""

import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from hack.demo import kube
from modelrelease.api import reasons

PERIOD_SECONDS: Final = 1.0
_REQUESTS: Final = re.compile(
    r'^http_requests_total\{(?=[^}]*handler="/v1/embeddings")[^}]*\} ([0-9.e+]+)$', re.MULTILINE
)

Clock = Callable[[], float]


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What one look at the release showed."""

    release: Mapping[str, Any]
    runs: Mapping[str, Mapping[str, Any]]
    pods: Mapping[str, tuple[int, int]]
    """Per revision: (Ready, all)."""

    @property
    def status(self) -> Mapping[str, Any]:
        return dict(self.release.get("status") or {})


class Account:
    """Watches one release from a thread: prints, and counts requests per revision.

    A pod's counter is read every second for as long as the pod exists, and its last value is kept; the
    checks' own requests, which they count exactly, are subtracted.
    """

    def __init__(self, cluster: kube.Kube, namespace: str, name: str, say: Callable[[str], None]) -> None:
        self._kube, self._namespace, self._name, self._say = cluster, namespace, name, say
        self._served: dict[tuple[str, str], float] = {}
        self._line = ""
        self._costs: set[tuple[str, str]] = set()
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="account", daemon=True)
        self.latest: Look | None = None

    def __enter__(self) -> "Account":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except kube.Unreachable as error:
                self._say(f"  (the API server did not answer: {error})")
            self._stopping.wait(PERIOD_SECONDS)

    def _look(self) -> None:
        base = f"{kube.GROUP}/namespaces/{self._namespace}"
        release = self._kube.get(f"{base}/modelreleases/{self._name}")
        if release is None:
            return
        runs = {
            run["metadata"]["name"]: run
            for run in self._kube.items(f"{base}/modelreleaseruns")
            if run["spec"]["releaseName"] == self._name
        }
        pods: dict[str, tuple[int, int]] = {}
        for pod in self._kube.items(
            f"/api/v1/namespaces/{self._namespace}/pods",
            f"modelrelease.dev/release={self._name},modelrelease.dev/role=serving",
        ):
            revision = pod["metadata"]["labels"].get("modelrelease.dev/revision")
            if revision is None:
                continue
            ready = _ready(pod)
            have = pods.get(revision, (0, 0))
            pods[revision] = (have[0] + ready, have[1] + 1)
            if pod["status"].get("podIP"):
                self._count(revision, pod["metadata"]["name"])
        self.latest = Look(release, runs, pods)
        self._print(self.latest)

    def _count(self, revision: str, pod: str) -> None:
        text = self._kube.text(f"/api/v1/namespaces/{self._namespace}/pods/{pod}:7997/proxy/metrics")
        if text is not None:
            served = sum(float(value) for value in _REQUESTS.findall(text))
            self._served[revision, pod] = max(served, self._served.get((revision, pod), 0.0))

    def user_requests(self, revision: str) -> int:
        """Return the requests that users made to a revision: the servers' counters minus the probes'."""
        served = sum(count for (of, _), count in self._served.items() if of == revision)
        return max(0, round(served - self._probes(revision)))

    def _probes(self, revision: str) -> int:
        runs = self.latest.runs.values() if self.latest else ()
        return sum(
            sum(check.get("requests", 0) for check in run.get("status", {}).get("checks", []))
            for run in runs
            if run["spec"]["revision"] == revision
        )

    def _print(self, look: Look) -> None:
        status = look.status
        run = look.runs.get(status.get("currentRun", ""), {})
        slos = run.get("status", {}).get("slos", [])
        self._print_costs(status.get("currentRun", ""), slos)
        said = [
            f"{check['name']}={check.get('verdict', '…') if not check.get('skipped') else 'Skipped'}"
            for check in [
                *run.get("status", {}).get("checks", []),
                # Before users meet the candidate nothing is judged.
                *(slo for slo in slos if slo.get("reason") != reasons.NOT_LIVE),
            ]
        ]
        pods = " ".join(f"{name}:{ready}/{total}" for name, (ready, total) in sorted(look.pods.items()))
        users = " ".join(f"{name}:{self.user_requests(name)}" for name in sorted(look.pods))
        line = (
            f"{status.get('phase', '-'):<18} weight {status.get('weight', 0):>3} %  pods {pods or '-'}"
            f"  {' '.join(said)}"
        )
        if line != self._line:
            self._line = line
            self._say(f"  {time.monotonic() - self._began:6.1f} s  {line}  requests {users or '-'}")

    def _print_costs(self, run: str, slos: Iterable[Mapping[str, Any]]) -> None:
        """Say once of each objective of a run what evidence costs at this traffic."""
        for slo in slos:
            costs = slo.get("feasibility", {}).get("message")
            if costs and (run, slo["name"]) not in self._costs:
                self._costs.add((run, slo["name"]))
                self._say(f"             {slo['name']}: {costs}")


def _ready(pod: Mapping[str, Any]) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
