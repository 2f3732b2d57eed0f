"""Every query of the dashboards as a Prometheus server answers it: ``python -m hack.dashboards.live URL``."""

import argparse
import dataclasses
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import requests

from hack.dashboards import __main__ as dashboards
from hack.dashboards import boards, series

VALUES: Final[Mapping[str, str]] = {
    "$namespace": ".+",
    "$release": ".+",
    series.WINDOW: "1m",
    **{f"${text.name}": text.value for text in (boards.PRICE, boards.OBJECTIVE)},
}
POINTS: Final = 120
TIMEOUT: Final = 30


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """One query of a dashboard."""

    board: str
    what: str
    """The title of its panel, or the name of its annotation or variable."""
    expr: str

    def filled(self, seconds: int) -> str:
        """Return the query as Grafana sends it, all namespaces and releases chosen.

        Raises
        ------
        ValueError
            A variable is not known.
        """
        expr = self.expr
        for name, value in {**VALUES, "$__range": f"{seconds}s"}.items():
            expr = expr.replace(name, value)
        left = re.search(r"\$[A-Za-z_]\w*", expr)
        if left is not None:
            raise ValueError(f"{self.board}, {self.what}: nobody fills {left.group()}")
        return expr


def asked(name: str, text: str) -> Iterator[Asked]:
    """Return the queries of a dashboard: of panels, annotations and variables."""
    document = json.loads(text)
    for panel in document["panels"]:
        for target in panel["targets"]:
            yield Asked(name, panel["title"], target["expr"])
    for annotation in document["annotations"]["list"]:
        yield Asked(name, annotation["name"], annotation["expr"])
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            yield Asked(
                name, variable["name"], variable["query"].removeprefix("label_values(").rpartition(",")[0]
            )


def everything() -> list[Asked]:
    """Return the queries of all committed dashboards."""
    return [
        question
        for path in sorted(dashboards.FOLDER.glob("*.json"))
        for question in asked(path.stem, path.read_text(encoding="utf-8"))
    ]


def optional() -> dict[tuple[str, str], str]:
    """Return why a panel may be empty, by dashboard and title."""
    made = boards.boards(series.Servers.of(dashboards.RUNTIME))
    return {(b.name, p.title): p.optional for b in made for p in b.panels if p.optional}


def problems(url: str, seconds: int) -> list[str]:
    """Return what a server refuses, and what it says nothing to in that many seconds until now."""
    found: list[str] = []
    may_be_empty = optional()
    now = time.time()
    for question in everything():
        said = _range(url, question.filled(seconds), now - seconds, now)
        if said["status"] != "success":
            found.append(f"{question.board}, {question.what}: {said.get('error')}: {question.expr}")
        elif not said["data"]["result"] and (question.board, question.what) not in may_be_empty:
            found.append(f"{question.board}, {question.what}: no data: {question.expr}")
    return found


def _range(url: str, query: str, start: float, end: float) -> Any:
    sent = {"query": query, "start": start, "end": end, "step": (end - start) / POINTS}
    return requests.post(f"{url}/api/v1/query_range", data=sent, timeout=TIMEOUT).json()


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong and return 0 when nothing is."""
    parser = argparse.ArgumentParser(prog="python -m hack.dashboards.live", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=int, default=1200)
    options = parser.parse_args(arguments)
    found = problems(options.url, options.seconds)
    print(*found or [f"{len(everything())} queries answered"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
