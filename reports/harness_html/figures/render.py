"""An SVG as PNG, by vl-convert, which is imported on use and may load no URLs."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageOps

from harness.board.palette import LIGHT
from harness.extras import Untyped, require_module

_MARGIN: Final = 10  #: px, around a PNG


def load_renderer() -> Untyped:
    """The library. Raises HarnessError if it is not installed."""
    return require_module("vl_convert", "figures", by="drawing figures as PNG")


def to_png(svg: str, scale: float = 2) -> bytes:
    """A light SVG as PNG, scaled by `scale`, cut to what is drawn.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    drawn: bytes = load_renderer().svg_to_png(svg, scale=scale)
    written = io.BytesIO()
    whole = Image.open(io.BytesIO(drawn)).convert("RGB")  # opaque: a third of the bytes
    drawing = whole.crop(ImageOps.invert(whole).getbbox())
    ImageOps.expand(drawing, round(_MARGIN * scale), LIGHT.ground).save(written, format="PNG")
    return written.getvalue()
