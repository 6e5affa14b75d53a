"""What may be asked of the `hf` provider beside a greedy answer to a chat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness import Failure, Generation, Response
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
        import json
        import shutil

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
