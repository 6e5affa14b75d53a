"""An SVG drawing, written element by element, and the width that its texts can have in a reader's font.

All texts are placed by their own measured width, in a font wider than the usual ones, so that none covers another
whichever font a reader has. Elements have attributes only: no style, script, link, class or id is in a drawing, so it
can stand in a page with a strict policy. A group of a model has `data-model`, its number on the page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from harness.board.palette import LIGHT, VARIABLES

from .readings import shorten

FONT: Final = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
COLUMN: Final = 340  #: px, of a figure that fits a phone, and a column of a paper
PLAIN: Final = 11  #: px, of text
SMALL: Final = 10  #: px, of text at marks and axes
_COLOUR: Final = re.compile(r'(fill|stroke)="(#[0-9a-f]{6})"')
#: characters -> width in the font's size, of the widest usual fonts (DejaVu Sans, Verdana)
_WIDTHS: Final = {**dict.fromkeys("iljI.,:;|'!()[]ftr-/ ·", 0.43), **dict.fromkeys("mwMWO@%…+QGD↓↑", 0.99)}

#: shape -> its outline in a square from -1 to 1, as path data whose numbers are scaled
_SHAPES: Final[tuple[tuple[tuple[float, float], ...], ...]] = (
    (),  # a circle
    ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    ((0, -1.15), (1.1, 0.8), (-1.1, 0.8)),
    ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    ((0, 1.15), (1.1, -0.8), (-1.1, -0.8)),
    (
        *((-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4)),
        *((0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4)),
    ),
    ((-0.8, -1.1), (1.15, 0), (-0.8, 1.1)),
    (
        *((0, -1.25), (0.33, -0.45), (1.19, -0.39), (0.53, 0.17), (0.73, 1.01)),
        *((0, 0.55), (-0.73, 1.01), (-0.53, 0.17), (-1.19, -0.39), (-0.33, -0.45)),
    ),
    ((0.8, -1.1), (-1.15, 0), (0.8, 1.1)),
    (
        *((-1.1, -0.55), (-0.55, -1.1), (0, -0.55), (0.55, -1.1), (1.1, -0.55), (0.55, 0)),
        *((1.1, 0.55), (0.55, 1.1), (0, 0.55), (-0.55, 1.1), (-1.1, 0.55), (-0.55, 0)),
    ),
    ((-0.55, -1), (0.55, -1), (1.1, 0), (0.55, 1), (-0.55, 1), (-1.1, 0)),
    ((-1, -1.05), (1, -1.05), (0.15, 0), (1, 1.05), (-1, 1.05), (-0.15, 0)),
    ((-1.15, -0.5), (1.15, -0.5), (1.15, 0.5), (-1.15, 0.5)),
    ((-1.05, -1), (0, -0.15), (1.05, -1), (1.05, 1), (0, 0.15), (-1.05, 1)),
    ((-0.5, -1.2), (0.5, -1.2), (0.5, 1.2), (-0.5, 1.2)),
)
LOOKS: Final = len(_SHAPES) * len(LIGHT.series)  #: marks that differ in shape, colour or both


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The mark of one model, the same in all figures of a page.

    Attributes:
        number: of the model on the page, from 0.
        name: of the model.
    """

    number: int
    name: str = ""

    @property
    def shape(self) -> int:
        """Place of its shape: any fifteen models in a row differ in it."""
        return self.number % len(_SHAPES)

    @property
    def colour(self) -> str:
        """Its light colour: any seven models in a row differ in it."""
        return LIGHT.series[self.number % len(LIGHT.series)]


class Canvas:
    """A drawing that grows downwards."""

    def __init__(self, width: float, height: float = 0.0) -> None:
        """Empty; `height` may be set later."""
        self.width, self.height = width, height
        self._parts: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SMALL,
        fill: str = LIGHT.ink,
        anchor: str = "",
        bold: bool = False,
        turned: bool = False,
        halo: bool = False,
    ) -> None:
        """A text whose base line begins, ends (`anchor="end"`) or has its middle at a place; `turned` reads upwards."""
        given = {
            "font-size": "" if size == SMALL else _short(size),
            "font-weight": "600" if bold else "",
            "text-anchor": anchor,
            "fill": "" if fill == LIGHT.ink else fill,
        }
        if halo:
            given |= {"stroke": LIGHT.ground, "stroke-width": "3", "stroke-linejoin": "round", "paint-order": "stroke"}
        if turned:
            given["transform"] = f"rotate(-90 {_short(x)} {_short(y)})"
        self._add(f'<text x="{_short(x)}" y="{_short(y)}"', given, escape(text), "text")

    def row(self, y: float, cells: Sequence[tuple[float, str]], *, fill: str) -> None:
        """Short texts whose middles are at several places of one line."""
        inside = "".join(f'<tspan x="{_short(x)}">{escape(text)}</tspan>' for x, text in cells)
        if cells:
            self._add(f'<text y="{_short(y)}"', {"text-anchor": "middle", "fill": fill}, inside, "text")

    def path(
        self, d: str, *, fill: str = "none", stroke: str = "", width: float = 1.0, dash: str = "", opacity: str = ""
    ) -> None:
        """A path of SVG's own commands."""
        given = {
            "fill": fill,
            "stroke": stroke,
            "stroke-width": "" if width == 1 or not stroke else _short(width),
            "stroke-dasharray": dash,
            "opacity": opacity,
        }
        self._add(f'<path d="{d}"', given)

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        stroke: str,
        width: float = 1.0,
        *,
        dash: str = "",
        opacity: str = "",
    ) -> None:
        """A straight line."""
        on = f"H{_short(x2)}" if y1 == y2 else f"V{_short(y2)}" if x1 == x2 else f"L{_short(x2)} {_short(y2)}"
        d = f"M{_short(x1)} {_short(y1)}{on}"
        self.path(d, stroke=stroke, width=width, dash=dash, opacity=opacity)

    def box(self, left: float, top: float, width: float, height: float, fill: str, opacity: str = "") -> None:
        """A filled rectangle."""
        d = f"M{_short(left)} {_short(top)}h{_short(width)}v{_short(height)}h{_short(-width)}z"
        self.path(d, fill=fill, opacity=opacity)

    def boxes(self, lefts: Sequence[float], top: float, width: float, height: float, fill: str) -> None:
        """Rectangles of one colour side by side."""
        side = f"{_short(top)}h{_short(width)}v{_short(height)}h{_short(-width)}z"
        self.path("".join(f"M{_short(left)} {side}" for left in lefts), fill=fill)

    def mark(self, x: float, y: float, look: Look, *, hollow: bool = False, size: float = 4.2) -> None:
        """A model's mark; hollow if it is not ranked."""
        self.shape(x, y, look.shape, LIGHT.ground if hollow else look.colour, look.colour if hollow else "", size)

    def shape(self, x: float, y: float, shape: int, fill: str, stroke: str = "", size: float = 4.2) -> None:
        """One of the shapes, in a frame of the ground that keeps it off what lies under it."""
        outline = _SHAPES[shape % len(_SHAPES)]
        if outline:
            places = [(x + size * across, y + size * down) for across, down in outline]
            d = "M" + "L".join(f"{_short(across)} {_short(down)}" for across, down in places) + "z"
        else:
            d = f"M{_short(x - size)} {_short(y)}a{_short(size)} {_short(size)} 0 1 0 {_short(2 * size)} 0"
            d += f"a{_short(size)} {_short(size)} 0 1 0 {_short(-2 * size)} 0z"
        self.path(d, fill=fill, stroke=stroke or LIGHT.ground, width=1.5 if stroke else 0.8)

    @contextmanager
    def model(self, look: Look) -> Generator[None]:
        """What is drawn inside belongs to one model: a page's filter finds it by its number."""
        self._parts.append(f'<g data-model="{look.number}">')
        yield
        self._parts.append("</g>")

    def finish(self, title: str, caption: str) -> str:
        """The whole drawing as one image to a screen reader, in light colours."""
        size = f'width="{_short(self.width)}" height="{_short(self.height)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_short(self.width)} {_short(self.height)}" '
            f'role="img" aria-label={quoteattr(title)} font-family="{FONT}" font-size="{SMALL}" fill="{LIGHT.ink}">'
            f'<desc>{escape(caption)}</desc><rect width="{_short(self.width)}" height="{_short(self.height)}" '
            f'fill="{LIGHT.ground}"/>{"".join(self._parts)}</svg>'
        )

    def bare(self) -> str:
        """The drawing for a page's text: without ground and caption, hidden from screen readers, in variables."""
        size = f'width="{_short(self.width)}" height="{_short(self.height)}"'
        view = f'viewBox="0 0 {_short(self.width)} {_short(self.height)}"'
        return for_page(f'<svg aria-hidden="true" {size} {view}>{"".join(self._parts)}</svg>')

    def _add(self, begun: str, given: dict[str, str], inside: str = "", name: str = "") -> None:
        attributes = "".join(f' {key}="{value}"' for key, value in given.items() if value)
        self._parts.append(f"{begun}{attributes}>{inside}</{name}>" if name else f"{begun}{attributes}/>")


def for_page(svg: str) -> str:
    """A drawing with the variables of the page's themes as colours; its caption stands below it there."""
    bare = re.sub(r"<desc>.*?</desc>", "", svg, count=1, flags=re.DOTALL)
    return _COLOUR.sub(lambda found: f'{found[1]}="var({VARIABLES[found[2]]})"', bare)


def _short(number: float) -> str:
    """At most a tenth of a pixel: less is invisible."""
    return f"{number:.1f}".removesuffix(".0").replace("-0.0", "0") or "0"


@lru_cache(maxsize=4096)
def measure(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """The most pixels that a text can be wide."""
    width = 0.0
    for letter in text:
        if letter in _WIDTHS:
            width += _WIDTHS[letter]
        elif letter.isascii():
            width += 0.78 if letter.isupper() else 0.64
        elif unicodedata.category(letter) not in ("Mn", "Me", "Cf"):
            width += 1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.8
    return width * size * (1.1 if bold else 1.0)


@lru_cache(maxsize=4096)
def fit(text: str, room: float, size: float = SMALL) -> str:
    """The text, without its middle where it is wider than the room."""
    if measure(text, size) <= room:
        return shorten(text, 10_000)
    most = len(text)
    while most > 4 and measure(shorten(text, most), size) > room:
        most -= max(1, round((measure(shorten(text, most), size) - room) / (2 * size)))
    return shorten(text, max(most, 4))


def fit_apart(names: Sequence[str], room: float, size: float = SMALL) -> list[str]:
    """The names, each no wider than the room, numbered where two look alike."""
    seen: dict[str, int] = {}
    fitted: list[str] = []
    for name in names:
        short = fit(name, room, size)
        seen[short] = seen.get(short, 0) + 1
        if seen[short] > 1:
            end = f" ·{seen[short]}"
            short = f"{fit(name, room - measure(end, size), size)}{end}"
        fitted.append(short)
    return fitted


def wrap(text: str, room: float, size: float = SMALL) -> list[str]:
    """The text in lines no wider than the room; a word that is wider alone loses its middle."""
    lines = [""]
    for word in text.split(" "):
        more = f"{lines[-1]} {word}".strip()
        if measure(more, size) <= room:
            lines[-1] = more
        else:
            lines.append(fit(word, room, size))
    return [line for line in lines if line]
