"""What may be asked of the `hf` provider beside a greedy answer to a chat, and of local judges: text classifiers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import Failure, Generation, Message, Request, Response, Text
from tests.plugins.hf_asking import (
    GREEDY,
    MINI,
    answer,
    answers,
    asked,
    by_hand,
    opened,
    picture,
    weight_by_hand,
)

pytestmark = pytest.mark.anyio


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
