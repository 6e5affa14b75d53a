"""Moved to harness.data.downloads."""

from harness.data.downloads import DownloadProgress as Meter
from harness.data.downloads import format_bytes as spelled
from harness.data.downloads import open_progress as meter

__all__ = ["Meter", "meter", "spelled"]
