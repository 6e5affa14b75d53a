"""What of an output must stay the same: values for programs stay, sentences for people and facts of this machine go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

#: keys whose values are of this machine, this minute or this version
_CHANGING: Final = frozenset(
    {"at", "started", "ended", "finished", "created", "seconds", "wall_s", "took", "environment", "plugins", "python"}
    | {"version", "versions", "commit", "fingerprint", "identity_digest", "free", "memory", "cores", "cwd"}
)
_DIGEST: Final = re.compile(r"\b(?:k1:)?[0-9a-f]{16,64}\b")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|[+-]\d\d:\d\d)?")
_NUMBERED: Final = re.compile(r"(?<=<folder>/)([a-z]+)\d+")  #: folders that pytest numbers
_WORDS: Final = 4  #: a text of more words is a sentence


def mask(value: Any, folder: Path, key: str = "") -> Any:
    """A value of JSON without sentences, times, digests and what this machine says.

    A digest becomes `<digest>`: that equal things have equal digests is pinned by other tests.
    """
    if key in _CHANGING:
        return f"<{key}>"
    if isinstance(value, dict):
        return {_text(name, folder): mask(each, folder, name) for name, each in value.items()}
    if isinstance(value, list):
        return [mask(each, folder, key) for each in value]
    if isinstance(value, float):
        return round(value, 9)
    return _text(value, folder) if isinstance(value, str) else value


def _text(text: str, folder: Path) -> str:
    bare = _TIME.sub("<time>", _DIGEST.sub("<digest>", text.replace(str(folder), "<folder>")))
    bare = _NUMBERED.sub(r"\1", bare)
    return "<text>" if len(bare.split()) > _WORDS else bare
