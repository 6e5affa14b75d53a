"""Renders a chart to SVG and PNG by vl-convert, which bundles Vega and may load no URLs.

The SVG is then simplified: invisible parts are dropped, and a screen reader sees the whole drawing as one image. In the
page its colours are variables, so that it follows the page's theme.

The library measures text with its own font, and a reader's browser may use a wider one. So texts keep their anchors,
and the drawing grows on each side where a text in a wide font could leave it.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any, Final

from PIL import Image, ImageOps

from harness.extras import Untyped, require_module

from .charts import CONFIG, FONT, LIGHT, VARIABLES, Draft, Figure

_MARGIN: Final = 10  #: px, around a PNG
_SVG: Final = "http://www.w3.org/2000/svg"
_SHOWING: Final = frozenset(
    {
        *("d", "transform", "width", "height", "x", "y", "x1", "x2", "y1", "y2", "viewBox"),
        *("fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "fill-opacity"),
        *("font-size", "font-weight", "font-style", "text-anchor"),
    }
)
_PLACES: Final = frozenset({"d", "transform", "width", "height", "x", "y", "x1", "x2", "y1", "y2"})
_LONG_NUMBER: Final = re.compile(r"\d+\.\d\d+")  #: a hundredth of a pixel is invisible
_DEFAULTS: Final = {"opacity": "1", "stroke-width": "1", "text-anchor": "start", "font-weight": "normal"}

_WIDEST: Final = 0.62  #: of the font size: average character width of the widest usual fonts (DejaVu Sans, Verdana)
_BOLD: Final = 1.1  #: width factor of bold characters
_EDGE: Final = 8.0  #: px between text and edge
_MOVED: Final = re.compile(r"translate\((-?[\d.]+),(-?[\d.]+)\)")


def load_renderer() -> Untyped:
    """The drawing library. Raises HarnessError if it is not installed."""
    return require_module("vl_convert", "figures", by="drawing figures")


def draw(draft: Draft) -> Figure:
    """The draft, drawn for a file and for the page. Raises HarnessError if the library is not installed."""
    spec: dict[str, Any] = {**draft.chart, "config": CONFIG}
    drawn: str = load_renderer().vegalite_to_svg(spec, allowed_base_urls=[])
    root = ET.fromstring(drawn)  # noqa: S314 -- written by the library a line above
    _drop_hidden(root)
    widen(root)
    root.attrib.update({"role": "img", "aria-label": draft.title, "font-family": FONT})
    caption = ET.Element(f"{{{_SVG}}}desc")
    caption.text = draft.caption
    root.insert(0, caption)
    ET.register_namespace("", _SVG)
    svg = ET.tostring(root, encoding="unicode")
    for element in root.iter():
        for name in ("fill", "stroke"):
            if (colour := element.get(name, "")) in VARIABLES:
                element.set(name, f"var({VARIABLES[colour]})")
    page_svg = ET.tostring(root, encoding="unicode")
    return Figure(
        name=draft.name, title=draft.title, caption=draft.caption, svg=svg, page_svg=page_svg, table=draft.table
    )


def to_png(svg: str, scale: float = 2) -> bytes:
    """A light SVG as PNG, scaled by `scale`, without the margin for wider fonts.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    drawn: bytes = load_renderer().svg_to_png(svg, scale=scale)
    written = io.BytesIO()
    whole = Image.open(io.BytesIO(drawn)).convert("RGB")  # opaque: a third of the bytes
    drawing = whole.crop(ImageOps.invert(whole).getbbox())
    ImageOps.expand(drawing, round(_MARGIN * scale), LIGHT.ground).save(written, format="PNG")
    return written.getvalue()


def widen(root: ET.Element) -> None:
    """Widen the drawing and its ground as far as its texts could reach."""
    width, height = float(root.get("width", "0")), root.get("height", "0")
    spans = list(_measure_texts(root, 0.0))
    left = max((0.0, *(_EDGE - start for start, _ in spans)))
    right = max((0.0, *(end + _EDGE - width for _, end in spans)))
    whole = f"{width + left + right:.0f}"
    root.set("width", whole)
    root.set("viewBox", f"{-left:.0f} 0 {whole} {height}")
    ground = next(element for element in root.iter() if element.tag.endswith("}rect"))
    ground.set("x", f"{-left:.0f}")
    ground.set("width", whole)


def _measure_texts(parent: ET.Element, offset: float) -> Iterator[tuple[float, float]]:
    """Left and right end of each horizontal text."""
    for element in parent:
        transform = element.get("transform", "")
        moved = _MOVED.match(transform)
        x = offset + (float(moved[1]) if moved else 0.0)
        if element.tag.endswith("}text") and "rotate" not in transform:
            size = float(element.get("font-size", "10px").removesuffix("px"))
            bold = _BOLD if element.get("font-weight") else 1.0
            width = _WIDEST * bold * size * len("".join(element.itertext()))
            before = {"end": 1.0, "middle": 0.5}.get(element.get("text-anchor", ""), 0.0)
            yield x - before * width, x + (1 - before) * width
        yield from _measure_texts(element, x)


def _drop_hidden(parent: ET.Element) -> None:
    """Drop invisible attributes, elements that draw nothing, and empty groups."""
    for name in [name for name, value in parent.attrib.items() if name not in _SHOWING or _DEFAULTS.get(name) == value]:
        del parent.attrib[name]
    for name in parent.attrib.keys() & _PLACES:
        parent.set(
            name, _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), parent.attrib[name])
        )
    for child in list(parent):
        hidden = child.get("display") == "none"
        _drop_hidden(child)
        if hidden or _draws_nothing(child):
            parent.remove(child)
        elif child.tag == f"{{{_SVG}}}g" and not child.attrib:
            place = list(parent).index(child)
            parent[place : place + 1] = list(child)


def _draws_nothing(element: ET.Element) -> bool:
    name = element.tag.removeprefix(f"{{{_SVG}}}")
    if name == "g":
        return len(element) == 0
    if name == "path":
        return not element.get("d") or {element.get("fill"), element.get("stroke")} <= {None, "none", "transparent"}
    return name == "text" and not element.text
