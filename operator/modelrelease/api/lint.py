"""The offline linter: what the API server would refuse, in the same words, and advice that it can't give."""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
import yaml

from modelrelease.api import advice, constants, crd, parse, problems, rules, spec
from modelrelease.api.advice import Finding, Severity

# libyaml reads folders of manifests ten times as fast, and nests no deeper than a stack is.
_Base: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(_Base):  # type: ignore[misc]
    """YAML as kubectl reads it: a date is a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def manifests(text: str) -> Iterator[Mapping[str, Any]]:
    """Return the ModelReleases among the documents of a YAML text.

    Raises
    ------
    yaml.YAMLError
        The text is not YAML.
    """
    for document in yaml.load_all(text, _Loader):
        if isinstance(document, Mapping) and document.get("kind") == constants.RELEASE_KIND:
            yield document


def lint(manifest: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return what is wrong with a manifest, and what could be better.

    Parameters
    ----------
    manifest
        A ModelRelease as a person wrote it.

    Returns
    -------
    Errors, which the API server refuses; without any, the advice. Rules across fields are checked once the
    fields themselves are right.
    """
    envelope = tuple(_envelope(manifest))
    try:
        parsed = spec.ReleaseSpec.model_validate_json(
            json.dumps(crd.without_nulls(manifest.get("spec"))), strict=True, by_alias=True, by_name=False
        )
    except pydantic.ValidationError as error:
        return envelope + tuple(_error(problem) for problem in problems.problems(error, "spec"))
    if envelope:
        return envelope
    stored = {**manifest, "spec": parse.defaulted(parsed)}
    broken = tuple(
        Finding(Severity.ERROR, violation.path, violation.rule.message, violation.rule.id)
        for violation in rules.violations(stored)
    )
    return broken or tuple(advice.advice(parsed))


def _envelope(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at what surrounds ``spec``."""
    for field, wanted in (("apiVersion", constants.API_VERSION), ("kind", constants.RELEASE_KIND)):
        if manifest.get(field) != wanted:
            yield Finding(Severity.ERROR, field, f"must be {wanted}")
    metadata = manifest.get("metadata")
    named = isinstance(metadata, Mapping) and (metadata.get("name") or metadata.get("generateName"))
    if not named:
        yield Finding(Severity.ERROR, "metadata.name", "must be set: it becomes the name of the Service")
    for field in set(manifest) - {"apiVersion", "kind", "metadata", "spec", "status"}:
        yield _error(problems.Problem(str(field), "is not a field of a ModelRelease: indent it below spec"))


def _error(problem: problems.Problem) -> Finding:
    message = problem.message
    parent, _, name = problem.path.rpartition(".")
    if problem.unknown and (known := _similar(parent, name)):
        message = f"is not a field of {parent}: write {known}"
    return Finding(Severity.ERROR, problem.path, message)


def _similar(parent: str, name: str) -> str | None:
    """Return the field that was probably meant."""
    path = ".".join(f"{part.split('[')[0]}[*]" if "[" in part else part for part in parent.split("."))
    fields = crd.at(crd.release_schema(), path).get("properties", {})
    lower = {field.lower(): field for field in fields}
    close = difflib.get_close_matches(name.replace("_", "").lower(), lower, n=1)
    return lower[close[0]] if close else None
