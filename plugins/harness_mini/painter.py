"""`mini/painter`: draws the object of the mini world that a prompt names, at once and the same for the same seed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from harness import Drawing, Drawn, Failure, ModelInfo
from harness.drawings import COLORS, SHAPES, draw, png

from .provider import PAINTER_NAME
from .world import Thing, chance

_OBJECT: Final = re.compile(rf"\b({'|'.join(COLORS)})\s+({'|'.join(SHAPES)})\b", re.IGNORECASE)


def named(text: str) -> tuple[Thing, ...]:
    """The objects that a text names with color and shape, such as "a red star", in order and each once."""
    found = (Thing(color=color.lower(), shape=shape.lower()) for color, shape in _OBJECT.findall(text))
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniBrush:
    """Draws pictures of 64 by 64 points, whatever size is asked for."""

    info: ModelInfo = ModelInfo(
        ref=f"mini/{PAINTER_NAME}", endpoint=f"local:mini-{PAINTER_NAME}", max_images=0, can=frozenset({"draw"})
    )

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """The first object that is named; `bad_sample` where there is none in this world."""
        started = time.perf_counter()
        things = named(drawing.prompt)
        if not things:
            known = f"name one of {', '.join(COLORS)} and one of {', '.join(SHAPES)}"
            return Failure(
                outcome="bad_sample", reason="unknown_object", message=f"no object of the mini world: {known}"
            )
        # by their code points, since a text may hold what no encoding does
        rng = chance(f"{drawing.seed} {drawing.prompt.encode('utf-8', 'backslashreplace').decode()}")
        data = png(draw(things[0].color, things[0].shape, rng))
        return Drawn(data=data, seconds=time.perf_counter() - started)
