"""Where a command line goes: what runs in pods imports no more than it needs, people get the whole of it."""

# ruff: noqa: PLC0415 - an init container has no time for what another command imports

import json
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The command line without the program's name. ``job``, ``webhook``, ``artifact`` and ``schema`` are for
        programs; every other one goes to the command line for people.

    Returns
    -------
    The exit code, which is the command's own.
    """
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if command == "job":
        from canary_checks import job

        return job.main()
    if command == "webhook":
        from canary_checks.webhook import job as webhook

        return webhook.main()
    if command == "artifact":
        from canary_checks import artifact

        return artifact.main(rest)
    if command == "schema":
        sys.stdout.write(schema_text())
        return 0
    from canary_checks.cli import app

    return app.main(arguments)


def schema_text() -> str:
    """Return the JSON Schema of a result as the package's file holds it."""
    from canary_checks import result

    return json.dumps(result.result_json_schema(), indent=1, ensure_ascii=False) + "\n"
