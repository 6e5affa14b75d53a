"""Keys and tokens out of whatever leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from harness.secrets import LIKE_KEY, VENDOR_KEY, without_secrets
from harness.types import Json

_GIVEN: Final = r"(?i)\b((?:api[_-]?key|token|secret|password)\s*[=:]\s*)[^\s\"',}]{4,}"
_SHORT: Final = r"\b(hf_|ghp_|xox[a-z]-|AKIA|AIza)[\w-]{8,}"


def clean(text: str) -> str:
    """The text without values of environment variables that hold keys, and without what looks like a key."""
    bare = re.sub(LIKE_KEY, r"\1***", without_secrets(text))
    for called in (_GIVEN, VENDOR_KEY, _SHORT):
        bare = re.sub(called, r"\1***", bare)
    return bare


def cleaned(given: Json) -> Json:
    """A value of JSON, each of its texts cleaned."""
    if isinstance(given, str):
        return clean(given)
    if isinstance(given, Mapping):
        return {clean(key): cleaned(each) for key, each in cast("Mapping[str, Json]", given).items()}
    if isinstance(given, list):
        return [cleaned(each) for each in cast("Sequence[Json]", given)]
    return given
