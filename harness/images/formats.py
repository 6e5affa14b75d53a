"""What an image file is, read from its own bytes: type, size in pixels, and whether it is all there.

PNG, JPEG, GIF, WebP and BMP, the types that models take. Nothing is decoded, so a picture that would unpack to
gigabytes costs no more to examine than any other, and a file name is never believed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_SIZES_JPEG: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # frame headers; the three are tables
_BARE_JPEG: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length


class Fault(Exception):
    """A file that cannot be used as an image; `reason` is `not_an_image`, `truncated` or `unreadable`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Type and size of an image."""

    mime: str
    width: int
    height: int


def examine(data: bytes) -> Header:
    """The header of a complete image.

    Raises:
        Fault: it is no image, of a type models do not take, cut off, or has no pixels.
    """
    for mime, is_it, size in _FORMATS:
        if is_it(data):
            return _header(mime, size, data)
    raise Fault("not_an_image", "neither PNG, JPEG, GIF, WebP nor BMP")


def _header(mime: str, size: Callable[[bytes], tuple[int, int]], data: bytes) -> Header:
    try:
        width, height = size(data)
    except (struct.error, IndexError):
        raise Fault("truncated", f"{mime} of {len(data)} bytes ends in its header") from None
    if width <= 0 or height <= 0:
        raise Fault("unreadable", f"{mime} of {width} x {height} pixels")
    return Header(mime=mime, width=width, height=height)


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise Fault("truncated" if len(data) < 33 else "unreadable", "PNG without its header chunk")
    at, kind, pixels = 8, b"", False
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        pixels = pixels or kind == b"IDAT"
        if kind == b"IHDR" and at > 8:
            raise Fault("unreadable", "PNG with a second header")
        at += length + 12
        if at > len(data):
            raise Fault("truncated", f"PNG ends inside a chunk, {at - len(data)} bytes short")
    if not pixels:
        raise Fault("unreadable", "PNG without pixels")
    return struct.unpack_from(">II", data, 16)


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk the segments to the scan; within a scan the end marker cannot occur, so the last one is the end."""
    at, size = 2, (0, 0)
    while True:
        if data[at] != 0xFF:
            raise Fault("unreadable", f"JPEG with something else than a marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE_JPEG:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _SIZES_JPEG:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height)
        if marker in {0xDA, 0xD9}:
            break
        at += 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])
    if data.rfind(b"\xff\xd9", at) < 0:
        raise Fault("truncated", "JPEG without its end")
    return size


def _gif(data: bytes) -> tuple[int, int]:
    """The screen, or as much as its frames reach beyond it: who decodes them makes room for that."""
    width, height = struct.unpack_from("<HH", data, 6)
    if not data.rstrip(b"\0").endswith(b";"):
        raise Fault("truncated", "GIF without its end")
    at, end = 13 + _colors(data[10]), len(data)
    while at < end and data[at] != 0x3B:
        if data[at] == 0x2C:
            left, top, wide, high = struct.unpack_from("<HHHH", data, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            at = _after_blocks(data, at + 11 + _colors(data[at + 9]))
        else:  # an extension; any other byte is passed over, as decoders do
            at = _after_blocks(data, at + 2) if data[at] == 0x21 else at + 1
    return width, height


def _colors(flags: int) -> int:
    """How many bytes a GIF's table of colors takes."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _webp(data: bytes) -> tuple[int, int]:
    (length,) = struct.unpack_from("<I", data, 4)
    kind = data[12:16]
    if length + 8 > len(data):
        raise Fault("truncated", f"WebP ends {length + 8 - len(data)} bytes short")
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _bmp(data: bytes) -> tuple[int, int]:
    declared, header = struct.unpack_from("<I", data, 2)[0], struct.unpack_from("<I", data, 14)[0]
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    if declared > len(data):
        raise Fault("truncated", f"BMP ends {declared - len(data)} bytes short")
    return width, abs(height)


_FORMATS: Final[tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], tuple[int, int]]], ...]] = (
    ("image/png", lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    ("image/jpeg", lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    ("image/gif", lambda data: data.startswith((b"GIF87a", b"GIF89a")), _gif),
    ("image/webp", lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp),
    ("image/bmp", lambda data: data.startswith(b"BM"), _bmp),
)
