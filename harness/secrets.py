"""What is a key: the value of a variable that is named like one, what looks like one, and what is called one."""

from __future__ import annotations

import os
import re
from typing import Final

#: what looks like a key in a message, for `sub`: what stands before it is kept
SECRET: Final = re.compile(r"\b(sk-|Bearer )[\w.~+/*-]{4,}=*")
_SHORTEST: Final = 8  # a shorter value of a variable is a switch
_NAMES: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_LOOKS: Final = r"\b(?:sk-[\w-]{8,}|Bearer [\w.~+/*-]{8,}|(?:hf_|ghp_|xox[a-z]-|AKIA|AIza)[\w-]{8,})"
_CALLED: Final = (
    r"""(?i)["'](?:(?:[\w-]*[_-])?(?:api[_-]?key|secret|password|authorization)"""
    r"""|(?:(?:access|auth|api|bearer|session)[_-]?)?token)["']\s*:\s*["'][^"']{4,}"""
)


def without_secrets(text: str) -> str:
    """The text without the values of environment variables that are named like keys."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and any(word in name.upper() for word in _NAMES):
            text = text.replace(value, f"[{name}]")
    return text


def holds_key(text: str) -> bool:
    """Whether a text holds a key: one of the environment, what looks like one, or a field of JSON called one."""
    if re.search(_LOOKS, text) or re.search(_CALLED, text):
        return True
    return any(
        len(value) >= _SHORTEST and value in text and not value.startswith(("/", "."))  # a file with a key is named
        for name, value in os.environ.items()
        if name.upper().endswith(_NAMES)
    )
