"""Advice on a manifest that is valid: what will go wrong later, as far as the manifest alone can tell."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib import parse

from modelrelease.api import constants, probe_endpoint, spec

_NAMESPACE_LABELS: Final = 2
"""A Service is reached as its name, or as its name and its namespace."""
WARMUP_SECONDS: Final = 90
"""What is proposed: it outlasts a cold start of a minute (``cold`` in docs/slo-judging.md)."""
_TERMINATION_SECONDS: Final = 30
"""Kubernetes' default of ``terminationGracePeriodSeconds``."""


class Severity(enum.StrEnum):
    """What a finding means for the release."""

    ERROR = "Error"
    """The API server refuses the manifest."""
    WARNING = "Warning"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a manifest, in one sentence."""

    severity: Severity
    path: str
    message: str
    """Follows the path: what is wrong, and what to change."""
    rule: str = ""
    """Which of the rules is broken, or empty."""

    def __str__(self) -> str:
        """Return one line for a terminal."""
        return f"{self.severity.value}: {self.path}: {self.message}"


def advice(release: spec.ReleaseSpec) -> Iterator[Finding]:
    """Return warnings about a ModelRelease that the API server accepts."""
    if release.override != spec.Override():
        yield _warning(
            "spec.override", "is for people on call and would be undone by the next sync: leave it out of Git"
        )
    yield from _artifact(release)
    yield from _golden_sets(release)
    yield from _probe(release)
    yield from _own_checks(release)
    yield from _warm(release)
    yield from _room(release)
    yield from _pod(release.template["spec"])


def _warning(path: str, message: str) -> Finding:
    return Finding(Severity.WARNING, path, message)


# --- What is judged, and by what ----------------------------------------------------------------------------


def _artifact(release: spec.ReleaseSpec) -> Iterator[Finding]:
    artifact = release.model.artifact
    if artifact is not None and not artifact.pinned:
        yield _warning(
            "spec.model.artifact.uri",
            "names no commit, so the server may pull other files at any restart and the release is shown as "
            "ArtifactUnverified: append @ and the 40 digits of the commit",
        )


def _golden_sets(release: spec.ReleaseSpec) -> Iterator[Finding]:
    named = {check.probe.golden_set for check in release.all_checks()}
    for index, golden in enumerate(release.golden_sets):
        if golden.name not in named:
            yield _warning(
                f"spec.goldenSets[{index}]",
                f"is used by no check: set goldenSet: {golden.name} in one, or remove it",
            )


def _probe(release: spec.ReleaseSpec) -> Iterator[Finding]:
    if release.endpoint.probe is None:
        return
    containers = release.template["spec"]["containers"]
    named = {entry.get("name") for one in containers for entry in one.get("env") or ()}
    if probe_endpoint.TOKEN_VARIABLE not in named and not any(one.get("envFrom") for one in containers):
        yield _warning(
            "spec.endpoint.probe",
            f"is declared, but no container has {probe_endpoint.TOKEN_VARIABLE}, without which a server "
            "tells nobody: add it to env from the Secret of tokenSecret",
        )


def _own_checks(release: spec.ReleaseSpec) -> Iterator[Finding]:
    for index, check in enumerate(release.checks or ()):
        at = f"spec.checks[{index}].custom"
        if check.custom is None:
            continue
        if check.custom.job is not None and "@sha256:" not in check.custom.job.image:
            yield _warning(
                f"{at}.job.image",
                f"is not pinned, so {check.custom.job.image} can come to judge otherwise without a new run: "
                f"append its @sha256 digest",
            )
        if check.custom.webhook is not None and _is_open(check.custom.webhook.url):
            yield _warning(
                f"{at}.webhook.url",
                "leaves the cluster over http, so whoever is in between can forge the answer: use https",
            )


def _is_open(url: str) -> bool:
    """Return whether a URL names a host that may be outside of the cluster, without TLS."""
    if not url.startswith("http://"):
        return False
    try:
        labels = (parse.urlsplit(url).hostname or "").split(".")
    except ValueError:
        return False
    return len(labels) > _NAMESPACE_LABELS and "svc" not in labels


def _warm(release: spec.ReleaseSpec) -> Iterator[Finding]:
    timed = [
        slo.name
        for slo in release.slos
        if slo.latency is not None or (slo.prometheus is not None and slo.prometheus.histogram is not None)
    ]
    if timed and not release.strategy.canary.warmup_seconds:
        yield _warning(
            "spec.strategy.canary.warmupSeconds",
            f"is 0, so the slow first minute of a cold server can be held against the candidate by "
            f"{', '.join(timed)}: set it to {WARMUP_SECONDS}, or let its readiness mean that it is warm",
        )


# --- Strategy -----------------------------------------------------------------------------------------------


def pods_of(value: int | str, replicas: int, *, up: bool) -> int:
    """Return a number of pods; percentages of ``replicas`` are rounded as in a Deployment."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * replicas
    return -(-share // 100) if up else share // 100


def _room(release: spec.ReleaseSpec) -> Iterator[Finding]:
    """``replicas`` may belong to an autoscaler: what depends on it is advice, and no rule."""
    strategy, replicas = release.strategy, release.replicas
    if replicas == 0:
        return
    surge = pods_of(strategy.max_surge, replicas, up=True)
    unavailable = pods_of(strategy.max_unavailable, replicas, up=False)
    canary = strategy.canary.replicas
    if surge + unavailable < canary:
        yield _warning(
            "spec.strategy",
            f"leaves room for {surge + unavailable} of {canary} canary pods at {replicas} replicas: "
            f"raise maxSurge",
        )
    elif surge < canary and replicas <= canary - surge:
        yield _warning(
            "spec.strategy.maxSurge",
            f"lets the canary take the place of all {replicas} stable pods, so nothing serves while it is "
            f"checked: set maxSurge to {canary}",
        )
    if strategy.steps and replicas + surge < 2:  # noqa: PLR2004 -- a split needs a pod on each side
        yield _warning(
            "spec.strategy.steps",
            "can't split traffic over one pod: raise replicas or maxSurge, or leave steps out",
        )


# --- Pods ---------------------------------------------------------------------------------------------------


def _pod(pod: Mapping[str, Any]) -> Iterator[Finding]:
    at = "spec.template.spec"
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(kind) or ()):
            yield from _container(container, f"{at}.{kind}[{index}]")
            if kind == "containers" and _serves(container):
                yield from _server(container, pod, f"{at}.{kind}[{index}]")


def _serves(container: Mapping[str, Any]) -> bool:
    return any(port.get("name") == constants.MODEL_PORT_NAME for port in container.get("ports") or ())


def _container(container: Mapping[str, Any], at: str) -> Iterator[Finding]:
    image = str(container.get("image") or "")
    if "@sha256:" not in image:
        yield _warning(
            f"{at}.image",
            f"is not pinned, so {image or 'it'} can become another product without a new revision: "
            f"append its @sha256 digest",
        )
    resources = container.get("resources") or {}
    if not resources.get("requests") and not resources.get("limits"):
        yield _warning(
            f"{at}.resources",
            "says nothing, so the pod may be placed where it starves and measures slow: set requests",
        )


def _server(container: Mapping[str, Any], pod: Mapping[str, Any], at: str) -> Iterator[Finding]:
    if not container.get("readinessProbe"):
        yield _warning(
            f"{at}.readinessProbe",
            "is missing, so a pod counts as Ready before the model is loaded: add a probe of the server's "
            "health path",
        )
    hook = (container.get("lifecycle") or {}).get("preStop")
    if not hook:
        yield _warning(
            f"{at}.lifecycle.preStop",
            "is missing, so a pod that leaves the Service stops while requests still arrive: "
            "add preStop: {sleep: {seconds: 5}}",
        )
        return
    sleep = (hook.get("sleep") or {}).get("seconds") or 0
    grace = pod.get("terminationGracePeriodSeconds", _TERMINATION_SECONDS)
    if grace <= sleep:
        yield _warning(
            "spec.template.spec.terminationGracePeriodSeconds",
            f"of {grace} s ends before the preStop sleep of {sleep} s, so requests are cut off: raise it",
        )
