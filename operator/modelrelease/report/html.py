"""A report as one HTML page that needs nothing else: no script, no request to anywhere.

The checks in it are drawn by the one renderer of results. Whatever a server, a check or a person wrote is
escaped by the template engine, and the page's own policy forbids scripts and requests.
"""

import base64
import functools
from typing import Final

import jinja2

from canary_checks.report import html as results_html
from modelrelease.api import reasons
from modelrelease.report import curves, model, times

_DOWNLOAD_MAX: Final = 1 << 20
"""Bytes of JSON that a page carries for download; a larger one is asked for by itself."""
_SIGNS: Final = {model.Tone.GOOD: "✓", model.Tone.BAD: "✗", model.Tone.NEITHER: "…"}
_VERDICTS: Final = {model.Tone.GOOD: "Pass", model.Tone.BAD: "Fail", model.Tone.NEITHER: "Inconclusive"}
"""Whose colours an outcome has."""


def render(report: model.Report) -> str:
    """Write a report as one page, complete: style, charts and, unless it is large, the JSON are in it."""
    text = model.dump(report).encode()
    return (
        _environment()
        .get_template("run.html.j2")
        .render(
            it=report,
            seconds=_seconds(report),
            widths=curves.widths(report.phases),
            download=base64.b64encode(text).decode() if len(text) <= _DOWNLOAD_MAX else "",
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    made = results_html.environment("modelrelease.report")
    made.globals.update(
        curves=curves.curves,
        times=times,
        signs=_SIGNS,
        colours=_VERDICTS,
        not_live=reasons.NOT_LIVE,
        slo_failed=reasons.SLO_FAILED,
        known_verdicts=frozenset({"Pass", "Fail", "NoData", "Inconclusive", "Error"}),
    )
    return made


def _seconds(report: model.Report) -> float | None:
    if report.start is None or report.end is None:
        return None
    return (report.end - report.start).total_seconds()
