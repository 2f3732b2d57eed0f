"""Generated pictures: their statistics are those of photographs, their content is nobody's.

A photograph is mostly occlusion (dead leaves: discs before discs) with a spectrum near 1/f; both are drawn
here from a seed. What must be stored without loss is drawn flat, so that it stays small.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

Colours = npt.NDArray[np.float64]
_SOFT = 4  # drawn this much larger, then reduced: smooth edges


def random_of(name: str) -> np.random.Generator:
    """Return the source of randomness of one picture: adding another picture changes none."""
    return np.random.default_rng([ord(c) for c in "ImageV1/" + name])


def photo(name: str, width: int, height: int) -> PIL.Image.Image:
    """Draw what compresses and resizes like a photograph: leaves, texture and a light from one side."""
    random = random_of(name)
    picture = np.asarray(leaves(name, width, height, int(random.integers(40, 120))), dtype=np.float64)
    texture = _spectrum(random, width, height)
    strength = random.uniform(10, 24)
    tint = random.uniform(0.6, 1.4, 3)
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = random.uniform(0, 2 * np.pi)
    light = 1 + 0.25 * (np.cos(angle) * across + np.sin(angle) * down)
    lit = (picture + strength * texture[:, :, np.newaxis] * tint) * light[:, :, np.newaxis]
    return _image(lit)


def leaves(name: str, width: int, height: int, count: int, palette: Colours | None = None) -> PIL.Image.Image:
    """Draw discs in front of discs, flat and with smooth edges; none of it is symmetric."""
    random = random_of(name + "/leaves")
    drawn = random.integers(40, 215, 3) if palette is None else palette[random.integers(len(palette))]
    ground = tuple(int(x) for x in drawn)
    size = width * _SOFT, height * _SOFT
    picture = PIL.Image.new("RGB", size, ground)
    draw = PIL.ImageDraw.Draw(picture)
    for _ in range(count):
        radius = min(size) * 0.4 * random.power(0.35) * random.uniform(0.2, 1) + 4
        x, y = random.uniform(0, size[0]), random.uniform(0, size[1])
        stretch = random.uniform(0.5, 1.0)
        colour = palette[random.integers(len(palette))] if palette is not None else random.uniform(0, 255, 3)
        box = (x - radius, y - radius * stretch, x + radius, y + radius * stretch)
        draw.ellipse(box, fill=tuple(int(c) for c in colour))
    return picture.resize((width, height), PIL.Image.Resampling.BOX)


WARM = np.array(
    [(230, 60, 20), (250, 170, 10), (200, 20, 60), (255, 120, 60), (120, 30, 10), (240, 220, 120)], float
)
COLD = WARM[:, ::-1]


def sign(name: str, side: int, words: str, *, ink: Any = "black", ground: Any = "white") -> PIL.Image.Image:
    """Draw lines of text, with a border and a bar that tell left from right and top from bottom."""
    random = random_of(name)
    picture = PIL.Image.new("RGB", (side, side), ground)
    draw = PIL.ImageDraw.Draw(picture)
    for row, line in enumerate(words.split("\n")):
        font = PIL.ImageFont.load_default(float(side / random.uniform(7, 12)))
        draw.text((side * 0.08, side * (0.12 + 0.2 * row)), line, fill=ink, font=font)
    draw.rectangle((side * 0.05, side * 0.9, side * random.uniform(0.3, 0.7), side * 0.95), fill=ink)
    return picture


def fine_lines(name: str, side: int) -> PIL.Image.Image:
    """Draw what a resize filter shows most on: lines of one pixel, a fan of them, and rings ever closer."""
    random = random_of(name)
    down, across = np.mgrid[0:side, 0:side].astype(np.float64)
    kind = int(random.integers(4))
    if kind == 0:
        value = (across % int(random.integers(2, 5)) == 0) ^ (down % int(random.integers(5, 9)) == 0)
    elif kind == 1:
        centre = random.uniform(0.3, 0.7, 2) * side
        value = np.cos(((across - centre[0]) ** 2 + (down - centre[1]) ** 2) * np.pi / (1.6 * side)) > 0
    elif kind == 2:
        value = (across.astype(int) // 3 + down.astype(int) // int(random.integers(2, 4))) % 2 == 0
    else:
        angle = np.arctan2(down - side * 0.8, across + side * 0.2)
        value = np.cos(angle * side / 2) > 0
    ink, ground = random.uniform(0, 90, 3), random.uniform(150, 255, 3)
    return _image(np.where(value[:, :, np.newaxis], ink, ground))


SHAPES = ("circle", "square", "triangle")
INKS = {"red": (210, 30, 30), "green": (30, 150, 60), "blue": (30, 60, 200), "yellow": (240, 210, 40)}
GROUNDS = {"white": (250, 250, 250), "black": (12, 12, 12), "grey": (128, 128, 128)}
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}


def shapes(name: str, side: int, *, number: int, shape: str, ink: str, ground: str) -> PIL.Image.Image:
    """Draw some shapes that a caption can name."""
    random = random_of(name)
    picture = PIL.Image.new("RGB", (side * _SOFT,) * 2, GROUNDS[ground])
    draw = PIL.ImageDraw.Draw(picture)
    cells = random.permutation(4)[:number]
    for cell in cells:
        size = side * _SOFT * random.uniform(0.14, 0.2)
        x = side * _SOFT * (0.27 + 0.46 * (cell % 2) + random.uniform(-0.03, 0.03))
        y = side * _SOFT * (0.27 + 0.46 * (cell // 2) + random.uniform(-0.03, 0.03))
        if shape == "triangle":
            draw.polygon([(x - size, y + size), (x + size, y + size), (x, y - size)], fill=INKS[ink])
        elif shape == "square":
            draw.rectangle((x - size, y - size, x + size, y + size), fill=INKS[ink])
        else:
            draw.ellipse((x - size, y - size, x + size, y + size), fill=INKS[ink])
    return picture.resize((side, side), PIL.Image.Resampling.BOX)


def transparent(name: str, side: int) -> PIL.Image.Image:
    """Draw a picture with a hole, or one that fades away; the hidden colours are those of no ground."""
    random = random_of(name)
    colours = leaves(name, side, side, 14)
    down, across = np.mgrid[0:side, 0:side] / side
    if random.random() < 0.5:
        shown = np.clip(across * random.uniform(0.8, 1.4), 0, 1)
        alpha = (np.round(shown * 8) * 255 / 8).astype(np.uint8)
    else:
        alpha = np.where((across - 0.45) ** 2 + (down - 0.55) ** 2 < random.uniform(0.06, 0.12), 255, 0)
    whole = colours.convert("RGBA")
    whole.putalpha(PIL.Image.fromarray(alpha.astype(np.uint8)))
    return whole


def _spectrum(random: np.random.Generator, width: int, height: int) -> Colours:
    """Return noise with an amplitude of about 1/f, mean 0 and deviation 1."""
    down, across = np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width)[np.newaxis, :]
    frequency = np.maximum(np.hypot(down, across), 1 / max(width, height))
    phases = np.exp(2j * np.pi * random.random(frequency.shape))
    field = np.fft.irfft2(phases / frequency**1.15, s=(height, width))
    return np.asarray((field - field.mean()) / field.std())


def _image(values: Colours) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
