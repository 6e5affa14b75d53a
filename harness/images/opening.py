"""Moved to harness.images."""

from harness.images import BYTE_LIMIT, decode, inline_image, open_image, read_image

__all__ = ["BYTE_LIMIT", "decode", "inline_image", "open_image", "read_image"]
