import datetime
import json

import pytest

from modelrelease.cluster import api, wire


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "subresource", "path"),
    [
        (api.POD, "shop", "", "", "/api/v1/namespaces/shop/pods"),
        (api.POD, None, "", "", "/api/v1/pods"),
        (api.NODE, "", "n1", "", "/api/v1/nodes/n1"),
        (api.DEPLOYMENT, "shop", "a", "scale", "/apis/apps/v1/namespaces/shop/deployments/a/scale"),
        (
            api.RUN,
            "shop",
            "a",
            "status",
            "/apis/modelrelease.dev/v1alpha1/namespaces/shop/modelreleaseruns/a/status",
        ),
    ],
)
def test_paths(kind: api.Kind, namespace: str | None, name: str, subresource: str, path: str):
    assert wire.path(kind, namespace, name, subresource) == path


def test_bodies_are_written_as_go_writes_them():
    body = {"b": "a && b < c > d \u2028 é 😀", "a": [1, None, True]}
    written = wire.encode(body)
    assert written == (
        '{"a":[1,null,true],"b":"a \\u0026\\u0026 b \\u003c c \\u003e d \\u2028 é 😀"}'.encode()
    )
    assert json.loads(written) == body


def status(code: int, reason: str = "", message: str = "said") -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message}).encode()


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (400, status(400, "BadRequest"), api.Invalid),
        (401, status(401, "Unauthorized"), api.Unavailable),
        (403, status(403, "Forbidden"), api.Forbidden),
        (404, status(404, "NotFound"), api.NotFound),
        (409, status(409, "Conflict"), api.Conflict),
        (409, status(409, "AlreadyExists"), api.AlreadyExists),
        (410, status(410, "Expired"), api.Gone),
        (422, status(422, "Invalid"), api.Invalid),
        (429, status(429, "TooManyRequests"), api.Unavailable),
        (500, b"<html>", api.Unavailable),
        (503, b"", api.Unavailable),
    ],
)
def test_every_status_has_an_error(code: int, body: bytes, error: type[api.ApiError]):
    found = wire.error_of(code, body, "get pods")
    assert type(found) is error
    assert found.status == code
    assert str(found).startswith("get pods: ")


def test_the_servers_own_words_are_kept():
    assert (
        str(wire.error_of(422, status(422, "Invalid", "port is bad"), "create x")) == "create x: port is bad"
    )


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"3"])
def test_an_answer_that_is_no_object_is_no_answer(body: bytes):
    with pytest.raises(api.Unavailable):
        wire.decode(body)


@pytest.mark.parametrize(
    ("header", "date"),
    [
        ("Fri, 20 Nov 2026 03:02:11 GMT", datetime.datetime(2026, 11, 20, 3, 2, 11, tzinfo=datetime.UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(header: str | None, date: datetime.datetime | None):
    assert wire.date_of(header) == date
