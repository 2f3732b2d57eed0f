"""``python -m hack.demo``: the six lives on the local cluster, and a table at the end."""

import argparse
import sys
import textwrap

from hack.cluster import paths
from hack.demo import lives, preflight, stage
from hack.images import registry


def main(arguments: list[str] | None = None) -> int:
    """Live the chosen lives and return 0 when each went as expected."""
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description=__doc__)
    parser.add_argument("--lives", default="", help="comma-separated numbers; all by default")
    parser.add_argument("--keep", action="store_true", help="go on with the release that is there")
    options = parser.parse_args(arguments)
    chosen = [part for part in options.lives.split(",") if part]
    selected = [life for life in lives.LIVES if not chosen or life.name.split()[0] in chosen]
    on = stage.Stage(paths.kubeconfig(), registry.references())
    try:
        rows = perform(on, selected, keep=options.keep)
    except stage.Failed as error:
        print(f"The demo can't be set up: {error}", file=sys.stderr)
        return 1
    print_table(rows)
    return 1 if any(row.told.problems for row in rows) or len(rows) < len(selected) else 0


def perform(on: stage.Stage, selected: list[lives.Life], *, keep: bool = False) -> list[lives.Row]:
    """Set the stage and live each life in turn; stop after one that went wrong."""
    on.say("== set the stage: the operator from its image, an empty namespace")
    if not keep:
        on.clean()
    on.install()
    rows: list[lives.Row] = []
    with on.account:
        for life in selected:
            rows.append(lives.live(on, life))
            if rows[-1].told.problems:
                break
            if len(rows) == 1 and not keep:
                preflight.check(on)
    return rows


def print_table(rows: list[lives.Row]) -> None:
    """Print life, expectation, observation, requests to the faulty revision, and time."""
    print(f"\n{'life':<30} {'as expected':<12} {'user requests to the faulty revision':<37} time")
    for row in rows:
        faulty = "-" if row.told.faulty_requests is None else str(row.told.faulty_requests)
        verdict = "NO" if row.told.problems else "yes"
        print(f"{row.life.name:<30} {verdict:<12} {faulty:<37} {row.seconds:.0f} s")
        for label, text in (("expected", row.life.expected), ("observed", row.told.observed)):
            print(textwrap.fill(f"{label}: {text}", 110, initial_indent="    ", subsequent_indent="      "))


if __name__ == "__main__":
    sys.exit(main())
