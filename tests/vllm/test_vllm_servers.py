"""vLLM's own servers as real peers: what the `openai` and `anthropic` providers make of another party's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from harness import Failure, Generation, HarnessError, Message, Request, Response, Text
from tests.plugins import anthropic_asking, openai_asking
from tests.plugins.hf_asking import BOTH, GREEDY, MINI, answer, answers, asked, picture
from tests.vllm.engine_asking import free_port, texts

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("keys")]
ARGUMENTS = {
    "model": MINI,
    "served-model-name": "base",
    "host": "127.0.0.1",
    "dtype": "float32",
    "max-model-len": "512",
    "max-num-seqs": "16",
    "limit-mm-per-prompt": json.dumps({"image": 4, "video": 0}),
}
SAYS = "The first image shows a red star. The second image shows a blue ring."
STAR, RING = picture("star", "red"), picture("ring", "blue")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a vLLM server with the mini world's model; it takes half a minute to start."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    arguments = {**ARGUMENTS, "port": str(free_port())}
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += [part for key, value in arguments.items() for part in (f"--{key}", value)]
    address = f"http://127.0.0.1:{arguments['port']}"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as server:
        try:
            healthy(address, server, log)
            yield address
        finally:
            server.terminate()


def healthy(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "none")


@pytest.fixture(params=["openai", "anthropic"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


ASKING: dict[str, ModuleType] = {"openai": openai_asking, "anthropic": anthropic_asking}


def opened(protocol: str, url: str, name: str = "base", **settings: Any) -> Any:
    path = "/v1" if protocol == "openai" else ""
    return ASKING[protocol].opened(name, base_url=url + path, **settings)


class TestVllmsServer:
    async def test_is_asked_with_every_image_in_order(self, protocol: str, url: str) -> None:
        async with opened(protocol, url) as model:
            given = texts(await answers(model, [asked(STAR, RING, BOTH), asked(RING, STAR, BOTH)]))

        assert given == [SAYS, "The first image shows a blue ring. The second image shows a red star."]

    async def test_counts_tokens_and_tells_its_models_name(self, protocol: str, url: str) -> None:
        async with opened(protocol, url) as model:
            given = await answer(model, asked(STAR, "What does the image show?"))

        assert (given.text, given.model) == ("The image shows a red star.", "base")
        assert given.usage.input_tokens == 20
        assert 5 <= given.usage.output_tokens <= 20

    async def test_hears_the_system_message(self, protocol: str, url: str) -> None:
        plain = asked(STAR, "What does the image show?")
        system = Message(role="system", content=(Text(text="be brief"),))
        async with opened(protocol, url) as model:
            without = await answer(model, plain)
            given = await answer(model, Request(messages=(system, *plain.messages), settings=GREEDY))

        assert given.usage.input_tokens > without.usage.input_tokens + len("be brief") // 2

    async def test_keeps_to_stop_texts_and_says_where_it_was_cut_off(self, protocol: str, url: str) -> None:
        stop = Generation(temperature=0.0, max_tokens=64, stop=(" second",))
        async with opened(protocol, url) as model:
            stopped = await answer(model, asked(STAR, RING, BOTH, settings=stop))
            cut = await answer(model, asked(STAR, RING, BOTH, settings=replace(GREEDY, max_tokens=3)))

        assert (stopped.text, stopped.flags) == ("The first image shows a red star. The", frozenset())
        assert cut.flags == {"truncated"}
        assert SAYS.startswith(cut.text)

    async def test_keeps_to_a_schema(self, protocol: str, url: str) -> None:
        async with opened(protocol, url) as model:
            given = await answer(model, asked("Is it?", schema={"enum": ["safe", "unsafe"]}))

        assert json.loads(given.text) in ("safe", "unsafe")

    async def test_draws_the_same_again_with_a_seed_where_the_protocol_has_one(self, url: str) -> None:
        def drawn(seed: int) -> Request:
            return asked("Tell me.", settings=Generation(temperature=1.5, max_tokens=12, seed=seed))

        async with opened("openai", url) as model:
            first = texts(await answers(model, [drawn(seed) for seed in range(4)]))
            again = texts(await answers(model, [drawn(seed) for seed in range(4)]))

        assert again == first
        assert len(set(first)) > 1

    async def test_has_a_seed_recorded_as_dropped_where_the_protocol_has_none(self, url: str) -> None:
        async with opened("anthropic", url) as model:
            await answer(model, asked("hi", settings=replace(GREEDY, seed=3)))

            assert model.info.dropped == {"seed"}


class TestARefusal:
    @pytest.mark.parametrize(
        ("asking", "words"),
        [
            (asked("x" * 3000), "maximum context length"),
            (asked("hi", settings=replace(GREEDY, max_tokens=2000)), "cannot be greater than"),
            (asked("hi", settings=replace(GREEDY, temperature=5.0)), "temperature must be in"),
            (asked(*[STAR] * 5, BOTH), "At most 4 image"),
        ],
        ids=["too long", "too many tokens", "too hot", "too many images"],
    )
    async def test_of_one_request_is_its_error_and_nothing_is_learnt_from_it(
        self, protocol: str, url: str, asking: Request, words: str
    ) -> None:
        async with opened(protocol, url) as model:
            before = model.info
            failed = await model.generate(asking)
            after = await answer(model, asked(STAR, "What does the image show?"))

            assert isinstance(failed, Failure)
            assert (failed.outcome, failed.reason, failed.transient) == ("error", "http_400", False)
            assert words in failed.message
            assert isinstance(after, Response)
            # an answer says whether the model thinks unasked, and so what its calls may cost; a refusal says nothing
            assert replace(model.info, thinking_tokens=before.thinking_tokens) == before

    async def test_of_a_name_that_it_does_not_serve_ends_the_run(self, protocol: str, url: str) -> None:
        async with opened(protocol, url, "nobody") as model:
            with pytest.raises(HarnessError, match="`nobody` does not exist"):
                await model.generate(asked("hi"))

    async def test_of_what_the_user_adds_to_the_body_keeps_the_servers_words(self, protocol: str, url: str) -> None:
        async with opened(protocol, url, extra=json.dumps({"top_k": -7})) as model:
            failed = await model.generate(asked("hi"))

        assert isinstance(failed, Failure)
        assert "top_k must be 0" in failed.message
