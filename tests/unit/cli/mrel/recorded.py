"""A cluster of recorded objects, and a terminal that is a string."""

import copy
import dataclasses
import datetime
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelrelease.cli.mrel import main, port, shell

HERE = Path(__file__).parent
_KINDS = {
    port.RELEASES: "ModelRelease",
    port.RUNS: "ModelReleaseRun",
    port.REVISIONS: "ControllerRevision",
    port.PODS: "Pod",
    port.CONFIG_MAPS: "ConfigMap",
    port.DEPLOYMENTS: "Deployment",
    port.EVENTS: "Event",
    port.SERVICES: "Service",
    port.AUTOSCALERS: "HorizontalPodAutoscaler",
}


def snapshot(name: str) -> tuple[datetime.datetime, list[dict[str, Any]]]:
    found = json.loads((HERE / "objects" / f"{name}.json").read_text(encoding="utf-8"))
    return datetime.datetime.fromisoformat(found["now"]), found["objects"]


@dataclasses.dataclass
class Recorded:
    """Answers from objects; what it is told to write it keeps."""

    objects: list[dict[str, Any]]
    forbidden: frozenset[str] = frozenset()
    changes: list[port.Change] = dataclasses.field(default_factory=list)
    refusals: list[port.Failed] = dataclasses.field(default_factory=list)
    options: tuple[str, ...] = ()
    written: list[Any] = dataclasses.field(default_factory=list)
    closed: bool = False

    def _of(self, kind: str) -> list[dict[str, Any]]:
        if kind in self.forbidden:
            raise port.Failed(f'{kind} is forbidden: User "jo" cannot list resource "{kind}"')
        return [copy.deepcopy(obj) for obj in self.objects if obj["kind"] == _KINDS[kind]]

    def get(self, kind: str, name: str) -> port.Object:
        found = [obj for obj in self._of(kind) if obj["metadata"]["name"] == name]
        if not found:
            raise port.NotFound(f'{kind} "{name}" not found')
        return found[0]

    def select(
        self, kinds: Sequence[str], selector: str = "", *, everywhere: bool = False
    ) -> list[port.Object]:
        return [obj for kind in kinds for obj in self._of(kind)]

    def events(self, involved: str) -> list[port.Object]:
        return [obj for obj in self._of(port.EVENTS) if obj["involvedObject"]["name"] == involved]

    def apply(self, obj: Mapping[str, Any], manager: str, *, dry_run: bool = False) -> port.Object:
        if self.refusals:
            raise self.refusals.pop(0)
        self.written.append(("apply", manager, dry_run, obj))
        return dict(obj)

    def patch(
        self,
        kind: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        manager: str,
        *,
        dry_run: bool = False,
    ) -> port.Object:
        self.written.append(("patch", manager, dry_run, list(operations)))
        return self.get(kind, name)

    def watch(self, kind: str, *, name: str = "", selector: str = "") -> Iterator[port.Change]:
        if kind == port.RELEASES:
            yield from self.changes
        else:
            yield from (port.Change("ADDED", obj) for obj in self._of(kind))

    def close(self) -> None:
        self.closed = True


class Terminal(io.StringIO):
    """A string that says that it is a terminal, or not."""

    def __init__(self, text: str = "", *, tty: bool = False) -> None:
        super().__init__(text)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@dataclasses.dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


def call(
    cluster: port.Cluster,
    *arguments: str,
    now: datetime.datetime,
    width: int = 100,
    tty: bool = False,
    answer: str = "",
    environ: Mapping[str, str] | None = None,
) -> Said:
    out, err = Terminal(tty=tty), Terminal(tty=tty)
    here = shell.Shell(
        out=out,
        err=err,
        inp=Terminal(answer, tty=tty),
        environ={"COLUMNS": str(width), **(environ or {})},
        connect=lambda options: _connected(cluster, options),
        now=lambda: now,
    )
    code = main.run(list(arguments), here)
    return Said(code, out.getvalue(), err.getvalue())


def _connected(cluster: port.Cluster, options: tuple[str, ...]) -> port.Cluster:
    if isinstance(cluster, Recorded):
        cluster.options = options
    return cluster
