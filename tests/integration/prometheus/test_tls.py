"""A source is who its CA says, and learns who we are where it asks; there is no way around."""

import http.server
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelrelease.prometheus.answers import QueryError, Trouble
from tests.integration.prometheus import servers

Connect = Callable[..., Any]
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1"]


def certificate(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """Make a certificate that a CA of the same folder has signed, or the CA itself."""
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", *EC, "-subj", f"/CN={name}", "-keyout", key, "-out", crt, *more]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return crt, key


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("pki")
    ca = certificate(folder, "ca")
    signed = ("-CA", str(ca[0]), "-CAkey", str(ca[1]))
    return {
        "ca": ca,
        "server": certificate(folder, "server", *signed, "-addext", "subjectAltName=IP:127.0.0.1"),
        "elsewhere": certificate(folder, "elsewhere", *signed, "-addext", "subjectAltName=IP:127.0.0.2"),
        "client": certificate(folder, "client", *signed),
        "other-ca": certificate(folder, "other-ca"),
    }


@pytest.fixture
def served(pki: dict[str, tuple[Path, Path]]) -> Iterator[Callable[[str], str]]:
    """Return a maker of servers that show a certificate and ask for the client's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    started = []

    def serve(name: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pki[name])
        context.load_verify_locations(pki["ca"][0])
        context.verify_mode = ssl.CERT_REQUIRED
        server = servers.serve(Handler, context)
        started.append(server)
        return f"https://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in started:
        server.shutdown()
        server.server_close()


def shown(pair: tuple[Path, Path]) -> dict[str, Path]:
    return {"certificate_file": pair[0], "key_file": pair[1]}


async def test_both_sides_show_who_they_are(connect: Connect, served: Any, pki: Any) -> None:
    client = connect(served("server"), ca_file=pki["ca"][0], client_certificate=shown(pki["client"]))
    assert await client.now() == pytest.approx(7, abs=1)


@pytest.mark.parametrize(
    "shows",
    [
        pytest.param(("server", None, "client"), id="signed by nobody that the system knows"),
        pytest.param(("server", "other-ca", "client"), id="signed by another CA"),
        pytest.param(("elsewhere", "ca", "client"), id="of another host"),
        pytest.param(("server", "ca", None), id="we show nothing"),
        pytest.param(("server", "ca", "other-ca"), id="we show what the server does not trust"),
    ],
)
async def test_where_one_side_cannot_nothing_is_believed(
    connect: Connect, served: Any, pki: Any, shows: tuple[str, str | None, str | None]
) -> None:
    server, ca, client = shows
    given = {"ca_file": pki[ca][0]} if ca else {}
    given |= {"client_certificate": shown(pki[client])} if client else {}
    with pytest.raises(QueryError) as raised:
        await connect(served(server), **given).now()
    assert raised.value.reason is Trouble.UNREACHABLE
