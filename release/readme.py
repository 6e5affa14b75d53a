"""README.md as PyPI shows it: a page of PyPI has no files beside it, so no relative link or picture may be left.

Hatchling loads this file as a metadata hook (`tool.hatch.metadata.hooks.custom` in pyproject.toml). Links lead to the
release's tag in the repository once `project.urls` names it as `Source`. Until then a link goes and its text stays.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK: Final = re.compile(r"\[([^\]\n]*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")
_PICTURE: Final = re.compile(r"<picture>.*?(<img [^>]*>)\s*</picture>(\n+|$)", re.DOTALL)
_SRC: Final = re.compile(r'(src=")(?!https?://)([^"]+)')
_LINKS_ALONE: Final = re.compile(rf"(?:^(?:{_LINK.pattern}[ ·]*)+\n)+\n?", re.MULTILINE)  #: lines of nothing else


def render_readme(text: str, *, source: str = "", version: str = "") -> str:
    """Turn README.md into a text without relative links.

    Args:
        text: README.md.
        source: address of the repository; empty if there is none yet.
        version: the release, whose tag is `vVERSION`.
    """
    if not source:
        return _LINK.sub(r"\1", _LINKS_ALONE.sub("", _PICTURE.sub("", text)))
    source = source.rstrip("/")
    text = _SRC.sub(rf"\g<1>{source}/raw/v{version}/\2", _PICTURE.sub(r"\1\2", text))
    return _LINK.sub(rf"[\1]({source}/blob/v{version}/\2)", text)


class ReadmeHook(MetadataHookInterface):
    """Gives hatchling the readme of the wheel and of the sdist."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme` in the project's metadata."""
        text = Path(self.root, "README.md").read_text("utf-8")
        source = metadata.get("urls", {}).get("Source", "")
        shown = render_readme(text, source=source, version=metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}
