"""Hands messages to apprise, in a process of its own.

What apprise loads, holds and may hang in is none of the operator's: the process that waits for it can end
this one at any time, and its memory is given back after every message. The URL is read here from its mounted
file, and leaves this process towards its server only. Of what apprise logs, which may quote the URL or the
server's answer, only a status and the kind of a failure are passed on.
"""

import concurrent.futures
import json
import logging
import re
from pathlib import Path
from typing import Final, TextIO

URL_MAX: Final = 4096
NO_FILE: Final = "the file of its URL can't be read"
NO_URL: Final = "its Secret holds no URL that apprise knows"
UNREACHED: Final = "it can't be reached, or does not answer in time"
REFUSED: Final = "it did not take the message"

_STATUS: Final = re.compile(r"\berror\s*=\s*([1-5]\d\d)\b")

Task = dict[str, str]
"""Of one delivery: target, urlFile, title, body, kind."""


def main(asked: TextIO, answers: TextIO) -> int:
    """Send what is asked for, all at once.

    Parameters
    ----------
    asked
        A JSON list of deliveries.
    answers
        Gets one line of JSON for each as soon as it has ended: ``target``, and ``why`` it failed or null.
    """
    tasks: list[Task] = json.load(asked)
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(tasks))) as pool:
        under_way = {pool.submit(deliver, task): task for task in tasks}
        for ended in concurrent.futures.as_completed(under_way):
            line = {"target": under_way[ended]["target"], "why": ended.result()}
            answers.write(json.dumps(line) + "\n")
            answers.flush()
    return 0


def deliver(task: Task) -> str | None:
    """Send one message; return why it could not be sent, or None."""
    try:
        url = Path(task["urlFile"]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return NO_FILE
    overheard = _Overheard()
    try:
        return None if _sent(url, task, overheard) else overheard.why
    except _NoUrl:
        return NO_URL
    except Exception:  # noqa: BLE001 - a plugin of apprise may raise anything, and quote the URL in it
        return REFUSED


class _NoUrl(Exception):
    """Apprise does not know it."""


def _sent(url: str, task: Task, overheard: "_Overheard") -> bool:
    import apprise  # noqa: PLC0415 - takes a second and 15 MB: only this process pays for it

    _silence()
    # One URL: a list of them would be half sent when one fails, and sent again.
    if not url or len(url) > URL_MAX or re.search(r"\s", url):
        raise _NoUrl
    # Without its defaults, which name a project that people have not heard of.
    asset = apprise.AppriseAsset(
        app_id="ModelRelease", app_desc="ModelRelease", app_url="", image_url_mask="", image_url_logo=""
    )
    found = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(found, apprise.NotifyBase):
        raise _NoUrl
    found.logger = logging.Logger("delivery")  # noqa: LOG001 - of this plugin alone: nobody else may hear it
    found.logger.addHandler(overheard)
    told = apprise.Apprise(found, asset=asset).notify(
        title=task["title"],
        body=task["body"],
        notify_type=apprise.NotifyType(task["kind"]),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return bool(told)


def _silence() -> None:
    """Let nobody hear what apprise logs: a URL that it can't read is quoted whole."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.handlers[:] = [logging.NullHandler()]


class _Overheard(logging.Handler):
    """Listens to what a plugin logs while it sends, and keeps a classification of it alone."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.why = REFUSED

    def emit(self, record: logging.LogRecord) -> None:
        """Note why."""
        said = record.getMessage()
        status = _STATUS.search(said)
        if status is not None:
            self.why = f"it answered {status[1]}"
        elif "onnection" in said or "timeout" in said.lower():
            self.why = UNREACHED
