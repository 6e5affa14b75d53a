"""Open an image once: read, check, hash, encode."""

from harness.images.opening import (
    BYTE_LIMIT,
    decode,
    inline_image,
    open_image,
    read_image,
)

__all__ = [
    "BYTE_LIMIT",
    "decode",
    "inline_image",
    "open_image",
    "read_image",
]
