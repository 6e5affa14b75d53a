"""Serves runs as a page on this machine, and follows them while they grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from harness.types import Json
from harness.web import new_token
from harness.web.pages import page_app, page_assets, serve_page

from .agreement import describe_agreement
from .board import LeaderboardPage, find_linked_report
from .index import MissingImage, RunIndex, draw_placeholder, encode_json
from .page import build_page

_BATCH: Final = 250  #: items read at once: delays a request by a few hundredths of a second
_REST: Final = 0.4  #: seconds between two checks of an unchanged run
_FIRST_ROWS, _MOST_ROWS = 400, 5000  #: sent at once


def serve(indexes: Sequence[RunIndex], *, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        indexes: the runs, in order.
        port: 0 for any free one.
        ready: called with the address to open, which holds the token.

    Raises:
        HarnessError: the port is not available, or the extra `serve` is missing.
    """
    token = new_token()
    readers = [partial(follow, index) for index in indexes]
    serve_page(view_app(indexes, token), token, port=port, ready=ready, beside=readers)


async def follow(index: RunIndex) -> None:
    """Read a run and then whatever is added to it, until cancelled."""
    while True:
        if not await anyio.to_thread.run_sync(index.advance, _BATCH):
            await anyio.sleep(_REST)


def view_app(indexes: Sequence[RunIndex], token: str) -> ASGIApp:
    """The application, for the holder of the token."""
    handler = _RequestHandler(indexes)
    routes = [
        Route("/", handler.send_page),
        Route("/index.html", handler.send_page),
        Route("/agreement.html", handler.send_agreement_page),
        Route("/leaderboard.html", handler.send_leaderboard),
        Route("/api/agreement", handler.send_agreement),
        Route("/api/counted", handler.send_counted),
        Route("/api/runs", handler.send_runs),
        Route("/api/overview", handler.send_overview),
        Route("/api/rows", handler.send_rows),
        Route("/api/item", handler.send_item),
        Route("/api/prompt", handler.send_prompt),
        Route("/api/search", handler.send_found),
        Route("/image/{run:int}/{task:path}/{sha256}", handler.send_image),
    ]
    return page_app([*routes, *page_assets("harness_view", "web")], token=token)


class _RequestHandler:
    def __init__(self, indexes: Sequence[RunIndex]) -> None:
        self._indexes = indexes
        self._leaderboard = LeaderboardPage(indexes)

    async def send_page(self, _: Request) -> Response:
        return Response(build_page(leaderboard=find_linked_report() is not None), media_type="text/html")

    async def send_agreement_page(self, _: Request) -> Response:
        return Response(build_page("agreement.html"), media_type="text/html")

    async def send_leaderboard(self, _: Request) -> Response:
        status, page, policy = await anyio.to_thread.run_sync(self._leaderboard.render)
        return Response(page, status, media_type="text/html", headers={"content-security-policy": policy})

    async def send_counted(self, request: Request) -> Response:
        index = self._find_index(request.query_params.get("run", ""))
        return _send_json(await anyio.to_thread.run_sync(index.count_split, request.query_params.get("split", "")))

    async def send_agreement(self, request: Request) -> Response:
        index = self._find_index(request.query_params.get("run", ""))
        return _send_json(await anyio.to_thread.run_sync(describe_agreement, index.folder, index.name))

    async def send_runs(self, _: Request) -> Response:
        return _send_json([index.describe() for index in self._indexes])

    async def send_overview(self, request: Request) -> Response:
        index = self._find_index(request.query_params.get("run", ""))
        return _send_json(await anyio.to_thread.run_sync(index.describe_overview))

    async def send_rows(self, request: Request) -> Response:
        index = self._find_index(request.query_params.get("run", ""))
        try:
            known = (int(request.query_params.get(name, "0")) for name in ("generation", "position", "texts"))
            generation, position, texts = (max(0, number) for number in known)
        except ValueError:
            raise HTTPException(400) from None
        most = _MOST_ROWS if position else _FIRST_ROWS
        return _send_json(await anyio.to_thread.run_sync(index.select_since, generation, position, texts, most))

    async def send_item(self, request: Request) -> Response:
        index = self._find_index(request.query_params.get("run", ""))
        try:
            return _send_json(await anyio.to_thread.run_sync(index.find_item, request.query_params.get("item", "")))
        except (KeyError, IndexError):
            return _send_json(None)

    async def send_prompt(self, request: Request) -> Response:
        index = self._find_index(request.query_params.get("run", ""))
        item, judge = (request.query_params.get(name, "") for name in ("item", "judge"))
        try:
            return _send_json(await anyio.to_thread.run_sync(index.build_prompt, item, judge))
        except (KeyError, IndexError):
            raise HTTPException(404) from None

    async def send_found(self, request: Request) -> Response:
        index = self._find_index(request.query_params.get("run", ""))
        return _send_json(await anyio.to_thread.run_sync(index.search, request.query_params.get("q", "")))

    async def send_image(self, request: Request) -> Response:
        index, task, sha256 = (request.path_params[name] for name in ("run", "task", "sha256"))
        try:
            image = await anyio.to_thread.run_sync(self._find_index(index).load_image, task, sha256)
        except KeyError:
            raise HTTPException(404) from None
        if isinstance(image, MissingImage):
            return Response(draw_placeholder(image), media_type="image/svg+xml", headers={"x-gone": image.why})
        return Response(image.data, media_type=image.mime)

    def _find_index(self, name: str | int) -> RunIndex:
        with suppress(ValueError, IndexError):
            if int(name) >= 0:
                return self._indexes[int(name)]
        raise HTTPException(404)


def _send_json(value: Json) -> Response:
    return Response(encode_json(value), media_type="application/json")
