"""Moved to harness.web.pages."""

from harness.web.pages import serve_page

__all__ = ["serve_page"]
