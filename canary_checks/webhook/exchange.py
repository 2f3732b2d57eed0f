"""The conversation with a service: one signed question, and an answer now or, when it is promised, later."""

import asyncio
import dataclasses
import ssl
from typing import Final

import httpx

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.clients import transport, waiting
from canary_checks.webhook import request, signature

ANSWER_BYTES_MAX: Final = 1 << 20
_OK, _ACCEPTED = 200, 202
_BUSY: Final = frozenset({429, 502, 503, 504})
"""What a service says that is being restarted: its promise still holds."""
_PASSING: Final = frozenset({"EndpointUnreachable", "EndpointTimeout", "EndpointOverloaded", "EndpointError"})
"""A look that came to nothing is repeated: it changes nothing at the service."""
_PAUSE_MAX_SECONDS: Final = 300.0
_LOCATION_MAX: Final = 2000


@dataclasses.dataclass(frozen=True)
class Keys:
    """The secrets of a conversation.

    Attributes
    ----------
    signing
        Of the signature.
    authorization
        Value of the header of this name, or empty.
    ca_bundle
        Certificates in PEM that are trusted besides the usual ones, or empty.
    """

    signing: bytes
    authorization: str = ""
    ca_bundle: str = ""


@dataclasses.dataclass
class Progress:
    """How far a conversation got, for whoever must say why it did not end."""

    state: str = "the question was not sent yet"


def trust(ca_bundle: str) -> ssl.SSLContext:
    """Return whom to trust: the usual authorities and those of a bundle.

    Raises
    ------
    CheckError
        ``CABundleInvalid``: the bundle holds no certificate that can be read.
    """
    if not ca_bundle:
        return transport.authorities()
    context = httpx.create_ssl_context(trust_env=False)
    try:
        context.load_verify_locations(cadata=ca_bundle)
    except (ssl.SSLError, ValueError) as error:
        raise failure.CheckError(
            "CABundleInvalid", f"the CA bundle holds no certificates in PEM: {error}"
        ) from error
    return context


async def ask(asked: request.WebhookRequest, keys: Keys, progress: Progress) -> bytes:
    """Send the question and return the body of its answer.

    Parameters
    ----------
    asked
        Whom, and what.
    keys
        The secrets.
    progress
        Kept up to date.

    Raises
    ------
    CheckError
        As :class:`canary_checks.clients.transport.Transport`, and ``SigningKeyInvalid``,
        ``WebhookStatusInvalid`` (another status than 200 and 202, or a promise without a place on the same
        origin where it is kept).
    """
    if len(keys.signing) < signature.KEY_BYTES_MIN:
        raise failure.CheckError(
            "SigningKeyInvalid",
            f"the signing key has {len(keys.signing)} bytes and needs at least {signature.KEY_BYTES_MIN}",
        )
    body = result.dump(asked.question).encode()
    over = transport.Transport(
        endpoint=asked.url,
        root=asked.url,
        run=asked.question.answer.run,
        limits=transport.Limits(
            read_seconds=asked.timeout_seconds,
            request_seconds=asked.timeout_seconds,
            response_bytes=ANSWER_BYTES_MAX,
        ),
        verify=trust(keys.ca_bundle),
    )
    async with over:
        progress.state = "the question was sent, and nothing came back"
        reply = await over.ask(body, lambda found: found, _headers(keys, body) | transport.JSON)
        if reply.status == _OK:
            return reply.body
        return await _wait(over, asked, keys, reply, progress)


async def _wait(
    over: transport.Transport,
    asked: request.WebhookRequest,
    keys: Keys,
    promise: transport.Reply,
    progress: Progress,
) -> bytes:
    """Look at a status until it is an answer; whoever calls bounds the time."""
    status_url = _promised(asked.url, promise)
    pause = _pause(promise, asked.poll_seconds)
    while True:
        progress.state = f"the answer was promised at {status_url} and is not there yet"
        await asyncio.sleep(pause)
        pause = float(asked.poll_seconds)
        try:
            reply = await over.look(status_url, headers=_headers(keys, b""))
        except failure.CheckError as error:
            if error.reason not in _PASSING:
                raise
            continue
        if reply.status in _BUSY:
            pause = _pause(reply, asked.poll_seconds)
            continue
        if transport.accept(reply).status == _OK:
            return reply.body
        if reply.status != _ACCEPTED or "location" in reply.headers:
            status_url = _promised(asked.url, reply)
        pause = _pause(reply, asked.poll_seconds)


def _headers(keys: Keys, body: bytes) -> dict[str, str]:
    more = {"authorization": keys.authorization} if keys.authorization else {}
    return signature.headers(keys.signing, body) | more


def _pause(reply: transport.Reply, usual: int) -> float:
    wish = waiting.seconds(reply.headers.get("retry-after"))
    return float(usual) if wish is None else min(max(wish, 1.0), _PAUSE_MAX_SECONDS)


def _promised(url: str, reply: transport.Reply) -> str:
    """Return where the answer will be: on the origin that was asked, and nowhere else."""
    if reply.status != _ACCEPTED:
        raise _unknown(reply)
    location = reply.headers.get("location", "")
    if not location or len(location) > _LOCATION_MAX:
        raise failure.CheckError(
            "WebhookStatusInvalid", f"{reply.url} answered 202 without a Location where the answer will be"
        )
    try:
        there = httpx.URL(url).join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise failure.CheckError(
            "WebhookStatusInvalid", f"{reply.url} answered 202 with a Location that is no URL: {error}"
        ) from error
    if _origin(there) != _origin(httpx.URL(url)) or there.userinfo:
        raise failure.CheckError(
            "WebhookStatusInvalid",
            f"{reply.url} promised its answer at {v.sentence(str(there), 120)}, which is another origin",
        )
    return str(there.copy_with(fragment=None))


def _unknown(reply: transport.Reply) -> failure.CheckError:
    return failure.CheckError(
        "WebhookStatusInvalid", f"{reply.url} answered {reply.status}; 200 and 202 are understood"
    )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    usual = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or usual
