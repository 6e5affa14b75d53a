"""Settings that several providers of APIs declare, and the two ways to declare one.

An identity setting changes what is asked, and so which answers may be used again; a transport setting does not.
"""

from __future__ import annotations

from typing import Final

from harness.types import Setting


def identity(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), *, least: float | None = None
) -> Setting:
    """A setting that is part of the model's identity."""
    return Setting(name=name, type=kind, default=default, identity=True, help=text, choices=choices, least=least)


def transport(
    name: str, kind: type, default: object, text: str, choices: tuple[str, ...] = (), *, least: float | None = None
) -> Setting:
    """A setting that changes how the model is asked, and not what it answers."""
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
