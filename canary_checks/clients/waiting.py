"""What a server means by `Retry-After`: seconds, or a date."""

import datetime
import re
from email import utils as email_utils


def seconds(header: str | None) -> float | None:
    """Return how long a server wants to be left alone.

    Parameters
    ----------
    header
        The value of ``Retry-After`` (RFC 9110, 10.2.3), or None.

    Returns
    -------
    Seconds from now, at least 0; None where the header says nothing that can be understood.
    """
    if header is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", header, re.ASCII):
        return float(header)
    try:
        date = email_utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())
