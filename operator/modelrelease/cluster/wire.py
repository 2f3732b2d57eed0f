"""How requests are written and answers are read: paths, canonical JSON, errors. Pure."""

import datetime
import email.utils
import json
from collections.abc import Mapping
from typing import Any

from modelrelease.cluster import api

# Go's encoder escapes these, and the API server compares immutable bytes after a round trip through it.
_GO_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

_BY_STATUS: Mapping[int, type[api.ApiError]] = {
    400: api.Invalid,
    403: api.Forbidden,
    404: api.NotFound,
    409: api.Conflict,
    410: api.Gone,
    413: api.Invalid,
    415: api.Invalid,
    422: api.Invalid,
}


def path(kind: api.Kind, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """Return the path of a collection, an object or its subresource."""
    prefix = "apis" if "/" in kind.api_version else "api"
    parts = ["", prefix, kind.api_version]
    if namespace:
        parts += ["namespaces", namespace]
    parts += [part for part in (kind.plural, name, subresource) if part]
    return "/".join(parts)


def encode(body: api.Object) -> bytes:
    """Write a body the way the API server would: sorted, compact, with Go's escapes.

    The ``data`` of a ControllerRevision is compared byte by byte with what the server writes itself: in any
    other form every later change of its metadata is refused.
    """
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.translate(_GO_ESCAPES).encode("utf-8")


def decode(body: bytes) -> api.Object:
    """Read an answer; anything but a JSON object is an answer of something else than an API server."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise api.Unavailable("the API server's answer is not JSON") from error
    if not isinstance(found, dict):
        raise api.Unavailable("the API server's answer is not an object")
    return found


def date_of(header: str | None) -> datetime.datetime | None:
    """Read a ``Date`` header."""
    if not header:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return moment.astimezone(datetime.UTC)


def error_of(status: int, body: bytes | Mapping[str, Any], what: str) -> api.ApiError:
    """Return the error that an answer means.

    Parameters
    ----------
    status
        HTTP status, or the ``code`` of a Status object in a watch.
    body
        The answer: normally a Status object, whose message is the server's.
    what
        The request, such as ``get deployments``.
    """
    found: Any = body
    if isinstance(body, bytes):
        try:
            found = json.loads(body)
        except ValueError:
            found = {}
    is_status = isinstance(found, Mapping) and found.get("kind") == "Status"
    said = str(found.get("message") or "") if is_status else ""
    message = f"{what}: {said or f'HTTP {status}'}"
    if is_status and found.get("reason") == "AlreadyExists":
        return api.AlreadyExists(message, status)
    # 401 too: a token is refreshed within a minute.
    return _BY_STATUS.get(status, api.Unavailable)(message, status)


def page(items: api.Object) -> tuple[api.Objects, str, str]:
    """Return a list's objects, its resourceVersion and where its next page continues."""
    metadata = items.get("metadata") or {}
    return items.get("items") or [], metadata.get("resourceVersion") or "", metadata.get("continue") or ""
