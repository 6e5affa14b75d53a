"""What holds a key: never shown, never recorded."""

from __future__ import annotations

import os
import re

_WORDS = frozenset({"key", "keys", "apikey", "token", "secret", "authorization", "password", "ak", "sk"})
_SHORTEST = 6  # a shorter one is a placeholder, and taking it out would tear words apart
_SAID = re.compile(r"(?i)(api[ _-]?key\W{1,4}|bearer |\bsk-)[^\s'\",;]{4,}")  # VLMEvalKit logs keys in clear


def secret(name: str) -> bool:
    """Whether an argument or a variable of this name holds a key."""
    return not _WORDS.isdisjoint(name.casefold().split("_")) or name == "app_code"


def redact(text: str) -> str:
    """The text without the keys of this environment, and without what is called a key or looks like one."""
    for value in (os.environ[name].strip() for name in os.environ if secret(name)):
        text = text.replace(value, "***") if len(value) >= _SHORTEST else text
    return _SAID.sub(r"\1***", text)
