"""Results as JUnit XML, which every CI shows: a suite for each result, a test case for each gate.

JUnit knows no verdict without a decision. `NoData`, `Inconclusive` and `Error` are errors there, never
skipped tests: what measured nothing may not look green.
"""

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.report import words

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(results: Sequence[schema.CheckResult]) -> str:
    """Write results as one JUnit document.

    Parameters
    ----------
    results
        Any, also none.

    Returns
    -------
    XML with its declaration. Gates that passed are test cases without a child; one that failed has a
    ``failure``, any other an ``error``. A result whose verdict no gate explains has one more test case.
    """
    root = ElementTree.Element("testsuites")
    for place, one in enumerate(results):
        root.append(_suite(one, place))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _suite(result: schema.CheckResult, place: int) -> ElementTree.Element:
    cases = [_case(result, gate) for gate in result.gates]
    if result.verdict not in {gate.verdict for gate in result.gates}:
        cases.append(_verdict_case(result))
    bad = [child.tag for case in cases for child in case]
    name = f"{result.check.name}.{words.subject(result)}"
    suite = ElementTree.Element(
        "testsuite",
        _attributes(
            id=str(place),
            package="modelrelease",
            name=name,
            timestamp=f"{result.timings.start_time:%Y-%m-%dT%H:%M:%S}",
            hostname=(*result.subject.pods, "localhost")[0],
            tests=str(len(cases)),
            failures=str(bad.count("failure")),
            errors=str(bad.count("error")),
            time=f"{words.seconds(result):.3f}",
        ),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _properties(result).items():
        ElementTree.SubElement(properties, "property", _attributes(name=key, value=value))
    suite.extend(cases)
    ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(_story(result)))
    ElementTree.SubElement(suite, "system-err").text = ""
    return suite


def _properties(result: schema.CheckResult) -> dict[str, str]:
    found = {
        "verdict": result.verdict.value,
        "reason": result.reason,
        "subject": result.subject.revision,
        "references": ", ".join(f"{one.role} {one.revision}" for one in result.references),
        "checks": result.versions.checks,
    }
    if result.golden_set is not None:
        golden = result.golden_set
        found["goldenSet"] = f"{golden.name} {golden.version} {golden.digest}"
    return found


def _case(result: schema.CheckResult, gate: schema.Gate) -> ElementTree.Element:
    against = "" if gate.against == "Absolute" else f" against {gate.against}"
    operation = f"{gate.operation}: " if gate.operation else ""
    case = _empty_case(result, f"{operation}{gate.metric}{against}")
    if gate.verdict is not v.Verdict.PASS:
        observed, limit = words.number(gate.observed), words.number(gate.limit)
        wanted = f"must be {gate.operator} {limit} ({words.basis(gate.basis)})"
        about = f"observed {observed}, {wanted}, n={gate.samples}"
        _blame(case, gate.verdict, about, result)
    return case


def _verdict_case(result: schema.CheckResult) -> ElementTree.Element:
    case = _empty_case(result, "verdict")
    if result.verdict is not v.Verdict.PASS:
        _blame(case, result.verdict, result.message, result)
    return case


def _empty_case(result: schema.CheckResult, name: str) -> ElementTree.Element:
    classname = f"modelrelease.{result.check.name}.{words.subject(result)}"
    return ElementTree.Element("testcase", _attributes(classname=classname, name=name, time="0"))


def _blame(case: ElementTree.Element, verdict: v.Verdict, about: str, result: schema.CheckResult) -> None:
    tag = "failure" if verdict is v.Verdict.FAIL else "error"
    kind = result.reason if verdict is result.verdict else verdict.value
    child = ElementTree.SubElement(case, tag, _attributes(message=about, type=kind))
    child.text = _clean("\n".join(_story(result)))


def _story(result: schema.CheckResult) -> list[str]:
    lines = [f"{result.verdict} {result.reason}: {result.message}"]
    if result.diagnosis is None:
        return lines
    diagnosis = result.diagnosis
    lines.append(f"cause: {words.cause(diagnosis)}")
    lines += [f"evidence: {text}" for text in diagnosis.evidence]
    lines += [f"excluded: {one.cause}: {one.because}" for one in diagnosis.excluded]
    if diagnosis.left:
        lines.append(f"left: {', '.join(diagnosis.left)}")
    lines += [f"next: {text}" for text in diagnosis.next]
    return lines


def _attributes(**values: str) -> dict[str, str]:
    return {name: _clean(value) for name, value in values.items()}


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
