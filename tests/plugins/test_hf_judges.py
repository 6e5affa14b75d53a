"""Local judges through `hf`: safety classifiers that are text-only Llamas, by chat, by raw prompt and by choices."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import Failure, Generation, Message, Request, Response, Text
from tests.plugins.hf_asking import answer, answers, asked, by_hand, opened, picture

pytestmark = pytest.mark.anyio
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
