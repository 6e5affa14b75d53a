"""A review page on this machine: what all such pages serve. `harness.web.pages` controls access.

A page has an `index.html`, which names the parts that all pages share (`PARTS`), and its own files. It shows one JSON
object, its state, and each change answers with the new state. Images are served by their hash, and only those that were
shown.

app = review_app("my_package", show=state_of, changes={"skip": Change(act=skip)}, images=images, token=new_token())
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

import anyio.to_thread

from harness.errors import HarnessError
from harness.web import new_token
from harness.web.pages import assets, page_app, page_assets, serve_page

from .images import ImageState, ShownImages
from .queue import BadField, OutdatedReview

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

PARTS: Final = ("head", "tools", "who", "images", "dialogs")  #: of every page: its files are beside `desk.js`
BODY_LIMIT: Final = 1 << 18  #: bytes of a request
LONGEST: Final = 20_000  #: characters of a text that a person writes
#: what helps where the page sent something that its own scripts never send
RELOAD: Final = "reload the page in the browser, and do it again there"
_DAY: Final = 86_400.0  # seconds; nobody reads one page for longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that a page may ask for.

    Attributes:
        act: gets what the page sent, and returns the new state; it runs in a thread of its own.
        needs: fields that must be there -> their type; `reviewer` is always needed.
    """

    act: Callable[[dict[str, Any]], dict[str, Any]]
    needs: Mapping[str, type] = field(default_factory=dict[str, type])


def review_app(
    package: str,
    *,
    show: Callable[[str], dict[str, Any]],
    changes: Mapping[str, Change],
    images: ShownImages,
    token: str,
    views: Mapping[str, Callable[[str], dict[str, Any]]] | None = None,
) -> ASGIApp:
    """The application of a page, for the holder of the token.

    Args:
        package: holds `web/` with `index.html` and the page's own files.
        show: the state that a reviewer's page shows.
        changes: by the last part of their address, `/api/<name>`.
        images: of what is shown.
        token: of this start.
        views: more that a reviewer's page may read, by the last part of the address.

    Raises:
        HarnessError: the extra `serve` is missing.
        ValueError: the token is empty.
    """
    from harness.extras import require

    with require("serve", by="a local page"):
        from starlette.responses import HTMLResponse, PlainTextResponse
        from starlette.responses import Response as Reply
        from starlette.routing import Route

    async def page(_: Request) -> Response:
        return HTMLResponse(build_page(package))

    async def image(request: Request) -> Response:
        try:
            found = await anyio.to_thread.run_sync(images.find, request.path_params["sha256"])
        except KeyError:
            found = ImageState(why="nothing that is shown has this image")
        if isinstance(found, ImageState):
            return PlainTextResponse(found.why, status_code=404)
        return Reply(found.data, media_type=found.mime)

    def read(view: Callable[[str], dict[str, Any]]) -> Callable[[Request], Awaitable[dict[str, Any]]]:
        async def answer(request: Request) -> dict[str, Any]:
            return await anyio.to_thread.run_sync(view, request.query_params.get("reviewer", ""))

        return answer

    def change(each: Change) -> Callable[[Request], Awaitable[dict[str, Any]]]:
        async def answer(request: Request) -> dict[str, Any]:
            fields = await _read_body(request, {**each.needs, "reviewer": str})
            return await anyio.to_thread.run_sync(each.act, fields)

        return answer

    routes = [
        Route("/", page),
        *(Route(f"/api/{name}", _json_route(read(view))) for name, view in {"desk": show, **(views or {})}.items()),
        *(Route(f"/api/{name}", _json_route(change(each)), methods=["POST"]) for name, each in changes.items()),
        Route("/image/{sha256}", image),
        *page_assets(package, "web"),
        *assets("harness.review", "web"),
    ]
    return page_app(routes, token=token)


def build_page(package: str) -> str:
    """A page's `index.html`, with the parts that all review pages share in place of `<!-- who -->` and the like."""
    html = resources.files(package).joinpath("web/index.html").read_text(encoding="utf-8")
    for name in PARTS:
        part = resources.files("harness.review").joinpath(f"web/{name}.html").read_text(encoding="utf-8")
        html = re.sub(rf"^[ ]*<!-- {name} -->\n", part.replace("\\", r"\\"), html, flags=re.MULTILINE)
    return html


def serve_review_page(
    make: Callable[[str], ASGIApp],
    *,
    ready: Callable[[str], None],
    reviewer: str = "",
    port: int = 0,
    until: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Serve a review page until SIGINT or SIGTERM.

    Args:
        make: the application of a token, see `review_app`.
        ready: gets the address to open, which holds the token and the reviewer.
        reviewer: their name; empty to ask on the page.
        port: 0 for any free one.
        until: the page also ends when this returns.

    Raises:
        HarnessError: the port cannot be used, or the extra `serve` is missing.
    """
    token = new_token()
    who = f"&{urlencode({'reviewer': reviewer})}" if reviewer else ""
    serve_page(make(token), token, port=port, ready=lambda url: ready(url + who), until=until)


def check_sent(texts: Sequence[str], seconds: float) -> float:
    """The seconds that an answer took; 0 if they cannot be. Raises HarnessError for a text that is too long, or a time
    out of range."""
    if max(map(len, texts), default=0) > LONGEST:
        raise HarnessError(f"a text is longer than {LONGEST} characters", remedy="shorten it and send it again")
    if not 0 <= seconds < math.inf:
        raise HarnessError("the time or the duration of the decision is out of range", remedy=RELOAD)
    return seconds if seconds <= _DAY else 0.0


def _json_route(answer: Callable[[Request], Awaitable[dict[str, Any]]]) -> Callable[[Request], Awaitable[Response]]:
    """A route that sends the answer, or an error in words for the reviewer."""
    from starlette.responses import Response as Reply

    def send(content: dict[str, Any], status: int = 200) -> Response:
        # ASCII: a text of strangers may hold half of a character, which UTF-8 cannot
        return Reply(json.dumps(content, allow_nan=False), status, media_type="application/json")

    async def reply(request: Request) -> Response:
        try:
            return send(await answer(request))
        except HarnessError as error:
            known = {"field": error.field} if isinstance(error, BadField) else {}
            where = f" ({error.where})" if error.where else ""
            told = f"{error.what}{where}; {error.remedy}" if error.remedy else f"{error.what}{where}"
            return send({"error": told, **known}, 409 if isinstance(error, OutdatedReview) else 400)

    return reply


async def _read_body(request: Request, needed: Mapping[str, type]) -> dict[str, Any]:
    """The object that a page sent, with at least these fields of these types. Raises HarnessError otherwise."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            raise HarnessError(
                f"the request is larger than {BODY_LIMIT} bytes", remedy="shorten the texts and send it again"
            )
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HarnessError("a change must be sent as application/json", remedy=RELOAD)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HarnessError("what was sent is not a JSON object", remedy=RELOAD)
    fields = cast("dict[str, Any]", found)
    for name, kind in needed.items():
        if not isinstance(fields.get(name), kind):
            raise HarnessError(f"{name} is missing or has another type", remedy=RELOAD)
    return fields
