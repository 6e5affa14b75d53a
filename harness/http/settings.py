"""Shared code of API providers before they open: their settings, and a server's address with its key.

An identity setting changes what is asked, and so which answers may be used again; a transport setting does not. A key
comes from the environment alone, and is never shown. It is for the server it belongs to.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.secrets import LIKE_KEY
from harness.types import Setting

_SHORTEST_KEY = 6  # a shorter one is a placeholder: to redact it would tear words apart
_LONGEST_MESSAGE = 500


def identity(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), *, least: float | None = None
) -> Setting:
    """A setting that is part of the model's identity."""
    return Setting(name=name, type=kind, default=default, identity=True, help=text, choices=choices, least=least)


def transport(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), *, least: float | None = None
) -> Setting:
    """A setting that changes how the model is called, not what it answers."""
    return Setting(name=name, type=kind, default=default, identity=False, help=text, choices=choices, least=least)


EXTRA: Final = identity("extra", str, "", "more of the request's body, as a JSON object")
RESIZE: Final = identity("resize", bool, True, "scale images over the limit down; off makes them an error")
MAX_IMAGE_SIDE: Final = identity(
    "max_image_side", int, None, "longest side of an image that is sent as it is, in pixels", least=1
)
THINK_TAGS: Final = identity(
    "think_tags", bool, True, "split <think>…</think> at the start of an answer off as reasoning"
)
API_KEY_ENV: Final = transport("api_key_env", str, "", "environment variable that holds the key")
TIMEOUT: Final = transport("timeout", float, 600.0, "seconds one call may take", least=0.001)
MAX_REPLY_MIB: Final = transport(
    "max_reply_mib", float, 64.0, "most that is read of one answer, as sent and unpacked, in MiB", least=0.001
)
MAX_IMAGES: Final = transport(
    "max_images", int, None, "most images the model takes in one request; 0 is a model without vision", least=0
)
# of providers whose models run on this machine
REVISION: Final = identity("revision", str, None, "branch, tag or commit on the hub")
DTYPE: Final = identity(
    "dtype",
    str,
    "auto",
    "number format of the weights; auto is the checkpoint's own",
    ("auto", "float32", "bfloat16", "float16"),
)
PROFILE: Final = identity(
    "profile", str, None, "run the model's family as a paper did: see docs/providers/hf.md", ("mis-paper",)
)
PROMPT_FORMAT: Final = identity(
    "prompt_format", str, None, "the whole prompt with {images} and {question}, in place of a chat template"
)
THINKING: Final = identity(
    "thinking",
    str,
    "auto",
    "reasoning before the answer, where the chat template has a switch; auto leaves it as it is",
    ("auto", "on", "off"),
)
CONTROL_TOKENS: Final = identity(
    "control_tokens",
    str,
    "text",
    "what the spelling of a control token inside a message is: plain text, or the token itself",
    ("text", "control"),
)
TRUST_REMOTE_CODE: Final = identity("trust_remote_code", bool, False, "run the Python code that comes with the model")


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
        """Name of the endpoint whose calls share slots and breaker: the host and a hash of server and key."""
        return _endpoint_id(self.url, self.key)

    @property
    def headers(self) -> dict[str, str]:
        """The usual authorization header; empty without a key."""
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


def find_host(url: str) -> str:
    """The host of an address; empty for a text that is no address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_host_of(url: str, *hosts: str) -> bool:
    """Whether an address is on one of these hosts, or on a host below one."""
    return f".{find_host(url)}".endswith(tuple(f".{host}" for host in hosts))


def check_server_variable(name: str, *, vendor: str) -> None:
    """Raise HarnessError if an environment variable is set that would make the vendor's SDK ask another server."""
    if os.environ.get(name):
        raise HarnessError(
            f"{name} is set, but a server is part of the model's identity and must be named",
            remedy=f"add -M base_url=${name}, or unset the variable to ask {vendor} itself",
        )


def address(url: str, *, key_env: str = "", required: bool = True) -> Address:
    """Make an Address. Its key comes from the environment, the only place where a key may be.

    Args:
        url: http or https, without user name, password and query.
        key_env: name of the environment variable; empty if the server wants no key.
        required: whether a missing key is an error; False for servers that may want none.

    Raises:
        HarnessError: the URL or the key is not valid, or the key is missing.
    """
    parts = urlsplit(url if find_host(url) else "")
    if parts.scheme not in ("http", "https"):
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
