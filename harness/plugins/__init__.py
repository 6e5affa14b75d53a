"""The host: the only code that calls hooks."""

from harness.plugins.host import Host, current, use

__all__ = ["Host", "current", "use"]
