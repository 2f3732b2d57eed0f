"""The stage: the operator from its own image and manifests, a load, and manifests to apply by hand."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import yaml

from hack.demo import account, kube

ROOT: Final = pathlib.Path(__file__).parents[2]
SAMPLES: Final = ROOT / "manifests" / "samples"
NAMESPACE: Final = "demo"
RELEASE: Final = "minilm"
SYSTEM: Final = "modelrelease-system"
PATIENCE: Final = 3
"""Deadlines are told for two quiet cores; on busy ones the same tests were seen to take 2.7 times as long."""

T = TypeVar("T")


class Failed(Exception):
    """Something did not happen in time; the message says what was seen instead."""


class Stage:
    """One cluster with the operator installed, and one release on it.

    Parameters
    ----------
    kubeconfig
        Of the cluster.
    images
        Reference by digest per image name, as ``python -m hack.images`` pushed them.
    say
        Prints one line.
    namespace, name
        Of the release.
    """

    def __init__(
        self,
        kubeconfig: pathlib.Path,
        images: Mapping[str, str],
        say: Callable[[str], None] = print,
        *,
        namespace: str = NAMESPACE,
        name: str = RELEASE,
    ) -> None:
        self.kube = kube.Kube(kubeconfig)
        own = kubeconfig.parent / "bin" / "kubectl"
        self.kubectl_program = str(own) if own.exists() else "kubectl"
        self.images, self.say, self.namespace, self.name = images, say, namespace, name
        self.account = account.Account(self.kube, namespace, name, say)

    # --- Set-up -------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Apply ``manifests/base`` with the images just built, and wait until the operator is Ready."""
        with tempfile.TemporaryDirectory(dir=ROOT / "manifests") as folder:
            overlay = pathlib.Path(folder)
            (overlay / "kustomization.yaml").write_text(yaml.safe_dump(self._overlay()))
            rendered = self.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(overlay))
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=rendered)
        self.kubectl("-n", SYSTEM, "rollout", "status", "deployment/modelrelease-operator", "--timeout=280s")

    def _overlay(self) -> dict[str, Any]:
        name, _, digest = self.images["operator"].partition("@")
        images = {
            "MODELRELEASE_CHECKS_IMAGE": self.images["checks"],
            "MODELRELEASE_CHECKS_TORCH_IMAGE": self.images["checks-torch-cpu"],
        }
        return {
            "resources": ["../base"],
            "images": [{"name": "modelrelease/operator", "newName": name, "digest": digest}],
            "patches": [
                {
                    "target": {"kind": "Deployment", "name": "modelrelease-operator"},
                    "patch": json.dumps(
                        [
                            {
                                "op": "add",
                                "path": "/spec/template/spec/containers/0/env/-",
                                "value": {"name": variable, "value": image},
                            }
                            for variable, image in images.items()
                        ]
                    ),
                }
            ],
        }

    def clean(self) -> None:
        """Remove what an earlier demo left, and wait until it is gone."""
        self.kube.delete(f"/api/v1/namespaces/{self.namespace}")
        self.wait(
            "the old namespace to go",
            180,
            lambda: self.kube.get(f"/api/v1/namespaces/{self.namespace}") is None,
        )
        self.kube.apply(kube.load(SAMPLES / "0-namespace.yaml"))

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl against the cluster and return what it printed."""
        done = subprocess.run(
            [self.kubectl_program, "--kubeconfig", str(self.kube.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )
        if done.returncode != 0:
            raise Failed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def prometheus(self, verb: str) -> None:
        """Stop or start the cluster's Prometheus."""
        subprocess.run(
            [sys.executable, "-m", "hack.cluster", "prometheus", verb], check=True, cwd=ROOT, timeout=120
        )

    # --- What a person does ---------------------------------------------------------------------------------

    def sample(self, name: str) -> kube.Object:
        """Return a sample with its image named by the digest that was built here."""
        obj = kube.load(SAMPLES / name)
        pod = obj["spec"]["template"]["spec"] if obj["kind"] == "ModelRelease" else obj["spec"]
        for container in pod["containers"]:
            image = container["image"].rpartition("/")[2].partition(":")[0]
            container["image"] = self.images[image]
        return obj

    def apply(self, name: str) -> str:
        """Apply a sample of the release and return the name of the run that it starts."""
        before = set(self.runs())
        self.kube.apply(self.sample(name))
        return self.new_run(before)

    def new_run(self, before: set[str]) -> str:
        """Wait for a run that was not there before."""
        return self.wait("a new run", 90, lambda: next(iter(sorted(set(self.runs()) - before)), None))

    def reject(self, revision: str, incident: str, reason: str) -> None:
        """Reject a revision as an engineer on call does: one field, one write, owned by the incident.

        Server-side apply removes what a manager applied before and leaves out now: with one manager for
        every incident, the second rejection would take the first one back.
        """
        entry = {"revision": revision, "reason": f"{incident}: {reason}"}
        self.kube.apply(
            {
                "apiVersion": "modelrelease.dev/v1alpha1",
                "kind": "ModelRelease",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"override": {"rejected": [entry]}},
            },
            manager=incident.lower(),
        )

    # --- What a person sees ---------------------------------------------------------------------------------

    def release(self) -> Mapping[str, Any]:
        """Return the release as the API server has it."""
        return self._required(f"{kube.GROUP}/namespaces/{self.namespace}/modelreleases/{self.name}")

    def runs(self) -> dict[str, Mapping[str, Any]]:
        """Return the release's runs by name."""
        items = self.kube.items(f"{kube.GROUP}/namespaces/{self.namespace}/modelreleaseruns")
        return {run["metadata"]["name"]: run for run in items if run["spec"]["releaseName"] == self.name}

    def run(self, name: str) -> Mapping[str, Any]:
        """Return one run."""
        return self._required(f"{kube.GROUP}/namespaces/{self.namespace}/modelreleaseruns/{name}")

    def stable(self) -> str:
        """Return the stable revision that the status names."""
        return str((self.release().get("status") or {}).get("stable", {}).get("revision", ""))

    def selector(self) -> Mapping[str, str]:
        """Return what the live Service selects."""
        service = self._required(f"/api/v1/namespaces/{self.namespace}/services/{self.name}")
        return dict(service["spec"].get("selector") or {})

    def pods(self, revision: str) -> list[Mapping[str, Any]]:
        """Return the serving pods of a revision, terminating ones included."""
        return list(
            self.kube.items(
                f"/api/v1/namespaces/{self.namespace}/pods",
                f"modelrelease.dev/revision={revision},modelrelease.dev/role=serving",
            )
        )

    def _required(self, path: str) -> Mapping[str, Any]:
        found = self.kube.get(path)
        if found is None:
            raise Failed(f"{path} does not exist")
        return found

    def wait(self, what: str, seconds: float, look: Callable[[], T | None]) -> T:
        """Look twice a second until something true is seen; a deadline that passes says what was last seen.

        Parameters
        ----------
        what
            Is waited for, in words.
        seconds
            That it may take on a quiet machine; a busy one has `PATIENCE` times as many.
        look
            Returns something true once it is there.

        Raises
        ------
        Failed
            When it does not come in time.
        """
        seconds *= PATIENCE
        deadline = time.monotonic() + seconds
        while True:
            seen = look()
            if seen:
                return seen
            if time.monotonic() > deadline:
                latest = self.account.latest
                said = latest.status.get("message", "") if latest else ""
                raise Failed(f"waited {seconds:.0f} s for {what}; the release says: {said or 'nothing'}")
            time.sleep(0.5)

    def wait_done(self, run: str, seconds: float) -> Mapping[str, Any]:
        """Wait until a run is Done, and the release's own status, written after it, says so; return it."""

        def done() -> Mapping[str, Any] | None:
            found = self.run(run)
            status = dict(found.get("status") or {})
            ended = {
                (e["revision"], e["attempt"]) for e in (self.release().get("status") or {}).get("history", ())
            }
            told = (found["spec"]["revision"], found["spec"]["attempt"]) in ended
            return status if status.get("phase") == "Done" and told else None

        return self.wait(f"{run} to end", seconds, done)

    def wait_phase(self, run: str, phase: str, step: int, seconds: float) -> None:
        """Wait until a run is in a phase and step; a run that ends before is an error."""

        def reached() -> bool | None:
            status = self.run(run).get("status") or {}
            if status.get("phase") == "Done":
                raise Failed(f"{run} ended before {phase} {step}: {status.get('message')}")
            return (status.get("phase"), status.get("step")) == (phase, step) or None

        self.wait(f"{run} to be {phase} {step}", seconds, reached)
