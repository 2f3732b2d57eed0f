"""Read a ModelRelease as the API server stores it, so that no broken part blocks the others.

People on call write ``override``, and live fields hold the pod budget: both must act while the rest of the
spec is one that this operator can't read, such as a newer API's. Each is parsed by itself.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import pydantic

from modelrelease.api import base, problems, rules
from modelrelease.api import spec as api_spec

_Model = TypeVar("_Model", bound=base.ApiModel)
_OVERRIDE: Final = "spec.override"
_SPEC_RULES: Final = tuple(
    rule for rule in rules.RULES if not any(path.startswith(_OVERRIDE) for path in rule.paths)
)


@dataclasses.dataclass(frozen=True, slots=True)
class SpecProblem:
    """Why a part of the spec cannot be used."""

    message: str
    """One sentence: the field, what must be, and what to change."""


class Live(base.ApiModel):
    """The fields that act at once and never start a run."""

    replicas: api_spec.Replicas = 1
    max_surge: base.IntOrString = 1
    max_unavailable: base.IntOrString = 0
    revision_history_limit: api_spec.RevisionHistoryLimit = 5
    run_history_limit: api_spec.RunHistoryLimit = 10


@dataclasses.dataclass(frozen=True, slots=True)
class ParsedRelease:
    """A ModelRelease, each part as far as it can be read."""

    spec: api_spec.ReleaseSpec | SpecProblem
    override: api_spec.Override
    """Every entry that can be read."""
    override_problem: SpecProblem | None
    """Why some entries can't be; the others act."""
    live: Live


def parse_release(obj: Mapping[str, Any]) -> ParsedRelease:
    """Return the parts of a ModelRelease; a part that can't be read is a problem, never an exception."""
    raw = obj.get("spec")
    fields: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    override, problem = _override(fields.get("override"))
    return ParsedRelease(
        spec=_spec({**obj, "spec": {k: v for k, v in fields.items() if k != "override"}}, override),
        override=override,
        override_problem=problem,
        live=_live(fields),
    )


def _spec(obj: Mapping[str, Any], override: api_spec.Override) -> api_spec.ReleaseSpec | SpecProblem:
    try:
        parsed = _read(api_spec.ReleaseSpec, obj["spec"])
    except pydantic.ValidationError as error:
        return SpecProblem(str(problems.problems(error, "spec")[0]))
    broken = rules.violations({**obj, "spec": defaulted(parsed)}, _SPEC_RULES)
    if broken:
        return SpecProblem(f"{broken[0].path}: {broken[0].rule.message}")
    return parsed.model_copy(update={"override": override})


def defaulted(parsed: api_spec.ReleaseSpec) -> dict[str, Any]:
    """Return a spec as the API server stores it: with its defaults, and without what is absent."""
    stored = parsed.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"override"})
    _leave_unwritten(parsed, stored)
    override = parsed.override.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return stored | ({"override": override} if override else {})


def _leave_unwritten(model: base.ApiModel, stored: dict[str, Any]) -> None:
    """Take out the lists that nobody wrote and that the API server does not default."""
    for name, field in type(model).model_fields.items():
        alias, value = str(field.alias), getattr(model, name)
        if alias not in stored:
            continue
        if field.default_factory is not None and name not in model.model_fields_set:
            del stored[alias]
        elif isinstance(value, base.ApiModel):
            _leave_unwritten(value, stored[alias])
        elif isinstance(value, list):
            for inner, entry in zip(value, stored[alias], strict=True):
                if isinstance(inner, base.ApiModel):
                    _leave_unwritten(inner, entry)


def _override(raw: Any) -> tuple[api_spec.Override, SpecProblem | None]:
    if raw is None:
        return api_spec.Override(), None
    try:
        return _read(api_spec.Override, raw), None
    except pydantic.ValidationError as error:
        problem = SpecProblem(str(problems.problems(error, _OVERRIDE)[0]))
    return _salvaged(api_spec.Override, raw if isinstance(raw, Mapping) else {}), problem


def _live(fields: Mapping[str, Any]) -> Live:
    strategy = fields.get("strategy")
    everything = {**(strategy if isinstance(strategy, Mapping) else {}), **fields}
    names = {str(field.alias) for field in Live.model_fields.values()}
    return _salvaged(Live, {name: everything[name] for name in names & everything.keys()})


def _salvaged(model: type[_Model], raw: Mapping[str, Any]) -> _Model:
    """Read each field, and each entry of a list, by itself: what can be read is kept."""
    kept = model()
    fields: dict[str, Any] = {}
    for name, value in raw.items():
        for entry in value if isinstance(value, list) else (value,):
            tried = {**fields, name: [*fields.get(name, ()), entry] if isinstance(value, list) else entry}
            try:
                kept = _read(model, tried)
            except pydantic.ValidationError:
                continue
            fields = tried
    return kept


def _read(model: type[_Model], raw: Any) -> _Model:
    """Read JSON: only its own names count, not those of Python."""
    return model.model_validate(raw, by_alias=True, by_name=False)
