import base64
import itertools
import json
import re
from html import parser
from typing import Any
from xml.etree import ElementTree

import hypothesis
import pydantic
import pytest
from hypothesis import strategies as st

from canary_checks import failure, result, schema, shrink
from canary_checks import vocabulary as v
from canary_checks.report import charts, html, junit, reading, sides, words
from tests.unit.canary_checks import asking

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><iframe src=//example.com>",
    "{{ 7 * 7 }}{% raw %}",
    "]]>&lt;&amp;",
    "javascript:alert(1)",
]


class Page(parser.HTMLParser):
    """The elements and attributes of a page, and whether every element was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def full(text: str = "plain", verdict: str = "Fail", **changes: Any) -> schema.CheckResult:
    """A result in which everything that takes free text says `text`."""
    diagnosis = {
        "cause": "Casing",
        "confidence": "Proven",
        "evidence": [text] * 2,
        "excluded": [{"cause": "Truncation", "because": text}],
        "left": ["Accents"],
        "next": [text],
    }
    given = {
        "message": text,
        "diagnosis": diagnosis if verdict == "Fail" else None,
        "gates": [
            asking.gate(verdict, operation=text, against="Stable"),
            asking.gate(metric="Rows", observed=0, operator="==", limit=0, basis="Exact", unit=text),
        ],
        "measurements": [
            {
                "metric": "NeighbourOverlap",
                "operation": text,
                "samples": 3,
                "min": 0.5,
                "p50": 1.0,
                "worstItem": text,
            }
        ],
        "strata": [{"name": text, "items": 3, "failed": 1}],
        "worst": [
            {"item": text, "stratum": text, "operation": text, "values": {text: "NaN", "cosineDistance": 2}}
        ],
        "series": {
            f"{text}:stratum": [0.0, 0.0, 0.0],
            f"{text}:cosineDistance:Stable": [0.0, 1e-12, 3.0],
            f"{text}:normDeviation:Stable": ["NaN", "Infinity", 1e-3],
            text: [1.0],
        },
        "references": [{"role": "Stable", "revision": "r1", "pods": [text]}],
        "subject": {"role": "Candidate", "revision": "r9a1b4c", "pods": [text]},
        "goldenSet": {"name": text, "version": text, "digest": asking.DIGEST, "items": 3, "used": 3},
        "versions": {"checks": text, "python": text},
    }
    given = {name: value for name, value in given.items() if value is not None}
    return asking.a_result(verdict, **given | changes)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("count", [1, 2])
def test_what_a_result_says_stays_text(text, count):
    page = Page(html.render([full(text)] * count))
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "49" not in "".join(page.text)
    assert text.strip() in "".join(page.text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_asks_nobody_for_anything(text):
    page = Page(html.render([full(text), full(text, "Pass")]))
    for _, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            assert (attributes.get(name) or "data:application/json;base64,").startswith(
                "data:application/json;base64,"
            )
    [style] = [text for text in page.text if ":root" in text]
    assert "url(" not in style
    assert "@import" not in style
    [policy] = [a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert ("viewport", "width=device-width, initial-scale=1") in [
        (a.get("name"), a.get("content")) for t, a in page.elements if t == "meta"
    ]


def test_a_page_says_verdict_cause_gates_and_provenance():
    text = " ".join(" ".join(Page(html.render([full("because of this")])).text).split())
    for said in (
        "✗ Fail",
        "Casing (proven): because of this.",
        "Excluded truncation",
        "Left accents",
        "1 − cos, worst row (against Stable)",
        "Neighbours",
        asking.DIGEST,
    ):
        assert said in text


def test_every_verdict_and_every_shrunk_result_has_a_page():
    for verdict in v.Verdict:
        one = full("text", verdict) if verdict in {"Pass", "Fail"} else asking.a_result(verdict)
        assert verdict in html.render([one])
    for smaller in shrink.ever_smaller(full("text")):
        assert Page(html.render([smaller])).open == []


def test_no_result_has_no_page():
    with pytest.raises(ValueError, match="no result"):
        html.render([])


def test_the_download_is_what_was_rendered():
    results = [full("<&>"), full("é", "Pass")]
    page = Page(html.render(results))
    [link] = [a["href"] for t, a in page.elements if t == "a"]
    assert link is not None
    assert reading.results(base64.b64decode(link.partition(",")[2]), "page") == results


def test_results_of_one_check_stand_side_by_side():
    two = asking.a_result("Pass", subject={"role": "Candidate", "revision": "B"})
    other = asking.a_result(
        "Pass", check={"name": "contract", "kind": "Contract", "configDigest": asking.DIGEST}
    )
    [group] = sides.columns([full("x"), two, other])
    rows = sides.gate_rows(group)
    assert [[gate is not None for gate in cells] for _, cells in rows] == [
        [True, False],
        [True, False],
        [False, True],
    ]
    assert "side by side" in html.render(group)
    assert "side by side" not in html.render(group[:1])


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(["NaN", "Infinity", "-Infinity"]),
)


@hypothesis.given(
    values=st.lists(st.tuples(st.integers(0, 2), numbers), max_size=30),
    limit=st.one_of(st.just(0.0), st.floats(1e-20, 1e20)),
)
def test_every_row_is_drawn_once_inside_its_chart(values, limit):
    one = asking.a_result(
        "Fail",
        gates=[asking.gate("Fail", observed="NaN", limit=limit, against="Stable")],
        strata=[{"name": name, "items": 1, "failed": 0} for name in "abc"],
        series={
            "stratum": [float(place) for place, _ in values],
            "cosineDistance:Stable": [value for _, value in values],
        },
    )
    [drawn] = charts.by_stratum(one)
    assert sum(strip.items for strip in drawn.strips) == len(values)
    for strip in drawn.strips:
        assert sum(point.count for point in strip.points) + strip.missing == strip.items
        assert strip.failed <= strip.items
    xs = [point.x for strip in drawn.strips for point in strip.points]
    xs += [tick.x for tick in drawn.ticks] + ([drawn.limit] if drawn.limit is not None else [])
    assert all(0 <= x <= 100 for x in xs)
    assert 2 <= len(drawn.ticks) <= 8
    assert Page(html.render([one])).open == []


@pytest.mark.parametrize("places", [[], [0.0], [0.0, 9.0], [0.0, -1.0], ["NaN", 0.0]])
def test_rows_of_unknown_strata_are_drawn_together(places):
    one = asking.a_result(
        strata=[{"name": "cased", "items": 2, "failed": 0}],
        series={"stratum": places, "cosineDistance:Stable": [1e-9, 1e-8]},
    )
    [drawn] = charts.by_stratum(one)
    assert [(strip.label, strip.items) for strip in drawn.strips] == [("all items", 2)]


@pytest.mark.parametrize(
    ("gate", "reach"),
    [
        (asking.gate(observed=1.0), charts.LIMIT_AT),
        (asking.gate(observed=0.0), 0.0),
        (asking.gate(observed=1e-30), 0.0),
        (asking.gate("Fail", observed=1e30), 100.0),
        (asking.gate("Fail", observed="Infinity"), 100.0),
        (asking.gate(observed=0.0, limit=0.0), None),
        (asking.gate(observed=3, limit=3, operator="=="), None),
        (asking.gate(observed=10.0, operator=">="), 55.6),
        (asking.gate("Fail", observed=0.0, operator=">="), 100.0),
    ],
)
def test_a_bar_reaches_its_limit_where_the_gate_does(gate, reach):
    assert charts.bar(schema.Gate.model_validate_json(json.dumps(gate), by_alias=True)) == reach


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-2.0, "−2"),
        (0.5, "0.5"),
        (1e-9, "1e−9"),
        (3.14159e-6, "3.14e−6"),
        (123456.0, "1.23e5"),
        (99999.0, "99999"),
        ("NaN", "NaN"),
        ("-Infinity", "−∞"),
        (None, "–"),
    ],
)
def test_numbers_are_short(value, shown):
    assert words.number(value) == shown


def test_words_are_split_for_people():
    assert [words.spaced(word) for word in ("ChannelOrder", "EXIFIgnored", "Unknown")] == [
        "channel order",
        "EXIF ignored",
        "unknown",
    ]


# JUnit -----------------------------------------------------------------------------------------------------


def suites(results: list[schema.CheckResult]) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(junit.render(results))  # noqa: S314 - our own
    assert root.tag == "testsuites"
    return list(root)


@pytest.mark.parametrize("text", [*HOSTILE, "\ufffe\uffff", "\x85\u2028"])
def test_a_junit_file_has_the_shape_that_every_ci_reads(text):
    for suite in suites([full(text), full(text, "Pass"), asking.a_result("NoData", message=text)]):
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == {
            "id",
            "package",
            "name",
            "timestamp",
            "hostname",
            "tests",
            "failures",
            "errors",
            "time",
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        tags = [tag for tag, _ in itertools.groupby(child.tag for child in suite)]
        assert tags == ["properties", "testcase", "system-out", "system-err"]
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases) >= 1
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["errors"]) == len(suite.findall("testcase/error"))
        assert float(suite.attrib["time"]) >= 0
        for case in cases:
            assert set(case.attrib) == {"classname", "name", "time"}
            assert [child.tag for child in case] in ([], ["failure"], ["error"])
            assert all(set(child.attrib) == {"message", "type"} for child in case)


def test_a_gate_is_a_test_case():
    [suite] = suites([full("text")])
    names = {case.attrib["name"]: [child.tag for child in case] for case in suite.findall("testcase")}
    assert names == {"text: CosineDistanceWorst against Stable": ["failure"], "Rows": []}
    [blame] = suite.findall("testcase/failure")
    assert blame.attrib["message"] == "observed 2, must be <= 1 (floor of the numeric class), n=106"
    assert "cause: Casing (proven): text." in (blame.text or "")


@pytest.mark.parametrize("verdict", ["NoData", "Inconclusive", "Error"])
def test_what_measured_nothing_is_never_green(verdict):
    for gates in ([], [asking.gate()]):
        [suite] = suites([asking.a_result(verdict, gates=gates)])
        assert suite.attrib["errors"] == "1"
        assert suite.attrib["failures"] == "0"


# Reading ---------------------------------------------------------------------------------------------------


def test_results_are_read_from_every_text_that_holds_them():
    one, two = full("é"), full("b", "Pass")
    evidence = result.dump(result.Evidence(result=one))
    for text, expected in (
        (f"[{result.dump(one)},{result.dump(two)}]", [one, two]),
        (result.dump(one), [one]),
        (f"{result.dump(one)}\n{result.dump(two)}\n", [one, two]),
        (evidence, [one]),
        (f"a line\n{result.EVIDENCE_PREFIX}{evidence}\n", [one]),
    ):
        assert reading.results(text.encode(), "text") == expected
    message = result.to_termination_message(one)
    assert reading.results(message.encode(), "text")[0].verdict == "Fail"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_worst_pairs_stand_side_by_side(text):
    pair = {"item": "p-001", "caption": text, "stable": "AAAA", "candidate": "BBBB"}
    page = Page(html.render([full(pictures=[pair])]))
    assert page.open == []
    assert [attributes for tag, attributes in page.elements if tag == "img"] == [
        {"alt": "stable", "src": "data:image/webp;base64,AAAA"},
        {"alt": "candidate", "src": "data:image/webp;base64,BBBB"},
    ]
    with pytest.raises(pydantic.ValidationError):
        full(pictures=[pair | {"stable": '" onload="x'}])


@hypothesis.given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_text_is_results_or_a_sentence(content):
    with pytest.raises(failure.CheckError) as caught:
        reading.results(content, "text")
    assert caught.value.reason == "ResultUnreadable"
    assert "\n" not in caught.value.message
