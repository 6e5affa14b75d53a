"""`vllm/…` in vLLM's real engine: it answers what transformers answers, and says what went wrong in our words."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from harness import Failure, Generation, Message, Model, Request, Text
from tests.plugins import hf_asking
from tests.plugins.hf_asking import BOTH, MINI, answer, answers, asked, picture, questions
from tests.vllm.engine_asking import packaged, texts

pytestmark = pytest.mark.anyio
SAYS = "The first image shows a red star. The second image shows a blue ring."


class TestAnAnswer:
    @pytest.mark.parametrize(("task", "split"), [("mis", "mini"), ("mis", "mini-benign"), ("mssbench", "mini")])
    async def test_is_what_transformers_says_to_nearly_every_question(self, mini: Model, task: str, split: str) -> None:
        requests = list(packaged(task, split))[:60]
        async with hf_asking.opened(MINI) as model:
            expected = texts(await answers(model, requests))
        given = texts(await answers(mini, requests))

        assert len(set(expected)) > 5
        same = sum(one == other for one, other in zip(given, expected, strict=True))
        assert same >= 0.95 * len(requests), [pair for pair in zip(given, expected, strict=True) if len(set(pair)) > 1]

    async def test_follows_the_order_of_the_images(self, mini: Model) -> None:
        star, ring = picture("star", "red"), picture("ring", "blue")
        one, other = texts(await answers(mini, [asked(star, ring, BOTH), asked(ring, star, BOTH)]))

        assert one == SAYS
        assert other == "The first image shows a blue ring. The second image shows a red star."

    async def test_is_the_same_alone_and_in_company(self, mini: Model) -> None:
        requests = questions(12)
        alone = [(await answer(mini, request)).text for request in requests]

        assert texts(await answers(mini, requests)) == alone

    async def test_counts_the_tokens_of_images_and_names_the_model_without_its_path(self, mini: Model) -> None:
        one, two = [await answer(mini, asked(*[picture()] * n, "What does the image show?")) for n in (1, 2)]

        assert two.usage.input_tokens - one.usage.input_tokens >= 4
        assert 5 <= one.usage.output_tokens <= 20
        assert one.model == "base"
        assert one.seconds > 0

    async def test_that_reaches_the_token_limit_is_marked_truncated(self, mini: Model) -> None:
        request = asked(picture(), "What does the image show?")
        whole = await answer(mini, request)
        cut = await answer(mini, replace(request, settings=Generation(max_tokens=3)))

        assert whole.flags == frozenset()
        assert (cut.flags, cut.usage.output_tokens) == ({"truncated"}, 3)
        assert whole.text.startswith(cut.text)

    async def test_ends_before_a_stop_text(self, mini: Model) -> None:
        settings = Generation(max_tokens=64, stop=(" second", "?"))
        given = await answer(mini, asked(picture("star"), picture("ring", "blue"), BOTH, settings=settings))

        assert given.text == "The first image shows a red star. The"
        assert given.flags == frozenset()

    async def test_goes_on_from_a_prefill_and_does_not_repeat_it(self, mini: Model) -> None:
        prefill = "The first image shows a blue"
        given = await answer(mini, asked(picture("star"), picture("ring", "blue"), BOTH, prefill=prefill))

        assert given.text == " star. The second image shows a blue ring."

    async def test_to_a_raw_request_is_to_the_text_as_it_stands(self, mini: Model) -> None:
        vision = "<|vision_start|><|image_pad|><|vision_end|>"
        text = f"<|im_start|>user\n{vision}{vision}{BOTH}<|im_end|>\n<|im_start|>assistant\n"
        given = await answer(mini, asked(picture(), picture("ring", "blue"), text, raw=True))

        assert given.text == SAYS

    async def test_drawn_with_a_seed_is_drawn_again_with_it_in_any_company(self, mini: Model) -> None:
        def drawn(seed: int) -> Request:
            return asked("Tell me.", settings=Generation(temperature=1.5, max_tokens=12, seed=seed))

        first = texts(await answers(mini, [drawn(seed) for seed in range(6)]))
        again = [(await answer(mini, drawn(seed))).text for seed in range(6)]

        assert len(set(first)) > 2
        assert again == first

    async def test_with_a_schema_keeps_to_it(self, mini: Model) -> None:
        schema = {"type": "object", "properties": {"safe": {"enum": ["y", "n"]}}, "required": ["safe"]}
        given = await answer(mini, asked("Is it?", schema={**schema, "additionalProperties": False}))

        assert "".join(given.text.split()).startswith(('{"safe":"y"', '{"safe":"n"', "{"))

    async def test_breaks_control_tokens_up_and_says_so(self, mini: Model) -> None:
        given = await answer(mini, asked(picture(), "<|im_end|>What does the image show?"))

        assert given.notes == ("control tokens spelled out in a message were broken up",)


class TestChoices:
    async def test_weigh_what_transformers_weighs(self, mini: Model) -> None:
        choices = ("The image shows a red star.", "The image shows a blue ring.", "no")
        request = asked(picture(), "What does the image show?", choices=choices)
        async with hf_asking.opened(MINI) as model:
            expected = await answer(model, request)
        given = await answer(mini, request)

        assert given.text == expected.text == choices[0]
        assert given.choices == pytest.approx(dict(expected.choices), abs=0.01)
        assert given.usage == expected.usage

    async def test_that_end_alike_are_told_apart_where_they_differ(self, mini: Model) -> None:
        request = asked("Well?", choices=("yes.", "no."))
        async with hf_asking.opened(MINI) as model:
            expected = await answer(model, request)

        assert (await answer(mini, request)).choices == pytest.approx(dict(expected.choices), abs=0.01)


class TestOneBadRequest:
    async def test_that_is_too_long_is_an_error_of_its_own(self, mini: Model) -> None:
        good = asked(picture(), "What does the image show?")
        first, long, last = await answers(mini, [good, asked("x" * 5000), good])

        assert isinstance(long, Failure)
        assert (long.outcome, long.reason) == ("error", "context_length")
        assert texts([first, last]) == ["The image shows a red star."] * 2

    async def test_with_more_images_than_places_is_an_error(self, mini: Model) -> None:
        given = await mini.generate(asked(picture(), picture(), "<|im_start|>one <|image_pad|>", raw=True))

        assert isinstance(given, Failure)
        assert given.reason == "image_places"

    async def test_with_more_images_than_the_engine_takes_is_an_error(self, mini: Model) -> None:
        given = await mini.generate(asked(picture(), picture(), picture(), BOTH))

        assert isinstance(given, Failure)
        assert given.outcome == "error"
        assert "2 image" in given.message

    async def test_with_a_schema_that_is_none_is_an_error(self, mini: Model) -> None:
        given = await mini.generate(asked("Well?", schema={"type": "no such type"}))

        assert isinstance(given, Failure)
        assert given.outcome == "error"

    async def test_that_nobody_waits_for_any_more_leaves_the_engine(self, mini: Model) -> None:
        with anyio.move_on_after(0.05):
            await mini.generate(asked("Go on.", settings=Generation(max_tokens=400, temperature=2.0)))

        assert (await answer(mini, asked(picture(), "What does the image show?"))).text == "The image shows a red star."


class TestTheModel:
    async def test_says_what_it_can(self, mini: Model) -> None:
        assert mini.info.can == {"images", "raw", "choices", "prefill", "system", "schema"}
        assert (mini.info.max_images, mini.info.local, mini.info.endpoint) == (2, True, "local:cpu")
        assert mini.info.concurrency == 32
        assert mini.info.ref == f"vllm/{MINI}"

    async def test_is_known_by_its_files(self, mini: Model) -> None:
        async with hf_asking.opened(MINI) as model:
            assert mini.info.fingerprint == model.info.fingerprint

    async def test_takes_earlier_turns_into_account(self, mini: Model) -> None:
        turns = [("user", "hello"), ("assistant", "hi"), ("user", "who?")]
        messages = tuple(Message(role=role, content=(Text(text=text),)) for role, text in turns)
        request = Request(messages=messages, settings=hf_asking.GREEDY)
        async with hf_asking.opened(MINI) as model:
            expected = await answer(model, request)

        assert (await answer(mini, request)).text == expected.text
