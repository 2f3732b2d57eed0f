"""Whatever a server, a check or a person wrote stays text, in every form of a report."""

import functools
import json
import re
from typing import Any

import hypothesis
from hypothesis import strategies as st

from modelrelease.report import html, markdown, model
from tests.unit.cli.mrel import recorded
from tests.unit.report import lives, pages

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</style><script src=https://example.com></script>",
    "</title><iframe src=//example.com>",
    "{{ 7 * 7 }}{% raw %}{{ config }}",
    "javascript:alert(1) url(https://example.com)",
    "| a | b |\n\n# Heading\n- [ ] <b>`code`</b> [x](https://example.com) ![y](z)",
    "\x00\x1b[31m\u202e",
]
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
KEPT = {"schema", "verdict", "tone", "outcome", "phase", "run", "mode", "objective", "confidence"}


@functools.cache
def plain(name: str) -> dict[str, Any]:
    left = lives.left(name)
    said = recorded.call(left.cluster, "report", "embedder", "-o", "json", now=left.now)
    report: dict[str, Any] = json.loads(said.out)
    for check in report["checks"]:
        # Results are the other renderer's, and hostile ones are its tests'.
        check.pop("results", None)
    return report


def spoiled(value: Any, text: str, key: str = "") -> Any:
    """Return a report in which everything that takes free text says it."""
    if isinstance(value, dict):
        return {name: spoiled(inner, text, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoiled(inner, text, key) for inner in value]
    times = isinstance(value, str) and re.match(r"^\d{4}-\d\d-\d\dT", value)
    return text if isinstance(value, str) and key not in KEPT and not times else value


def report_of(name: str, text: str) -> model.Report:
    given = json.dumps(spoiled(plain(name), text))
    return model.Report.model_validate_json(given, by_alias=True, by_name=False)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(TEXTS, st.sampled_from(["parity", "drift"]))
def test_a_page_keeps_what_anybody_wrote_as_text(text: str, name: str):
    page = pages.Page(html.render(report_of(name, text)))
    assert not page.tags & {"script", "iframe", "object", "embed", "link", "base", "form", "img"}
    assert not {given for _, attributes in page.elements for given in attributes if given.startswith("on")}
    assert all(said.startswith("data:application/json;base64,") for said in page.asked)
    assert "example.com" not in page.style
    if text in HOSTILE and text.isprintable():
        assert " ".join(text.split()) in page.text


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(TEXTS, st.sampled_from(["parity", "drift"]), st.booleans())
def test_markdown_keeps_its_shape_whatever_anybody_wrote(text: str, name: str, postmortem: bool):
    shape = re.compile(r"^(?:# |## |\||- |\*\*|  - |$)")
    usual = markdown.render(report_of(name, "usual"), postmortem=postmortem)
    spoilt = markdown.render(report_of(name, text), postmortem=postmortem)
    assert len(spoilt.split("\n")) == len(usual.split("\n"))
    columns = re.compile(r"(?<!\\)\|")
    for line, other in zip(spoilt.split("\n"), usual.split("\n"), strict=True):
        if text.strip():
            assert shape.match(line) is None or shape.match(line).group() == shape.match(other).group()  # type: ignore[union-attr]
        if other.startswith("|"):
            assert len(columns.findall(line)) == len(columns.findall(other))
    assert not re.search(r"(?<!\\)<", spoilt)
