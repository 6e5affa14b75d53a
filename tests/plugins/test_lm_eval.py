"""The `lm-eval` provider where lm-eval is not installed, and what stands in for `requests` inside of it.

With lm-eval, see tests/zoos.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import anyio.to_thread
import harness_lm_eval
import pytest
from harness_lm_eval.posting import GuardedRequests

from harness import HarnessError
from harness.http import MIB, Unreadable
from harness.models import ModelSpec, open_model, resolve
from harness.settings import effective
from tests.plugins.strangers import BODIES, KEY, Server, endless, replying
from tests.plugins.test_strangers import padded

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _without(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness_lm_eval" and name.count(".")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("lm_eval", "lm_eval.models"):
        monkeypatch.setitem(sys.modules, name, None)


async def test_without_the_extra_it_says_how_to_get_it() -> None:
    with pytest.raises(HarnessError, match="needs the extra `lm-eval`") as fault:
        async with open_model("lm-eval/hf-multimodal"):
            pass
    assert fault.value.remedy == "pip install 'vlm-safety-harness[lm-eval]'"


def test_a_task_of_theirs_says_how_to_get_the_extra(tmp_path: Path) -> None:
    [task] = harness_lm_eval.harness_tasks()
    assert callable(task.splits)
    splits = task.splits(effective(task.settings, {}, owner="task"), tmp_path)
    assert list(splits) == []
    with pytest.raises(HarnessError, match="needs the extra `lm-eval`"):
        splits["gsm8k"]


def test_their_arguments_make_another_model_and_how_many_at_once_does_not() -> None:
    found = resolve(
        ModelSpec(ref="lm-eval/hf", settings={"model_args": "pretrained=a", "batch_size": "2", "device": "cpu"})
    )
    assert found.overrides == {"model_args": "pretrained=a"}
    assert found.settings["batch_size"] == 2


requests: Any = importlib.import_module("requests")
ASKED = {"messages": [{"role": "user", "content": "a prompt"}]}


async def post(url: str) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    return await anyio.to_thread.run_sync(lambda: GuardedRequests().post(url, json=ASKED, headers=headers, verify=True))


async def test_an_answer_is_what_requests_gives() -> None:
    async with Server(replying(200, padded(BODIES["openai"], "gzip", 0), content_encoding="gzip")) as server:
        reply = await post(server.url)
    assert (reply.ok, reply.json(), reply.text) == (True, json.loads(BODIES["openai"]), BODIES["openai"].decode())
    assert json.loads(server.asked[0].body) == ASKED
    assert GuardedRequests().exceptions is requests.exceptions


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_says_where_to(status: int) -> None:
    async with Server(replying(200, BODIES["openai"])) as stranger:
        play = replying(status, b"", location=stranger.url)
        async with Server(play) as server:
            with pytest.raises(requests.TooManyRedirects) as refused:
                await post(server.url)
    assert refused.value.response is not None
    assert (refused.value.response.status_code, refused.value.response.headers["location"]) == (status, stranger.url)
    assert stranger.asked == []


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_an_answer_of_more_than_64_mib_is_not_taken(encoding: str) -> None:
    headers = {"content_encoding": encoding} if encoding else {}
    async with Server(replying(200, padded(BODIES["openai"], encoding, 72 * MIB), **headers)) as server:
        with pytest.raises(Unreadable) as refused:
            await post(server.url)
    assert refused.value.reason == "too_large"


async def test_an_error_without_an_end_is_what_its_status_says() -> None:
    server = Server(replying(200, b""))
    server.play = endless(server, b"busy " * 10_000, status=503)
    async with server:
        reply = await post(server.url)
    assert (reply.status_code, reply.ok) == (503, False)
    with pytest.raises(requests.HTTPError):
        reply.raise_for_status()
