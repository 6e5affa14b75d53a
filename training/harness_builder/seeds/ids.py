"""How a key spells the id that a seed has in its source.

A `#` in a key parts the seed from the place of its element, so an id that has one is spelled otherwise.
"""

from __future__ import annotations


def spelled(own: str) -> str:
    """An id as it stands in a key; no two ids are spelled alike."""
    return own.replace("%", "%25").replace("#", "%23")


def read(key: str) -> str:
    """A key with its ids as their source has them, which may be that of another key as well."""
    return key.replace("%23", "#").replace("%25", "%")
