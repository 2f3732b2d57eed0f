"""Structured logs: one JSON object per line."""

import datetime
import json
import logging
import sys
from typing import Any, ClassVar, Final, TextIO

FIELDS: Final = ("release", "run", "revision", "phase")
"""What a record may carry in ``extra``, and is searched by."""


class JsonFormatter(logging.Formatter):
    """Turns a record into one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {field: value for field in FIELDS if (value := getattr(record, field, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class QuietFilter(logging.Filter):
    """Drops what says nothing: kopf's note of every event handled."""

    _SILENT: ClassVar = ("aiohttp.access",)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is worth a line."""
        if record.name.startswith(self._SILENT):
            return False
        return not (record.name.startswith("kopf.objects") and record.levelno <= logging.INFO)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every record through the one handler.

    Parameters
    ----------
    level
        The least level that is written, such as ``info``.
    stream
        Where to; standard error by default.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(QuietFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Debugging the operator is no reason to read every frame of its HTTP clients.
    for name in ("asyncio", "kopf", "kubernetes", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelName(level.upper())))
