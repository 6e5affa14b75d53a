"""Local web servers: on 127.0.0.1 only, behind a token. Imported on use (extra `serve`).

    app = chat_app(model, name="mini/base", token=new_token())
    async with serving(app) as served:
        print(served.url)

`serving` and `guarded` serve any ASGI application; `chat_app` is one that lets OpenAI's clients ask a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.contracts import Model
from harness.errors import HarnessError
from harness.extras import require
from harness.web.serving import INSTALL, LOOPBACK, Served, guarded, is_loopback, new_token, serving

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = [
    "BODY_LIMIT",
    "INSTALL",
    "LOOPBACK",
    "Served",
    "chat_app",
    "guarded",
    "is_loopback",
    "new_token",
    "serving",
]

BODY_LIMIT: Final = 64 << 20  #: bytes of one request with its images


def chat_app(
    model: Model, *, name: str, token: str, files: Path | None = None, body_limit: int = BODY_LIMIT
) -> ASGIApp:
    """`GET /v1/models` and `POST /v1/chat/completions` for one model; anything it cannot honour is a 400.

    Args:
        model: metered, where its calls are to take slots and be tried again: `open_model(…, policy=…)`.
        name: what clients call it; another name is a 404.
        token: what clients must send.
        files: the one folder whose images may be named as `file://…`; None allows none.
        body_limit: bytes of one request; a longer one is a 413.

    Raises:
        HarnessError: the extra `serve` is missing, or `files` is no folder.
    """
    if files is not None and not files.is_dir():
        raise HarnessError(f"{files} is not a folder", remedy="name the folder that holds the images")
    with require("serve", by="a local server"):
        from harness.web.chat import make_app
    return guarded(make_app(model, name=name, files=files, body_limit=body_limit), token)
