"""``python -m hack.sample``: the first steps of the quickstart, on the local cluster.

Without a name the operator is installed. With the name of a sample its manifest is printed, each image by the
digest that was built here, for ``kubectl apply -f -``.
"""

import argparse
import sys

import yaml

from hack.cluster import paths, steps
from hack.demo import stage
from hack.images import registry


def main(arguments: list[str] | None = None) -> int:
    """Install the operator, or print a sample; return 1 where that can't be, with one sentence."""
    names = sorted(path.stem for path in stage.SAMPLES.glob("*.yaml") if not path.stem.startswith("0"))
    parser = argparse.ArgumentParser(prog="python -m hack.sample", description=__doc__)
    parser.add_argument("sample", nargs="?", choices=names, metavar="SAMPLE", help=f"of {', '.join(names)}")
    chosen = parser.parse_args(arguments).sample
    try:
        on = stage.Stage(paths.kubeconfig(), registry.references())
        if chosen is None:
            on.install()
            print("The operator runs in modelrelease-system.")
        else:
            sys.stdout.write(yaml.safe_dump(on.sample(f"{chosen}.yaml"), sort_keys=False))
    except steps.StepError as error:
        steps.report(error)
        return 1
    except stage.Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
