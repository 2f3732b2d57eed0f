"""Results as one HTML page that needs nothing else: no script, no request to anywhere.

Everything in a result may have been written by whoever answered the probe. The template engine escapes all of
it, and the page's own policy forbids scripts and requests should something get through.
"""

import base64
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Final

import jinja2

from canary_checks import result as contract
from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.report import charts, sides, words

_PRECEDENCE: Final = (
    v.Verdict.FAIL,
    v.Verdict.ERROR,
    v.Verdict.INCONCLUSIVE,
    v.Verdict.NO_DATA,
    v.Verdict.PASS,
)
_NEIGHBOURS: Final = ("Neighbour", "Overlap", "RankAgreement")


@dataclasses.dataclass(frozen=True)
class _Fact:
    name: str
    value: str
    mono: bool = False


def render(results: Sequence[schema.CheckResult]) -> str:
    """Write results as one page.

    Parameters
    ----------
    results
        At least one. Those of one check and several subjects also stand side by side.

    Returns
    -------
    The page, complete: style, charts and the results as JSON for download are in it.

    Raises
    ------
    ValueError
        There is no result.
    """
    if not results:
        raise ValueError("there is no result to show")
    ordered = sorted(results, key=lambda one: _PRECEDENCE.index(one.verdict))
    worst = ordered[0]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=f"{worst.verdict}: {_names(results)}",
            verdict=worst.verdict,
            sentence=_sentence(results, worst),
            results=results,
            first=worst,
            groups=sides.columns(results),
            download=_download(results),
        )
    )


@functools.cache
def environment(*packages: str) -> jinja2.Environment:
    """Return the engine of pages that show results, with the parts that they are made of.

    Parameters
    ----------
    *packages
        Where a page's own templates are, before those of this package.
    """
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, "") for name in (*packages, __package__)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        words=words,
        sides=sides,
        charts=charts,
        provenance=_provenance,
        neighbours=_neighbours,
        sign=_sign,
        parties=_parties,
    )
    made.filters["spaced"] = words.spaced
    return made


def _sentence(results: Sequence[schema.CheckResult], worst: schema.CheckResult) -> str:
    said = words.cause(worst.diagnosis) if worst.diagnosis is not None else worst.message
    if len(results) == 1:
        return said
    counts = {verdict: sum(one.verdict is verdict for one in results) for verdict in _PRECEDENCE}
    total = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    if worst.verdict is v.Verdict.PASS:
        return f"All {len(results)} pass."
    return f"{total}. {worst.check.name} of {words.subject(worst)}: {said}"


def _names(results: Sequence[schema.CheckResult]) -> str:
    checks = ", ".join(dict.fromkeys(one.check.name for one in results))
    return f"{checks} of {', '.join(dict.fromkeys(words.subject(one) for one in results))}"


def _download(results: Sequence[schema.CheckResult]) -> str:
    text = "[\n" + ",\n".join(contract.dump(one) for one in results) + "\n]\n"
    return base64.b64encode(text.encode()).decode()


def _sign(verdict: v.Verdict) -> str:
    return {v.Verdict.PASS: "✓", v.Verdict.FAIL: "✗"}.get(verdict, "?")


def _parties(result: schema.CheckResult) -> str:
    against = " and ".join(words.party(one) for one in result.references)
    return words.subject(result) + (f" against {against}" if against else "")


def _neighbours(result: schema.CheckResult) -> list[schema.Measurement]:
    return [m for m in result.measurements if any(word in m.metric for word in _NEIGHBOURS)]


def _provenance(result: schema.CheckResult) -> list[_Fact]:
    facts = [_Fact("candidate", _party(result.subject))]
    facts += [_Fact(one.role.lower(), _party(one)) for one in result.references]
    facts += [
        _Fact(f"{one.role.lower()}’s file", one.digest, mono=True) for one in result.references if one.digest
    ]
    golden = result.golden_set
    if golden is not None:
        used = f"{golden.name} {golden.version}: {golden.used} of {golden.items} items sent"
        facts += [_Fact("golden set", used), _Fact("its digest", golden.digest, mono=True)]
    requests = result.requests
    facts += [
        _Fact("requests", f"{requests.sent} sent, {requests.failed} failed, {requests.retried} retried"),
        _Fact("time", f"{result.timings.start_time:%Y-%m-%d %H:%M:%S %Z}, {words.seconds(result):.1f} s"),
        _Fact("run", f"{result.run}, attempt {result.attempt}, shard {result.shard}"),
        _Fact("configuration", result.check.config_digest, mono=True),
        _Fact("measured by", _versions(result.versions)),
    ]
    if result.evidence is not None:
        facts.append(_Fact("evidence", result.evidence.digest, mono=True))
        if result.evidence.path is not None:
            facts.append(_Fact("on the evidence volume", result.evidence.path, mono=True))
    return facts


def _versions(versions: schema.Versions) -> str:
    python = f", Python {versions.python}" if versions.python else ""
    return f"canary_checks {versions.checks}{python}"


def _party(party: schema.Party) -> str:
    parts: Mapping[str, object | None] = {
        "": party.revision,
        "numeric class ": party.numeric_class,
        "at ": ", ".join(party.pods) or None,
        "recorded ": f"{party.recorded_time:%Y-%m-%d %H:%M %Z}" if party.recorded_time else None,
    }
    return ", ".join(f"{before}{value}" for before, value in parts.items() if value is not None)
