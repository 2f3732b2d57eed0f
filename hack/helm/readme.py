"""The chart's README, by helm-docs."""

from __future__ import annotations

from typing import Final

from hack.cluster.steps import StepError
from hack.helm import programs, schema

FILE: Final = schema.CHART / "README.md"


def text() -> str:
    """Return the README as helm-docs makes it from ``values.yaml`` and ``README.md.gotmpl``."""
    done = programs.run(
        programs.HELM_DOCS,
        f"--chart-search-root={schema.CHART}",
        "--sort-values-order=file",
        "--dry-run",
    )
    if done.returncode != 0 or not done.stdout:
        raise StepError("helm-docs failed", "correct charts/modelrelease/README.md.gotmpl", done.stderr)
    return done.stdout.rstrip() + "\n"
