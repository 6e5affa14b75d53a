"""Open an image once: read, check, hash, encode; the model and the judge share what was opened.

Type and size are read from the file's own bytes and a file name is never believed: PNG, JPEG, GIF, WebP and BMP, the
types that models take. The structure is checked (header, pixel limit, PNG chunks to IEND, JPEG to its end) and nothing
is decoded: a picture that would unpack to gigabytes costs no more to check than any other, and what reaches a provider
is the file, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import BadImage
from harness.types import Image, ImageContent

if TYPE_CHECKING:
    import PIL.Image

PIXEL_LIMIT: Final = 80_000_000  #: width times height; below the size at which Pillow warns of a bomb
BYTE_LIMIT: Final = 64 << 20  #: bytes of one image file
_REMEMBERED: Final = 1 << 14  # image hashes kept in memory: a few megabytes
_SETTLED_NS: Final = 2_000_000_000  # a file touched more recently could change again within its time stamp
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # frame headers; the three are tables
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length


def open_image(image: Image) -> Image:
    """The image with its content; one that is already open is returned as it is.

    Raises:
        BadImage: missing, outside_root, not_an_image, truncated, too_many_pixels, too_many_bytes or unreadable.
    """
    if image.content is not None:
        return image
    stamp, data, header = _read_checked(image)
    content = ImageContent(
        data=data,
        encoded=b64encode(data),
        sha256=_hashes.find(stamp, data),
        mime=header.mime,
        width=header.width,
        height=header.height,
    )
    return replace(image, content=content)


def read_image(image: Image) -> bytes:
    """The bytes of an image, after the checks of `open_image`; cheaper for a caller that needs nothing else.

    Raises:
        BadImage: as `open_image`.
    """
    return _read_checked(image)[1]


def inline_image(name: str, data: bytes) -> Image:
    """An unopened image whose bytes are in memory, for probes and tests."""
    return Image(path=name, files=_InlineFile(data=data))


def draw_image(name: str, data: bytes) -> Image:
    """An open image whose bytes are in memory, for what an attack or a strategy draws.

    Raises:
        BadImage: as `open_image`.
    """
    return open_image(inline_image(name, data))


def decode(content: ImageContent) -> PIL.Image.Image:
    """The pixels: RGB, turned upright as its EXIF says.

    Raises:
        BadImage: unreadable, if the structure is sound but the pixels are not; too_many_pixels.
    """
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(io.BytesIO(content.data)) as picture:
            _check_pixels(f"sha256 {content.sha256[:12]}", *picture.size)  # whatever the header says
            upright = PIL.ImageOps.exif_transpose(picture)
            # A palette with transparency goes through RGBA: Pillow warns about the direct way, and the pixels are
            # equal.
            return (upright.convert("RGBA") if "transparency" in upright.info else upright).convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadImage(f"sha256 {content.sha256[:12]}", "unreadable", str(error)) from None


def _read_checked(image: Image) -> tuple[tuple[str, int, int], bytes, ImageHeader]:
    stamp = image.files.stamp(image.path)
    if stamp[1] > BYTE_LIMIT:
        raise BadImage(image.path, "too_many_bytes", f"{stamp[1]} bytes, at most {BYTE_LIMIT} are read")
    data = image.files.read(image.path)
    try:
        header = read_header(data)
    except ImageFault as fault:
        raise BadImage(image.path, fault.reason, str(fault)) from None
    _check_pixels(image.path, header.width, header.height)
    return stamp, data, header


def _check_pixels(path: str, width: int, height: int) -> None:
    if width * height > PIXEL_LIMIT:
        raise BadImage(path, "too_many_pixels", f"{width} x {height} pixels, at most {PIXEL_LIMIT} are opened")


@dataclass(frozen=True, slots=True)
class _InlineFile:
    """`harness.types.Files` with one file, which exists only in memory."""

    data: bytes = field(repr=False)
    root: Path = Path()

    def read(self, path: str) -> bytes:  # noqa: ARG002
        return self.data

    def stamp(self, path: str) -> tuple[str, int, int]:  # noqa: ARG002
        return f"inline:{hashlib.sha256(self.data).hexdigest()}", len(self.data), 0


class _HashCache:
    """The hashes of the last images by name, size and time, so that a second pass does not hash again."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, stamp: tuple[str, int, int], data: bytes) -> str:
        with self._lock:
            known = self._known.get(stamp)
        if known is not None and len(data) == stamp[1]:
            return known
        found = hashlib.sha256(data).hexdigest()
        if len(data) == stamp[1] and time.time_ns() - stamp[2] > _SETTLED_NS:
            with self._lock:
                self._known[stamp] = found
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return found


_hashes: Final = _HashCache()


class ImageFault(Exception):
    """A file that cannot be used as an image; `reason` is `not_an_image`, `truncated` or `unreadable`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """Type and size of an image."""

    mime: str
    width: int
    height: int


def read_header(data: bytes) -> ImageHeader:
    """The header of a complete image.

    Raises:
        ImageFault: it is no image, of a type models do not take, cut off, or has no pixels.
    """
    found = next(((mime, read_size) for mime, matches, read_size in _FORMATS if matches(data)), None)
    if found is None:
        raise ImageFault("not_an_image", "neither PNG, JPEG, GIF, WebP nor BMP")
    mime, read_size = found
    try:
        width, height = read_size(data)
    except (struct.error, IndexError):
        raise ImageFault("truncated", f"{mime} of {len(data)} bytes ends in its header") from None
    if width <= 0 or height <= 0:
        raise ImageFault("unreadable", f"{mime} of {width} x {height} pixels")
    return ImageHeader(mime=mime, width=width, height=height)


def _read_png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ImageFault("truncated" if len(data) < 33 else "unreadable", "PNG without its header chunk")
    at, kind, pixels = 8, b"", False
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        pixels = pixels or kind == b"IDAT"
        if kind == b"IHDR" and at > 8:
            raise ImageFault("unreadable", "PNG with a second header")
        at += length + 12
        if at > len(data):
            raise ImageFault("truncated", f"PNG ends inside a chunk, {at - len(data)} bytes short")
    if not pixels:
        raise ImageFault("unreadable", "PNG without pixels")
    return struct.unpack_from(">II", data, 16)


def _read_jpeg(data: bytes) -> tuple[int, int]:
    """Walk the segments to the scan; within a scan the end marker cannot occur, so the last one is the end."""
    at, size = 2, (0, 0)
    while True:
        if data[at] != 0xFF:
            raise ImageFault("unreadable", f"JPEG with something else than a marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF or marker in _JPEG_BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height)
        if marker in {0xDA, 0xD9}:
            break
        at += 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])
    if data.rfind(b"\xff\xd9", at) < 0:
        raise ImageFault("truncated", "JPEG without its end")
    return size


def _read_gif(data: bytes) -> tuple[int, int]:
    """The screen, or more if a frame reaches beyond it: decoders allocate that."""
    width, height = struct.unpack_from("<HH", data, 6)
    if not data.rstrip(b"\0").endswith(b";"):
        raise ImageFault("truncated", "GIF without its end")
    at, end = 13 + _color_bytes(data[10]), len(data)
    while at < end and data[at] != 0x3B:
        if data[at] == 0x2C:
            left, top, wide, high = struct.unpack_from("<HHHH", data, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            at = _skip_blocks(data, at + 11 + _color_bytes(data[at + 9]))
        else:  # an extension; any other byte is skipped, as decoders do
            at = _skip_blocks(data, at + 2) if data[at] == 0x21 else at + 1
    return width, height


def _color_bytes(flags: int) -> int:
    """How many bytes a GIF's table of colors takes."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _read_webp(data: bytes) -> tuple[int, int]:
    (length,) = struct.unpack_from("<I", data, 4)
    kind = data[12:16]
    if length + 8 > len(data):
        raise ImageFault("truncated", f"WebP ends {length + 8 - len(data)} bytes short")
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _read_bmp(data: bytes) -> tuple[int, int]:
    declared, header = struct.unpack_from("<I", data, 2)[0], struct.unpack_from("<I", data, 14)[0]
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    if declared > len(data):
        raise ImageFault("truncated", f"BMP ends {declared - len(data)} bytes short")
    return width, abs(height)


_FORMATS: Final[tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], tuple[int, int]]], ...]] = (
    ("image/png", lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), _read_png),
    ("image/jpeg", lambda data: data.startswith(b"\xff\xd8\xff"), _read_jpeg),
    ("image/gif", lambda data: data.startswith((b"GIF87a", b"GIF89a")), _read_gif),
    ("image/webp", lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _read_webp),
    ("image/bmp", lambda data: data.startswith(b"BM"), _read_bmp),
)
