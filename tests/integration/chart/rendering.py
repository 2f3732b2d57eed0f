"""What Helm and kubectl render."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hack.helm import programs, schema

Objects = dict[tuple[str, str, str], dict[str, Any]]
"""By kind, namespace and name."""


class Refused(Exception):
    """Helm refused the values; the message is what it said."""


class Chart:
    """The chart, rendered by Helm without a cluster."""

    def __init__(self, folder: Path = schema.CHART) -> None:
        self._folder = folder

    def text(self, namespace: str, values: Mapping[str, Any]) -> str:
        done = programs.run(
            programs.HELM,
            *("template", "modelrelease", self._folder, "--namespace", namespace, "--values", "-"),
            *("--kube-version", "1.35.0"),
            stdin=json.dumps(values),
        )
        if done.returncode != 0:
            raise Refused(done.stderr)
        return done.stdout

    def __call__(self, namespace: str = "modelrelease-system", **values: Any) -> Objects:
        return by_name(self.text(namespace, values))


def by_name(text: str) -> Objects:
    objects = [obj for obj in yaml.load_all(text, Loader=yaml.CSafeLoader) if obj]
    found = {
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in objects
    }
    assert len(found) == len(objects), "two objects of one name"
    return found
