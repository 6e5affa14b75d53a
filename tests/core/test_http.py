"""The client: bodies, answers, what is read of them, and images over a provider's limit."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from harness import Failure, HarnessError, Image, ImageContent, Message, Model, Request, Response, Text
from harness.http import (
    MIB,
    Address,
    Client,
    ImageBytes,
    Reply,
    Unreadable,
    address,
    chat,
    connect,
    encode,
    parse,
    read,
    unreachable,
)
from harness.http.reading import Unpacking
from harness.http.scaling import Fitted, ImageLimit, fit, scale
from harness.http.status import ApiError
from harness.images import decode, inline_image, open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL
from harness.testing.faults import ROWS, Row, json_reply, wrong_key
from harness.testing.faults import Reply as FaultReply
from harness.testing.server import ChatServer, in_turn

pytestmark = pytest.mark.anyio
DOCS = Path(__file__).parents[2] / "docs"
ASKED = Request(
    messages=(Message(role="user", content=(open_image(inline_image("a.png", PIXEL)), Text(text="What is it?"))),)
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_key_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", " secret-key-1\n")
    where = address("https://acme.example/v1/", key_env="ACME_KEY")
    assert (where.url, where.key) == ("https://acme.example/v1", "secret-key-1")
    assert where.headers == {"authorization": "Bearer secret-key-1"}
    assert "secret" not in f"{where!r} {where.id} {where.redact('the key secret-key-1 is wrong')}"


def test_a_placeholder_for_a_key_does_not_tear_words_apart() -> None:
    assert Address(url="http://a", key="none").redact("nonetheless") == "nonetheless"


@pytest.mark.parametrize(
    "url", ["", "acme.example/v1", "ftp://acme.example", "https://", "file:///etc/passwd", "http://["]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(HarnessError, match="not the address"):
        address(url)


@pytest.mark.parametrize("rest", ["?key=hunter2", "#hunter2"])
def test_what_follows_an_address_is_refused_without_repeating_it_since_addresses_are_recorded(rest: str) -> None:
    with pytest.raises(HarnessError, match="must end before its") as refused:
        address(f"https://acme.example/v1{rest}")
    assert "hunter2" not in str(refused.value)


def test_a_password_in_an_address_is_refused_without_repeating_it() -> None:
    with pytest.raises(HarnessError, match="must not hold") as refused:
        address("https://me:hunter2@acme.example/v1")
    assert "hunter2" not in str(refused.value)


def test_a_missing_key_is_refused_unless_the_server_may_want_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_KEY", raising=False)
    with pytest.raises(HarnessError, match="no key") as refused:
        address("https://acme.example", key_env="ACME_KEY")
    assert refused.value.remedy == "export ACME_KEY=…"
    assert address("https://acme.example", key_env="ACME_KEY", required=False).headers == {}


@pytest.mark.parametrize("key", ["two words", "schlüssel", "a\nb"])
def test_what_cannot_be_a_key_is_refused_without_repeating_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", key)
    with pytest.raises(HarnessError, match="not a key") as refused:
        address("https://acme.example", key_env="ACME_KEY")
    assert key not in str(refused.value)


def test_an_endpoint_is_one_server_with_one_key() -> None:
    names = {Address(url=url, key=key).id for url in ("http://a/v1", "http://a/v2") for key in ("", "k1", "k2")}
    assert len(names) == 6
    assert Address(url="http://a:1/v1", key="k").id.startswith("a:1#")


def test_splices_are_placed_and_not_copied() -> None:
    data = b"QUJD" * 3
    body = encode(
        {
            "a": ImageBytes("data:,", data),
            "list": ["ü\n", ImageBytes("", b"WFla"), ImageBytes("again ", data)],
            "z": None,
        }
    )
    assert json.loads(bytes(body)) == {
        "a": "data:,QUJDQUJDQUJD",
        "list": ["ü\n", "WFla", "again QUJDQUJDQUJD"],
        "z": None,
    }
    assert [piece for piece in body.pieces if piece is data] == [data, data]
    assert body.headers["content-length"] == str(len(bytes(body)))


async def test_a_body_can_be_sent_again() -> None:
    body = encode({"a": ImageBytes("", b"QUJD")})
    assert [b"".join([piece async for piece in body]) for _ in range(2)] == [b'{"a":"QUJD"}'] * 2


@pytest.mark.parametrize("value", [{"a": {1, 2}}, {"a": b"bytes"}, {"a": float("nan")}])
def test_what_is_no_json_is_a_mistake_of_the_author(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(value)


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"torn": ', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_not_json_is_an_error_worth_another_try(content: bytes) -> None:
    found = parse(content, 0.0, Address(url="http://a"))
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("not_json", True)


def test_a_call_without_an_answer_says_why() -> None:
    error = ValueError("outer")
    error.__cause__ = ConnectionRefusedError("refused by the host")
    found = unreachable(error, Address(url="http://a"))
    assert (found.reason, found.message, found.transient) == ("connection", "http://a: refused by the host", True)


@asynccontextmanager
async def client_of(server: ChatServer, seconds: float = 30.0) -> AsyncIterator[Client]:
    async with connect(address(server.base_url), seconds=seconds) as client:
        yield client


async def ask(client: Client) -> Response | Failure:
    reply = await client.post("/chat/completions", encode({"model": "m", "messages": chat.messages(ASKED)}))
    return chat.answer(reply) if isinstance(reply, Reply) else reply


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_the_client_leads_every_reply_to_its_outcome(row: Row) -> None:
    async with ChatServer(row.reply) as server, client_of(server, 0.3 if row.endless else 30.0) as client:
        if row.outcome is None:
            with pytest.raises(HarnessError):
                await ask(client)
        else:
            found = await ask(client)
            outcome = found.outcome if isinstance(found, Failure) else "answered" if found.text else "empty"
            assert outcome == row.outcome
            assert row.transient == (isinstance(found, Failure) and found.transient)
        # a client that waits for 0.3 seconds may give up before a busy machine's server has read the request
        assert len(server.calls) == 1 or (row.endless and not server.calls)


async def test_nobody_listening_is_a_connection_error_with_the_address() -> None:
    async with ChatServer() as server:
        url = server.base_url
    async with connect(address(url)) as client:
        found = await ask(client)
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("connection", True)
    assert url in found.message


async def test_headers_of_the_author_replace_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", "secret-key-1")
    async with ChatServer() as server:
        where = address(server.base_url, key_env="ACME_KEY")
        async with connect(where) as client:
            await ask(client)
        async with connect(where, headers={"x-api-key": where.key}) as client:
            await ask(client)
        usual, own = server.calls
    assert usual.headers["authorization"] == "Bearer secret-key-1"
    assert own.headers["x-api-key"] == "secret-key-1"
    assert "authorization" not in own.headers


def documented() -> dict[str, Any]:
    """The provider of the documentation, run as a file would be."""
    text = (DOCS / "write-a-provider.md").read_text("utf-8")
    source = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    assert len([line for line in source.splitlines() if line.strip()]) <= 25
    names: dict[str, Any] = {"__name__": "acme"}
    exec(compile(source, "acme.py", "exec"), names)
    return names


@asynccontextmanager
async def acme(server: ChatServer) -> AsyncIterator[Model]:
    [provider] = documented()["harness_models"]()
    settings = effective(provider.settings, {"url": server.base_url}, owner="provider acme")
    async with provider.open("tiny", settings) as model:
        yield model


async def test_the_provider_of_the_documentation_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "secret-key-1")
    async with ChatServer(lambda call: f"{len(call.images)} image, {call.text}") as server, acme(server) as model:
        found = await model.generate(ASKED)
        assert model.info.ref == "acme/tiny"
        [call] = server.calls
    assert isinstance(found, Response)
    assert found.text == "1 image, What is it?"
    assert (call.model, call.images) == ("tiny", tuple(image.opened.sha256 for image in ASKED.images))
    assert call.headers["authorization"] == "Bearer secret-key-1"


async def test_the_provider_of_the_documentation_stops_on_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "secret-key-1")
    async with ChatServer(wrong_key("secret-key-1")) as server, acme(server) as model:
        with pytest.raises(HarnessError) as stopped:
            await model.generate(ASKED)
    assert "ACME_API_KEY" in str(stopped.value)
    assert "secret-key-1" not in str(stopped.value)


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def body(data: bytes, headers: Mapping[str, str], *, limit: int = MIB, size: int = 7, status: int = 200) -> bytes:
    return await read(status, headers, pieces(data, size), limit)


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("", b"one two" * 100),
        ("Identity", b"one two" * 100),
        ("gzip", gzip.compress(b"one two" * 100, mtime=0)),
        (" X-GZIP ", gzip.compress(b"one two" * 100, mtime=0)),
        (
            "gzip",
            gzip.compress(b"one two" * 40, mtime=0)
            + gzip.compress(b"", mtime=0)
            + gzip.compress(b"one two" * 60, mtime=0),
        ),
        ("deflate", zlib.compress(b"one two" * 100)),
        ("deflate", bare(b"one two" * 100)),
        ("deflate", zlib.compress(b"one two" * 100) + b"what comes after the end"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_an_encoding_is_undone_however_its_bytes_arrive(encoding: str, packed: bytes, size: int) -> None:
    assert await body(packed, {"content-encoding": encoding}, size=size) == b"one two" * 100


@pytest.mark.parametrize(
    "trailing", [b"\0" * 8, b"xyz", b"\x1f", b"\x1fxyz", b"\0\0" + gzip.compress(b"more", mtime=0)]
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_bytes_after_gzip_that_begin_no_member_are_left_out(trailing: bytes, size: int) -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + trailing
    assert await body(packed, {"content-encoding": "gzip"}, size=size) == b"one two"


async def test_bytes_after_gzip_count_for_the_limit() -> None:
    with pytest.raises(Unreadable) as refused:
        await body(gzip.compress(b"one") + b"\0" * MIB, {"content-encoding": "gzip"}, size=65536)
    assert refused.value.reason == "too_large"


@pytest.mark.parametrize("wbits", [31, 15])
async def test_what_just_fits_is_read_and_one_byte_more_is_not(wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    packed = packer.compress(b" " * MIB) + packer.flush()
    headers = {"content-encoding": "gzip" if wbits == 31 else "deflate"}
    assert len(await body(packed, headers, limit=MIB, size=100_000)) == MIB
    with pytest.raises(Unreadable) as refused:
        await body(packed, headers, limit=MIB - 1, size=100_000)
    assert refused.value.reason == "too_large"


async def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    with pytest.raises(Unreadable, match="1 MiB"):
        await read(200, {"content-length": str(MIB + 1)}, never(), MIB)


async def test_a_body_of_countless_streams_is_not_unpacked_to_its_end() -> None:
    with pytest.raises(Unreadable, match="streams") as refused:
        await body(gzip.compress(b"", mtime=0) * 5000, {"content-encoding": "gzip"}, size=65536)
    assert refused.value.reason == "too_large"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "\x1b[31m"])
async def test_an_encoding_within_an_encoding_or_another_one_is_refused(encoding: str) -> None:
    with pytest.raises(Unreadable) as refused:
        await body(b"{}", {"content-encoding": encoding})
    assert refused.value.reason == "encoding"
    assert "\x1b" not in str(refused.value)


async def test_of_an_error_the_beginning_is_enough() -> None:
    words = await body(b"busy " * MIB, {}, limit=64 * MIB, size=65536, status=503)
    assert words.startswith(b"busy busy")
    assert len(words) <= MIB
    assert await body(b"{}", {"content-encoding": "br"}, status=403) == b""


def test_no_piece_is_larger_than_a_mebibyte() -> None:
    unpacking = Unpacking("gzip")
    sizes = [len(piece) for piece in unpacking.feed(gzip.compress(b" " * (5 * MIB)))]
    assert sum(sizes) + len(unpacking.end()) == 5 * MIB
    assert max(sizes) <= MIB


def image(width: int, height: int, form: str = "PNG", name: str = "a.png") -> Image:
    """Noise, so that a file's size follows its pixels."""
    pixels = random.Random(7).randbytes(width * height * 3)
    file = io.BytesIO()
    PIL.Image.frombytes("RGB", (width, height), pixels).save(file, form)
    return open_image(inline_image(name, file.getvalue()))


def asking(*images: Image) -> Request:
    return Request(messages=(Message(role="user", content=(Text(text="1"), *images, Text(text="2"))),))


async def fitted(request: Request, limit: ImageLimit) -> Fitted:
    found = await fit(request, limit)
    assert isinstance(found, Fitted)
    return found


async def test_images_within_the_limit_are_the_very_same_bytes() -> None:
    request = asking(image(40, 30), image(30, 40))
    found = await fitted(request, ImageLimit(size=10_000, side=40))
    assert found.request is request
    assert found.notes == ()


async def test_a_long_side_is_scaled_to_the_limit_and_noted() -> None:
    small, large = image(10, 10), image(200, 100, name="dir/large.png")
    found = await fitted(asking(small, large), ImageLimit(side=50))
    kept, scaled = found.request.images
    assert kept.opened is small.opened
    assert (scaled.opened.width, scaled.opened.height) == (50, 25)
    assert decode(scaled.opened).size == (50, 25)
    assert found.notes == ("dir/large.png: scaled from 200x100 to 50x25 (longest side, Lanczos)",)
    assert [type(part).__name__ for part in found.request.messages[0].content] == ["Text", "Image", "Image", "Text"]


async def test_a_large_file_is_scaled_by_three_quarters_until_it_fits() -> None:
    large = image(160, 80)
    found = await fitted(asking(large), ImageLimit(size=len(large.opened.data) // 2))
    [scaled] = found.request.images
    assert scaled.opened.width == 90  # 160, 120, 90
    assert len(scaled.opened.data) <= len(large.opened.data) // 2


@pytest.mark.parametrize(("form", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/png")])
def test_a_jpeg_stays_a_jpeg_and_all_else_becomes_a_png(form: str, mime: str) -> None:
    scaled = scale(image(80, 80, form).opened, ImageLimit(side=40))
    assert scaled.mime == mime
    assert open_image(inline_image("again", scaled.data)).opened == scaled


@pytest.mark.parametrize("form", ["GIF", "BMP"])
async def test_an_image_of_a_type_that_is_not_taken_becomes_a_png_of_its_own_size(form: str) -> None:
    strange, usual = image(80, 40, form), image(80, 40, "WEBP")
    limit = ImageLimit(types=frozenset({"image/png", "image/jpeg", "image/webp"}))
    found = await fitted(asking(strange, usual), limit)
    made, kept = found.request.images
    assert kept.opened is usual.opened
    assert made.opened.mime == "image/png"
    assert decode(made.opened).tobytes() == decode(strange.opened).tobytes()
    assert found.notes == (f"a.png: {strange.opened.mime} sent as image/png",)


async def test_without_resizing_an_image_of_a_type_that_is_not_taken_is_an_error() -> None:
    found = await fit(asking(image(8, 8, "GIF")), ImageLimit(types=frozenset({"image/png"})), resize=False)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason) == ("error", "image_type")


def test_the_same_image_is_scaled_to_the_same_bytes() -> None:
    content = image(80, 80).opened
    assert scale(content, ImageLimit(side=40)) == scale(content, ImageLimit(side=40))


async def test_without_resizing_an_image_over_the_limit_is_an_error() -> None:
    found = await fit(asking(image(80, 80)), ImageLimit(side=40), resize=False)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", "image_too_large", False)
    assert "a.png: 80x80" in found.message


async def test_an_image_that_cannot_be_decoded_is_the_data_s_fault() -> None:
    sound = image(80, 80)
    broken = ImageContent(data=b"x", encoded=b"eA==", sha256="0" * 64, mime="image/png", width=80, height=80)
    found = await fit(asking(replace(sound, content=broken)), ImageLimit(side=40))
    assert isinstance(found, Failure)
    assert found.outcome == "bad_sample"


async def test_an_error_of_another_form_is_read_by_the_provider_and_all_else_as_usual() -> None:
    def read_error(body: Any) -> ApiError:
        code = "content_filter" if body["problem"] == "unsafe" else ""
        return ApiError(message=body["words"], codes=frozenset({code}))

    replies = (
        json_reply({"problem": "unsafe", "words": "not here"}, 400),
        json_reply({"error": {"message": "no such field"}}, 400),
        FaultReply(status=502, body=b"<html>a proxy</html>"),
    )
    async with (
        ChatServer(in_turn(*replies)) as server,
        connect(address(server.base_url), read_error=read_error) as client,
    ):
        blocked, usual, page = [await client.post("/chat/completions", encode({"messages": []})) for _ in replies]
    assert blocked == Failure(outcome="input_blocked", reason="content_filter", message="not here")
    assert usual == Failure(outcome="error", reason="http_400", message="no such field")
    assert page == Failure(outcome="error", reason="http_502", message="<html>a proxy</html>", transient=True)
