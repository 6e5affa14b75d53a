"""The review page on this machine: who may see it is `harness.web.pages`' to say, what was decided is `Queue`'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import anyio.to_thread

from harness import HarnessError
from harness.web import new_token
from harness.web.lasting import serve_page
from harness.web.pages import page_app, page_assets

from . import payload
from .desk import Desk, Misworded, Overtaken
from .pictures import Picture
from .queue import Queue, named
from .web import page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp


def serve_review(queue: Queue, *, ready: Callable[[str], None], reviewer: str = "", port: int = 0) -> None:
    """Serve the review page until SIGINT or SIGTERM.

    Args:
        queue: what is to be reviewed.
        ready: given the address to open, which holds the token and the reviewer.
        reviewer: who it is for; empty to be asked on the page.
        port: 0 for any free one.

    Raises:
        HarnessError: the name can be no reviewer's, the port cannot be listened on, or the extra `serve` is missing.
    """
    token = new_token()
    who = f"&{urlencode({'reviewer': named(reviewer)})}" if reviewer else ""
    serve_page(review_app(queue, token), token, port=port, ready=lambda url: ready(url + who))


def review_app(queue: Queue, token: str) -> ASGIApp:
    """The application, for the holder of the token.

    Raises:
        HarnessError: the extra `serve` is missing.
        ValueError: the token is empty.
    """
    from starlette.routing import Route

    asked = _Asked(queue)
    changes = {"answer": asked.answer, "skip": asked.skip, "undo": asked.undo, "out": asked.out}
    routes = [
        Route("/", asked.page),
        Route("/api/desk", _told(asked.desk)),
        *(Route(f"/api/{name}", _told(change), methods=["POST"]) for name, change in changes.items()),
        Route("/image/{sha256}", asked.image),
    ]
    return page_app([*routes, *page_assets("harness_builder.review", "web")], token=token)


def _told(
    answer: Callable[[Request], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    """What a route answers, or what is wrong with what was asked, in words for the reviewer."""
    from starlette.responses import JSONResponse

    async def tell(request: Request) -> Response:
        try:
            return JSONResponse(await answer(request))
        except HarnessError as error:
            field = {"field": "question"} if isinstance(error, Misworded) else {}
            said = {"error": str(error), **field}
            return JSONResponse(said, status_code=409 if isinstance(error, Overtaken) else 400)

    return tell


class _Asked:
    """What each route answers."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def page(self, _: Request) -> Response:
        from starlette.responses import HTMLResponse

        return HTMLResponse(page())

    async def desk(self, request: Request) -> dict[str, Any]:
        return await self._state(self._queue.desk(request.query_params.get("reviewer", "")))

    async def answer(self, request: Request) -> dict[str, Any]:
        review = payload.review(await _sent(request, key=str, reviewer=str, decision=str))
        desk = self._queue.desk(review.reviewer)
        await anyio.to_thread.run_sync(desk.answer, review)
        return await self._state(desk)

    async def skip(self, request: Request) -> dict[str, Any]:
        fields = await _sent(request, key=str, reviewer=str)
        desk = self._queue.desk(fields["reviewer"])
        await anyio.to_thread.run_sync(desk.skip, fields["key"])
        return await self._state(desk)

    async def undo(self, request: Request) -> dict[str, Any]:
        fields = await _sent(request, key=str, reviewer=str)
        desk = self._queue.desk(fields["reviewer"])
        draft = await anyio.to_thread.run_sync(desk.undo, fields["key"])
        return await anyio.to_thread.run_sync(payload.state, self._queue, desk, draft)

    async def out(self, request: Request) -> dict[str, Any]:
        fields = await _sent(request, reviewer=str, categories=list)
        desk = self._queue.desk(fields["reviewer"])
        await anyio.to_thread.run_sync(desk.leave_out, [str(each) for each in fields["categories"]])
        return await self._state(desk)

    async def image(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse
        from starlette.responses import Response as Sent

        try:
            found = await anyio.to_thread.run_sync(self._queue.pictures.get, request.path_params["sha256"])
        except KeyError:
            found = Picture(why="no candidate that was shown has this image")
        if isinstance(found, Picture):
            return PlainTextResponse(found.why, status_code=404)
        return Sent(found.data, media_type=found.mime)

    async def _state(self, desk: Desk) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(payload.state, self._queue, desk)


async def _sent(request: Request, **needed: type) -> dict[str, Any]:
    """The body of a change. Raises HarnessError for one that is too large or no such object."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > payload.BODY_LIMIT:
            raise HarnessError(f"more than {payload.BODY_LIMIT} bytes are not read")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HarnessError("a change is sent as application/json")
    return payload.sent(body, needed)
