"""How a request shows who sent it, and when: HMAC-SHA256 over its time and its body."""

import hashlib
import hmac
import time
from typing import Final

TIMESTAMP_HEADER: Final = "x-modelrelease-timestamp"
SIGNATURE_HEADER: Final = "x-modelrelease-signature"
KEY_BYTES_MIN: Final = 16


def headers(key: bytes, body: bytes, now: float | None = None) -> dict[str, str]:
    """Return the headers that sign a request.

    Parameters
    ----------
    key
        The secret that sender and receiver share.
    body
        Of the request; empty for GET.
    now
        Unix time; None is the present.

    Returns
    -------
    The time in whole seconds, and ``sha256=`` with the hexadecimal HMAC of ``<time>.<body>``.
    """
    timestamp = str(int(time.time() if now is None else now))
    mac = hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256)
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: f"sha256={mac.hexdigest()}"}
