"""The suite for painters: what a builder relies on, so that one which passes works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio

from harness.contracts import Brush, Drawing, Drawn, Painter
from harness.errors import BadImage
from harness.images import inline_image, open_image
from harness.keys import canonical
from harness.settings import effective
from harness.types import Failure, Settings

from .problems import Problems
from .task_suite import check_described

HOSTILE = ("", " ", "{{ 7 * 7 }}", "\x00\x1b[2J\u202e\ud800", "star " * 5000)
_SMALL = Drawing(prompt="a red star", seed=1, width=64, height=64)


def check_painter(
    painter: Painter, name: str = "", *, settings: Mapping[str, Any] | None = None, prompt: str = _SMALL.prompt
) -> None:
    """Whether a painter keeps its contract; with the name of a model, it is opened and asked to draw.

    Args:
        painter: the descriptor.
        name: a model that can draw here and now; empty checks the descriptor only.
        settings: of the painter, by name.
        prompt: what it must be able to draw.
    """
    problems = Problems(f"painter {painter.scheme!r}")
    check_described(problems, "none needed", painter.description, painter.settings)
    if name:
        with problems.at(f"model {name}"):
            values = effective(painter.settings, settings or {}, owner=f"painter {painter.scheme}")
            anyio.run(_open, problems, painter, name, values, replace(_SMALL, prompt=prompt))
    problems.settle()


async def _open(problems: Problems, painter: Painter, name: str, values: Settings, drawing: Drawing) -> None:
    async with painter.open(name, values) as brush:
        info, ref = brush.info, f"{painter.scheme}/{name}"
        problems.require(info.ref == ref, f"info.ref is {info.ref!r}, not {ref!r}")
        problems.require(info.endpoint, "info.endpoint is empty: nothing to share slots by")
        problems.require("draw" in info.can, "info.can does not hold 'draw'")
        problems.require(info.local is painter.local, "info.local and the painter's local differ")
        problems.require(info.concurrency is None or info.concurrency > 0, "info.concurrency is not positive")
        canonical(dict(info.fingerprint))
        with problems.at("a drawing"):
            await _twice(problems, brush, drawing)
        for odd in HOSTILE:
            with problems.at(f"prompt {odd[:20]!r}"):
                _check(problems, await brush.draw(replace(drawing, prompt=odd)))


async def _twice(problems: Problems, brush: Brush, drawing: Drawing) -> None:
    first, again = await brush.draw(drawing), await brush.draw(drawing)
    problems.require(isinstance(first, Drawn), f"cannot draw {drawing.prompt!r}: {first}")
    _check(problems, first)
    if isinstance(first, Drawn) and isinstance(again, Drawn) and "seed" not in brush.info.dropped:
        problems.require(first.data == again.data, "one prompt and seed give two images, and seed is not dropped")


def _check(problems: Problems, drawn: object) -> None:
    problems.require_type(drawn, (Drawn, Failure), "gives a")
    if not isinstance(drawn, Drawn):
        return
    problems.require(drawn.seconds >= 0, "took less than no time")
    try:
        open_image(inline_image("drawn", drawn.data))
    except BadImage as broken:
        problems.add(f"what it drew is no image: {broken}")
