"""An image generator without a model: Pillow draws what the prompt asks for, by the OpenAI images protocol.

It draws the title that stands in quotation marks, the discs that the prompt counts, and a ground of its own
for each seed. How well it writes can be set, and so can the mistakes that a team can make with fonts, colours
and samplers; then it is known what a check should find.

``python server.py --port 8000 --garbled 0.3`` serves ``/v1/images/generations`` and ``/v1/images/edits``.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import email.parser
import email.policy
import functools
import hashlib
import http.server
import io
import json
import random
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageEnhance
import PIL.ImageFilter
import PIL.ImageFont

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
HEIGHTS = {"small": 0.05, "medium": 0.075, "large": 0.11}
LEAST_LETTERS = 18
LIMIT_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Quality:
    """How well it draws; the defaults draw what the prompt says.

    Attributes
    ----------
    garbled
        Share of the titles in which letters are exchanged for others.
    tofu
        Share of the titles that come as empty boxes: the font is not there.
    blur, contrast, saturation, cast, levels
        Of the whole image: radius in pixels, how far the ink is from the ground (1 as asked), factor of the
        colours, levels added to red, and how many levels a channel has.
    shift
        How far the title is moved to the left, in shares of the width.
    lost_objects
        How many of the discs are not drawn.
    refused, blank, noise
        Share of the prompts that are refused, or come as nothing, or as noise.
    unstable
        Whether the least edit of a prompt changes the whole image.
    leaks
        Levels that an edit changes outside of its mask.
    draft
        Whether titles are unreadable until an edit refines them.
    seed_offset
        Added to every seed: other pictures, as good as before.
    rounding
        Levels by which each pixel may differ from its right value, as after another order of sums; negative
        for another pattern of the same size.
    seconds_per_step, steps
        How long a step takes, and how many there are where a request says nothing.
    """

    garbled: float = 0.0
    tofu: float = 0.0
    blur: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    cast: int = 0
    levels: int = 256
    shift: float = 0.0
    lost_objects: int = 0
    refused: float = 0.0
    blank: float = 0.0
    noise: float = 0.0
    unstable: bool = False
    leaks: int = 0
    draft: bool = False
    seed_offset: int = 0
    rounding: int = 0
    seconds_per_step: float = 0.0
    steps: int = 20


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request for an image."""

    prompt: str
    seed: int
    size: tuple[int, int]
    steps: int


def chance(text: str, what: str) -> float:
    """Return a number from 0 to 1 that a text always has."""
    digest = hashlib.sha256(f"{what}\0{text}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)


def title(prompt: str) -> str:
    """Return what stands between quotation marks."""
    found = re.search(r'"([^"]+)"', prompt)
    return found[1] if found else ""


def discs(prompt: str) -> int:
    """Return how many discs a prompt asks for."""
    found = re.search(rf"\b({'|'.join(NUMBERS)})\b [a-z ]*\bdiscs?\b", prompt.lower())
    return NUMBERS.index(found[1]) if found else 0


def draw(asked: Asked, quality: Quality) -> PIL.Image.Image:
    """Draw an image.

    Parameters
    ----------
    asked : Asked
        What to draw.
    quality : Quality
        How well.

    Returns
    -------
    PIL.Image.Image
        In RGB.
    """
    edited = asked.prompt if quality.unstable else ""
    seed = f"{asked.seed + quality.seed_offset} {edited}"
    picked = random.Random(seed)  # noqa: S311 - colours
    image = _ground(asked.size, picked, plain=discs(asked.prompt) > 0)
    pen = PIL.ImageDraw.Draw(image)
    for place in range(max(0, discs(asked.prompt) - quality.lost_objects)):
        _disc(pen, asked.size, place, picked)
    text = title(asked.prompt)
    if text:
        _write(pen, image, asked, text, quality)
    return _finished(image, asked, quality)


def _ground(size: tuple[int, int], picked: random.Random, *, plain: bool) -> PIL.Image.Image:
    width, height = size
    base = np.array([picked.randrange(150, 235) for _ in range(3)], dtype=np.float64)
    slope = np.zeros(3) if plain else np.array([picked.uniform(-40, 40) for _ in range(3)])
    across = np.linspace(-0.5, 0.5, width)[None, :, None] * slope
    down = np.linspace(-0.5, 0.5, height)[:, None, None] * slope[::-1]
    grain = np.random.default_rng(picked.randrange(1 << 30)).normal(0, 1.5, (height, width, 1))
    return PIL.Image.fromarray(np.clip(base + across + down + grain, 0, 255).astype(np.uint8))


def _disc(pen: PIL.ImageDraw.ImageDraw, size: tuple[int, int], place: int, picked: random.Random) -> None:
    width, height = size
    radius = 0.07 * min(size)
    column, row = place % 4, place // 4
    x = width * (0.16 + 0.22 * column)
    y = height * (0.55 + 0.25 * row)
    colour = tuple(picked.randrange(0, 100) for _ in range(3))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _write(
    pen: PIL.ImageDraw.ImageDraw, image: PIL.Image.Image, asked: Asked, text: str, quality: Quality
) -> None:
    size = next((share for name, share in HEIGHTS.items() if f"{name} letters" in asked.prompt), 0.075)
    pixels = max(LEAST_LETTERS, round(size * image.height))
    room = 0.86 * image.width
    shown = garbled(text, asked.prompt) if _happens(asked, "garbled", quality.garbled) else text
    lines = _lines(shown, pixels, room)
    while any(_font(pixels).getlength(line) > room for line in lines) and pixels > LEAST_LETTERS:
        pixels -= 1
        lines = _lines(shown, pixels, room)
    ground = np.asarray(image).reshape(-1, 3).mean(axis=0)
    ink = tuple(int(level) for level in ground + quality.contrast * (np.array([15, 15, 35]) - ground))
    left, top = image.width * (0.07 - quality.shift), 0.1 * image.height
    empty = _happens(asked, "tofu", quality.tofu)
    for line in lines:
        if empty:
            _boxes(pen, line, (left, top), pixels, ink)
        else:
            pen.text((left, top), line, font=_font(pixels), fill=ink)
        top += 1.35 * pixels


def _lines(text: str, pixels: int, room: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font(pixels).getlength(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@functools.cache
def _font(pixels: int) -> PIL.ImageFont.FreeTypeFont:
    # Pillow brings this one itself, so that no two machines write differently.
    found = PIL.ImageFont.load_default(pixels)
    assert isinstance(found, PIL.ImageFont.FreeTypeFont)
    return found


def _boxes(
    pen: PIL.ImageDraw.ImageDraw, line: str, at: tuple[float, float], pixels: int, ink: tuple[int, ...]
) -> None:
    for place, letter in enumerate(line):
        if letter != " ":
            left = at[0] + place * 0.62 * pixels
            pen.rectangle(
                (left, at[1] + 0.1 * pixels, left + 0.5 * pixels, at[1] + 0.9 * pixels), outline=ink, width=2
            )


def garbled(text: str, prompt: str) -> str:
    """Exchange a third of the letters, at least two, for others."""
    picked = random.Random(f"garbled {prompt}")  # noqa: S311 - letters
    letters = list(text)
    places = [place for place, letter in enumerate(letters) if letter.isalnum()]
    for place in picked.sample(places, min(len(places), max(2, len(places) // 3))):
        others = [one for one in "AEKMRSTWXZ" if one.lower() != letters[place].lower()]
        letters[place] = picked.choice(others)
    return "".join(letters)


def _happens(asked: Asked, what: str, share: float) -> bool:
    return chance(f"{asked.prompt} {asked.seed}", what) < share


def _finished(image: PIL.Image.Image, asked: Asked, quality: Quality) -> PIL.Image.Image:
    if _happens(asked, "blank", quality.blank):
        return PIL.Image.new("RGB", image.size, (128, 128, 128))
    if _happens(asked, "noise", quality.noise):
        picked = np.random.default_rng(asked.seed)
        return PIL.Image.fromarray(picked.integers(0, 256, (image.height, image.width, 3), dtype=np.uint8))
    if quality.blur:
        image = image.filter(PIL.ImageFilter.GaussianBlur(quality.blur))
    if quality.saturation != 1.0:
        image = PIL.ImageEnhance.Color(image).enhance(quality.saturation)
    pixels = np.asarray(image).astype(np.int16)
    pixels[..., 0] += quality.cast
    if quality.rounding:
        picked = np.random.default_rng([asked.seed, quality.rounding < 0])
        most = abs(quality.rounding)
        pixels += picked.integers(-most, most + 1, pixels.shape, dtype=np.int16)
    if quality.levels < 256:
        step = 256 // quality.levels
        pixels = pixels // step * step
    return PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def edit(
    before: PIL.Image.Image, mask: PIL.Image.Image | None, asked: Asked, quality: Quality
) -> PIL.Image.Image:
    """Draw into a picture: inside of the mask, or anew over all of it, as a refiner does."""
    if mask is None:
        return draw(dataclasses.replace(asked, size=before.size), dataclasses.replace(quality, draft=False))
    inside = PIL.Image.eval(mask.getchannel("A"), lambda alpha: 255 if alpha < 128 else 0)
    pixels = np.asarray(before).astype(np.int16) + quality.leaks
    drawn = PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    new = draw(dataclasses.replace(asked, size=before.size), quality)
    drawn.paste(new, (0, 0), inside)
    return drawn


class Renderer(http.server.ThreadingHTTPServer):
    """The server.

    Parameters
    ----------
    address : tuple
        Host and port; port 0 takes a free one.
    quality : Quality
        How well it draws.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], quality: Quality) -> None:
        super().__init__(address, _Handler)
        self.quality = quality
        self.images = 0

    @property
    def url(self) -> str:
        """The base URL of this server."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet, or each answer waits 40 ms for a delayed acknowledgement.
    wbufsize = 1 << 20
    server: Renderer

    def do_GET(self) -> None:
        if self.path in {"/health", "/v1/models"}:
            self._reply(200, {"data": [{"id": "renderer"}]})
        else:
            self._reply(404, {"error": {"message": "no such route"}})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > LIMIT_BYTES:
            self.close_connection = True
            self._reply(413, {"error": {"message": "too large"}})
            return
        content = self.rfile.read(length)
        try:
            if self.path == "/v1/images/generations":
                image = self._generate(json.loads(content))
            elif self.path == "/v1/images/edits":
                image = self._edit(*_form(self.headers["content-type"], content))
            else:
                self._reply(404, {"error": {"message": "no such route"}})
                return
        except (ValueError, KeyError, TypeError, OSError) as error:
            self._reply(400, {"error": {"message": str(error)}})
            return
        self.server.images += 1
        written = io.BytesIO()
        image.save(written, "PNG", compress_level=1)
        self._reply(
            200, {"created": 0, "data": [{"b64_json": base64.b64encode(written.getvalue()).decode()}]}
        )

    def _generate(self, fields: dict[str, Any]) -> PIL.Image.Image:
        quality = self.server.quality
        asked = self._asked(fields)
        # A draft shows where the title goes, not what it says.
        return draw(asked, dataclasses.replace(quality, tofu=1.0) if quality.draft else quality)

    def _edit(self, fields: dict[str, Any], files: dict[str, bytes]) -> PIL.Image.Image:
        before = PIL.Image.open(io.BytesIO(files["image"])).convert("RGB")
        mask = PIL.Image.open(io.BytesIO(files["mask"])).convert("RGBA") if "mask" in files else None
        return edit(before, mask, self._asked(fields), self.server.quality)

    def _asked(self, fields: dict[str, Any]) -> Asked:
        quality = self.server.quality
        width, _, height = str(fields.get("size", "512x512")).partition("x")
        steps = int(fields.get("num_inference_steps", quality.steps))
        asked = Asked(str(fields["prompt"]), int(fields.get("seed", 0)), (int(width), int(height)), steps)
        if _happens(asked, "refused", quality.refused):
            raise ValueError("the prompt was refused by the safety system")
        time.sleep(quality.seconds_per_step * steps)
        return asked

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def _form(content_type: str, content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a multipart form: its fields, and its files."""
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + content)
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        value = part.get_payload(decode=True)
        if not isinstance(value, bytes):
            raise TypeError(f"the part {name} is no file and no field")
        if part.get_filename():
            files[name] = value
        else:
            fields[name] = value.decode()
    return fields, files


@contextmanager
def serving(quality: Quality | None = None) -> Iterator[Renderer]:
    """Run a server on a free port of the loopback interface."""
    server = Renderer(("127.0.0.1", 0), quality or Quality())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - in its container
    parser.add_argument("--port", type=int, default=8000)
    for field in dataclasses.fields(Quality):
        option = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(field.default), default=field.default)
    chosen = vars(parser.parse_args(arguments))
    address = chosen.pop("host"), chosen.pop("port")
    with Renderer(address, Quality(**chosen)) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
