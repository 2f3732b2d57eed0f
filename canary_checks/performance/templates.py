"""Requests as the protocols' own clients write them, kept to be sent many times."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from canary_checks import failure
from canary_checks import operation as operations
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.clients import connect, transport


@dataclasses.dataclass(frozen=True)
class Template:
    """A request that is ready to be sent.

    Attributes
    ----------
    content, headers
        What goes over the wire.
    read
        Makes something of a response with a status that says success, or raises `CheckError`.
    may_be_refused
        Whether a server may decline it (400, 413, 422) without being at fault.
    """

    content: bytes
    headers: Mapping[str, str]
    read: Callable[[transport.Reply], Any]
    may_be_refused: bool = False


class _Written(BaseException):
    """Carries a request out of the client that wrote it; no client may catch it."""

    def __init__(self, template: Template) -> None:
        super().__init__()
        self.template = template


class Writer(transport.Transport):
    """A transport that sends no request to the endpoint; its `tally` is counted up by who does."""

    async def ask(
        self,
        content: bytes,
        read: Callable[[transport.Reply], Any],
        headers: Mapping[str, str] = transport.JSON,
    ) -> NoReturn:
        """Hand over the request instead of sending it."""
        marked = dict(headers) | {"accept-encoding": "identity", v.PROBE_HEADER: self.run}
        raise _Written(Template(content, marked, read))

    def __init__(self, *, endpoint: str, root: str, run: str) -> None:
        super().__init__(endpoint=endpoint, root=root, run=run)
        self.run = run


def writer(operation: operations.Operation, url: str, run: str) -> Writer:
    """Make a transport that hands over an operation's requests.

    Raises
    ------
    CheckError
        ``RequestInvalid``: the endpoint is no URL.
    """
    return Writer(endpoint=operation.endpoint(url), root=url, run=run)


def connected(operation: operations.Operation, url: str, run: str) -> tuple[clients.EmbeddingClient, Writer]:
    """Make a client that writes requests for vectors, and the transport that counts them.

    Raises
    ------
    CheckError
        ``RequestInvalid``: the operation cannot be carried out.
    """
    to = writer(operation, url, run)
    return connect.over(operation, to), to


async def written(asking: Awaitable[object], *, may_be_refused: bool) -> Template:
    """Let a client write a request.

    Parameters
    ----------
    asking
        A question to a client over a `Writer`, such as ``client.embed(inputs)``: of one request.
    may_be_refused
        Goes into the template.

    Raises
    ------
    CheckError
        The client asked the server something first (its model's name), and got no answer.
    """
    try:
        await asking
    except _Written as carried:
        return dataclasses.replace(carried.template, may_be_refused=may_be_refused)
    raise failure.CheckError("InternalError", "the client of this protocol wrote no request")
