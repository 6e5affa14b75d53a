"""Local pages for people: who may see them, and what every answer says to the browser."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from harness.web import serving
from harness.web.pages import assets, first_url, page_app

TOKEN = "a-token-of-the-tests"


async def page(request: Request) -> Response:
    return PlainTextResponse(f"hello {request.url.query}")


async def change(_: Request) -> Response:
    return PlainTextResponse("changed")


@asynccontextmanager
async def client(*, inside: bool = True) -> AsyncGenerator[httpx.AsyncClient]:
    routes = [Route("/", page), Route("/change", change, methods=["POST"]), *assets("harness_view", "web")]
    async with (
        serving(page_app(routes, token=TOKEN)) as served,
        httpx.AsyncClient(base_url=served.url, timeout=None) as http,
    ):
        if inside:
            reply = await http.get(first_url(served, TOKEN))
            assert reply.status_code == 303
        yield http


def answered(method: str, path: str, *, inside: bool = True, **headers: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with client(inside=inside) as http:
            sent = {
                name.replace("_", "-"): value.replace("HERE", str(http.base_url)) for name, value in headers.items()
            }
            return await http.request(method, path, headers=sent)

    return anyio.run(ask)


def test_without_the_token_there_is_nothing_to_see() -> None:
    assert answered("GET", "/", inside=False).status_code == 401
    assert answered("GET", "/assets/app.js", inside=False).status_code == 401
    assert answered("GET", "/?token=", inside=False).status_code == 403
    assert answered("GET", "/?token=another", inside=False).status_code == 403


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_never_hold() -> None:
    reply = answered("GET", f"/?run=1&token={TOKEN}&item=a%20b", inside=False)

    assert reply.status_code == 303
    assert reply.headers["location"] == "/?run=1&item=a+b"
    name, *flags = reply.headers["set-cookie"].split("; ")
    assert name.endswith(f"={TOKEN}")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(flags)


def test_an_address_after_the_token_never_leads_to_another_server() -> None:
    assert (
        answered("GET", f"/%2Felsewhere.example/x?token={TOKEN}", inside=False).headers["location"]
        == "/elsewhere.example/x"
    )


def test_whoever_holds_the_cookie_sees_the_page_sealed() -> None:
    reply = answered("GET", "/?a=b")

    assert reply.text == "hello a=b"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "127.0.0.1@evil.example", "", "[::1", "0.0.0.0"],
)
def test_a_name_of_another_site_that_leads_here_is_turned_away(host: str) -> None:
    assert answered("GET", "/", host=host).status_code == 403
    assert answered("GET", f"/?token={TOKEN}", inside=False, host=host).status_code == 403


def test_localhost_is_this_machine_too() -> None:
    assert answered("GET", "/", host="localhost:1234").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    ],
)
def test_what_another_page_sends_is_turned_away(headers: dict[str, Any]) -> None:
    assert answered("GET", "/", **headers).status_code == 403


def test_a_link_on_another_page_may_lead_here() -> None:
    link: dict[str, Any] = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert answered("GET", "/", **link).status_code == 200


def test_only_the_page_itself_may_change_something() -> None:
    assert answered("POST", "/change").status_code == 403
    assert answered("POST", "/change", origin="http://127.0.0.1:1").status_code == 403
    assert answered("POST", "/change", origin="http://evil.example").status_code == 403
    assert answered("POST", f"/change?token={TOKEN}", inside=False, origin="HERE").status_code == 401
    assert answered("POST", "/change", origin="HERE").text == "changed"


@pytest.mark.parametrize("cookie", ["harness=x", "=;;;", 'a="\\', "a=b; harness-000000000000=x"])
def test_a_cookie_of_another_server_opens_nothing(cookie: str) -> None:
    assert answered("GET", "/", inside=False, cookie=cookie).status_code == 401


def test_files_of_a_page_come_with_their_type_and_no_other_file_comes() -> None:
    assert answered("GET", "/assets/app.js").headers["content-type"].startswith("text/javascript")
    assert answered("GET", "/assets/view.css").headers["content-type"].startswith("text/css")
    assert answered("GET", "/assets/__init__.py").status_code == 404
    assert answered("GET", "/assets/%2e%2e/command.py").status_code == 404


def test_two_servers_on_one_machine_keep_their_cookies_apart() -> None:
    def name(token: str) -> str:
        async def ask() -> str:
            app = page_app([Route("/", page)], token=token)
            async with serving(app) as served, httpx.AsyncClient(timeout=None) as http:
                return (await http.get(first_url(served, token))).headers["set-cookie"].partition("=")[0]

        return anyio.run(ask)

    assert name("one") != name("other")


def test_an_empty_token_guards_nothing_and_is_refused() -> None:
    with pytest.raises(ValueError, match="guards nothing"):
        page_app([], token="")
