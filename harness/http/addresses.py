"""The address of a provider's server and the key for it: read from the environment, and never shown."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.secrets import LIKE_KEY

_SHORTEST_KEY = 6  # a shorter one is a placeholder: to redact it would tear words apart
_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server and the key for it; made by `address`.

    Attributes:
        url: the base for paths, without a slash at the end.
        key: empty if the server wants none.
        key_env: the environment variable the key came from or should come from.
    """

    url: str
    key: str = field(default="", repr=False)
    key_env: str = ""

    @property
    def id(self) -> str:
        """Name of the endpoint for slots and breaker: the host and a hash of server and key."""
        return _endpoint_id(self.url, self.key)

    @property
    def headers(self) -> dict[str, str]:
        """The usual authorization; nothing without a key."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def redact(self, text: str) -> str:
        """The text on one line, shortened and without keys: fit for a message, a record or a log."""
        bare = text.replace(self.key, "***") if len(self.key) >= _SHORTEST_KEY else text
        line = " ".join(re.sub(LIKE_KEY, r"\1***", bare).split())
        return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"


@lru_cache(maxsize=64)
def _endpoint_id(url: str, key: str) -> str:
    mark = hashlib.sha256(f"{url}\0{key}".encode()).hexdigest()[:8]
    return f"{urlsplit(url).netloc}#{mark}"


def address(url: str, *, key_env: str = "", required: bool = True) -> Address:
    """An address whose key comes from the environment, the only place a key may come from.

    Args:
        url: http or https, without user name, password and query.
        key_env: name of the environment variable; empty if the server wants no key.
        required: whether a missing key is an error; False for servers that may want none.

    Raises:
        HarnessError: the URL is not one, or the key is missing or not a key.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HarnessError(f"{url!r} is not the address of a server", remedy="write http://… or https://…")
    if "@" in parts.netloc:
        raise HarnessError(
            "an address must not hold a user name or password", remedy="put the key in an environment variable"
        )
    if parts.query or parts.fragment:
        raise HarnessError(
            f"an address must end before its ? or #: {parts.scheme}://{parts.netloc}{parts.path}",
            remedy="leave out what follows; a key belongs into an environment variable",
        )
    key = os.environ.get(key_env, "").strip() if key_env else ""
    if key_env and required and not key:
        raise HarnessError(f"there is no key for {parts.netloc}", remedy=f"export {key_env}=…")
    if not all("!" <= letter <= "~" for letter in key):
        raise HarnessError(f"what {key_env} holds is not a key", remedy="a key is one line of ASCII without spaces")
    return Address(url=url.rstrip("/"), key=key, key_env=key_env)
