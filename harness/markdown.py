"""Foreign text in Markdown: a name may try to be a link, a mention, an image, HTML or a new table column."""

from __future__ import annotations

import re

from harness.terminal import plain

# Letters, digits and what means nothing to Markdown stay as they are, so that the raw file reads well. An underscore
# inside a word is no emphasis; `](`, `://`, `www.` and `@` would make links and mentions.
_UNSAFE = re.compile(
    r"[^\w\s./:+=,;?'\"()[\]%↓↑→—·-]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE
)


def escape(text: object) -> str:
    """One line that shows as the text and does nothing else; what has a meaning becomes a character reference."""
    one_line = " ".join(plain(str(text)).split())
    return _UNSAFE.sub(lambda match: f"&#{ord(match.group())};", one_line)
