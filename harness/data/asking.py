"""Moved to harness.data.transfer."""

from harness.data.transfer import open_url as asked
from harness.data.transfer import read_pieces as pieces

__all__ = ["asked", "pieces"]
