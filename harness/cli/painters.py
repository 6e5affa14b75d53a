"""`harness painters`: what draws images for builders, and what each takes."""

from __future__ import annotations

from collections.abc import Mapping

from harness.contracts import Painter
from harness.types import Json

from .listing import Listing, list_command


def _example(painter: Painter) -> Mapping[str, Json]:
    return {"painter": f"{painter.scheme}/NAME", "local": painter.local}


command = list_command(
    Listing(
        kind="painters",
        key="scheme",
        columns={"RUNS": lambda painter: "here" if painter.local else ""},
        facts=_example,
        details=lambda painter: f"  {painter.scheme}/NAME, where a builder asks for a painter",
        flag=lambda _: "KEY: VALUE, beside the painter's name",
    ),
    "List the painters of builders, or show some in detail.",
)
