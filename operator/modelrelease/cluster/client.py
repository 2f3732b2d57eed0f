"""The port to a real API server: credentials and TLS of ``kubernetes.aio``, plain dicts, deadlines."""

import contextlib
import dataclasses
import datetime
from asyncio import sslproto
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from modelrelease.api import constants
from modelrelease.cluster import api, wire

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json"
PAGE: Final = 50
"""Objects per page of a list: the peak of the first lists is what the process's memory stays at."""
_ERROR_BYTES: Final = 64 * 1024
_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest line of a watch: etcd's objects end at 1.5 MiB, escapes and annotations included."""
_LOG_PIECE_BYTES: Final = 16 * 1024
"""The longest piece of a log line that containerd and CRI-O store."""
_CALLS: Final = 16
"""Most calls under way at once, beside the watches."""

# Bytes that asyncio keeps for each connection and asks for in each read: 256 KiB, of which a record fills 16.
sslproto.SSLProtocol.max_size = 16 * 1024

Count = Callable[[str, str, str], None]
"""Called once for each request with its verb, resource and result."""


def _uncounted(_verb: str, _resource: str, _result: str) -> None:
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    verb: str
    kind: api.Kind
    path: str
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: api.Object | None = None
    content_type: str = JSON

    def __str__(self) -> str:
        return f"{self.verb} {self.kind.plural}"


async def configuration(kubeconfig: str | None = None) -> kubernetes_client.Configuration:
    """Load the credentials of a kubeconfig file, or of the pod this runs in.

    Parameters
    ----------
    kubeconfig
        Path of a kubeconfig; None takes the service account of the pod.
    """
    found = kubernetes_client.Configuration()
    if kubeconfig is None:
        kubernetes_config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
    else:
        await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=found
        )
    return found


class KubernetesApi:
    """:class:`modelrelease.cluster.api.Api` over HTTP.

    Parameters
    ----------
    configured
        Address, credentials and TLS.
    monotonic
        A clock in seconds that never runs backwards; it carries the server's time between answers.
    timeout_seconds
        Deadline of a call that is no watch.
    inactivity_seconds
        A watch that is silent for longer, bookmarks included, is broken.
    watch_seconds
        After this the server ends a watch, which then continues where it was.
    count
        Told about every request.
    trimmed
        Applied to each object of a list as its page arrives: the others are waited for with less in memory.
    """

    def __init__(
        self,
        configured: kubernetes_client.Configuration,
        monotonic: Callable[[], float],
        *,
        timeout_seconds: float = 15.0,
        inactivity_seconds: float = 90.0,
        watch_seconds: int = 300,
        count: Count = _uncounted,
        trimmed: Callable[[api.Object], api.Object] = dict,
    ) -> None:
        self._client = kubernetes_client.ApiClient(configured)
        self._configured = configured
        self._monotonic = monotonic
        self._timeout = timeout_seconds
        self._inactivity = inactivity_seconds
        self._watch_seconds = watch_seconds
        self._count = count
        self._trimmed = trimmed
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        """By whether they watch: watches stay open, and must not take the calls' connections."""
        self._server_time: tuple[datetime.datetime, float] | None = None

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        await self._client.close()  # type: ignore[no-untyped-call]

    def now(self) -> datetime.datetime:
        """Return the API server's time."""
        if self._server_time is None:
            raise api.Unavailable("the API server has not told its time yet")
        date, then = self._server_time
        return date + datetime.timedelta(seconds=self._monotonic() - then)

    async def get(self, kind: api.Kind, namespace: str, name: str) -> api.Object:
        """Read one object."""
        return await self._object(_Request("get", kind, wire.path(kind, namespace, name)))

    async def list(
        self, kind: api.Kind, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[api.Object], str]:
        """Return all objects, page by page; when a page's snapshot has expired, all at once."""
        try:
            return await self._pages(kind, namespace, selector, PAGE)
        except api.Gone:
            return await self._pages(kind, namespace, selector, 0)

    async def _pages(
        self, kind: api.Kind, namespace: str | None, selector: str, limit: int
    ) -> tuple[api.Objects, str]:
        query = {"labelSelector": selector, "limit": str(limit) if limit else ""}
        items: api.Objects = []
        while True:
            answer = await self._object(_Request("list", kind, wire.path(kind, namespace), dict(query)))
            found, version, rest = wire.page(answer)
            # Objects in a list don't say what they are.
            said = {"apiVersion": kind.api_version, "kind": kind.kind}
            items += [said | self._trimmed(obj) for obj in found]
            if not rest:
                return items, version
            query["continue"] = rest

    async def watch(
        self, kind: api.Kind, resource_version: str, namespace: str | None = None, selector: str = ""
    ) -> AsyncIterator[api.WatchEvent]:
        """Follow changes until the server ends the stream."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "labelSelector": selector,
            "timeoutSeconds": str(self._watch_seconds),
        }
        request = _Request("watch", kind, wire.path(kind, namespace), query)
        deadline = aiohttp.ClientTimeout(
            total=self._watch_seconds + self._inactivity,
            sock_connect=self._timeout,
            sock_read=self._inactivity,
        )
        async with self._answer(request, deadline) as answer:
            async for line in _lines(answer.content):
                event = wire.decode(line)
                obj = event.get("object") or {}
                if event.get("type") == "ERROR":
                    raise wire.error_of(int(obj.get("code") or 500), obj, str(request))
                yield api.WatchEvent(str(event.get("type")), obj)

    async def create(self, kind: api.Kind, obj: api.Object, *, dry_run: bool = False) -> api.Object:
        """POST one object."""
        query = {"fieldManager": constants.FIELD_MANAGER}
        if dry_run:
            # A misspelt field of a pod template is refused, where it would be dropped without a word.
            query |= {"dryRun": "All", "fieldValidation": "Strict"}
        where = wire.path(kind, obj["metadata"].get("namespace"))
        return await self._object(_Request("create", kind, where, query, obj))

    async def apply(
        self, kind: api.Kind, obj: api.Object, *, subresource: str = "", force: bool = True
    ) -> api.Object:
        """Server-side apply under the one field manager."""
        namespace, name = api.key_of(obj)
        query = {"fieldManager": constants.FIELD_MANAGER, "force": "true" if force else "false"}
        where = wire.path(kind, namespace, name, subresource)
        body = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        return await self._object(_Request("apply", kind, where, query, body, APPLY))

    async def merge(self, kind: api.Kind, namespace: str, name: str, patch: api.Object) -> api.Object:
        """JSON merge patch."""
        query = {"fieldManager": constants.FIELD_MANAGER}
        where = wire.path(kind, namespace, name)
        return await self._object(_Request("merge", kind, where, query, patch, MERGE))

    async def scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> None:
        """Write ``deployments/scale``."""
        body = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": resource_version},
            "spec": {"replicas": replicas},
        }
        where = wire.path(api.DEPLOYMENT, namespace, name, "scale")
        query = {"fieldManager": constants.FIELD_MANAGER}
        await self._object(_Request("scale", api.DEPLOYMENT, where, query, body))

    async def delete(self, kind: api.Kind, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete in the background."""
        body: api.Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._object(_Request("delete", kind, wire.path(kind, namespace, name), body=body))
        except api.NotFound:
            return

    async def pod_log(self, namespace: str, name: str, container: str, limit_bytes: int) -> str:
        """Return the end of a container's log.

        The container runtime stores a long line in pieces, and the kubelet counts each piece as a line of the
        tail: as many are asked for as the limit can fill. ``limitBytes`` cuts the end: it must not bite.
        """
        pieces = limit_bytes // _LOG_PIECE_BYTES + 2
        query = {
            "container": container,
            "tailLines": str(pieces),
            "limitBytes": str(pieces * (_LOG_PIECE_BYTES + 1)),
        }
        request = _Request("log", api.POD, wire.path(api.POD, namespace, name, "log"), query)
        return (await self._body(request)).decode("utf-8", "replace")

    async def _object(self, request: _Request) -> api.Object:
        return wire.decode(await self._body(request))

    async def _body(self, request: _Request) -> bytes:
        async with self._answer(request, aiohttp.ClientTimeout(total=self._timeout)) as answer:
            return await answer.read()

    @contextlib.asynccontextmanager
    async def _answer(
        self, request: _Request, deadline: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; an answer that is no success, or none at all, is an :class:`api.ApiError`."""
        result = "none"
        try:
            async with await self._send(request, deadline) as answer:
                result = str(answer.status)
                date = wire.date_of(answer.headers.get("Date"))
                if date is not None:
                    self._note(date)
                if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                    said = await answer.content.read(_ERROR_BYTES)
                    raise wire.error_of(answer.status, said, str(request))
                yield answer
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise api.Unavailable(f"{request}: {error!r}") from error
        finally:
            self._count(request.verb, request.kind.plural, result)

    async def _send(self, request: _Request, deadline: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = {"Accept": JSON, "User-Agent": constants.FIELD_MANAGER}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        method = _METHODS[request.verb]
        try:
            await self._client.update_params_for_auth(
                headers, [], ["BearerToken"], request.path, method, None
            )
        except kubernetes_config.ConfigException as error:
            raise api.Unavailable(f"{request}: no credentials: {error}") from error
        return await self._session(watches=request.verb == "watch").request(
            method,
            self._configured.host.rstrip("/") + request.path,
            params={key: value for key, value in request.query.items() if value},
            headers=headers,
            data=None if request.body is None else wire.encode(request.body),
            timeout=deadline,
            proxy=self._configured.proxy or None,
            server_hostname=self._configured.tls_server_name or None,
            allow_redirects=False,
        )

    def _session(self, *, watches: bool) -> aiohttp.ClientSession:
        if watches not in self._sessions:
            context, limit = self._client.rest_client.ssl_context, 0 if watches else _CALLS
            connector = aiohttp.TCPConnector(ssl=context, limit=limit)
            self._sessions[watches] = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self._sessions[watches]

    def _note(self, date: datetime.datetime) -> None:
        """Move the clock forward to the server's, never back: servers differ, a Date has whole seconds."""
        if self._server_time is None or date > self.now():
            self._server_time = (date, self._monotonic())


_METHODS: Final[Mapping[str, str]] = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "log": "GET",
    "create": "POST",
    "apply": "PATCH",
    "merge": "PATCH",
    "scale": "PUT",
    "delete": "DELETE",
}


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split a stream into lines of any length; aiohttp's own iteration refuses long ones."""
    rest = bytearray()
    async for chunk in stream.iter_any():
        rest += chunk
        if len(rest) > _LINE_BYTES:
            raise api.Unavailable("a line of the watch is too long")
        *lines, tail = bytes(rest).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        rest = bytearray(tail)
