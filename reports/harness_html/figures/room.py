"""Room for wider letters: the library measures text by a font of its own, a reader's browser may have a wider one.

Texts keep their anchors. Where one could leave the drawing in a wide font, the drawing grows to that side.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Final

_WIDEST: Final = 0.62  #: of the font size: a character of the widest usual fonts (DejaVu Sans, Verdana), on average
_BOLD: Final = 1.1  #: how much wider bold ones are
_EDGE: Final = 8.0  #: px, that text keeps from the edge
_MOVED: Final = re.compile(r"translate\((-?[\d.]+),(-?[\d.]+)\)")


def widen(root: ET.Element) -> None:
    """Grows the drawing, with its ground, to the left and right as far as its texts could reach."""
    width, height = float(root.get("width", "0")), root.get("height", "0")
    spans = list(_spans(root, 0.0))
    left = max((0.0, *(_EDGE - start for start, _ in spans)))
    right = max((0.0, *(end + _EDGE - width for _, end in spans)))
    whole = f"{width + left + right:.0f}"
    root.set("width", whole)
    root.set("viewBox", f"{-left:.0f} 0 {whole} {height}")
    ground = next(element for element in root.iter() if element.tag.endswith("}rect"))
    ground.set("x", f"{-left:.0f}")
    ground.set("width", whole)


def _spans(parent: ET.Element, offset: float) -> Iterator[tuple[float, float]]:
    """Left and right end of each text that lies flat."""
    for element in parent:
        moved = _MOVED.match(element.get("transform", ""))
        x = offset + (float(moved[1]) if moved else 0.0)
        if element.tag.endswith("}text") and "rotate" not in element.get("transform", ""):
            yield _span(element, x)
        yield from _spans(element, x)


def _span(text: ET.Element, x: float) -> tuple[float, float]:
    size = float(text.get("font-size", "10px").removesuffix("px"))
    bold = _BOLD if text.get("font-weight") else 1.0
    width = _WIDEST * bold * size * len("".join(text.itertext()))
    before = {"end": 1.0, "middle": 0.5}.get(text.get("text-anchor", ""), 0.0)
    return x - before * width, x + (1 - before) * width
