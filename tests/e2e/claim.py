"""A claim on a folder of the node, and pods that work on it."""

import contextlib
from collections.abc import Iterator

from hack.demo import kube, stage

CLAIM = "models"


@contextlib.contextmanager
def bound(on: stage.Stage, namespace: str, size: str) -> Iterator[str]:
    """Make a claim in a namespace, with a volume of its own; give the claim's name."""
    name = f"{namespace}-{CLAIM}"
    capacity, mode = {"storage": size}, ["ReadWriteOnce"]
    named = {"namespace": namespace, "name": CLAIM}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": capacity,
            "accessModes": mode,
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": named,
            "hostPath": {"path": f"/var/tmp/{name}", "type": "DirectoryOrCreate"},  # noqa: S108 - the node's
        },
    }
    on.kube.apply(volume)
    on.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": named,
            "spec": {
                "accessModes": mode,
                "storageClassName": "",
                "volumeName": name,
                "resources": {"requests": capacity},
            },
        }
    )
    yield CLAIM
    on.kube.delete(kube.path_of(volume))


def run(
    on: stage.Stage,
    namespace: str,
    name: str,
    script: str,
    *arguments: str,
    image: str = "checks",
    seconds: int = 60,
) -> str:
    """Run a script in a pod that has the claim at /models, and return what it printed."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": name,
                    "image": on.images[image],
                    "command": ["python", "-c", script, *arguments],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": CLAIM, "mountPath": "/models"}],
                }
            ],
            "volumes": [{"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
    on.kube.apply(pod)
    patience = f"--timeout={stage.PATIENCE * seconds}s"
    done = ("--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", patience)
    on.kubectl("-n", namespace, "wait", *done)
    return on.kubectl("-n", namespace, "logs", name)
