"""The rules about a team's own checks."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrelease.api import custom, rule

_JOB: Final = "spec.checks[*].custom.job"
_TAKEN: Final = (*custom.OWN_FOLDERS, "/dev", "/proc", "/sys")
_CREDENTIALS: Final = "^https?://[^/?#]*@"


def _jobs(release: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for check in release.get("checks", ()):
        if "job" in check.get("custom", {}):
            yield check["custom"]["job"]


def _is_free(path: str) -> bool:
    return not any(f"{path}/".startswith(f"{taken}/") for taken in _TAKEN)


CUSTOM_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="custom-one-of",
        paths=("spec.checks[*].custom",),
        cel=rule.one_of(("job", "webhook")),
        message="must have exactly one of job and webhook: remove one, or write the other check beside it",
        holds=lambda own: rule.has_one_of(own, ("job", "webhook")),
    ),
    rule.Rule(
        id="custom-variable",
        paths=(f"{_JOB}.env[*]",),
        cel=rule.one_of(("value", "valueFrom")),
        message='must have exactly one of value and valueFrom: an empty variable is written as value: ""',
        holds=lambda variable: rule.has_one_of(variable, ("value", "valueFrom")),
    ),
    rule.Rule(
        id="custom-variable-source",
        paths=(f"{_JOB}.env[*].valueFrom",),
        cel=rule.one_of(("secretKeyRef", "configMapKeyRef")),
        message="must have exactly one of secretKeyRef and configMapKeyRef",
        holds=lambda source: rule.has_one_of(source, ("secretKeyRef", "configMapKeyRef")),
    ),
    rule.Rule(
        id="custom-variable-name",
        paths=(f"{_JOB}.env[*].name",),
        cel=f"!self.startsWith('{custom.RESERVED_VARIABLES}')",
        message=(
            f"must not start with {custom.RESERVED_VARIABLES}, because such variables say what is asked: "
            f"rename it"
        ),
        holds=lambda name: not name.startswith(custom.RESERVED_VARIABLES),
    ),
    rule.Rule(
        id="custom-mount-path",
        paths=(f"{_JOB}.mounts[*].path",),
        cel=f"!{list(_TAKEN)}.exists(t, (self + '/').startsWith(t + '/'))",
        message=f"must not be in {', '.join(_TAKEN)}, which are taken: mount it elsewhere, such as at /data",
        holds=_is_free,
    ),
    rule.Rule(
        id="custom-golden-set",
        paths=("spec",),
        field=".checks",
        cel=(
            "!has(self.checks) || self.checks.all(c, !has(c.custom) || !has(c.custom.job) || "
            "!has(c.custom.job.goldenSet) || self.goldenSets.exists(g, g.name == c.custom.job.goldenSet))"
        ),
        message=(
            "must name a set of spec.goldenSets in goldenSet of each custom job: correct the name, or leave "
            "goldenSet out"
        ),
        holds=lambda release: (
            {job["goldenSet"] for job in _jobs(release) if "goldenSet" in job}
            <= {golden["name"] for golden in release["goldenSets"]}
        ),
    ),
    rule.Rule(
        id="custom-url",
        paths=("spec.checks[*].custom.webhook.url",),
        cel=f"!self.matches('{_CREDENTIALS}')",
        message=(
            "must hold no credentials, because everybody who reads the release would read them: "
            "use authorizationRef"
        ),
        holds=lambda url: re.match(_CREDENTIALS, url) is None,
    ),
)
