"""A chart in, SVG and PNG out: by vl-convert, which carries its own Vega and is allowed no address to load from.

What it draws is then made smaller and plainer: everything that does not show is dropped, and the whole drawing is one
image to a screen reader. In the page its colours are variables, so that it follows the page's theme.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from PIL import Image, ImageOps

from harness import HarnessError

from .room import widen
from .theme import CONFIG, FONT, LIGHT, VARIABLES
from .values import Draft, Figure

INSTALL: Final = "pip install 'vlm-safety-harness[figures]'"
_MARGIN: Final = 10  #: px, around a PNG
_SVG: Final = "http://www.w3.org/2000/svg"
_KEPT: Final = frozenset(
    {
        *("d", "transform", "width", "height", "x", "y", "x1", "x2", "y1", "y2", "viewBox"),
        *("fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "fill-opacity"),
        *("font-size", "font-weight", "font-style", "text-anchor"),
    }
)
_PLACES: Final = frozenset({"d", "transform", "width", "height", "x", "y", "x1", "x2", "y1", "y2"})
_LONG: Final = re.compile(r"\d+\.\d\d+")  #: a hundredth of a pixel shows nowhere
_SAID: Final = {"opacity": "1", "stroke-width": "1", "text-anchor": "start", "font-weight": "normal"}  #: by default


def figure(draft: Draft) -> Figure:
    """The draft, drawn for a file and for the page. Raises HarnessError where the library is not installed."""
    drawn = _drawn(draft)
    svg = _text(drawn)
    _exchange(drawn, {colour: f"var({name})" for colour, name in VARIABLES.items()})
    return Figure(
        name=draft.name, title=draft.title, told=draft.told, svg=svg, page_svg=_text(drawn), table=draft.table
    )


def png(svg: str, scale: float = 2) -> bytes:
    """A light SVG as PNG, `scale` pixels for one of its own, without the room it leaves for wider fonts.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    drawn: bytes = renderer().svg_to_png(svg, scale=scale)
    written = io.BytesIO()
    whole = Image.open(io.BytesIO(drawn)).convert("RGB")  # opaque: a third of the bytes
    drawing = whole.crop(ImageOps.invert(whole).getbbox())
    ImageOps.expand(drawing, round(_MARGIN * scale), LIGHT.ground).save(written, format="PNG")
    return written.getvalue()


def renderer() -> ModuleType:
    """The library that draws. Raises HarnessError where it is not installed."""
    try:
        import vl_convert
    except ImportError as error:
        raise HarnessError("figures need the extra `figures`", remedy=INSTALL) from error
    return vl_convert


def _drawn(draft: Draft) -> ET.Element:
    spec: dict[str, Any] = {**draft.chart, "config": CONFIG}
    drawn: str = renderer().vegalite_to_svg(spec, allowed_base_urls=[])
    root = ET.fromstring(drawn)  # noqa: S314 -- written by the library a line above
    _plain(root)
    widen(root)
    root.attrib.update({"role": "img", "aria-label": draft.title, "font-family": FONT})
    told = ET.Element(f"{{{_SVG}}}desc")
    told.text = draft.told
    root.insert(0, told)
    return root


def _plain(parent: ET.Element) -> None:
    """Drops attributes that do not show, elements that draw nothing, and groups around nothing."""
    for name in [name for name, value in parent.attrib.items() if name not in _KEPT or _SAID.get(name) == value]:
        del parent.attrib[name]
    for name in parent.attrib.keys() & _PLACES:
        parent.set(name, _LONG.sub(_short, parent.attrib[name]))
    for child in list(parent):
        hidden = child.get("display") == "none"
        _plain(child)
        if hidden or _draws_nothing(child):
            parent.remove(child)
        elif child.tag == f"{{{_SVG}}}g" and not child.attrib:
            place = list(parent).index(child)
            parent[place : place + 1] = list(child)


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _draws_nothing(element: ET.Element) -> bool:
    name = element.tag.removeprefix(f"{{{_SVG}}}")
    if name == "g":
        return len(element) == 0
    if name == "path":
        return not element.get("d") or {element.get("fill"), element.get("stroke")} <= {None, "none", "transparent"}
    return name == "text" and not element.text


def _exchange(root: ET.Element, colours: Mapping[str, str]) -> None:
    for element in root.iter():
        for name in ("fill", "stroke"):
            old = element.get(name, "")
            if old in colours:
                element.set(name, colours[old])


def _text(root: ET.Element) -> str:
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode")
