"""The painter `openai`: the real SDK over real HTTP against a local server of the Images API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from harness_openai.brush import parse_sizes
from harness_openai.provider import PAINTER

from harness import Brush, Drawing, Drawn, Failure, HarnessError, Usage
from harness.settings import effective
from harness.testing.conformance import check_painter
from harness.testing.fakes import PIXEL
from harness.testing.faults import (
    ROWS,
    Reply,
    Row,
    address_only,
    filtered_by_azure,
    filtered_openai,
    image,
    moderated,
    server_error,
    throttled,
    unsupported,
    wrong_key,
)
from harness.testing.server import ImagesServer, in_turn

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_keys")]
STAR = Drawing(prompt="a red star", seed=7, width=1200, height=800)
BROKEN = [row for row in ROWS if row.transient and not row.endless]


@asynccontextmanager
async def opened(name: str = "tiny", **settings: Any) -> AsyncIterator[Brush]:
    async with PAINTER.open(name, effective(PAINTER.settings, settings, owner="painter openai")) as brush:
        yield brush


@asynccontextmanager
async def served(play: Any, **settings: Any) -> AsyncIterator[tuple[Brush, ImagesServer]]:
    async with ImagesServer(play) as server, opened(base_url=server.base_url, **settings) as brush:
        yield brush, server


async def drawn(play: Any, **settings: Any) -> Drawn | Failure:
    async with served(play, **settings) as (brush, _):
        return await brush.draw(STAR)


async def test_an_image_comes_as_its_bytes_with_its_tokens_and_the_prompt_the_server_made_of_ours() -> None:
    found = await drawn(image(revised="a red star, glowing", model="img-1"))
    assert isinstance(found, Drawn)
    assert (found.data, found.prompt, found.model) == (PIXEL, "a red star, glowing", "img-1")
    assert found.usage == Usage(input_tokens=11, output_tokens=272)
    assert 0 < found.seconds < 30


async def test_a_compatible_server_is_asked_for_the_image_itself_with_size_and_seed() -> None:
    async with served("", quality="low", extra='{"background": "opaque"}') as (brush, server):
        await brush.draw(STAR)
    (call,) = server.calls
    assert (call.model, call.text, call.path) == ("tiny", "a red star", "/v1/images/generations")
    assert call.parameters == {
        "n": 1,
        "size": "1200x800",
        "seed": 7,
        "response_format": "b64_json",
        "quality": "low",
        "background": "opaque",
    }
    assert call.headers["authorization"] == "Bearer none"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (filtered_openai(), "input_blocked"),
        (moderated(), "input_blocked"),
        (moderated("input"), "input_blocked"),
        (moderated("output"), "output_blocked"),
        (filtered_by_azure(), "input_blocked"),
        (filtered_by_azure(made=True), "output_blocked"),
    ],
)
async def test_a_filter_blocks_what_was_asked_or_what_was_drawn(reply: Reply, outcome: str) -> None:
    found = await drawn(reply)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == (outcome, "content_filter", False)


@pytest.mark.parametrize("row", BROKEN, ids=lambda row: row.name)
async def test_a_passing_fault_is_worth_another_try(row: Row) -> None:
    found = await drawn(row.reply)
    assert isinstance(found, Failure)
    assert (found.outcome, found.transient) == ("error", True)


async def test_a_429_says_how_long_to_wait() -> None:
    found = await drawn(throttled(3))
    assert isinstance(found, Failure)
    assert (found.throttled, found.retry_after) == (True, 3)


async def test_a_wrong_key_ends_the_build_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-painters-secret")
    with pytest.raises(HarnessError) as caught:
        await drawn(wrong_key("sk-painters-secret"), api_key_env="MY_KEY")
    assert "sk-painters-secret" not in str(caught.value)


async def test_a_seed_and_a_format_that_a_server_refuses_are_left_out_from_then_on() -> None:
    play = in_turn(unsupported("response_format"), unsupported("seed"), image())
    async with served(play) as (brush, server):
        first = await brush.draw(STAR)
        second = await brush.draw(STAR)
        assert brush.info.dropped == {"seed"}
    assert isinstance(first, Drawn)
    assert isinstance(second, Drawn)
    asked = [sorted(call.parameters.keys() & {"seed", "response_format"}) for call in server.calls]
    assert asked == [["response_format", "seed"], ["seed"], [], []]


@pytest.mark.parametrize("settings", [{"quality": "hd"}, {"extra": '{"style": "x"}'}, {"response_format": "b64_json"}])
async def test_a_setting_that_a_server_refuses_is_for_the_user_to_mend(settings: dict[str, str]) -> None:
    (name,) = ["style"] if "extra" in settings else settings
    with pytest.raises(HarnessError, match=f"refuses {name}"):
        await drawn(unsupported(name), **settings)


async def test_an_address_in_place_of_an_image_is_an_error_that_says_what_to_set() -> None:
    found = await drawn(address_only(), response_format="off")
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("url_only", False)
    assert "response_format" in found.message


@pytest.mark.parametrize("body", [b'{"data": []}', b'{"data": [{"b64_json": "no base64!"}]}', b"[]", b'{"data": "x"}'])
async def test_an_answer_without_an_image_is_worth_another_try(body: bytes) -> None:
    found = await drawn(Reply(body=body))
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("wrong_shape", True)


async def test_no_words_are_a_fault_of_the_data_and_cost_no_call() -> None:
    async with served("") as (brush, server):
        found = await brush.draw(Drawing(prompt=" \n"))
    assert isinstance(found, Failure)
    assert found.outcome == "bad_sample"
    assert server.calls == []


async def test_openai_itself_needs_a_key_and_knows_no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="no key"):
        async with opened("gpt-image-2"):
            pass
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
    async with opened("gpt-image-2") as brush:
        assert brush.info.dropped == {"seed"}
        assert brush.info.endpoint.startswith("api.openai.com#")


async def test_azure_draws_with_a_deployment_and_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    async with ImagesServer() as server:
        where = server.base_url.removesuffix("/v1")
        async with opened("drawer", azure_endpoint=where) as brush:
            assert isinstance(await brush.draw(STAR), Drawn)
    (call,) = server.calls
    assert call.path == "/openai/deployments/drawer/images/generations"
    assert (call.query, call.headers["api-key"]) == ({"api-version": "2025-04-01-preview"}, "azure-key")
    assert call.parameters == {"n": 1, "size": "1536x1024"}


@pytest.mark.parametrize(
    ("asked", "model", "setting", "drawn_as"),
    [
        ((1000, 1000), "gpt-image-1-mini", "", (1024, 1024)),
        ((1600, 900), "gpt-image-1-mini", "", (1536, 1024)),
        ((600, 800), "chatgpt-image-latest", "", (1024, 1536)),
        ((1600, 900), "gpt-image-2", "", (1600, 896)),
        ((512, 512), "gpt-image-2.5-flare", "", (816, 816)),
        ((64, 4096), "gpt-image-2", "", (1280, 3840)),
        ((9000, 9000), "gpt-image-2", "", (2880, 2880)),
        ((600, 800), "gpt-image-2", "any", (600, 800)),
        ((600, 800), "gpt-image-2", "512x512, 256x512", (512, 512)),
    ],
)
def test_a_size_becomes_the_nearest_that_the_model_draws(
    asked: tuple[int, int], model: str, setting: str, drawn_as: tuple[int, int]
) -> None:
    assert parse_sizes(setting, model, official=True)(*asked) == drawn_as


@pytest.mark.parametrize("asked", [(1, 1), (100, 5000), (5000, 100), (3840, 2160), (7000, 2500), (1023, 1025)])
def test_a_free_size_keeps_within_the_bounds_of_the_models(asked: tuple[int, int]) -> None:
    width, height = parse_sizes("", "gpt-image-2", official=True)(*asked)
    assert (width % 16, height % 16) == (0, 0)
    assert 1 / 3 <= width / height <= 3
    assert 655_360 <= width * height <= 8_294_400
    assert max(width, height) <= 3840


@pytest.mark.parametrize("setting", ["large", "1024", "1024x", "0x64", ","])
def test_a_size_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(HarnessError, match="no sizes"):
        parse_sizes(setting, "tiny", official=False)


async def test_a_server_error_is_retried_by_whoever_opened_it_and_not_by_the_sdk() -> None:
    async with served(server_error()) as (brush, server):
        await brush.draw(STAR)
    assert len(server.calls) == 1


def test_the_painter_keeps_its_contract_at_a_server() -> None:
    with ImagesServer() as server:
        check_painter(PAINTER, "tiny", settings={"base_url": server.base_url})
