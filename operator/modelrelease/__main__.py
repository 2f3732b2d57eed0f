"""``python -m modelrelease``: the operator."""

import asyncio
import sys

from modelrelease.controller import logs, process, settings


def main() -> int:
    """Run the operator until it is told to stop; return the exit code."""
    try:
        configured = settings.load()
    except settings.SettingsError as error:
        print(f"modelrelease: {error}", file=sys.stderr)
        return 2
    logs.configure(configured.log_level)
    return asyncio.run(process.run(configured))


if __name__ == "__main__":
    sys.exit(main())
