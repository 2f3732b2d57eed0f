"""The sample server of `examples/probe-server`, over real HTTP on loopback, one thing broken at a time."""

import contextlib
import importlib.util
import io
import pathlib
import socket
import threading
import types
from collections.abc import Iterator

import fastapi
import numpy as np
import PIL.Image
import PIL.ImageDraw
import uvicorn

from canary_checks import inputs

TOKEN = "a-token-of-tests"
_PATH = pathlib.Path(__file__).parents[3] / "examples" / "probe-server" / "server.py"


def sample() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("probe_server_example", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SERVER = sample()


@contextlib.contextmanager
def serving(app: fastapi.FastAPI) -> Iterator[str]:
    """Serve an application on a free port of loopback; give its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        # The socket listens already: a client that comes before the server is up waits in the backlog.
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextlib.contextmanager
def sample_server(**settings: object) -> Iterator[str]:
    with serving(SERVER.create_app(SERVER.Settings(**settings))) as url:
        yield url


def photo(seed: int, size: tuple[int, int] = (240, 180)) -> PIL.Image.Image:
    """Something like a photo: colourful, with sharp edges and grain, and like no mirror image of itself."""
    chance = np.random.default_rng(seed)
    width, height = size
    sky = np.linspace((200, 160, 120), (40, 90, 30), height)[:, np.newaxis, :] * np.ones((1, width, 1))
    picture = PIL.Image.fromarray(sky.astype(np.uint8))
    draw = PIL.ImageDraw.Draw(picture)
    for _ in range(120):
        left, top = chance.integers(0, width), chance.integers(0, height)
        right, bottom = left + chance.integers(2, 40), top + chance.integers(2, 40)
        draw.rectangle((left, top, right, bottom), fill=tuple(chance.integers(0, 255, 3).tolist()))
    grain = chance.normal(0, 8, (height, width, 3))
    return PIL.Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


def png(picture: PIL.Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG", **options)
    return content.getvalue()


def photos(count: int = 4) -> dict[str, inputs.Input]:
    sizes = [(240, 180), (180, 240), (320, 170), (96, 96)]
    return {
        f"i-{n:03d}": inputs.Image(png(photo(n, sizes[n % len(sizes)])), "image/png") for n in range(count)
    }


def texts() -> dict[str, inputs.Input]:
    said = [
        "a cat and a dog",
        "A Cat and a Dog",
        "Crème brûlée à l'école",
        "the quick brown fox jumps over the lazy dog",
        "Zürich & Genève: 1 < 2.",
        "東京 tower",
        "word " * 90,
    ]
    return {f"t-{n:03d}": inputs.Text(text) for n, text in enumerate(said)}
