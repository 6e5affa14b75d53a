"""Open an image once: read, check, hash, encode.

The opened image is shared by the model and the judge. Structure is checked (header, pixel limit, PNG chunks to IEND,
JPEG to its end) but nothing is decoded: what reaches a provider is the file, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import time
from base64 import b64encode
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import BadImage
from harness.images.formats import Fault, Header, examine
from harness.types import Image, ImageContent

if TYPE_CHECKING:
    import PIL.Image

PIXEL_LIMIT: Final = 80_000_000  #: width times height; below the size at which Pillow warns of a bomb
BYTE_LIMIT: Final = 64 << 20  #: bytes of one image file
_REMEMBERED: Final = 1 << 14  # image hashes kept in memory: a few megabytes
_SETTLED_NS: Final = 2_000_000_000  # a file touched more recently could change again within its time stamp


def open_image(image: Image) -> Image:
    """The image with its content; one that is already open is returned as it is.

    Raises:
        BadImage: missing, outside_root, not_an_image, truncated, too_many_pixels, too_many_bytes or unreadable.
    """
    if image.content is not None:
        return image
    stamp, data, header = _examined(image)
    content = ImageContent(
        data=data,
        encoded=b64encode(data),
        sha256=_hashes.sha256(stamp, data),
        mime=header.mime,
        width=header.width,
        height=header.height,
    )
    return replace(image, content=content)


def read_image(image: Image) -> bytes:
    """The bytes of an image that is whole, after the checks of `open_image`: cheaper, for who looks at many.

    Raises:
        BadImage: as `open_image`.
    """
    return _examined(image)[1]


def inline_image(name: str, data: bytes) -> Image:
    """An unopened image whose bytes are at hand, for probes and tests."""
    return Image(path=name, files=_Inline(data=data))


def decode(content: ImageContent) -> PIL.Image.Image:
    """The pixels: RGB, turned upright as its EXIF says.

    Raises:
        BadImage: unreadable, where the structure was sound and the pixels are not; too_many_pixels.
    """
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(io.BytesIO(content.data)) as picture:
            _check_pixels(f"sha256 {content.sha256[:12]}", *picture.size)  # what is decoded, whatever the header said
            upright = PIL.ImageOps.exif_transpose(picture)
            # A palette with transparency goes through RGBA: Pillow warns about the straight way, the pixels are equal.
            return (upright.convert("RGBA") if "transparency" in upright.info else upright).convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadImage(f"sha256 {content.sha256[:12]}", "unreadable", str(error)) from None


def _examined(image: Image) -> tuple[tuple[str, int, int], bytes, Header]:
    stamp = image.files.stamp(image.path)
    if stamp[1] > BYTE_LIMIT:
        raise BadImage(image.path, "too_many_bytes", f"{stamp[1]} bytes, at most {BYTE_LIMIT} are read")
    data = image.files.read(image.path)
    try:
        header = examine(data)
    except Fault as fault:
        raise BadImage(image.path, fault.reason, str(fault)) from None
    _check_pixels(image.path, header.width, header.height)
    return stamp, data, header


def _check_pixels(path: str, width: int, height: int) -> None:
    if width * height > PIXEL_LIMIT:
        raise BadImage(path, "too_many_pixels", f"{width} x {height} pixels, at most {PIXEL_LIMIT} are opened")


@dataclass(frozen=True, slots=True)
class _Inline:
    """One file that exists only in memory."""

    data: bytes = field(repr=False)
    root: Path = Path()

    def read(self, path: str) -> bytes:  # noqa: ARG002
        return self.data

    def stamp(self, path: str) -> tuple[str, int, int]:  # noqa: ARG002
        return f"inline:{hashlib.sha256(self.data).hexdigest()}", len(self.data), 0


class _Hashes:
    """The hashes of the last images, by what was found on disk, so that a second pass need not hash again."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def sha256(self, stamp: tuple[str, int, int], data: bytes) -> str:
        with self._lock:
            known = self._known.get(stamp)
        if known is not None and len(data) == stamp[1]:
            return known
        found = hashlib.sha256(data).hexdigest()
        if len(data) == stamp[1] and time.time_ns() - stamp[2] > _SETTLED_NS:
            self._remember(stamp, found)
        return found

    def _remember(self, stamp: tuple[str, int, int], found: str) -> None:
        with self._lock:
            self._known[stamp] = found
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


_hashes: Final = _Hashes()
