"""Serves runs as a page on this machine, and reads on while they grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from harness.types import Json
from harness.web import new_token
from harness.web.lasting import serve_page
from harness.web.pages import page_app, page_assets

from .details import encoded
from .index import Index
from .pictures import Gone, placeholder
from .web import page

_BATCH = 250  # items read at once: a few hundredths of a second, in which a request may wait
_REST = 0.4  # seconds between two looks at a run of which nothing is new
_FIRST, _MOST = 400, 5000  # rows sent at once


def serve(indexes: Sequence[Index], *, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        indexes: of the runs, in order.
        port: 0 for any free one.
        ready: given the address to open, which holds the token.

    Raises:
        HarnessError: the port cannot be listened on, or the extra `serve` is missing.
    """
    token = new_token()
    beside = [partial(read_on, index) for index in indexes]
    serve_page(view_app(indexes, token), token, port=port, ready=ready, beside=beside)


async def read_on(index: Index) -> None:
    """Take in a run and then whatever is added to it, until cancelled."""
    while True:
        if not await anyio.to_thread.run_sync(index.advance, _BATCH):
            await anyio.sleep(_REST)


def view_app(indexes: Sequence[Index], token: str) -> ASGIApp:
    """The application, for the holder of the token."""
    asked = _Asked(indexes)
    routes = [
        Route("/", asked.page),
        Route("/api/runs", asked.runs),
        Route("/api/rows", asked.rows),
        Route("/api/item", asked.item),
        Route("/api/search", asked.search),
        Route("/image/{run:int}/{task:path}/{sha256}", asked.image),
    ]
    return page_app([*routes, *page_assets("harness_view", "web")], token=token)


class _Asked:
    """What each route answers."""

    def __init__(self, indexes: Sequence[Index]) -> None:
        self._indexes = indexes

    async def page(self, _: Request) -> Response:
        return Response(page(), media_type="text/html")

    async def runs(self, _: Request) -> Response:
        return _json([index.about() for index in self._indexes])

    async def rows(self, request: Request) -> Response:
        index = self._index(request.query_params.get("run", ""))
        generation, position, texts = (_number(request, name) for name in ("generation", "position", "texts"))
        most = _MOST if position else _FIRST
        return _json(await anyio.to_thread.run_sync(index.since, generation, position, texts, most))

    async def item(self, request: Request) -> Response:
        index = self._index(request.query_params.get("run", ""))
        try:
            return _json(await anyio.to_thread.run_sync(index.named, request.query_params.get("item", "")))
        except (KeyError, IndexError):
            return _json(None)

    async def search(self, request: Request) -> Response:
        index = self._index(request.query_params.get("run", ""))
        return _json(await anyio.to_thread.run_sync(index.search, request.query_params.get("q", "")))

    async def image(self, request: Request) -> Response:
        index, task, sha256 = (request.path_params[name] for name in ("run", "task", "sha256"))
        try:
            found = await anyio.to_thread.run_sync(self._index(index).image, task, sha256)
        except KeyError:
            raise HTTPException(404) from None
        if isinstance(found, Gone):
            return Response(placeholder(found.why), media_type="image/svg+xml", headers={"x-gone": found.why})
        return Response(found.data, media_type=found.mime)

    def _index(self, name: str | int) -> Index:
        with suppress(ValueError, IndexError):
            if int(name) >= 0:
                return self._indexes[int(name)]
        raise HTTPException(404)


def _number(request: Request, name: str) -> int:
    try:
        return max(0, int(request.query_params.get(name, "0")))
    except ValueError:
        raise HTTPException(400) from None


def _json(value: Json) -> Response:
    return Response(encoded(value), media_type="application/json")
