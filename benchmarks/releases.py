"""Releases to measure with: small, without checks, and what a client does to them."""

import concurrent.futures
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks import workplace

GROUP, VERSION, PLURAL = "modelrelease.dev", "v1alpha1", "modelreleases"
RUNS = "modelreleaseruns"
BAKING, REJECTED = "Baking", "Rejected"
WORKERS = 4
PATIENCE_SECONDS = 60.0
EACH_SECONDS = 3.0
HOLD_SECONDS = 1
Object = dict[str, Any]


def template(tag: str) -> Object:
    """Return the smallest pod template; another tag makes another revision."""
    container = {
        "name": "server",
        "image": f"registry.invalid/model:{tag}",
        "ports": [{"name": "model", "containerPort": 8000}],
    }
    return {"spec": {"containers": [container]}}


def manifest(name: str) -> Object:
    """Return a release with one step and a long bake, judged by Kubernetes' health alone."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ModelRelease",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "model": {"version": "1"},
            "endpoint": {"protocol": "OpenAIEmbeddings"},
            "enforcement": "Observe",
            "checks": [],
            "strategy": {
                "steps": [{"weight": 50, "holdSeconds": HOLD_SECONDS}],
                "bakeSeconds": 3600,
                "drainSeconds": 1,
            },
            "template": template("1"),
        },
    }


def settled(release: Mapping[str, Any]) -> bool:
    """Return whether a release is served and nothing is under way."""
    status = release.get("status") or {}
    said = {found["type"]: found["status"] for found in status.get("conditions") or ()}
    return said.get("Ready") == "True" and said.get("Reconciling") == "False"


def in_phase(phase: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether a release shows a phase."""
    return lambda release: (release.get("status") or {}).get("phase") == phase


def each(names: Iterable[str], call: Callable[[str], object]) -> None:
    """Call something for each name, several at a time."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(call, names))


class Releases:
    """The releases of a workplace.

    Parameters
    ----------
    place
        Where they are.
    """

    def __init__(self, place: workplace.Workplace) -> None:
        self._place = place

    def create(self, names: Iterable[str]) -> None:
        """Create releases, several at a time, and wait until all of the workplace are settled."""
        wanted = list(names)
        each(
            wanted,
            lambda name: self._place.custom.create_namespaced_custom_object(
                GROUP, VERSION, self._place.namespace, PLURAL, manifest(name)
            ),
        )
        self.wait(settled, wanted)

    def release_next(self, names: Iterable[str], tag: str) -> None:
        """Edit the image of releases."""
        each(names, lambda name: self.patch(name, {"spec": {"template": template(tag)}}))

    def reject(self, names: Iterable[str], reason: str) -> None:
        """Reject the candidate of releases, as a person on call does."""
        known = {release["metadata"]["name"]: release for release in self.list()}

        def one(name: str) -> None:
            candidate = known[name]["status"]["candidate"]["revision"]
            entry = {"revision": candidate, "reason": reason}
            self.patch(name, {"spec": {"override": {"rejected": [entry]}}})

        each(names, one)

    def delete(self, names: Iterable[str]) -> None:
        """Delete releases with all their children."""
        each(
            names,
            lambda name: self._place.custom.delete_namespaced_custom_object(
                GROUP, VERSION, self._place.namespace, PLURAL, name
            ),
        )

    def patch(self, name: str, change: Object) -> None:
        """Merge a change into a release."""
        self._place.custom.patch_namespaced_custom_object(
            GROUP,
            VERSION,
            self._place.namespace,
            PLURAL,
            name,
            change,
            _content_type="application/merge-patch+json",
        )

    def list(self) -> list[Object]:
        """Return the releases as the API server holds them."""
        found: list[Object] = self._place.custom.list_namespaced_custom_object(
            GROUP, VERSION, self._place.namespace, PLURAL
        )["items"]
        return found

    def wait(self, holds: Callable[[Mapping[str, Any]], bool], names: Sequence[str]) -> None:
        """Wait until something holds of every named release.

        Raises
        ------
        TimeoutError
            It does not; the message names one of them.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS + EACH_SECONDS * len(names)
        left = set(names)
        while left:
            found = {release["metadata"]["name"]: release for release in self.list()}
            left = {name for name in left if name not in found or not holds(found[name])}
            if time.monotonic() > deadline:
                one = min(left)
                status = found.get(one, {}).get("status")
                raise TimeoutError(f"{len(left)} releases do not get there; {one}: {status}")
            # Seldom enough that the waiting is not what is measured.
            time.sleep(0.3 + 0.005 * len(found))
