"""`vlmeval/NAME`: what VLMEvalKit's models are asked, and what they are known by."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import anyio
import harness_vlmeval
import PIL.Image
import pytest

from harness import HarnessError, Message, Request, Response, Text, UnknownName
from harness.images import inline_image, open_image
from harness.testing.conformance import check_provider
from tests.plugins.vlmeval_asking import ONE, TWO, answer, asked, failure, opened, zoo

__all__ = ["zoo"]
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
    assert harness_vlmeval.INSTALL in str(caught.value)


def test_the_provider_keeps_its_contract_and_the_package_is_never_imported_here() -> None:
    [provider] = harness_vlmeval.harness_models()
    check_provider(provider, "Echo-1")
    check_provider(provider, "Local-7B")
    assert not [name for name in sys.modules if name.partition(".")[0] == "vlmeval"]
