"""Headless Chromium, by its DevTools protocol: one process, and a tab for each look at a page."""

import base64
import contextlib
import dataclasses
import io
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import websocket

PROGRAM = "chromium"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    # 127.0.0.1 is where a page under test may ask; everything else is nobody.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
SECONDS = 60.0
TROUBLE = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Audits.issueAdded")


@dataclasses.dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    width: int = 1280
    height: int = 900
    dark: bool = False
    medium: str = "screen"


class Tab:
    """One page, and everything that it asked for or complained about."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; Events that come meanwhile are kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, f"{method}: {said['error']}"
                return dict(said["result"])

    def _next(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._socket.recv())
        if "method" in said:
            self.events.append(said)
        return said

    def open(self, url: str, look: Look) -> None:
        """Go to a page, and wait until it is there."""
        for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
            self.call(f"{domain}.enable")
        self.see(look)
        self.call("Page.navigate", url=url)
        while not any(one["method"] == "Page.loadEventFired" for one in self.events):
            self._next()

    def see(self, look: Look) -> None:
        """Look at it so."""
        size = {"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if look.dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=look.medium, features=[scheme])

    def value(self, expression: str) -> Any:
        """Return what an expression is, in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self) -> PIL.Image.Image:
        """Return what is to be seen of it."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return PIL.Image.open(io.BytesIO(data)).convert("RGB")

    def printed(self) -> bytes:
        """Return it as a PDF, on A4."""
        a4 = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
        return base64.b64decode(self.call("Page.printToPDF", **a4)["data"])

    @property
    def asked(self) -> list[str]:
        """URLs that were asked for, the page's own first."""
        sent = [one for one in self.events if one["method"] == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in sent]

    @property
    def trouble(self) -> list[str]:
        """What a developer would see in the console, and exceptions."""
        return [json.dumps(one["params"]) for one in self.events if one["method"] in TROUBLE]

    def close(self) -> None:
        """Close the connection; the tab goes with the browser."""
        self._socket.close()


class Browser:
    """A running Chromium."""

    def __init__(self, port: int) -> None:
        self._port = port

    @contextlib.contextmanager
    def tab(self, page: Path, look: Look = Look()) -> Iterator[Tab]:
        """Yield a page that is open."""
        tabs = f"http://127.0.0.1:{self._port}/json/new?about:blank"
        asked = urllib.request.Request(tabs, method="PUT")
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310 - the browser just started
            made = json.load(answer)
        tab = Tab(made["webSocketDebuggerUrl"])
        try:
            tab.open(page.as_uri(), look)
            yield tab
        finally:
            tab.close()


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """Yield Chromium with a profile of its own in a folder."""
    process = subprocess.Popen(
        [PROGRAM, *FLAGS, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Browser(_port(process, folder / "DevToolsActivePort"))
    finally:
        process.terminate()
        process.wait(SECONDS)


def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    """Return the port that it has chosen; it says so in a file."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{PROGRAM} ended with exit code {process.returncode}"
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int(file.read_text(encoding="ascii").splitlines()[0])
        time.sleep(0.05)
    raise AssertionError(f"{PROGRAM} did not start within {SECONDS:g} s")
