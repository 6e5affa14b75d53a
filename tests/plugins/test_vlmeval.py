"""`vlmeval/NAME`: what VLMEvalKit's models are asked and known by, what an answer means, and their process."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import anyio
import harness_vlmeval
import PIL.Image
import psutil
import pytest
from aiohttp import web
from harness_vlmeval.model import ImageFolder
from harness_vlmeval.process import INSTALL, Refused, start_kit

from harness import Failure, HarnessError, Message, Request, Response, Text, UnknownName
from harness.http import MIB, reading
from harness.images import inline_image, open_image
from harness.testing.conformance import check_provider
from tests.plugins.strangers import BODIES, Server, replying
from tests.plugins.test_strangers import padded
from tests.plugins.vlmeval_asking import ONE, TWO, answer, asked, failure, opened

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("zoo")]


async def test_text_and_images_reach_the_class_in_their_order_and_byte_for_byte() -> None:
    async with opened("Echo-1") as model:
        said = json.loads((await answer(model, "one", ONE, "two", TWO, "both?")).text)
    assert said["parts"] == ["one", ONE.opened.sha256, "two", TWO.opened.sha256, "both?"]


async def test_a_text_that_is_a_path_or_an_address_stays_a_text(tmp_path: Path) -> None:
    texts = [str(tmp_path), "https://127.0.0.1:9/a.png", "data:image/png;base64,AAAA", "a \ud800 surrogate"]
    async with opened("Echo-1") as model:
        said = json.loads((await answer(model, *texts)).text)
    assert said["parts"] == texts


async def test_the_settings_a_class_reads_are_set_and_others_that_are_asked_for_are_told_as_dropped() -> None:
    async with opened("Echo-1") as model:
        warm = json.loads((await answer(model, "hi", temperature=0.9, max_tokens=50)).text)
        cold = json.loads((await answer(model, "hi", temperature=0.0)).text)
        default = json.loads((await answer(model, "hi", temperature=None)).text)
        assert model.info.dropped == {"max_tokens"}
    assert [said["temperature"] for said in (warm, cold, default)] == [0.9, 0.0, 0.5]
    assert warm["kwargs"] == {}


async def test_what_a_class_hands_on_to_its_server_is_set_there() -> None:
    async with opened("Echo-1", args={"seed": 1, "top_p": 0.5}) as model:
        said = json.loads((await answer(model, "hi", seed=7)).text)
        assert model.info.dropped == {"max_tokens"}
    assert said["kwargs"] == {"seed": 7, "top_p": 0.5}


async def test_a_local_class_is_greedy_at_temperature_0_and_samples_above_it() -> None:
    async with opened("Local-7B") as model:
        cold = json.loads((await answer(model, "hi", temperature=0.0, max_tokens=5)).text)
        warm = json.loads((await answer(model, "hi", temperature=0.7)).text)
    assert cold == {"path": "zoo/local-7b", "do_sample": False, "max_new_tokens": 5}
    assert (warm["do_sample"], warm["temperature"]) == (True, 0.7)


async def test_a_local_model_runs_one_at_a_time_in_the_main_thread_of_its_process() -> None:
    said: list[str] = []
    async with opened("Local-7B") as model:
        assert (model.info.local, model.info.concurrency) == (True, 1)

        async def ask() -> None:
            said.append((await answer(model, "main")).text)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)
    assert said == ["True"] * 4


async def test_a_class_that_asks_an_api_answers_many_at_once() -> None:
    said: list[str] = []
    async with opened("Crowd-1", args={"most": 8}) as model:
        assert (model.info.local, model.info.concurrency) == (False, None)

        async def ask() -> None:
            said.append((await answer(model, "all of you")).text)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ask)
    assert said == ["together"] * 8


async def test_a_class_that_looks_at_the_first_image_only_takes_one() -> None:
    async with opened("Single-1") as single, opened("Local-7B") as several:
        assert single.info.max_images == 1
        assert several.info.max_images is None


async def test_a_call_is_one_try_and_what_a_class_prints_harms_nothing() -> None:
    async with opened("Echo-1", args={"retry": 9, "verbose": True}) as model:
        said = json.loads((await answer(model, "hi")).text)
        assert said["retry"] == 1


async def test_a_model_is_known_by_package_class_arguments_and_server_and_never_by_a_key() -> None:
    async with opened("Echo-1", args={"max_tokens": 99, "retry": 9}) as model:
        known = model.info.fingerprint
    assert known["package"] == "vlmeval unknown"
    assert known["class"] == "vlmeval.models.Echo"
    assert known["arguments"] == {"model": "echo", "max_tokens": 99}
    assert known["server"] == "http://127.0.0.1:9/v1"
    assert "key-of-the-table" not in str(known)


async def test_other_weights_are_known_by_their_files_wherever_they_lie(tmp_path: Path) -> None:
    known: list[Any] = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        async with opened("Local-7B", model_path=folder) as model:
            known.append(model.info.fingerprint)
            assert json.loads((await answer(model, "hi")).text)["path"] == str(folder)
    assert known[0] == known[1]
    assert list(known[0]["files"]) == ["config.json"]


async def test_a_class_may_be_named_in_place_of_a_model() -> None:
    async with opened("Local", model_path=Path("owner/name")) as model:
        assert json.loads((await answer(model, "hi")).text)["path"] == "owner/name"


async def test_reencoding_of_images_is_noted_for_classes_that_ask_an_api() -> None:
    async with opened("Echo-1") as remote, opened("Local-7B") as local:
        assert "JPEG" in remote.info.notes[0]
        assert local.info.notes == ()


@pytest.mark.parametrize(
    "request_",
    [
        Request(messages=(Message(role="system", content=(Text(text="s"),)), *asked("hi").messages)),
        Request(messages=(*asked("hi").messages, Message(role="assistant", content=(Text(text="a"),)))),
        Request(messages=asked("hi").messages, prefill="Sure"),
        Request(messages=asked("hi").messages, raw=True),
    ],
    ids=["system", "two turns", "prefill", "raw"],
)
async def test_what_one_turn_can_not_hold_is_refused_and_never_bent(request_: Request) -> None:
    async with opened("Echo-1") as model:
        said = await model.generate(request_)
        assert model.info.can == {"images"}
    assert not isinstance(said, Response)
    assert (said.outcome, said.reason) == ("error", "unsupported_request")


async def test_an_image_that_classes_can_not_read_is_written_as_png_or_is_a_bad_sample() -> None:
    file = io.BytesIO()
    PIL.Image.new("RGB", (3, 2), "red").save(file, "WEBP", lossless=True)
    webp = open_image(inline_image("a.webp", file.getvalue()))
    broken = open_image(inline_image("b.gif", b"GIF89a\2\0\2\0\0\0\0\xff\xff;"))
    async with opened("Echo-1") as model:
        said = json.loads((await answer(model, webp)).text)
        assert len(said["parts"][0]) == 64
        assert said["parts"][0] != webp.opened.sha256
        assert (await failure(model, broken)).outcome == "bad_sample"


@pytest.mark.parametrize(("name", "nearest"), [("local-7b-chat", "Local-7B"), ("Ech", "Echo,")])
async def test_an_unknown_name_is_answered_with_the_nearest_ones_classes_among_them(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=nearest):
        async with opened(name):
            raise AssertionError


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("Echo-1", {"args": {"api_key": "k"}}, "must not hold api_key"),
        ("Echo-1", {"args": "[]"}, "not a JSON object"),
        ("Single-1", {"args": {"colour": 1}}, "does not take these arguments"),
        ("Broken-1", {}, "cannot open Broken-1: SystemExit(?s:.*)please install the other package"),
        ("Echo-1", {"python": "/no/such/python"}, "does not start"),
        ("Echo-1", {"python": "/bin/true"}, "died"),
    ],
)
async def test_what_can_not_be_opened_says_why(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(HarnessError) as caught:
        async with opened(name, **settings):
            raise AssertionError
    assert caught.match(words)


async def test_an_interpreter_without_the_package_is_told_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(HarnessError) as caught:
        async with opened("Echo-1"):
            raise AssertionError
    assert "VLMEvalKit is not installed" in str(caught.value)
    assert INSTALL in str(caught.value)


def test_the_provider_keeps_its_contract_and_the_package_is_never_imported_here() -> None:
    [provider] = harness_vlmeval.harness_models()
    check_provider(provider, "Echo-1")
    check_provider(provider, "Local-7B")
    assert not [name for name in sys.modules if name.partition(".")[0] == "vlmeval"]


def completion(content: str | None, finish: str = "stop", **message: Any) -> Any:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return {"model": "real-name", "choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


async def said_of(status: int, body: Any) -> Response | Failure:
    async with opened("Served-1") as model:
        return await model.generate(asked(json.dumps([status, body])))


async def test_a_fail_string_is_an_error_and_never_an_answer() -> None:
    async with opened("Habits-1") as model:
        for word in ("fail", "long"):
            said = await failure(model, word)
            assert (said.outcome, said.reason, said.transient) == ("error", "fail_string", True)


async def test_words_of_an_error_in_the_answers_place_are_an_error() -> None:
    async with opened("Habits-1") as model:
        said = await failure(model, "words")
    assert (said.outcome, said.message) == ("error", "Error: the server said no")


async def test_an_empty_answer_is_empty_though_the_class_calls_it_a_failure() -> None:
    async with opened("Habits-1") as model:
        assert (await answer(model, "empty")).text == ""


async def test_a_lost_connection_is_worth_another_try() -> None:
    async with opened("Habits-1") as model:
        said = await failure(model, "raise")
    assert (said.outcome, said.reason, said.transient) == ("error", "ConnectionError", True)
    assert "nobody there" in said.message


async def test_thinking_is_split_off() -> None:
    async with opened("Habits-1") as model:
        said = await answer(model, "<think>hm</think>yes")
    assert (said.text, said.reasoning) == ("yes", "hm")


async def test_what_a_server_says_of_an_answer_is_kept() -> None:
    said = await said_of(200, completion(" cut off ", "length"))
    assert isinstance(said, Response)
    assert (said.text, said.flags, said.model) == ("cut off", {"truncated"}, "real-name")
    assert (said.usage.input_tokens, said.usage.output_tokens) == (5, 2)


async def test_a_refusal_that_the_class_can_not_read_is_the_answer() -> None:
    said = await said_of(200, completion(None, refusal="I will not."))
    assert isinstance(said, Response)
    assert (said.text, said.flags) == ("I will not.", {"refusal"})


async def test_an_answer_that_a_filter_stopped_is_blocked() -> None:
    said = await said_of(200, completion("half of it", "content_filter"))
    assert isinstance(said, Failure)
    assert (said.outcome, said.text) == ("output_blocked", "half of it")


async def test_a_prompt_that_a_filter_refused_is_blocked_and_any_other_400_is_an_error() -> None:
    blocked = await said_of(400, {"error": {"code": "content_filter", "message": "no"}})
    other = await said_of(400, {"error": {"code": "bad", "message": "too long"}})
    assert isinstance(blocked, Failure)
    assert isinstance(other, Failure)
    assert (blocked.outcome, other.outcome, other.reason) == ("input_blocked", "error", "http_400")


async def test_a_server_that_asks_to_slow_down_is_heard() -> None:
    said = await said_of(429, {"error": {"message": "slower"}})
    assert isinstance(said, Failure)
    assert (said.throttled, said.retry_after, said.transient) == (True, 7.0, True)


async def test_a_key_that_is_refused_ends_the_run() -> None:
    with pytest.raises(HarnessError, match="refuses: wrong key"):
        await said_of(401, {"error": {"message": "wrong key"}})


@pytest.mark.parametrize(
    ("word", "reason"), [("raise", "RuntimeError"), ("exit", "SystemExit"), ("nothing", "no_answer")]
)
async def test_what_a_local_class_raises_fails_its_sample_alone(word: str, reason: str) -> None:
    async with opened("Local-7B") as model:
        said = await failure(model, word)
        assert (said.outcome, said.reason, said.transient) == ("error", reason, False)
        assert (await answer(model, "main")).text == "True"


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


KNOWN: list[psutil.Process] = []


@pytest.fixture(autouse=True)
def known() -> None:
    """Children that other tests in this process left, such as a server that forks."""
    KNOWN[:] = psutil.Process().children(recursive=True)


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if each not in KNOWN]


async def test_a_death_is_worth_one_more_try_of_the_same_question_and_then_its_own_fault() -> None:
    async with opened("Local-7B") as model:
        first, second = await failure(model, "crash"), await failure(model, "crash")
        assert (await answer(model, "main")).text == "True"
        assert model.info.notes[-1].endswith("2 of 3 times")
    assert (first.reason, first.transient, second.transient) == ("process_died", True, False)


async def test_a_death_shows_the_last_words_without_keys() -> None:
    async with opened("Local-7B") as model:
        said = await failure(model, "crash")
    assert "SIGKILL" in said.message
    assert "CUDA error" in said.message
    assert "verysecret" not in said.message


async def test_a_process_that_dies_too_often_ends_the_run_with_its_last_words() -> None:
    async with opened("Local-7B", restarts=1) as model:
        await failure(model, "crash")
        await failure(model, "crash")
        with pytest.raises(HarnessError, match=r"after 1 restarts(?s:.*)CUDA error"):
            await failure(model, "hi")


async def test_questions_under_way_are_answered_after_the_process_was_started_again(tmp_path: Path) -> None:
    async with opened("Once-1", args={"mark": str(tmp_path / "mark")}) as model:
        assert (await failure(model, "first")).transient
        assert (await answer(model, "first")).text == "alive"


async def test_nothing_is_left_when_it_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other tests at the same time have folders there as well
    async with opened("Local-7B") as model:
        await answer(model, "main", ONE)
        (child,) = children()
        made = files(tmp_path)
    assert not child.is_running()
    assert [each.name.rpartition("-")[0] for each in made] == ["harness-vlmeval"]
    assert files(tmp_path) == []


async def test_a_question_that_is_given_up_does_not_hold_the_end() -> None:
    async with opened("Local-7B") as model:
        with anyio.move_on_after(0.5) as scope:
            await answer(model, "sleep")
        (child,) = children()
    assert scope.cancelled_caught
    assert not child.is_running()


async def test_a_process_whose_parent_is_gone_ends_itself(tmp_path: Path) -> None:
    script = (
        "import anyio, sys\n"
        "from tests.plugins.vlmeval_asking import opened\n"
        "async def main():\n"
        "    async with opened('Local-7B'):\n"
        "        print('open', flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join((os.environ["PYTHONPATH"], root))
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)}
    async with await anyio.open_process([sys.executable, "-c", script], env=environment) as parent:
        assert parent.stdout is not None
        await parent.stdout.receive()
        (child,) = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
    await anyio.to_thread.run_sync(lambda: psutil.wait_procs([child], timeout=20))
    assert not child.is_running()


async def test_an_operation_that_is_not_known_is_refused_and_the_list_is_whole(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        child = await start_kit(tasks, sys.executable, data=tmp_path)
        assert (await child.ask("hello"))["protocol"] == 1
        assert "Local-7B" in (await child.ask("list"))["names"]
        with pytest.raises(Refused) as caught:
            await child.ask("dance")
        with pytest.raises(Refused) as early:
            await child.ask("generate", message=[], settings={})
        await child.close()
        tasks.cancel_scope.cancel()
    assert (caught.value.kind, early.value.kind) == ("unknown_op", "not_open")


async def test_equal_images_share_a_file_that_goes_with_its_last_user(tmp_path: Path) -> None:
    images = ImageFolder(tmp_path)
    async with images.place([ONE, TWO]) as first:
        async with images.place([ONE]) as second:
            assert second == first[:1]
        assert [path.read_bytes() for path in map(Path, first)] == [ONE.opened.data, TWO.opened.data]
    assert files(tmp_path) == []


BODY = BODIES["openai"]
#: classes that ask through requests, httpx, and httpx awaited
every_class = pytest.mark.parametrize("name", ["Posting-1", "Asking-1", "Asking-2"])


@every_class
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY[:9], mtime=0) + gzip.compress(BODY[9:], mtime=0) + b"\0" * 8),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
    ],
    ids=["gzip", "members", "deflate", "bare"],
)
async def test_an_answer_that_is_packed_is_read(name: str, encoding: str, packed: bytes) -> None:
    play = replying(200, packed, content_encoding=encoding)
    async with Server(play) as server, opened(name, args={"api_base": server.url}) as model:
        assert (await answer(model, "a prompt")).text == "ok"


@every_class
async def test_an_answer_that_came_damaged_is_worth_another_try(name: str) -> None:
    play = replying(200, b"no gzip at all", content_encoding="gzip")
    async with Server(play) as server, opened(name, args={"api_base": server.url}) as model:
        found = await failure(model, "a prompt")
    assert (found.outcome, found.reason, found.transient) == ("error", "connection", True)


async def test_an_answer_that_an_sdk_takes_at_its_second_try_is_the_answer() -> None:
    damaged, good = (replying(200, packed, content_encoding="gzip") for packed in (b"damaged", gzip.compress(BODY)))

    async def play(request: web.BaseRequest) -> web.StreamResponse:
        return await (damaged if len(server.asked) < 2 else good)(request)

    async with Server(play) as server, opened("Asking-1", args={"api_base": server.url}) as model:
        assert (await answer(model, "a prompt")).text == "ok"


def test_the_file_that_the_child_loads_of_the_harness_needs_the_standard_library_alone() -> None:
    load = f"import runpy; runpy.run_path({reading.__file__!r})"
    subprocess.run([sys.executable, "-I", "-S", "-c", load], check=True)


@pytest.mark.parametrize("status", [302, 307])
async def test_a_redirect_takes_no_prompt_to_another_host(status: int) -> None:
    async with Server(replying(200, BODIES["openai"])) as stranger:
        play = replying(status, b"", location=stranger.url)
        async with Server(play) as server, opened("Posting-1", args={"api_base": server.url}) as model:
            found = await failure(model, "a prompt")
    assert (found.outcome, found.reason, found.transient) == ("error", f"http_{status}", False)
    assert server.host in found.message
    assert stranger.host in found.message
    assert stranger.asked == []


@pytest.mark.slow
@every_class
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_an_answer_of_more_than_64_mib_is_not_taken(name: str, encoding: str) -> None:
    headers = {"content_encoding": encoding} if encoding else {}
    play = replying(200, padded(BODY, encoding, 72 * MIB), **headers)
    async with Server(play) as server, opened(name, args={"api_base": server.url}) as model:
        found = await failure(model, "a prompt")
    assert (found.outcome, found.reason, found.transient) == ("error", "too_large", False)
