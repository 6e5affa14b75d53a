"""Images of the build's folder as images of the set: PNG, as MIS's layout names them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from harness import BadData
from harness_builder.disk import is_full

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


def place(source: Path, target: Path) -> None:
    """Put an image there: a PNG as it was drawn, by a hard link where the disk has them; any other kind written anew,
    without loss in what is seen and without what a camera noted.

    Raises:
        BadData: it is no image, or not there.
        OSError: the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with source.open("rb") as file:
            drawn = file.read(len(_PNG)) == _PNG
        if drawn:
            _link(source, target)
        else:
            _write_anew(source, target)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_full(error):
            raise
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        what = f"an image of the build cannot be put into the set: {why}"
        raise BadData(what, where=source.name, remedy="delete it, and build again: it is drawn anew") from None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write_anew(source: Path, target: Path) -> None:
    from PIL import Image, ImageOps

    with Image.open(source) as found:
        upright = ImageOps.exif_transpose(found)
        picture = upright if upright.mode in _MODES else upright.convert("RGB")
        picture.save(target, format="PNG", icc_profile=found.info.get("icc_profile"), exif=None)
