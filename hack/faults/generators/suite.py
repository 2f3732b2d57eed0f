"""`make faults ARGS=--generators`: every fault inside a model, and docs/confusion-table-generators.md."""

import collections
import logging
import pathlib
import tempfile
import warnings
from typing import Final

from hack import torch_environment

_PAGE: Final = pathlib.Path("docs/confusion-table-generators.md")


def run(only: str | None) -> int:
    """Measure, print a line per case, and write the table when nothing was left out.

    Parameters
    ----------
    only
        Cases whose name contains this; None measures all.

    Returns
    -------
    0 where every fault was caught, none named wrongly and nothing benign refused; those held out do not
    count.
    """
    torch_environment.add()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)

    # All of these need torch, which is on the path only now.
    from canary_checks.internals.causes import inquiry  # noqa: PLC0415
    from hack.faults.generators import faults, measuring, pipelines, table  # noqa: PLC0415

    suites = {"Faults": faults.FAULTS, table.HELD_OUT: faults.HELD_OUT, "Benign changes": faults.BENIGN}
    found: dict[str, list[measuring.Found]] = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as below:
        bench = measuring.Bench(pathlib.Path(below))
        for title, cases in suites.items():
            for case in cases:
                if only is None or only in case.name:
                    found[title].append(bench.measure(case))
                    print(table.line(found[title][-1]), flush=True)
    summary = {title: table.Summary.of(rows) for title, rows in found.items()}
    for title, totals in summary.items():
        print(f"{title}: {totals}")
    if only is None:
        page = table.document(found, steps=pipelines.STEPS, guidance=pipelines.GUIDANCE, trials=inquiry.MOST)
        _PAGE.write_text(page, "utf-8")
    return 0 if all(totals.good for title, totals in summary.items() if title != table.HELD_OUT) else 1
