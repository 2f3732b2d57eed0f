"""Running a task and writing its results where they are wanted, in the form that is wanted."""

import json
import os
import pathlib
import sys
from collections.abc import Sequence

from canary_checks import result, schema
from canary_checks.cli import exits, options, task, terminal
from canary_checks.report import folders, junit, reading


def carry_out(asked: task.Task, form: options.Format, file: pathlib.Path | None) -> int:
    """Run a task, write its results and return the exit code of the worst.

    Parameters
    ----------
    asked
        What to probe.
    form, file
        As of `write`. The file is opened before anything is asked: minutes of checks are not lost to a
        wrong path.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    if file is not None:
        try:
            file.open("ab").close()
        except OSError as error:
            raise exits.UsageError(f"--output-file: {file}: {error.strerror}") from error
    # Here, because it takes numpy: help and mistakes need none.
    from canary_checks.cli import session  # noqa: PLC0415

    results = session.run(asked)
    write(results, form, file)
    return exits.exit_code(results)


def read(files: Sequence[pathlib.Path]) -> list[schema.CheckResult]:
    """Read every result of some files or folders of evidence, in their order; ``-`` is standard input.

    Raises
    ------
    UsageError
        A file cannot be opened.
    CheckError
        One holds no result.
    """
    found = []
    for file in [inside for given in files for inside in folders.results(given)]:
        try:
            if str(file) == "-":
                content = sys.stdin.buffer.read(reading.LIMIT_BYTES + 1)
            else:
                with file.open("rb") as opened:
                    content = opened.read(reading.LIMIT_BYTES + 1)
        except OSError as error:
            raise exits.UsageError(f"{file}: {error.strerror}") from error
        if len(content) > reading.LIMIT_BYTES:
            raise exits.UsageError(f"{file}: it is larger than {reading.LIMIT_BYTES} bytes")
        found.extend(reading.results(content, str(file)))
    return found


def write(results: Sequence[schema.CheckResult], form: options.Format, file: pathlib.Path | None) -> None:
    """Write results.

    Parameters
    ----------
    results
        What was found.
    form
        How. Anything but text leaves the verdicts on standard error.
    file
        Where, or None for standard output. The terminal then still gets the text.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    if form is options.Format.TEXT and file is None:
        terminal.show(results)
        return
    text = _rendered(results, form)
    if file is not None:
        file.write_text(text, encoding="utf-8")
        terminal.show(results)
        return
    _to_stdout(text)
    for line in terminal.verdicts(results):
        sys.stderr.write(line + "\n")


def _rendered(results: Sequence[schema.CheckResult], form: options.Format) -> str:
    if form is options.Format.TEXT:
        return terminal.text(results)
    if form is options.Format.JSON:
        return as_json(results)
    if form is options.Format.JUNIT:
        return junit.render(results)
    from canary_checks.report import html  # noqa: PLC0415 - no other form needs the template engine

    return html.render(results)


def as_json(results: Sequence[schema.CheckResult]) -> str:
    """Write results as a JSON array, one per line."""
    lines = ",\n".join(result.dump(one) for one in results)
    return f"[\n{lines}\n]\n" if results else json.dumps([]) + "\n"


def _to_stdout(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read it had enough. The verdict still counts; Python must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
