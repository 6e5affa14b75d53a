"""`mini/painter` draws the objects of the mini world, and `see` recognises them in a drawing. Both are rules.

`see` compares a drawing's color, and overlays each shape. The mini world's writer uses it to look at pictures, so
that a build runs without a model.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from harness import Drawing, Drawn, Failure, ModelInfo
from harness.drawings import COLORS, SHAPES, draw, png

from .world import Thing, chance, find_things

_GRID: Final = 32  # side of the grid on which shapes are compared
_NEAR: Final = 45  # of 255: most distance of a drawn shade from its color
_TILTS: Final = range(-25, 26, 5)
_LEAST: Final = 20  # fewest pixels of a color that count as a drawing
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniBrush:
    """Draws pictures of 64 by 64 points, whatever the requested size; a seed always gives the same picture."""

    info: ModelInfo = ModelInfo(
        ref="mini/painter", endpoint="local:mini-painter", max_images=0, can=frozenset({"draw"})
    )

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw the first object that the prompt names; `bad_sample` if it names none of this world."""
        started = time.perf_counter()
        things = find_things(drawing.prompt)
        if not things:
            known = f"name one of {', '.join(COLORS)} and one of {', '.join(SHAPES)}"
            return Failure(
                outcome="bad_sample", reason="unknown_object", message=f"no object of the mini world: {known}"
            )
        # escaped, since a text may hold lone surrogates
        rng = chance(f"{drawing.seed} {drawing.prompt.encode('utf-8', 'backslashreplace').decode()}")
        data = png(draw(things[0].color, things[0].shape, rng))
        return Drawn(data=data, seconds=time.perf_counter() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A recognised object.

    Attributes:
        thing: the object.
        share: share of the picture that it covers, 0 to 1.
    """

    thing: Thing
    share: float


def see(data: bytes) -> Sight | None:
    """What a picture shows; None if it is no drawing of the mini world. Raises OSError for other files."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int16)
    masks: dict[str, Mask] = {}
    for color, shade in COLORS.items():
        distance = np.abs(pixels - np.array(shade, dtype=np.int16)).max(axis=2)
        masks[color] = np.asarray(distance <= _NEAR, dtype=np.bool_)
    color = max(masks, key=lambda name: int(masks[name].sum()))
    mask = masks[color]
    if mask.sum() < _LEAST:
        return None
    seen = _fit(mask)

    def overlap(shape: str) -> float:
        return max(float((seen & form).sum() / (seen | form).sum()) for form in _draw_tilted(shape))

    return Sight(thing=Thing(color=color, shape=max(SHAPES, key=overlap)), share=float(mask.mean()))


def _fit(mask: Mask) -> Mask:
    """A shape centred on the grid and scaled to fill it."""
    rows, columns = (at.astype(np.float64) for at in np.nonzero(mask))
    half = max(float(np.ptp(rows)), float(np.ptp(columns))) / 2 + 0.5

    def grid_points(at: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.intp]:
        middle = (float(at.min()) + float(at.max())) / 2
        steps = [round(middle + ((number + 0.5) / _GRID * 2 - 1) * half) for number in range(_GRID)]
        return np.array([min(max(step, 0), size - 1) for step in steps], dtype=np.intp)

    return mask[np.ix_(grid_points(rows, mask.shape[0]), grid_points(columns, mask.shape[1]))]


@cache
def _draw_tilted(shape: str) -> tuple[Mask, ...]:
    """A shape at each tilt, fitted to the grid."""
    size = 128
    masks: list[Mask] = []
    for degrees in _TILTS:
        turn = np.radians(degrees)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        canvas = Image.new("1", (size, size))
        for outline, fill in zip(SHAPES[shape], (1, 0), strict=False):
            corners = np.asarray(outline) @ matrix.T * size / 3.2 + size / 2
            ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in corners], fill=fill)
        masks.append(_fit(np.asarray(canvas, dtype=np.bool_)))
    return tuple(masks)
