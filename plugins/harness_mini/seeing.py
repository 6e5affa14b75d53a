"""Sees what a drawing shows, by rule: its color by the pixels, its shape by laying each shape over them.

No model: the mini world's writer looks with it, so that a build can be tried without one.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from harness.drawings import COLORS, SHAPES

from .world import Thing

_GRID: Final = 32  # points a side that a shape is compared on
_NEAR: Final = 45  # of 255: how far a drawn shade is from its color at most
_TILTS: Final = range(-25, 26, 5)
_LEAST: Final = 20  # pixels of a color that are a drawing
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen.

    Attributes:
        thing: the object.
        share: of the picture that it covers, 0 to 1.
    """

    thing: Thing
    share: float


def see(data: bytes) -> Sight | None:
    """What a picture shows; None where it is no drawing of the mini world. Raises OSError where it is no picture."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int16)
    masks = {color: _near(pixels, shade) for color, shade in COLORS.items()}
    color = max(masks, key=lambda name: int(masks[name].sum()))
    mask = masks[color]
    if mask.sum() < _LEAST:
        return None
    found = _fitted(mask)
    shape = max(SHAPES, key=lambda name: max(_overlap(found, form) for form in _forms(name)))
    return Sight(thing=Thing(color=color, shape=shape), share=float(mask.mean()))


def _near(pixels: npt.NDArray[np.int16], shade: tuple[int, int, int]) -> Mask:
    """Where a picture has about this shade."""
    near: Mask = np.asarray(np.abs(pixels - np.array(shade, dtype=np.int16)).max(axis=2) <= _NEAR, dtype=np.bool_)
    return near


def _fitted(mask: Mask) -> Mask:
    """A shape moved to the middle of the grid and scaled to its whole."""
    rows, columns = (at.astype(np.float64) for at in np.nonzero(mask))
    half = max(float(np.ptp(rows)), float(np.ptp(columns))) / 2 + 0.5
    return mask[np.ix_(_steps(rows, half, mask.shape[0]), _steps(columns, half, mask.shape[1]))]


def _steps(at: npt.NDArray[np.float64], half: float, size: int) -> npt.NDArray[np.intp]:
    """The grid's points along one side, around the middle of what lies there."""
    middle = (float(at.min()) + float(at.max())) / 2
    steps = [round(middle + ((number + 0.5) / _GRID * 2 - 1) * half) for number in range(_GRID)]
    return np.array([min(max(step, 0), size - 1) for step in steps], dtype=np.intp)


@cache
def _forms(shape: str) -> tuple[Mask, ...]:
    """A shape at each tilt, fitted."""
    return tuple(_fitted(_tilted(shape, tilt)) for tilt in _TILTS)


def _tilted(shape: str, degrees: int) -> Mask:
    size = 128
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    canvas = Image.new("1", (size, size))
    for outline, fill in zip(SHAPES[shape], (1, 0), strict=False):
        corners = np.asarray(outline) @ matrix.T * size / 3.2 + size / 2
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in corners], fill=fill)
    return np.asarray(canvas, dtype=np.bool_)


def _overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())
