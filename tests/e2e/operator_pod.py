"""The operator as a process: killed, stopped, started, and given another image for its checks."""

import hashlib
import http.client
import json
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hack.demo import kube, stage

PODS = f"/api/v1/namespaces/{stage.SYSTEM}/pods"
LABELS = "app.kubernetes.io/name=modelrelease-operator"
DEPLOYMENT = "deployment/modelrelease-operator"
KILLER = """
import os, pathlib, signal, sys
for path in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        group, command = (path / 'cgroup').read_text(), (path / 'cmdline').read_bytes().split(b'\\0')
    except OSError:
        continue
    names = (sys.argv[1], sys.argv[1].replace('-', '_'))
    if any(name in group for name in names) and b'modelrelease' in command:
        os.kill(int(path.name), signal.SIGKILL)
        print('killed', path.name)
        break
else:
    sys.exit('no such process')
"""


class OperatorPod:
    """The one pod of the operator."""

    def __init__(self, on: stage.Stage) -> None:
        self.on = on

    def pods(self) -> list[kube.Object]:
        return self.on.kube.items(PODS, LABELS)

    def _restarts(self) -> tuple[str, int, bool]:
        (pod,) = self.pods()
        container = pod["status"]["containerStatuses"][0]
        return pod["metadata"]["uid"], int(container["restartCount"]), bool(container["ready"])

    def kill(self, namespace: str) -> None:
        """Send SIGKILL to the operator's process on its node, and wait until the kubelet has restarted it."""
        uid, before, _ = self._restarts()
        name = f"killer-{before}"
        self.on.kube.apply(_killer(namespace, name, self.on.images["checks"], uid))
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"

        def gone() -> bool:
            phase = (self.on.kube.get(path) or {}).get("status", {}).get("phase")
            if phase == "Failed":
                raise stage.Failed(self.on.kubectl("-n", namespace, "logs", name))
            return bool(phase == "Succeeded")

        self.on.wait("the operator to be killed", 60, gone)

        def back() -> bool:
            now, count, ready = self._restarts()
            return now == uid and count > before and ready

        self.on.wait("the kubelet to restart the operator", 120, back)

    def log(self, lines: int = 60) -> str:
        return self.on.kubectl("-n", stage.SYSTEM, "logs", DEPLOYMENT, f"--tail={lines}")

    def stop(self) -> None:
        """Take the operator away."""
        self.on.kubectl("-n", stage.SYSTEM, "scale", DEPLOYMENT, "--replicas=0")
        self.on.wait("the operator to be gone", 60, lambda: not self.pods())

    def start(self) -> None:
        """Bring the operator back, and wait until it is Ready."""
        self.on.kubectl("-n", stage.SYSTEM, "scale", DEPLOYMENT, "--replicas=1")
        self.on.kubectl("-n", stage.SYSTEM, "rollout", "status", DEPLOYMENT, "--timeout=280s")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do without the operator for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def checking_with(self, image: str) -> Iterator[None]:
        """Let checks run from another image for a while."""
        self._set_checks_image(image)
        try:
            yield
        finally:
            self._set_checks_image(self.on.images["checks"])

    def _set_checks_image(self, image: str) -> None:
        variable = f"MODELRELEASE_CHECKS_IMAGE={image}"
        self.on.kubectl("-n", stage.SYSTEM, "set", "env", DEPLOYMENT, variable)
        self.on.kubectl("-n", stage.SYSTEM, "rollout", "status", DEPLOYMENT, "--timeout=280s")


def _killer(namespace: str, name: str, image: str, uid: str) -> kube.Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hostPID": True,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "killer",
                    "image": image,
                    "command": ["python", "-c", KILLER, uid],
                    "securityContext": {"runAsUser": 0, "privileged": True},
                }
            ],
        },
    }


# --- An image of checks that lie ----------------------------------------------------------------------------


def image_running(reference: str, script: pathlib.Path) -> str:
    """Push an image that differs from another one in its entry point, a Python script; return its reference.

    Only the image's config is new: the layers are in the registry already.
    """
    registry, _, rest = reference.partition("/")
    name, _, digest = rest.partition("@")
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = json.loads(_registry(registry, "GET", f"/v2/{name}/manifests/{digest}", headers=accept))
    config = json.loads(_registry(registry, "GET", f"/v2/{name}/blobs/{manifest['config']['digest']}"))
    config["config"]["Entrypoint"] = ["python", "-c", script.read_text()]
    content = json.dumps(config).encode()
    manifest["config"] |= {"digest": _digest(content), "size": len(content)}
    _upload(registry, name, content)
    pushed = json.dumps(manifest).encode()
    kind = {"Content-Type": manifest.get("mediaType", accept["Accept"])}
    _registry(registry, "PUT", f"/v2/{name}/manifests/{_digest(pushed)}", pushed, kind)
    return f"{registry}/{name}@{_digest(pushed)}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _upload(registry: str, name: str, content: bytes) -> None:
    connection = http.client.HTTPConnection(registry, timeout=30)
    connection.request("POST", f"/v2/{name}/blobs/uploads/")
    answer = connection.getresponse()
    answer.read()
    location = answer.headers["Location"].partition(registry)[2] or answer.headers["Location"]
    joint = "&" if "?" in location else "?"
    kind = {"Content-Type": "application/octet-stream"}
    _registry(registry, "PUT", f"{location}{joint}digest={_digest(content)}", content, kind)


def _registry(
    registry: str, method: str, path: str, body: bytes | None = None, headers: dict[str, Any] | None = None
) -> bytes:
    connection = http.client.HTTPConnection(registry, timeout=30)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status < 300, f"{method} {path}: {answer.status} {content[:300]!r}"
    return content
