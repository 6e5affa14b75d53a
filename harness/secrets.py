"""Finds credentials in texts: values of variables with the name of a key, texts with the form or the label of one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

# Patterns are texts, compiled when first used: each command imports this module, and few look for a key.
#: what looks like a key in a message; `re.sub` may keep the group before it
LIKE_KEY: Final = r"\b(sk-|Bearer )[\w.~+/*-]{4,}=*"
#: the beginning of a vendor's keys, a group as well, and the rest of the key
VENDOR_KEY: Final = (
    r"(?<![\w-])((?:hf_|gh[oprsu]_|gsk_|r8_|xai-)(?=[A-Za-z0-9]{16})"
    r"|(?:github_pat_|nvapi-|glpat-|xox[a-z]-|AKIA|AIza)(?=[\w-]{8})"
    r"|eyJ(?=[\w-]{8,}\.eyJ[\w-]{8}))[\w.-]+"  # the last is a JSON Web Token
)
_SHORTEST: Final = 8  # a shorter value of a variable is a switch
_PLACEHOLDER: Final = 16  # a shorter one is no key that must not be recorded: servers on this machine want any word
_NAMES: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD", "KEYS", "TOKENS", "SECRETS", "PASSWORDS")
_LOOKS: Final = r"(?<![\w-])(?:sk-(?:\w+-)*(?=[A-Za-z_]*\d)\w{8,}|Bearer [\w.~+/*-]{8,})"
_KEY: Final = (
    r"(?:[\w-]*[_-])?(?:(?:api|access|private|subscription)[_-]?key|secret|password|passwd|authorization)"
    r"|(?:(?:access|auth|api|bearer|session|user|refresh)[_-]?)?token"
)
#: variables that a setting named as the one with the key, whatever they are called
_named: set[str] = set()
_CALLED: Final = rf"""(?i)["'](?:{_KEY})["']\s*:\s*["'][^"']{{4,}}"""
_GIVEN: Final = rf"""(?i)(?<![\w-])(?:{_KEY})\s*=\s*["']?[^\s"'<>,;&]{{8,}}"""
_LOGIN: Final = r"""://[^\s/?#:@"']*:[^\s/?#"']+@"""
_QUERY: Final = rf"""(?i)[?&](?:{_KEY}|key)=[^\s&#"']{{4,}}"""
_ADDRESS: Final = r"(?i)https?://(?:(?P<user>[^\s/?#]*)@)?[^\s?#]*(?P<rest>\S*)"
_HOST: Final = r"""://(?:[^\s/?#"']*@)?([^\s/?#:@"']+)"""


def without_secrets(text: str) -> str:
    """The text without the values of environment variables that are named like keys."""
    for name, value in _key_variables():
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"[{name}]")
    return text


def holds_key(text: str) -> bool:
    """Whether a text holds a key: one of the environment, what looks like one, or a value that is called one.

    Of an address the path is a name that may look like anything: only its user, its query and keys of the environment
    count. A value of the environment is a placeholder if it is short, or part of a host's name in the text.
    """
    if re.search(_LOGIN, text) or re.search(_QUERY, text):
        return True
    address = re.fullmatch(_ADDRESS, text.strip())
    looked_at = text if address is None else f"{address['user'] or ''} {address['rest']}"
    if any(re.search(pattern, looked_at) for pattern in (_LOOKS, VENDOR_KEY, _CALLED, _GIVEN)):
        return True
    hosts = re.findall(_HOST, text)
    for _, value in _key_variables():
        # A value may as well name the file or the server that has the key.
        may_be_key = len(value) >= _PLACEHOLDER and not value.startswith(("/", ".")) and "://" not in value
        if may_be_key and value in text and not any(value in host for host in hosts):
            return True
    return False


def name_variable(variable: str) -> None:
    """Treat the value of this environment variable as a key from now on, whatever the variable is called."""
    _named.add(variable)


def _key_variables() -> Iterator[tuple[str, str]]:
    """The variables that hold keys: by a word of the name, or because a setting says so."""
    for name, value in os.environ.items():
        if name in _named or _is_key_name(name):
            yield name, value


@lru_cache(maxsize=4096)
def _is_key_name(name: str) -> bool:
    return any(word.endswith(_NAMES) for word in name.upper().split("_"))
