"""Drawings: one coloured shape on a quiet background, from a seeded random source.

The pictures of the mini world and of the start-up probe. Whoever asks twice with equally seeded sources gets the
same pixels twice: everything random comes from the `random.Random` that is passed in, in a fixed order.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    import click

Point: TypeAlias = tuple[float, float]
Outline: TypeAlias = tuple[Point, ...]

# Far apart from each other and from the light backgrounds, so that jitter never turns one into another.
COLORS: Final[Mapping[str, tuple[int, int, int]]] = MappingProxyType(
    {
        "red": (214, 40, 40),
        "green": (40, 150, 60),
        "blue": (45, 85, 210),
        "yellow": (236, 196, 20),
        "purple": (140, 55, 170),
        "black": (35, 35, 40),
    }
)

_SCALE = 3  # drawn three times as large, then averaged: smooth edges


def _circle(radius: float, points: int = 48) -> Outline:
    turns = (2 * math.pi * i / points for i in range(points))
    return tuple((radius * math.cos(turn), radius * math.sin(turn)) for turn in turns)


def _spikes(points: int, inner: float) -> Outline:
    """Corners that alternate between the unit circle and an inner one; the first points up."""
    turns = ((math.pi * i / points - math.pi / 2, inner if i % 2 else 1.0) for i in range(2 * points))
    return tuple((radius * math.cos(turn), radius * math.sin(turn)) for turn, radius in turns)


def _box(half_width: float, half_height: float) -> Outline:
    return (
        (-half_width, -half_height),
        (half_width, -half_height),
        (half_width, half_height),
        (-half_width, half_height),
    )


def _heart(points: int = 48) -> Outline:
    turns = (2 * math.pi * i / points for i in range(points))
    return tuple(
        (math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16)
        for t in turns
    )


_ARM = 0.3
# The first outline of a shape is filled, a second one is cut out of it. The unit is half the shape's extent.
SHAPES: Final[Mapping[str, tuple[Outline, ...]]] = MappingProxyType(
    {
        "triangle": (((0.0, -1.0), (0.9, 0.75), (-0.9, 0.75)),),
        "star": (_spikes(5, 0.42),),
        "cross": (
            (
                *((-_ARM, -1.0), (_ARM, -1.0), (_ARM, -_ARM), (1.0, -_ARM), (1.0, _ARM), (_ARM, _ARM)),
                *((_ARM, 1.0), (-_ARM, 1.0), (-_ARM, _ARM), (-1.0, _ARM), (-1.0, -_ARM), (-_ARM, -_ARM)),
            ),
        ),
        "circle": (_circle(0.95),),
        "ring": (_circle(1.0), _circle(0.55)),
        "heart": (_heart(),),
        "square": (_box(0.8, 0.8),),
        "bar": (_box(1.0, 0.3),),
    }
)


def draw(color: str, shape: str, rng: Random, size: int = 64) -> Image.Image:
    """Draw one shape in one color, somewhere on a light background that is plain or speckled.

    Args:
        color: A key of `COLORS`; the drawn shade is a little off.
        shape: A key of `SHAPES`; its place, extent and tilt are random.
        rng: The only source of chance.
        size: Width and height in pixels.
    """
    shade = _near(COLORS[color], 14, rng)
    background = _background(size, rng)
    background.paste(shade, (0, 0, size, size), _mask(SHAPES[shape], size, rng))
    return background


def png(image: Image.Image) -> bytes:
    """Encode an image as PNG, without metadata."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def draw_file(file: Path, thing: str, rng: Random) -> None:
    """Write the picture of a thing, such as `red star`, as PNG; folders are made as needed."""
    color, shape = thing.split()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(png(draw(color, shape, rng)))


def write_json(file: Path, value: object) -> None:
    """Write the records of a packaged split as JSON; folders are made as needed."""
    import json

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(file: Path, records: Sequence[Mapping[str, object]]) -> None:
    """Write records of the same fields as CSV."""
    import csv

    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def _near(color: tuple[int, int, int], reach: int, rng: Random) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, channel + rng.randint(-reach, reach))) for channel in color)
    return red, green, blue


def _background(size: int, rng: Random) -> Image.Image:
    level = rng.randint(205, 240)
    tint = _near((level, level, level), 12, rng)
    plain = Image.new("RGB", (size, size), tint)
    if rng.random() < 0.5:
        return plain
    # Coarse speckles in two shades: as hard for an eye as fine noise, and the file stays around a kilobyte.
    speckles = Image.frombytes("1", (16, 16), rng.randbytes(32)).resize((size, size), Image.Resampling.NEAREST)
    plain.paste(_near(tint, 14, rng), (0, 0, size, size), speckles)
    return plain


def _mask(outlines: tuple[Outline, ...], size: int, rng: Random) -> Image.Image:
    """Where the shape is: white inside, grey on its edge."""
    canvas = size * _SCALE
    extent = rng.uniform(0.22, 0.36) * canvas
    margin = extent * max(math.hypot(*corner) for corner in outlines[0]) + 2 * _SCALE
    x, y = rng.uniform(margin, canvas - margin), rng.uniform(margin, canvas - margin)
    tilt = math.radians(rng.uniform(-25, 25))
    across, along = extent * math.cos(tilt), extent * math.sin(tilt)
    mask = Image.new("L", (canvas, canvas), 0)
    for outline, fill in zip(outlines, (255, 0), strict=False):
        corners = [(x + across * u - along * v, y + along * u + across * v) for u, v in outline]
        ImageDraw.Draw(mask).polygon(corners, fill=fill)
    return mask.reduce(_SCALE)


def mini_command(draw_files: Callable[[Path], object], description: str | None) -> click.Command:
    """The command of a module that draws a packaged split: `python -m harness_NAME.draw_mini FOLDER`.

    Args:
        draw_files: writes the split's files into a folder.
        description: the command's help, such as the module's docstring.
    """
    import click

    @click.command(help=description)
    @click.argument("folder", type=click.Path(path_type=Path))
    def command(folder: Path) -> None:
        draw_files(folder)

    return command
