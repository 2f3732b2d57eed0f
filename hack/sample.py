"""``python -m hack.sample``: the first steps of the quickstart, on the local cluster.

Without a name the operator is installed by kustomize. ``values`` prints the chart's values for the images
that were built here, for ``helm upgrade --install --values -``; the name of a sample its manifest, each image
by its digest, for ``kubectl apply -f -``.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any, Final

import yaml

from hack.cluster import paths, steps
from hack.demo import stage
from hack.images import registry

VALUES: Final = "values"


def values(images: Mapping[str, str]) -> dict[str, Any]:
    """Return the chart's values for images, given by name as references with a digest."""

    def image(name: str) -> dict[str, str]:
        repository, _, digest = images[name].partition("@")
        return {"repository": repository, "digest": digest}

    return {
        "image": image("operator"),
        "checks": {"image": image("checks"), "torchImage": image("checks-torch-cpu")},
    }


def main(arguments: list[str] | None = None) -> int:
    """Install the operator, or print values or a sample; return 1 where that can't be, with one sentence."""
    samples = sorted(path.stem for path in stage.SAMPLES.glob("*.yaml") if not path.stem.startswith("0"))
    names = [VALUES, *samples]
    parser = argparse.ArgumentParser(prog="python -m hack.sample", description=__doc__)
    parser.add_argument("sample", nargs="?", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    chosen = parser.parse_args(arguments).sample
    try:
        on = stage.Stage(paths.kubeconfig(), registry.references())
        if chosen is None:
            on.install()
            print("The operator runs in modelrelease-system.")
        elif chosen == VALUES:
            sys.stdout.write(yaml.safe_dump(values(on.images), sort_keys=False))
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
