"""Local pages for people: an ASGI application behind a token that a browser keeps as a cookie. Extra `serve`.

    app = page_app([Route("/", page), *assets("my_package", "web")], token=new_token())
    async with serving(app) as served:
        print(first_url(served, token))

The first address carries the token; it is exchanged for a cookie that scripts cannot read and that no other site's
requests carry, and the browser is sent on to the same address without it. See `harness.web.pages_guard` for what is
turned away. Whatever is answered is kept in no cache, loads nothing from elsewhere and stands in no one's frame.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from harness.errors import HarnessError
from harness.web.pages_guard import Door
from harness.web.serving import INSTALL, Served

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route
    from starlette.types import ASGIApp

#: types of package data that a page may load; a file of any other is not served
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SHARED: Final = "harness.web.page"  #: the style and the scripts that local pages share
_COMPRESSED: Final = 1024  # bytes from which an answer is worth compressing


def page_app(routes: Sequence[BaseRoute], *, token: str) -> ASGIApp:
    """The application of these routes, for whoever opened the first address.

    Args:
        routes: of Starlette; one that changes something takes POST, which only the page itself may send.
        token: of this start, see `new_token`.

    Raises:
        HarnessError: the extra `serve` is missing.
        ValueError: the token is empty.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware.gzip import GZipMiddleware
    except ImportError as error:
        raise HarnessError(f"local pages need the extra `serve`: {error}", remedy=INSTALL) from error
    return Door(GZipMiddleware(Starlette(routes=routes), minimum_size=_COMPRESSED, compresslevel=1), token)


def assets(package: str, folder: str, path: str = "/assets") -> Iterator[Route]:
    """A route for each file of a package's folder whose type pages may load; nothing else can be reached."""
    from starlette.routing import Route

    for file in resources.files(package).joinpath(folder).iterdir():
        kind = TYPES.get(PurePosixPath(file.name).suffix)
        if kind is not None:
            yield Route(f"{path}/{file.name}", _sends(file.read_bytes(), kind), name=file.name)


def page_assets(package: str, folder: str, path: str = "/assets") -> Iterator[Route]:
    """The routes of a page's own files, and of those that all local pages share."""
    yield from assets(package, folder, path)
    yield from assets("harness.web", "page", path)


def _sends(data: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    from starlette.responses import Response as Sent

    async def send(_: Request) -> Response:
        return Sent(data, headers={"content-type": kind})

    return send


def first_url(served: Served, token: str, path: str = "/") -> str:
    """The address to open once: it holds the token."""
    return f"{served.url}{path}?{urlencode({'token': token})}"
