"""hf: answers of tiny models, one by one and as replicas."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

import harness
from harness import Failure, Generation, HarnessError, ImageContent, Message, Request, Response, Text
from harness.progress.lines import SilentProgress
from tests.plugins.hf_asking import (
    BOTH,
    GREEDY,
    MINI,
    answer,
    answers,
    asked,
    by_hand,
    opened,
    picture,
    questions,
)

pytestmark = pytest.mark.anyio


class TestAnAnswer:
    async def test_is_what_transformers_alone_would_say(self, tiny_vlm: str) -> None:
        first, second = picture("star"), picture("ring", "blue")
        vision = "<|vision_start|><|image_pad|><|vision_end|>"
        prompt = f"<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\n{vision}and{vision}?<|im_end|>\n"
        request = asked(first, "and", second, "?")
        system = Message(role="system", content=(Text(text="be kind"),))
        async with opened(tiny_vlm) as model:
            given = await answer(model, replace(request, messages=(system, *request.messages)))
        assert given.text == by_hand(tiny_vlm, prompt + "<|im_start|>assistant\n", [first, second])

    async def test_of_a_text_model_is_what_transformers_alone_would_say(self, tiny_lm: str) -> None:
        async with opened(tiny_lm) as model:
            given = await answer(model, asked("one", "two"))
        assert given.text == by_hand(tiny_lm, "<|im_start|>user\none\ntwo<|im_end|>\n<|im_start|>assistant\n")

    @pytest.mark.parametrize("which", ["random", "mini"])
    async def test_is_the_same_alone_and_in_company(self, tiny_vlm: str, which: str) -> None:
        folder = MINI if which == "mini" else tiny_vlm
        requests = questions(12)
        async with opened(folder, batch_size=1) as model:
            alone = await answers(model, requests)
        async with opened(folder, batch_size=8) as model:
            together = await answers(model, requests)
        said = [given.text for given in alone if isinstance(given, Response)]
        assert len(set(said)) > 6
        assert said == [given.text for given in together if isinstance(given, Response)]

    async def test_follows_the_order_of_the_images(self) -> None:
        star, ring = picture("star", "red"), picture("ring", "blue")
        async with opened(MINI) as model:
            one, other = [
                given.text for given in await answers(model, [asked(star, ring, BOTH), asked(ring, star, BOTH)])
            ]
        assert one == "The first image shows a red star. The second image shows a blue ring."
        assert other == "The first image shows a blue ring. The second image shows a red star."

    async def test_counts_its_tokens_and_names_the_model_without_its_path(self) -> None:
        async with opened(MINI) as model:
            given = await answer(model, asked(picture(), "What does the image show?"))
        assert given.text == "The image shows a red star."
        assert given.usage.input_tokens > 10
        assert 5 <= given.usage.output_tokens <= 20
        assert given.model == "base"
        assert given.seconds > 0

    async def test_that_reaches_the_token_limit_is_marked_truncated(self) -> None:
        request = asked(picture(), "What does the image show?")
        async with opened(MINI) as model:
            whole = await answer(model, request)
            cut = await answer(model, replace(request, settings=Generation(max_tokens=3)))
        assert whole.flags == frozenset()
        assert cut.flags == {"truncated"}
        assert cut.usage.output_tokens == 3
        assert whole.text.startswith(cut.text)

    async def test_ends_before_a_stop_text(self) -> None:
        request = asked(
            picture("star"), picture("ring"), BOTH, settings=Generation(max_tokens=64, stop=(" second", "?"))
        )
        async with opened(MINI) as model:
            given = await answer(model, request)
        assert given.text == "The first image shows a red star. The"
        assert given.flags == frozenset()

    async def test_goes_on_from_a_prefill_and_does_not_repeat_it(self) -> None:
        request = asked(picture("star"), picture("ring"), BOTH, prefill="The first image shows a blue")
        async with opened(MINI) as model:
            given = await answer(model, request)
        assert given.text == " star. The second image shows a red ring."

    async def test_takes_earlier_turns_into_account(self, tiny_lm: str) -> None:
        turns = [("user", "hello"), ("assistant", "hi"), ("user", "who?")]
        messages = tuple(Message(role=role, content=(Text(text=text),)) for role, text in turns)
        text = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
        async with opened(tiny_lm) as model:
            given = await answer(model, Request(messages=messages, settings=GREEDY))
        assert given.text == by_hand(tiny_lm, f"{text}<|im_start|>assistant\n")


class TestOneBadRequest:
    async def test_does_not_spoil_those_it_was_batched_with(self, tiny_lm: str) -> None:
        good = asked("hello")
        async with opened(tiny_lm, batch_size=4) as model:
            alone = await answer(model, good)
            first, long, last = await answers(model, [good, asked("x" * 300), good])
        assert isinstance(long, Failure)
        assert (long.outcome, long.reason) == ("error", "context_length")
        assert [first.text, last.text] == [alone.text, alone.text]

    async def test_that_nobody_waits_for_any_more_leaves_its_batch(self, tiny_lm: str) -> None:
        long = Generation(max_tokens=150)
        async with opened(tiny_lm, batch_size=4, batch_wait=200.0) as model:
            alone = await answer(model, asked("hello", settings=long))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(model.generate, asked("another", settings=long))
                with anyio.move_on_after(0.1):
                    await model.generate(asked("third", settings=long))
                together = await answer(model, asked("hello", settings=long))
        assert together.text == alone.text

    async def test_with_a_broken_image_is_a_bad_sample(self, tiny_vlm: str) -> None:
        data = picture().opened.data
        broken = ImageContent(data=data[:60], encoded=b"", sha256="0" * 64, mime="image/png", width=64, height=64)
        async with opened(tiny_vlm) as model:
            given = await model.generate(asked(replace(picture(), content=broken), "?"))
        assert isinstance(given, Failure)
        assert given.outcome == "bad_sample"


class TestTheModel:
    async def test_says_what_it_can(self, tiny_vlm: str, tiny_lm: str) -> None:
        async with opened(tiny_vlm, batch_size=3) as sees, opened(tiny_lm) as reads:
            assert sees.info.can == {"images", "raw", "choices", "prefill", "system"}
            assert reads.info.can == {"raw", "choices", "prefill", "system"}
            assert (sees.info.max_images, reads.info.max_images) == (None, 0)
            assert (sees.info.local, sees.info.endpoint, sees.info.concurrency) == (True, "local:cpu", 6)
            assert sees.info.ref == f"hf/{tiny_vlm}"

    async def test_that_only_reads_refuses_an_image(self, tiny_lm: str) -> None:
        async with opened(tiny_lm) as model:
            given = await model.generate(asked(picture(), "?"))
        assert isinstance(given, Failure)
        assert given.reason == "image_places"

    async def test_gives_its_memory_back(self, tiny_lm: str) -> None:
        import gc

        import transformers

        async with opened(tiny_lm) as model:
            await model.generate(asked("hello"))
        gc.collect()
        assert not [thing for thing in gc.get_objects() if type(thing) is transformers.LlamaForCausalLM]

    async def test_lets_errors_of_the_block_through_as_they_are(self, tiny_lm: str) -> None:
        with pytest.raises(HarnessError, match="stop here"):
            async with opened(tiny_lm):
                raise HarnessError("stop here")

    async def test_loads_without_a_word(self, tiny_lm: str, capfd: pytest.CaptureFixture[str]) -> None:
        async with opened(tiny_lm) as model:
            await model.generate(asked("hello"))
        assert capfd.readouterr() == ("", "")


MODEL = "mini/base"
ANSWERS = 25  #: after which one of the two is killed


class Killing(SilentProgress):
    """Kills the first replica when so many samples are answered."""

    def __init__(self) -> None:
        self._left = ANSWERS
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)

    def answered(self, *_: Any, **__: Any) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(replicas(1)[0].pid, signal.SIGKILL)


def replicas(number: int | str = "") -> list[psutil.Process]:
    """Replicas that live: all, or the one of that number."""
    return [child for child in psutil.Process().children() if f"{MODEL} replica {number}" in child.cmdline()[-1]]


def stored_answers(folder: Path) -> Mapping[str, Any]:
    """Text and key of each answer, by sample; every one of them is there."""
    lines = [json.loads(line) for line in (folder / "mis" / "responses.jsonl").read_text("utf-8").splitlines()]
    assert {line["outcome"] for line in lines} == {"answered"}
    return {line["id"]: (line["text"], line["key"]) for line in lines}


def test_two_replicas_of_which_one_is_killed_answer_as_one_process_does(tmp_path: Path) -> None:
    one = harness.run(MODEL, "mis:mini", output=tmp_path / "one")
    killing = Killing()
    two = harness.run(MODEL, "mis:mini", output=tmp_path / "two", model_settings={"replicas": 2}, progress=killing)
    assert stored_answers(tmp_path / "one") == stored_answers(tmp_path / "two")
    assert one.results["tasks"] == two.results["tasks"]
    assert one.results["model"]["identity"] == two.results["model"]["identity"]
    [note] = [note for note in two.notes if "replica 1 (CPU)" in note]
    assert "was killed by SIGKILL" in note
    assert killing.told == [note]
    assert replicas() == []
