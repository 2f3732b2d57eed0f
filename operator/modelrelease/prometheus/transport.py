"""A requests session that cannot hang, cannot be flooded, and keeps what was answered.

`PrometheusConnect` has no total time limit, reads any amount, follows redirects and drops `warnings`,
`errorType` and `resultType` (slo-statistics §3.4). The session that it is given mends that.
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3 import exceptions as urllib3_errors
from urllib3.response import BaseHTTPResponse

from modelrelease.prometheus.sources import Source

CHUNK_BYTES = 64 * 1024
RESPONSE_BYTES_MAX = 16 * 1024 * 1024
"""About 600,000 raw samples: 64 pods with five series at a scrape interval of 15 s for 8 hours."""
EMPTY = b'{"data":{"result":[]}}'
TOKEN = re.compile(r"[\x21-\x7e]+")


class CredentialsError(requests.RequestException):
    """A mounted credential cannot be read. Never says what is in it."""


class TooSlowError(requests.Timeout):
    """The answer was not complete in time, however steadily it dripped."""


class TooLargeError(requests.RequestException):
    """The answer is larger than anything that we would ask for."""


class CutOffError(requests.ConnectionError):
    """The answer ended before its end."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was answered last."""

    status: int
    body: bytes


class CappedAdapter(HTTPAdapter):
    """Reads the whole answer within a time and a size, once and without a retry.

    Parameters
    ----------
    clock : Callable
        Monotonic seconds.
    seconds : float
        From sending to the last byte.
    bytes_max : int
        Of the decoded body.
    """

    def __init__(self, clock: Callable[[], float], seconds: float, bytes_max: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self._clock = clock
        self._seconds = seconds
        self._bytes_max = bytes_max
        self._last: Exchange | None = None

    def take(self) -> Exchange | None:
        """Return what was answered last, once; None when nothing was."""
        last, self._last = self._last, None
        return last

    def send(  # noqa: PLR0917 - the signature is requests'
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002
        timeout: Any = None,
        verify: Any = True,  # noqa: FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request; the answer is complete when this returns."""
        del stream, timeout  # read here, and within our own time
        deadline = self._clock() + self._seconds
        response = super().send(
            request, stream=True, timeout=self._seconds, verify=verify, cert=cert, proxies=proxies
        )
        raw = response.raw
        try:
            body = self._read(raw, deadline)
        except BaseException:
            raw.close()  # the connection is in the middle of an answer: of no further use
            raise
        raw.release_conn()
        self._last = Exchange(response.status_code, body)
        # The library would parse it a second time, to leave out what makes an answer trustworthy.
        response.raw = io.BytesIO(EMPTY if response.status_code == requests.codes.ok else body)
        return response

    def _read(self, raw: BaseHTTPResponse, deadline: float) -> bytes:
        body = bytearray()
        try:
            # read1 returns what has arrived; read would wait for a full chunk, as long as bytes drip.
            while chunk := raw.read1(CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > self._bytes_max:
                    raise TooLargeError(f"the answer is larger than {self._bytes_max} bytes")
                if self._clock() > deadline:
                    raise TooSlowError(f"the answer was not complete after {self._seconds:g} s")
        except urllib3_errors.ReadTimeoutError as error:
            raise TooSlowError(f"the answer was not complete after {self._seconds:g} s") from error
        except urllib3_errors.HTTPError as error:
            raise CutOffError("the answer was cut off") from error
        return bytes(body)


class FormSession(requests.Session):
    """Sends the parameters of a POST as a form: 64 pod names do not fit every proxy's URL limit."""

    def request(  # type: ignore[override]
        self, method: str, url: str, params: Any = None, data: Any = None, **options: Any
    ) -> requests.Response:
        """Send a request."""
        if method == "POST":
            params, data = None, params
        return super().request(method, url, params=params, data=data, **options)


class FileAuth(AuthBase):
    """Credentials from mounted files, read for each request, so that a rotated token is used at once."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the Authorization header, where the source has credentials."""
        if self._source.bearer_token_file is not None:
            request.headers["Authorization"] = f"Bearer {_secret(self._source.bearer_token_file)}"
        elif (basic := self._source.basic_auth) is not None:
            HTTPBasicAuth(basic.username, _secret(basic.password_file))(request)
        return request


def _secret(path: Path) -> str:
    try:
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{path} cannot be read") from error
    # An invalid header would be refused by requests with a message that quotes it.
    if not TOKEN.fullmatch(secret):
        raise CredentialsError(f"{path} is empty or is no single word")
    return secret


def session(source: Source) -> FormSession:
    """Return a session with the source's credentials, tenant and trust, and nothing from the environment."""
    made = FormSession()
    made.trust_env = False
    made.max_redirects = 0
    made.auth = FileAuth(source)
    made.verify = str(source.ca_file) if source.ca_file else True
    if (certificate := source.client_certificate) is not None:
        made.cert = (str(certificate.certificate_file), str(certificate.key_file))
    made.headers["Accept-Encoding"] = "identity"
    if source.tenant is not None:
        made.headers[source.tenant.header] = source.tenant.value
    return made
