"""``modelrelease alerts``: PrometheusRules for the objectives of a release."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
import yaml

from modelrelease.api import advice, lint, parse, spec
from modelrelease.prometheus import alerts as rules

USAGE: Final = 64


def alerts(
    manifest: Annotated[Path, typer.Argument(help="A ModelRelease; - reads standard input.")],
    *,
    period_days: Annotated[int, typer.Option(min=1, max=90, help="Of the error budget.")] = rules.PERIOD_DAYS,
    pod_label: Annotated[str, typer.Option(help="As the Prometheus source writes it.")] = "pod",
    namespace_label: Annotated[str, typer.Option(help="The same.")] = "namespace",
    runbooks: Annotated[str, typer.Option(help="What goes before an alert's page.")] = rules.RUNBOOKS,
) -> None:
    """Print a PrometheusRule with burn-rate alerts for the objectives of each release in a file.

    Exit codes: 0, 64 for a manifest that is none.
    """
    try:
        text = sys.stdin.read() if str(manifest) == "-" else manifest.read_text(encoding="utf-8")
        found = list(lint.manifests(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        typer.echo(f"error: {manifest} cannot be read: {str(error).splitlines()[0]}", err=True)
        raise typer.Exit(USAGE) from None
    wrong = [one.message for document in found for one in lint.lint(document) if _is_error(one)]
    if wrong or not found:
        typer.echo(f"error: {wrong[0] if wrong else f'{manifest} holds no ModelRelease'}", err=True)
        raise typer.Exit(USAGE)
    made = []
    for document in found:
        release = parse.parse_release(document).spec
        assert isinstance(release, spec.ReleaseSpec)
        place = document["metadata"]
        made.append(
            rules.rules(
                place["name"],
                place.get("namespace", "default"),
                release,
                period_days=period_days,
                pod_label=pod_label,
                namespace_label=namespace_label,
                runbooks=runbooks,
            )
        )
    typer.echo(yaml.safe_dump_all(made, sort_keys=False, width=200).rstrip())


def _is_error(finding: advice.Finding) -> bool:
    return finding.severity is advice.Severity.ERROR
