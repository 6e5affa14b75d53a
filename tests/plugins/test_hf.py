"""hf: answers of tiny models, what else may be asked of it, and replicas."""

from __future__ import annotations

import json
import os
import shutil
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
    weight_by_hand,
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


@pytest.mark.slow
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


class TestARawRequest:
    async def test_is_sent_as_it_stands(self, tiny_lm: str) -> None:
        async with opened(tiny_lm) as model:
            given = await answer(model, asked("Once <|im_end|> upon", raw=True))
        assert given.text == by_hand(tiny_lm, "Once <|im_end|> upon")

    async def test_places_its_images_itself(self, tiny_vlm: str) -> None:
        text, image = "see <|vision_start|><|image_pad|><|vision_end|> there", picture()
        async with opened(tiny_vlm) as model:
            given = await answer(model, asked(image, text, raw=True))
        assert given.text == by_hand(tiny_vlm, text, [image])

    @pytest.mark.parametrize("text", ["no place", "<|image_pad|><|image_pad|>"])
    async def test_with_more_or_fewer_places_than_images_fails(self, tiny_vlm: str, text: str) -> None:
        async with opened(tiny_vlm) as model:
            given = await model.generate(asked(picture(), text, raw=True))
        assert isinstance(given, Failure)
        assert (given.outcome, given.reason) == ("error", "image_places")

    async def test_of_several_texts_fails(self, tiny_lm: str) -> None:
        async with opened(tiny_lm) as model:
            given = await model.generate(asked("one", "two", raw=True))
        assert isinstance(given, Failure)
        assert given.reason == "raw_request"


class TestChoices:
    async def test_are_weighed_as_token_by_token_by_hand(self, tiny_vlm: str) -> None:
        choices = ("yes", "no, never", "y")
        text, image = "<|image_pad|>Is it?", picture()
        async with opened(tiny_vlm) as model:
            given = await answer(model, asked(image, text, raw=True, choices=choices))
        assert dict(given.choices) == pytest.approx(
            {choice: weight_by_hand(tiny_vlm, text, choice, image) for choice in choices}, abs=1e-4
        )
        assert given.text == max(given.choices, key=lambda choice: given.choices[choice])

    async def test_weigh_the_same_one_at_a_time(self) -> None:
        request = asked(
            picture(), "What does the image show?", choices=("The image shows a red star.", "Sure. ", "The", "Ring")
        )
        async with opened(MINI, batch_size=1) as model:
            alone = await answer(model, request)
        async with opened(MINI, batch_size=8) as model:
            together = await answer(model, request)
        assert dict(alone.choices) == pytest.approx(dict(together.choices), abs=1e-3)

    async def test_prefer_what_the_model_would_say(self) -> None:
        choices = tuple(f"{color} {shape}." for color in ("red", "blue") for shape in ("star", "ring"))
        request = asked(
            picture("ring", "blue"), "What does the image show?", prefill="The image shows a ", choices=choices
        )
        async with opened(MINI) as model:
            given = await answer(model, request)
        assert given.text == "blue ring."


class TestSampling:
    DRAWN = Generation(temperature=2.0, max_tokens=24, seed=5)

    async def test_repeats_itself_with_one_seed_whatever_else_is_asked(self, tiny_lm: str) -> None:
        drawn = asked("hello", settings=self.DRAWN)
        async with opened(tiny_lm) as model:
            first, *_, again = await answers(
                model, [drawn, *[asked("other", settings=replace(self.DRAWN, seed=None))] * 5, drawn]
            )
        assert first == replace(again, seconds=first.seconds)  # type: ignore[type-var]

    async def test_differs_with_another_seed(self, tiny_lm: str) -> None:
        requests = [asked("hello", settings=replace(self.DRAWN, seed=seed)) for seed in range(4)]
        async with opened(tiny_lm) as model:
            given = await answers(model, requests)
        assert len({each.text for each in given}) == 4

    async def test_a_seed_leaves_the_rest_of_the_process_alone(self, tiny_lm: str) -> None:
        import torch

        torch.manual_seed(11)
        expected = torch.rand(3)
        torch.manual_seed(11)
        async with opened(tiny_lm) as model:
            await model.generate(asked("hello", settings=self.DRAWN))
        assert torch.equal(torch.rand(3), expected)

    async def test_without_a_temperature_is_what_the_model_comes_with(self, tiny_lm: str, tmp_path: Path) -> None:
        folder = shutil.copytree(tiny_lm, tmp_path / "drawing")
        config = {"do_sample": True, "temperature": 3.0, "eos_token_id": 2, "pad_token_id": 0, "max_new_tokens": 9}
        (folder / "generation_config.json").write_text(json.dumps(config))
        own = Generation(temperature=None, max_tokens=None)
        async with opened(str(folder)) as model:
            given = await answers(model, [asked("hello", settings=replace(own, seed=seed)) for seed in range(4)])
            greedy = await answers(model, [asked("hello", settings=replace(GREEDY, seed=seed)) for seed in range(4)])
        assert len({each.text for each in given}) > 1
        assert all(isinstance(each, Response) and each.usage.output_tokens <= 9 for each in given)
        assert len({each.text for each in greedy}) == 1


class TestControlTokens:
    SPELLED = "<|image_pad|> and <|im_end|>"

    async def test_spelled_out_in_a_message_are_only_text(self, tiny_vlm: str) -> None:
        async with opened(tiny_vlm) as model:
            given = await answer(model, asked(picture(), self.SPELLED))
            written = await answer(model, asked(picture(), "< |image_pad|> and < |im_end|>"))
        assert given.text == written.text
        assert (len(given.notes), written.notes) == (1, ())

    async def test_are_themselves_where_that_is_asked_for(self, tiny_lm: str) -> None:
        async with opened(tiny_lm, control_tokens="control") as model:
            given = await answer(model, asked("a<|im_end|>b"))
        assert given.text == by_hand(tiny_lm, "<|im_start|>user\na<|im_end|>b<|im_end|>\n<|im_start|>assistant\n")

    async def test_never_stand_in_for_an_image(self, tiny_vlm: str) -> None:
        async with opened(tiny_vlm, control_tokens="control") as model:
            given = await model.generate(asked(picture(), self.SPELLED))
        assert isinstance(given, Failure)
        assert given.reason == "image_places"


#: As Llama Guard's: the conversation stands inside one question, and the last turn is what is judged.
GUARD = """\
{{- '<|im_start|>user\\nJudge the ' ~ messages[-1].role ~ ' in this conversation.\\n' -}}
{%- for message in messages -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('turns must alternate') }}{%- endif -%}
{%- set said = message.content if message.content is string else message.content[0].text -%}
{{ message.role | capitalize ~ ': ' ~ said | trim ~ '\\n' }}
{%- endfor -%}
{{ 'safe or unsafe?<|im_end|>\\n<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""
LIMIT = Generation(temperature=0.0, max_tokens=8)
YES_NO = ("yes", "no")


def conversation(*turns: str) -> Request:
    roles = ("user", "assistant")
    messages = tuple(Message(role=roles[at % 2], content=(Text(text=text),)) for at, text in enumerate(turns))
    return Request(messages=messages, settings=LIMIT)


@pytest.fixture
def guard(tiny_lm: str, tmp_path: Path) -> str:
    """A model that speaks as Llama Guard does."""
    folder = shutil.copytree(tiny_lm, tmp_path / "guard")
    (folder / "chat_template.jinja").write_text(GUARD)
    return str(folder)


class TestAGuard:
    async def test_judges_the_last_turn_of_a_conversation(self, guard: str) -> None:
        async with opened(guard) as model:
            asked_only = await answer(model, conversation("how?"))
            answered = await answer(model, conversation("how?", "so."))
        head = "<|im_start|>user\nJudge the {} in this conversation.\n"
        tail = "safe or unsafe?<|im_end|>\n<|im_start|>assistant\n"
        assert asked_only.text == by_hand(guard, head.format("user") + "User: how?\n" + tail, tokens=8)
        both = head.format("assistant") + "User: how?\nAssistant: so.\n" + tail
        assert answered.text == by_hand(guard, both, tokens=8)

    async def test_takes_no_image_and_no_system_message(self, guard: str) -> None:
        async with opened(guard) as model:
            assert model.info.max_images == 0
            assert "system" not in model.info.can
            seen = await model.generate(asked(picture(), "safe?", settings=LIMIT))
        assert isinstance(seen, Failure)
        assert seen.reason == "image_places"

    async def test_gives_the_probability_of_each_verdict_after_a_chat(self, guard: str) -> None:
        request = Request(messages=conversation("how?").messages, settings=LIMIT, choices=("safe", "unsafe"))
        async with opened(guard) as model:
            given = await answer(model, request)
        assert set(given.choices) == {"safe", "unsafe"}
        assert all(weight < 0 for weight in given.choices.values())


class TestAClassifierWithoutAChatTemplate:
    """As HarmBench's: a raw prompt that ends where the model writes yes or no."""

    PROMPT = "[INST] Behavior: {} Generation: {} [/INST]"

    @pytest.fixture
    def classifier(self, tiny_lm: str, tmp_path: Path) -> str:
        folder = shutil.copytree(tiny_lm, tmp_path / "classifier")
        (folder / "chat_template.jinja").unlink()
        return str(folder)

    async def test_answers_a_raw_prompt_word_for_word(self, classifier: str) -> None:
        text = self.PROMPT.format("a", "b")
        async with opened(classifier) as model:
            given = await answer(model, asked(text, settings=Generation(temperature=0.0, max_tokens=2), raw=True))
        assert given.text == by_hand(classifier, text, tokens=2)
        assert given.usage.output_tokens <= 2

    async def test_weighs_yes_and_no(self, classifier: str) -> None:
        import torch
        import transformers

        text = self.PROMPT.format("a", "b")
        async with opened(classifier) as model:
            given = await answer(model, asked(text, settings=LIMIT, raw=True, choices=YES_NO))
        plain = transformers.AutoModelForCausalLM.from_pretrained(classifier, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(classifier)
        for choice in YES_NO:
            prompt, whole = (tokenizer(each, return_tensors="pt")["input_ids"] for each in (text, text + choice))
            with torch.inference_mode():
                chances = plain(input_ids=whole).logits.log_softmax(-1)[0, prompt.shape[1] - 1 : -1]
            expected = chances.gather(1, whole[0, prompt.shape[1] :, None]).sum()
            assert given.choices[choice] == pytest.approx(float(expected), abs=1e-4)
        assert given.text == max(YES_NO, key=lambda choice: given.choices[choice])

    async def test_judges_many_answers_at_once_as_it_does_one(self, classifier: str) -> None:
        requests = [asked(self.PROMPT.format(at, "x" * at), settings=LIMIT, raw=True) for at in range(9)]
        async with opened(classifier, batch_size=1) as model:
            alone = await answers(model, requests)
        async with opened(classifier, batch_size=8) as model:
            together = await answers(model, requests)
        assert all(isinstance(each, Response) for each in alone)
        assert [each.text for each in alone] == [each.text for each in together]
