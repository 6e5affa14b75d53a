"""The review page on this machine. `harness.web.pages` controls access, `Queue` holds the decisions.

The model's opinion of a candidate is sent once the candidate is answered.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

import anyio.to_thread

from harness import HarnessError
from harness.types import Json
from harness.web import new_token
from harness.web.pages import page_app, page_assets, serve_page
from harness_builder.values import Review

from .log import Answer, parse_review
from .queue import BadQuestion, ImageState, OutdatedReview, Queue, ReviewSession, normalize_reviewer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

_BODY_LIMIT: Final = 1 << 18  # bytes of a request
_LONGEST: Final = 20_000  # characters of a reason or a question
_DAY: Final = 86_400.0  # seconds; nobody reads one page for longer


def serve_review(queue: Queue, *, ready: Callable[[str], None], reviewer: str = "", port: int = 0) -> None:
    """Serve the review page until SIGINT or SIGTERM.

    Args:
        queue: to review.
        ready: gets the address to open, which holds the token and the reviewer.
        reviewer: their name; empty to ask on the page.
        port: 0 for any free one.

    Raises:
        HarnessError: the name is not allowed, the port cannot be used, or the extra `serve` is missing.
    """
    token = new_token()
    who = f"&{urlencode({'reviewer': normalize_reviewer(reviewer)})}" if reviewer else ""
    serve_page(review_app(queue, token), token, port=port, ready=lambda url: ready(url + who))


def review_app(queue: Queue, token: str) -> ASGIApp:
    """The application, for the holder of the token.

    Raises:
        HarnessError: the extra `serve` is missing.
        ValueError: the token is empty.
    """
    from starlette.responses import HTMLResponse, PlainTextResponse
    from starlette.responses import Response as Reply
    from starlette.routing import Route

    async def page(_: Request) -> Response:
        html = resources.files("harness_builder.review").joinpath("web/index.html")
        return HTMLResponse(html.read_text(encoding="utf-8"))

    async def image(request: Request) -> Response:
        try:
            found = await anyio.to_thread.run_sync(queue.find_image, request.path_params["sha256"])
        except KeyError:
            found = ImageState(why="no shown candidate has this image")
        if isinstance(found, ImageState):
            return PlainTextResponse(found.why, status_code=404)
        return Reply(found.data, media_type=found.mime)

    async def show(request: Request) -> dict[str, Any]:
        session = queue.session(request.query_params.get("reviewer", ""))
        return await anyio.to_thread.run_sync(_page_state, queue, session)

    async def answer(request: Request) -> dict[str, Any]:
        review = _parse_answer(await _read_body(request, key=str, reviewer=str, decision=str))
        session = queue.session(review.reviewer)
        await anyio.to_thread.run_sync(session.answer, review)
        return await anyio.to_thread.run_sync(_page_state, queue, session)

    async def skip(request: Request) -> dict[str, Any]:
        fields = await _read_body(request, key=str, reviewer=str)
        session = queue.session(fields["reviewer"])
        await anyio.to_thread.run_sync(session.skip, fields["key"])
        return await anyio.to_thread.run_sync(_page_state, queue, session)

    async def undo(request: Request) -> dict[str, Any]:
        fields = await _read_body(request, key=str, reviewer=str)
        session = queue.session(fields["reviewer"])
        draft = await anyio.to_thread.run_sync(session.undo, fields["key"])
        return await anyio.to_thread.run_sync(_page_state, queue, session, draft)

    async def leave_out(request: Request) -> dict[str, Any]:
        fields = await _read_body(request, reviewer=str, categories=list)
        session = queue.session(fields["reviewer"])
        await anyio.to_thread.run_sync(session.leave_out, [str(each) for each in fields["categories"]])
        return await anyio.to_thread.run_sync(_page_state, queue, session)

    changes = {"answer": answer, "skip": skip, "undo": undo, "out": leave_out}
    routes = [
        Route("/", page),
        Route("/api/desk", _json_route(show)),
        *(Route(f"/api/{name}", _json_route(change), methods=["POST"]) for name, change in changes.items()),
        Route("/image/{sha256}", image),
    ]
    return page_app([*routes, *page_assets("harness_builder.review", "web")], token=token)


def _json_route(answer: Callable[[Request], Awaitable[dict[str, Any]]]) -> Callable[[Request], Awaitable[Response]]:
    """A route that sends the answer, or an error in words for the reviewer."""
    from starlette.responses import JSONResponse

    async def reply(request: Request) -> Response:
        try:
            return JSONResponse(await answer(request))
        except HarnessError as error:
            field = {"field": "question"} if isinstance(error, BadQuestion) else {}
            status = 409 if isinstance(error, OutdatedReview) else 400
            return JSONResponse({"error": str(error), **field}, status_code=status)

    return reply


async def _read_body(request: Request, **needed: type) -> dict[str, Any]:
    """The object that a page sent, with at least these fields of these types. Raises HarnessError otherwise."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY_LIMIT:
            raise HarnessError(f"the request is larger than {_BODY_LIMIT} bytes")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HarnessError("a change must be sent as application/json")
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise HarnessError("this is not a JSON object")
    fields = cast("dict[str, Any]", found)
    for name, kind in needed.items():
        if not isinstance(fields.get(name), kind):
            raise HarnessError(f"{name} is missing or has another type")
    return fields


def _parse_answer(fields: Mapping[str, Any]) -> Review:
    """The decision that a page sent. Raises HarnessError for an unknown field, a long text, or another type."""
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    texts |= {name: texts[name].strip() for name in ("reason", "question") if name in texts}
    try:
        review = parse_review({**fields, **texts})
    except ValueError as error:
        raise HarnessError(str(error)) from None
    if max(map(len, texts.values())) > _LONGEST:
        raise HarnessError(f"a text is longer than {_LONGEST} characters")
    if review.at or not (math.isfinite(review.seconds) and review.seconds >= 0):
        raise HarnessError("the time or the duration of the decision is out of range")
    return review if review.seconds <= _DAY else replace(review, seconds=0.0)


def _page_state(queue: Queue, session: ReviewSession, draft: Review | None = None) -> dict[str, Json]:
    """All that the page shows: the reviewer's progress, the next candidate, and their last answer."""
    progress = session.progress()
    shown: dict[str, Json] | None = None
    if progress.open:
        candidate = queue.candidates[progress.open[0]]
        images = zip(candidate.objects, queue.images_of(candidate), strict=True)
        shown = {
            "key": candidate.key,
            "category": candidate.category,
            "question": candidate.question,
            "source": candidate.source,
            "images": [{"object": name, "sha256": image.sha256, "why": image.why} for name, image in images],
        }
    last: dict[str, Json] | None = None
    if progress.last is not None:
        candidate = queue.candidates[progress.last.key]
        last = {"key": candidate.key, "question": candidate.question, "decision": "skip", "opinion": {}}
        if isinstance(progress.last, Answer):
            last |= {"decision": progress.last.review.decision, "opinion": dict(candidate.opinion)}
    names = ("decision", "category", "question", "text_unsafe", "image_harmful", "reason")
    return {
        "reviewer": session.reviewer,
        "total": len(queue.candidates),
        "decided": len(progress.decided),
        "skipped": len(progress.skipped),
        "left_out": len(progress.left_out),
        "open": len(progress.open),
        "categories": list(queue.categories),
        "out": list(progress.categories),
        "candidate": shown,
        "draft": None if draft is None else {name: getattr(draft, name) for name in names},
        "last": last,
        "then": queue.then,
    }
