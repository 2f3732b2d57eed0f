"""The Prometheus of the simulation: what it says of a candidate follows from how the candidate behaves."""

import asyncio
import dataclasses
import datetime
from collections.abc import Sequence

from modelrelease.api import reasons, slo_state, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.controller import judging
from modelrelease.core import observation
from tests.simulation import kubernetes, nodes

Verdict = verdict.Verdict

WARM_SECONDS = 5.0
"""Until then there are too few requests."""
QUIET_SECONDS = 90.0
SCARCE = slo_state.SloFeasibility(reachable=False, message="nobody asks")


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """One answer, for the checker."""

    at: float
    run: str
    step: int
    slo: str
    verdict: verdict.Verdict


class Oracle:
    """A :class:`~modelrelease.controller.judging.Judge`; it knows the truth."""

    def __init__(self, server: kubernetes.Server) -> None:
        self._server = server
        self.outage = ""
        """error, hang or nodata."""
        self.outage_until = 0.0
        self.calm = False
        """At the end of a life nothing is shaky any more."""
        self.said: list[Said] = []

    def unknown_source(self, slos: Sequence[api_spec.Slo]) -> observation.Problem | None:
        """Know every source."""
        return None

    async def __call__(
        self, subject: judging.Subject, slo: api_spec.Slo, now: datetime.datetime
    ) -> api_run.SloStatus:
        """Say what is known of the candidate."""
        await asyncio.sleep(0.2)
        outage = self.outage if self._server.seconds() < self.outage_until else ""
        if outage == "hang":
            await asyncio.sleep(600.0)
        if outage == "error":
            raise RuntimeError("Prometheus broke")
        if outage == "nodata":
            return self._say(subject, slo, now, Verdict.NO_DATA, "NoSamples")
        behaviour = self._behaviour(subject)
        if subject.phase is api_run.Phase.CHECKING:
            # What is said before traffic is no verdict, and is not noted as one.
            costs = SCARCE if behaviour == "scarce" else None
            return api_run.SloStatus(
                name=slo.name,
                verdict=Verdict.NO_DATA,
                reason=reasons.NOT_LIVE,
                observed_time=now,
                feasibility=costs,
            )
        seconds = (now - subject.since).total_seconds()
        if behaviour == "scarce":
            return self._say(subject, slo, now, Verdict.NO_DATA, reasons.TOO_FEW_REQUESTS, feasibility=SCARCE)
        if behaviour == "mute":
            return self._say(subject, slo, now, Verdict.NO_DATA, "NoSamples")
        if seconds < (QUIET_SECONDS if behaviour == "quiet" else WARM_SECONDS):
            return self._say(subject, slo, now, Verdict.NO_DATA, reasons.TOO_FEW_REQUESTS)
        if behaviour == "shaky" and not self.calm and int(self._server.seconds() / 20) % 2:
            return self._say(subject, slo, now, Verdict.ERROR, "Scrape")
        found = Verdict.FAIL if behaviour == "burn" else Verdict.PASS
        return self._say(subject, slo, now, found, "Simulated")

    def _behaviour(self, subject: judging.Subject) -> str:
        run = self._server.find("ModelReleaseRun", subject.namespace, subject.run)
        if run is None:
            return "good"
        # After a return it is stable that is judged.
        revision = run["spec"]["stable"] if subject.recovering else run["spec"]["revision"]
        name = f"{run['spec']['releaseName']}-{revision}"
        stored = self._server.find("ControllerRevision", subject.namespace, name)
        return nodes.behaviour_of(nodes.image_of(stored["data"]["template"]["spec"])) if stored else "good"

    def _say(
        self,
        subject: judging.Subject,
        slo: api_spec.Slo,
        now: datetime.datetime,
        found: verdict.Verdict,
        reason: str,
        *,
        feasibility: slo_state.SloFeasibility | None = None,
    ) -> api_run.SloStatus:
        self.said.append(Said(self._server.seconds(), subject.run, subject.step, slo.name, found))
        return api_run.SloStatus(
            name=slo.name,
            verdict=found,
            reason=reason,
            message="as simulated",
            observed_time=now,
            feasibility=feasibility,
        )
