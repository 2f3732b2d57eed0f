"""``python -m hack.dashboards``: write the dashboards, for the default runtime or another one."""

import argparse
import pathlib
import sys
from typing import Final

from hack.dashboards import boards, grafana, series
from modelrelease.api import endpoint

FOLDER: Final = pathlib.Path(__file__).parents[2] / "manifests" / "grafana"
RUNTIME: Final = endpoint.Runtime.INFINITY
"""Whose names the FastAPI instrumentator writes, as vLLM's; the committed dashboards are made for it."""


def documents(runtime: endpoint.Runtime) -> dict[str, str]:
    """Return the dashboards by file name."""
    made = boards.boards(series.Servers.of(runtime))
    return {f"{board.name}.json": grafana.document(board) for board in made}


def main(arguments: list[str] | None = None) -> int:
    """Write the dashboards."""
    parser = argparse.ArgumentParser(prog="python -m hack.dashboards", description=__doc__)
    parser.add_argument(
        "--runtime", default=RUNTIME.value, choices=[one.value for one in endpoint.Runtime], metavar="RUNTIME"
    )
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER)
    options = parser.parse_args(arguments)
    try:
        made = documents(endpoint.Runtime(options.runtime))
    except series.Unfit as error:
        print(error, file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (options.folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
