"""``lint``: what is wrong with manifests, and what the operator would do with them. Offline."""

import dataclasses
import difflib
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from modelrelease.api import advice, constants, lint, parse, reasons
from modelrelease.api import checks as api_checks
from modelrelease.api import spec as api_spec
from modelrelease.cli.mrel import feasible, port, screen, words
from modelrelease.notifications import routing

OWNER: Final = f"{constants.GROUP}/owner"
RUNBOOK: Final = f"{constants.GROUP}/runbook"
MODEL_CARD: Final = f"{constants.GROUP}/model-card"
_ANNOTATIONS: Final = {
    OWNER: "who is asked when it is rolled back, such as a team",
    RUNBOOK: "the URL of what to do when it is",
    MODEL_CARD: "the URL of what the model is for, and what it is not",
}
_KNOWN: Final = (*_ANNOTATIONS, routing.ANNOTATION)
_ALIKE: Final = 0.85
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_FILE_MAX: Final = 8 << 20
_PINNED: Final = "@sha256:"
_NAMESPACE: Final = "default"
"""Of a manifest that names none."""
_UNREACHABLE: Final = "can't pass at this traffic before its deadline, and then whenInfeasible decides"


class Level(enum.StrEnum):
    """What a finding means for the exit code."""

    ERROR = "Error"
    WARNING = "Warning"


@dataclasses.dataclass(frozen=True, slots=True)
class Linted:
    """One manifest, or a file that holds none that can be read."""

    source: str
    name: str
    findings: tuple[tuple[str, str, str], ...]
    """Level, path and sentence."""
    would: str = ""
    """What the operator would do; empty while there are errors."""
    objectives: tuple[str, ...] = ()
    """What judging each objective costs."""

    @property
    def wrong(self) -> bool:
        """Whether the API server, or ``--production``, refuses it."""
        return any(level == Level.ERROR.value for level, _, _ in self.findings)


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that are meant, those of folders in the order of their names.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        A path does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        elif path.is_file():
            yield path
        else:
            raise port.Failed(f"{path} does not exist")


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for beside what the API server would say."""

    production: bool = False
    """Whether the rules for production count."""
    traffic: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Requests per second by operation, from :func:`modelrelease.cli.mrel.feasible.rates`."""
    without_data: Callable[[str, str, api_spec.ReleaseSpec], Iterable[tuple[str, str]]] | None = None
    """From a release's name, namespace and spec to objectives without data; None asks nobody."""


def linted(path: Path, asked: Asked = Asked()) -> Iterator[Linted]:
    """Yield what is to be said of each ModelRelease of a file; of a file without any, nothing."""
    try:
        found = _manifests(path)
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "is not UTF-8"
        yield Linted(str(path), "", ((Level.ERROR.value, "", f"can't be read: {said}"),))
        return
    except yaml.YAMLError as error:
        # A chart's template is no YAML, and not ours to judge.
        said = " ".join(str(error).split())
        yield Linted(str(path), "", ((Level.ERROR.value, "", f"is not YAML: {said}"),))
        return
    except RecursionError:
        yield Linted(str(path), "", ((Level.ERROR.value, "", "is nested too deeply to be read"),))
        return
    for manifest in found:
        yield one(str(path), manifest, asked)


def _manifests(path: Path) -> list[Mapping[str, Any]]:
    if path.stat().st_size > _FILE_MAX:
        raise OSError(None, f"larger than {_FILE_MAX >> 20} MiB")
    return list(lint.manifests(path.read_text(encoding="utf-8")))


def one(source: str, manifest: Mapping[str, Any], asked: Asked = Asked()) -> Linted:
    """Return what is to be said of one manifest."""
    metadata = manifest.get("metadata")
    name = (
        str(metadata.get("name") or metadata.get("generateName") or "")
        if isinstance(metadata, Mapping)
        else ""
    )
    said = [(found.severity.value, found.path, found.message) for found in lint.lint(manifest)]
    if any(level == advice.Severity.ERROR.value for level, _, _ in said):
        return Linted(source, name, tuple(said))
    parsed = parse.parse_release(manifest).spec
    assert isinstance(parsed, api_spec.ReleaseSpec)
    said += [(Level.WARNING.value, path, text) for path, text in _annotations(manifest)]
    costs = list(feasible.costs(parsed, asked.traffic))
    said += [(Level.WARNING.value, path, _UNREACHABLE) for path, _, reachable in costs if not reachable]
    if asked.production:
        said = [_stricter(*found) for found in said]
        said += [(Level.ERROR.value, path, text) for path, text in _production(manifest, parsed)]
    if asked.without_data is not None:
        level = Level.ERROR if asked.production else Level.WARNING
        namespace = str(manifest["metadata"].get("namespace") or _NAMESPACE)
        said += [(level.value, path, text) for path, text in asked.without_data(name, namespace, parsed)]
    return Linted(source, name, tuple(said), would(parsed), tuple(text for _, text, _ in costs))


def _annotations(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is misspelt: the API server takes any annotation, and nobody would read this one."""
    said = manifest["metadata"].get("annotations")
    for name in said if isinstance(said, Mapping) else ():
        close = difflib.get_close_matches(str(name), _KNOWN, n=1, cutoff=_ALIKE)
        if close and name not in _KNOWN:
            yield f"metadata.annotations[{name}]", f"is read by nobody: write {close[0]}"
        if name == routing.ANNOTATION:
            for why in routing.impossible(str(said[name])):
                yield f"metadata.annotations[{name}]", why


def _stricter(level: str, path: str, message: str) -> tuple[str, str, str]:
    """Make an image that is not pinned by its digest an error."""
    return (Level.ERROR.value if path.endswith(".image") else level, path, message)


def _production(manifest: Mapping[str, Any], spec: api_spec.ReleaseSpec) -> Iterator[tuple[str, str]]:
    said = manifest["metadata"].get("annotations") or {}
    for name, what in _ANNOTATIONS.items():
        if not str(said.get(name) or "").strip():
            yield f"metadata.annotations[{name}]", f"must say {what}"
    checks = spec.all_checks()
    if not any(check.probe.golden_set for check in checks if spec.golden_sets):
        yield (
            "spec.goldenSets",
            "must hold a golden set of your own that a check names: the built-in one knows no users",
        )
    if not spec.slos:
        yield "spec.slos", "must have an objective: without one nothing is judged once users are served"
    if spec.enforcement is api_checks.Enforcement.OBSERVE:
        yield (
            "spec.enforcement",
            "must be Enforce: Observe reports what would have happened and lets it happen",
        )
    if spec.override != api_spec.Override():
        yield "spec.override", "must not be in Git: it is for people on call"


def would(spec: api_spec.ReleaseSpec) -> str:
    """Return what the operator would do with a change of this manifest."""
    strategy, checks = spec.strategy, spec.all_checks()
    names = [check.name for check in checks]
    parts = [f"{reasons.counted(strategy.canary.replicas, 'canary pod')} beside {spec.replicas}"]
    parts.append(f"{reasons.counted(len(names), 'check')} ({', '.join(names)})" if names else "no check")
    if strategy.approval is api_spec.Approval.BEFORE_TRAFFIC:
        parts.append("an approval")
    parts += [f"{step.weight} % for {words.duration(step.hold_seconds)}" for step in strategy.steps]
    if strategy.approval is api_spec.Approval.BEFORE_FULL:
        parts.append("an approval")
    parts.append(f"100 %, watched for {words.duration(strategy.bake_seconds)}")
    least = sum(step.hold_seconds for step in strategy.steps) + strategy.bake_seconds
    slos = ", ".join(f"{slo.name} {slo.objective} %" for slo in spec.slos)
    judged = f" Judged by {slos}." if slos else " No objective is judged."
    acts = (
        " It only reports, and never acts (Observe)."
        if spec.enforcement is api_checks.Enforcement.OBSERVE
        else ""
    )
    return f"{' → '.join(parts)}: {words.duration(least)} at least, beside loading and checks.{judged}{acts}"


def show(found: Sequence[Linted]) -> screen.Screen:
    """Return the screen of ``lint``."""
    parts: list[Any] = []
    for entry in found:
        title = f"{entry.source}{f' {entry.name}' if entry.name else ''}"
        count = len(entry.findings)
        state = (
            ("wrong", "bold red") if entry.wrong else (("advice", "yellow") if count else ("good", "green"))
        )
        parts.append(screen.line((title, "bold"), "  ", state))
        body = [
            (
                screen.styled(level.lower(), "red" if level == Level.ERROR.value else "yellow"),
                f"{path} {text}".strip(),
            )
            for level, path, text in entry.findings
        ]
        if entry.would:
            body.append((screen.styled("would", "dim"), entry.would))
        body += [(screen.styled("slo", "dim"), told) for told in entry.objectives]
        parts.append(screen.indented(screen.table(("", ""), body)))
    wrong = sum(entry.wrong for entry in found)
    releases = reasons.counted(sum(bool(entry.name) for entry in found), "release")
    parts.append(f"{releases}: {wrong} wrong." if wrong else f"{releases}: none wrong.")
    return screen.Screen(tuple(parts))
