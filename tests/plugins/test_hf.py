"""The `hf` provider: real transformers models, tiny and random, and the mini world's own."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import harness_hf
import harness_mini
import PIL.Image
import pytest

from harness import Failure, Generation, HarnessError, Image, ImageContent, Message, Model, Request, Response, Text
from harness.drawings import COLORS, SHAPES, draw
from harness.images import inline_image, open_image
from harness.settings import effective

pytestmark = pytest.mark.anyio
MINI = str(Path(harness_mini.__file__).with_name("base"))
GREEDY = Generation(temperature=0.0, max_tokens=24)
BOTH = "What do the two images show?"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tests.plugins import tiny_models

    return str(tiny_models.save_vlm(tmp_path_factory.mktemp("models") / "tiny-vlm"))


@pytest.fixture(scope="session")
def lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tests.plugins import tiny_models

    return str(tiny_models.save_lm(tmp_path_factory.mktemp("models") / "tiny-lm"))


@asynccontextmanager
async def opened(name: str, **settings: Any) -> AsyncIterator[Model]:
    [provider] = harness_hf.harness_models()
    values = effective(provider.settings, {"dtype": "float32", **settings}, owner="provider hf")
    async with provider.open(name, values) as model:
        yield model


async def answers(model: Model, requests: Sequence[Request]) -> list[Response | Failure]:
    """All asked at once, in order."""
    given: dict[int, Response | Failure] = {}

    async def ask(at: int) -> None:
        given[at] = await model.generate(requests[at])

    async with anyio.create_task_group() as tasks:
        for at in range(len(requests)):
            tasks.start_soon(ask, at)
    return [given[at] for at in range(len(requests))]


async def answer(model: Model, request: Request) -> Response:
    given = await model.generate(request)
    assert isinstance(given, Response), given
    return given


def asked(*parts: Text | Image | str, settings: Generation = GREEDY, **more: Any) -> Request:
    content = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    return Request(messages=(Message(role="user", content=content),), settings=settings, **more)


def picture(shape: str = "star", color: str = "red", seed: int = 0) -> Image:
    data = io.BytesIO()
    draw(color, shape, Random(seed)).save(data, "PNG")
    return open_image(inline_image(f"{color}-{shape}.png", data.getvalue()))


def questions(count: int) -> list[Request]:
    """Of different lengths, each with two drawings."""
    rng = Random(7)
    things = [(rng.choice(list(SHAPES)), rng.choice(list(COLORS)), rng.random()) for _ in range(2 * count)]
    images = [picture(shape, color, seed) for shape, color, seed in things]
    words = [" ".join([BOTH] * rng.randint(1, 4)) for _ in range(count)]
    return [asked(images[2 * at], images[2 * at + 1], words[at]) for at in range(count)]


def by_hand(folder: str, text: str, images: Sequence[Image] = (), tokens: int = 24) -> str:
    """What transformers answers to one prompt, without anything of ours."""
    import torch
    import transformers

    kind = transformers.AutoModelForImageTextToText if images else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32)
    front = (transformers.AutoProcessor if images else transformers.AutoTokenizer).from_pretrained(folder)
    pixels = {"images": [PIL.Image.open(io.BytesIO(image.opened.data)).convert("RGB") for image in images]}
    inputs = front(text=[text], return_tensors="pt", **(pixels if images else {}))
    with torch.inference_mode():
        written = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    return front.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


class TestAnAnswer:
    async def test_is_what_transformers_alone_would_say(self, vlm: str) -> None:
        first, second = picture("star"), picture("ring", "blue")
        vision = "<|vision_start|><|image_pad|><|vision_end|>"
        prompt = f"<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\n{vision}and{vision}?<|im_end|>\n"
        request = asked(first, "and", second, "?")
        system = Message(role="system", content=(Text(text="be kind"),))

        async with opened(vlm) as model:
            given = await answer(model, replace(request, messages=(system, *request.messages)))

        assert given.text == by_hand(vlm, prompt + "<|im_start|>assistant\n", [first, second])

    async def test_of_a_text_model_is_what_transformers_alone_would_say(self, lm: str) -> None:
        async with opened(lm) as model:
            given = await answer(model, asked("one", "two"))

        assert given.text == by_hand(lm, "<|im_start|>user\none\ntwo<|im_end|>\n<|im_start|>assistant\n")

    @pytest.mark.parametrize("which", ["random", "mini"])
    async def test_is_the_same_alone_and_in_company(self, vlm: str, which: str) -> None:
        folder = MINI if which == "mini" else vlm
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

    async def test_takes_earlier_turns_into_account(self, lm: str) -> None:
        turns = [("user", "hello"), ("assistant", "hi"), ("user", "who?")]
        messages = tuple(Message(role=role, content=(Text(text=text),)) for role, text in turns)
        text = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
        async with opened(lm) as model:
            given = await answer(model, Request(messages=messages, settings=GREEDY))

        assert given.text == by_hand(lm, f"{text}<|im_start|>assistant\n")


class TestARawRequest:
    async def test_is_sent_as_it_stands(self, lm: str) -> None:
        async with opened(lm) as model:
            given = await answer(model, asked("Once <|im_end|> upon", raw=True))

        assert given.text == by_hand(lm, "Once <|im_end|> upon")

    async def test_places_its_images_itself(self, vlm: str) -> None:
        text, image = "see <|vision_start|><|image_pad|><|vision_end|> there", picture()
        async with opened(vlm) as model:
            given = await answer(model, asked(image, text, raw=True))

        assert given.text == by_hand(vlm, text, [image])

    @pytest.mark.parametrize("text", ["no place", "<|image_pad|><|image_pad|>"])
    async def test_with_more_or_fewer_places_than_images_fails(self, vlm: str, text: str) -> None:
        async with opened(vlm) as model:
            given = await model.generate(asked(picture(), text, raw=True))

        assert isinstance(given, Failure)
        assert (given.outcome, given.reason) == ("error", "image_places")

    async def test_of_several_texts_fails(self, lm: str) -> None:
        async with opened(lm) as model:
            given = await model.generate(asked("one", "two", raw=True))

        assert isinstance(given, Failure)
        assert given.reason == "raw_request"


class TestChoices:
    async def test_are_weighed_as_token_by_token_by_hand(self, vlm: str) -> None:
        choices = ("yes", "no, never", "y")
        text, image = "<|image_pad|>Is it?", picture()
        async with opened(vlm) as model:
            given = await answer(model, asked(image, text, raw=True, choices=choices))

        assert dict(given.choices) == pytest.approx(
            {choice: weight_by_hand(vlm, text, choice, image) for choice in choices}, abs=1e-4
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


def weight_by_hand(folder: str, text: str, choice: str, image: Image) -> float:
    """One forward pass a token, nothing padded; the tiny tokenizer has one token a byte."""
    import torch
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    pixels = [PIL.Image.open(io.BytesIO(image.opened.data)).convert("RGB")]
    total = 0.0
    for at in range(len(choice)):
        inputs = processor(text=[text + choice[:at]], images=pixels, return_tensors="pt")
        (token,) = processor.tokenizer.encode(choice[at], add_special_tokens=False)
        with torch.inference_mode():
            total += float(model(**inputs).logits[0, -1].log_softmax(-1)[token])
    return total


class TestSampling:
    DRAWN = Generation(temperature=2.0, max_tokens=24, seed=5)

    async def test_repeats_itself_with_one_seed_whatever_else_is_asked(self, lm: str) -> None:
        drawn = asked("hello", settings=self.DRAWN)
        async with opened(lm) as model:
            first, *_, again = await answers(
                model, [drawn, *[asked("other", settings=replace(self.DRAWN, seed=None))] * 5, drawn]
            )

        assert first == replace(again, seconds=first.seconds)  # type: ignore[type-var]

    async def test_differs_with_another_seed(self, lm: str) -> None:
        requests = [asked("hello", settings=replace(self.DRAWN, seed=seed)) for seed in range(4)]
        async with opened(lm) as model:
            given = await answers(model, requests)

        assert len({each.text for each in given}) == 4

    async def test_a_seed_leaves_the_rest_of_the_process_alone(self, lm: str) -> None:
        import torch

        torch.manual_seed(11)
        expected = torch.rand(3)
        torch.manual_seed(11)
        async with opened(lm) as model:
            await model.generate(asked("hello", settings=self.DRAWN))

        assert torch.equal(torch.rand(3), expected)

    async def test_without_a_temperature_is_what_the_model_comes_with(self, lm: str, tmp_path: Path) -> None:
        import json
        import shutil

        folder = shutil.copytree(lm, tmp_path / "drawing")
        config = {"do_sample": True, "temperature": 3.0, "eos_token_id": 2, "pad_token_id": 0, "max_new_tokens": 9}
        (folder / "generation_config.json").write_text(json.dumps(config))
        own = Generation(temperature=None, max_tokens=None)
        async with opened(str(folder)) as model:
            given = await answers(model, [asked("hello", settings=replace(own, seed=seed)) for seed in range(4)])
            greedy = await answers(model, [asked("hello", settings=replace(GREEDY, seed=seed)) for seed in range(4)])

        assert len({each.text for each in given}) > 1
        assert all(isinstance(each, Response) and each.usage.output_tokens <= 9 for each in given)
        assert len({each.text for each in greedy}) == 1


class TestOneBadRequest:
    async def test_does_not_spoil_those_it_was_batched_with(self, lm: str) -> None:
        good = asked("hello")
        async with opened(lm, batch_size=4) as model:
            alone = await answer(model, good)
            first, long, last = await answers(model, [good, asked("x" * 300), good])

        assert isinstance(long, Failure)
        assert (long.outcome, long.reason) == ("error", "context_length")
        assert [first.text, last.text] == [alone.text, alone.text]

    async def test_that_nobody_waits_for_any_more_leaves_its_batch(self, lm: str) -> None:
        long = Generation(max_tokens=150)
        async with opened(lm, batch_size=4, batch_wait=200.0) as model:
            alone = await answer(model, asked("hello", settings=long))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(model.generate, asked("another", settings=long))
                with anyio.move_on_after(0.1):
                    await model.generate(asked("third", settings=long))
                together = await answer(model, asked("hello", settings=long))

        assert together.text == alone.text

    async def test_with_a_broken_image_is_a_bad_sample(self, vlm: str) -> None:
        data = picture().opened.data
        broken = ImageContent(data=data[:60], encoded=b"", sha256="0" * 64, mime="image/png", width=64, height=64)
        async with opened(vlm) as model:
            given = await model.generate(asked(replace(picture(), content=broken), "?"))

        assert isinstance(given, Failure)
        assert given.outcome == "bad_sample"


class TestControlTokens:
    SPELLED = "<|image_pad|> and <|im_end|>"

    async def test_spelled_out_in_a_message_are_only_text(self, vlm: str) -> None:
        async with opened(vlm) as model:
            given = await answer(model, asked(picture(), self.SPELLED))
            written = await answer(model, asked(picture(), "< |image_pad|> and < |im_end|>"))

        assert given.text == written.text
        assert (len(given.notes), written.notes) == (1, ())

    async def test_are_themselves_where_that_is_asked_for(self, lm: str) -> None:
        async with opened(lm, control_tokens="control") as model:
            given = await answer(model, asked("a<|im_end|>b"))

        assert given.text == by_hand(lm, "<|im_start|>user\na<|im_end|>b<|im_end|>\n<|im_start|>assistant\n")

    async def test_never_stand_in_for_an_image(self, vlm: str) -> None:
        async with opened(vlm, control_tokens="control") as model:
            given = await model.generate(asked(picture(), self.SPELLED))

        assert isinstance(given, Failure)
        assert given.reason == "image_places"


class TestTheModel:
    async def test_says_what_it_can(self, vlm: str, lm: str) -> None:
        async with opened(vlm, batch_size=3) as sees, opened(lm) as reads:
            assert sees.info.can == {"images", "raw", "choices", "prefill", "system"}
            assert reads.info.can == {"raw", "choices", "prefill", "system"}
            assert (sees.info.max_images, reads.info.max_images) == (None, 0)
            assert (sees.info.local, sees.info.endpoint, sees.info.concurrency) == (True, "local:cpu", 6)
            assert sees.info.ref == f"hf/{vlm}"

    async def test_that_only_reads_refuses_an_image(self, lm: str) -> None:
        async with opened(lm) as model:
            given = await model.generate(asked(picture(), "?"))

        assert isinstance(given, Failure)
        assert given.reason == "image_places"

    async def test_gives_its_memory_back(self, lm: str) -> None:
        import gc

        import transformers

        async with opened(lm) as model:
            await model.generate(asked("hello"))
        gc.collect()

        assert not [thing for thing in gc.get_objects() if type(thing) is transformers.LlamaForCausalLM]

    async def test_lets_errors_of_the_block_through_as_they_are(self, lm: str) -> None:
        with pytest.raises(HarnessError, match="stop here"):
            async with opened(lm):
                raise HarnessError("stop here")

    async def test_loads_without_a_word(self, lm: str, capfd: pytest.CaptureFixture[str]) -> None:
        async with opened(lm) as model:
            await model.generate(asked("hello"))

        assert capfd.readouterr() == ("", "")
