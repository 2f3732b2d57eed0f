"""``modelrelease report``: results that were written as JSON, in any other form."""

import pathlib
from typing import Annotated

import typer

from canary_checks.cli import exits, options, output


def report(
    file: Annotated[
        list[pathlib.Path],
        typer.Argument(
            metavar="FILE…",
            help="JSON of `--output json`, a check's log or termination message, or a folder of an evidence"
            " volume: of one check, a run or a release; - is standard input.",
        ),
    ],
    output_format: Annotated[options.Format, typer.Option("--output", help="How results are written.")] = (
        options.Format.HTML
    ),
    output_file: options.OutputFile = None,
) -> None:
    """Render results: the page, the JUnit file or the text of checks that ran elsewhere.

    Exit codes: 0 it is written (whatever the verdict), 3 it cannot be read or written, 64 usage.
    """

    def rendered() -> int:
        output.write(output.read(file), output_format, output_file)
        return exits.PASS

    raise typer.Exit(exits.guarded(rendered))
