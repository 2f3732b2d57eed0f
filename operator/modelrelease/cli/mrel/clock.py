"""Time as somebody at a terminal has it: it decides nothing, tells how long ago something was, and paces."""

import datetime
import time
from typing import Final

monotonic: Final = time.monotonic
sleep: Final = time.sleep


def now() -> datetime.datetime:
    """Return the present by this machine's clock, UTC."""
    return datetime.datetime.now(datetime.UTC)
