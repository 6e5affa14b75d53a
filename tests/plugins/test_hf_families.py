"""The families of vision-language models that `hf` runs, each by a tiny model of its real architecture."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import PIL.Image
import pytest

from harness import Failure, Generation, HarnessError, Image, Message, Model, Request, Response, Text
from harness.drawings import COLORS, SHAPES, draw
from harness.images import inline_image, open_image
from tests.plugins.hf_asking import answer, answers, asked, opened
from tests.plugins.tiny.folders import Folders

pytestmark = pytest.mark.anyio
NAMES = (
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision", "llava_next", "llava_interleave"),
    *("idefics3", "smolvlm", "gemma3", "mllama"),
)
SHORT = Generation(temperature=0.0, max_tokens=10)
SYSTEM = Message(role="system", content=(Text(text="Be kind."),))
#: Sizes that tile differently, so that rows of a batch differ in length and in number of tiles.
SIZES = ((64, 64), (64, 32), (32, 96), (90, 70))


def drawn(at: int) -> Image:
    shape, color = sorted(SHAPES)[at % len(SHAPES)], sorted(COLORS)[at % len(COLORS)]
    data = io.BytesIO()
    draw(color, shape, Random(at)).resize(SIZES[at % len(SIZES)]).save(data, "PNG")
    return open_image(inline_image(f"{at}.png", data.getvalue()))


def with_system(request: Request) -> Request:
    return replace(request, messages=(SYSTEM, *request.messages))


async def weight(model: Model, request: Request) -> float:
    """How likely the model finds one continuation: moves with whatever the model reads."""
    return (await answer(model, replace(request, choices=("Sure",)))).choices["Sure"]


def by_hand(folder: Path, *questions: tuple[Sequence[Image], str]) -> list[str]:
    """What transformers answers to each question, without anything of ours."""
    import torch
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    texts: list[str] = []
    for images, question in questions:
        content = [*[{"type": "image"}] * len(images), {"type": "text", "text": question}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        pixels: dict[str, Any] = {"images": [[PIL.Image.open(io.BytesIO(each.opened.data)) for each in images]]}
        inputs = processor(text=[text], return_tensors="pt", add_special_tokens=False, **(pixels if images else {}))
        with torch.inference_mode():
            written = model.generate(**inputs, max_new_tokens=SHORT.max_tokens, do_sample=False)
        texts.append(processor.tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


@pytest.mark.parametrize("name", NAMES)
class TestAFamily:
    async def test_answers_as_transformers_alone_would(self, folders: Folders, name: str) -> None:
        one, two = drawn(0), drawn(1)
        async with opened(folders[name]) as model:
            both = await answer(model, asked(one, two, "and?", settings=SHORT))
            words = await answer(model, asked("hello", settings=SHORT))
        assert [both.text, words.text] == by_hand(folders[name], ([one, two], "and?"), ([], "hello"))

    async def test_sees_every_image_and_in_order(self, folders: Folders, name: str) -> None:
        one, two = drawn(4), drawn(8)
        rows = [(one, two), (two, one), (one, one), (two, two), (one,), (two,)]
        async with opened(folders[name]) as model:
            assert model.info.max_images is None
            weights = [await weight(model, asked(*images, "?", settings=SHORT)) for images in rows]
        apart = [abs(here - there) for at, here in enumerate(weights) for there in weights[:at]]
        assert min(apart) > 1e-4

    async def test_answers_alike_alone_and_in_company(self, folders: Folders, name: str) -> None:
        requests = [asked(drawn(at), drawn(at + 1), "why? " * (1 + at % 3), settings=SHORT) for at in range(8)]
        async with opened(folders[name], batch_size=1) as model:
            alone = await answers(model, requests)
        async with opened(folders[name], batch_size=4, batch_wait=500.0) as model:
            together = await answers(model, requests)
        said = [given.text for given in alone if isinstance(given, Response)]
        assert len(said) == len(requests)
        assert said == [given.text for given in together if isinstance(given, Response)]

    async def test_hears_a_system_message(self, folders: Folders, name: str) -> None:
        async with opened(folders[name]) as model:
            assert "system" in model.info.can
            with_it = await weight(model, with_system(asked("hello", settings=SHORT)))
            without = await weight(model, asked("hello", settings=SHORT))
            both = await model.generate(with_system(asked(drawn(0), "?", settings=SHORT)))
        assert abs(with_it - without) > 1e-4
        if name == "mllama":  # its template refuses both together, and the sample says so
            assert isinstance(both, Failure)
            assert (both.reason, both.message) == ("chat_template", "images and a system message do not go together")
        else:
            assert isinstance(both, Response)


async def ends(folder: Path) -> list[str]:
    """The tokens that end an answer of an opened model."""
    async with opened(folder) as model:
        generator = model._runner.generator  # type: ignore[attr-defined]
        return sorted(generator.loaded.frontend.tokenizer.convert_ids_to_tokens(sorted(generator.ends)))


@pytest.mark.parametrize("name", NAMES)
async def test_every_end_token_of_a_family_ends_its_answers(folders: Folders, name: str) -> None:
    from tests.plugins.tiny.families import FAMILIES

    assert await ends(folders[name]) == sorted(FAMILIES[name].ends)


@pytest.mark.parametrize(
    ("name", "turn"), [("gemma3", "<end_of_turn>"), ("mllama", "<|eot_id|>"), ("internvl", "<|im_end|>")]
)
async def test_the_end_of_a_turn_ends_an_answer_though_a_trainer_forgot_to_write_it_down(
    folders: Folders, tmp_path: Path, name: str, turn: str
) -> None:
    folder = shutil.copytree(folders[name], tmp_path / name)
    (folder / "generation_config.json").unlink()
    assert turn in await ends(folder)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # PaliGemma's own processor
class TestPaliGemma:
    async def test_is_asked_in_its_own_form_and_takes_one_image(self, folders: Folders) -> None:
        image = drawn(0)
        async with opened(folders["paligemma"]) as model:
            assert model.info.max_images == 1
            assert model.info.can == {"images", "raw", "choices", "prefill"}
            chat = await answer(model, asked(image, "what?", settings=SHORT))
            raw = await answer(model, asked(image, "<image>answer en what?", settings=SHORT, raw=True))
            other = await weight(model, asked(drawn(1), "what?", settings=SHORT))
            same = await weight(model, asked(image, "what?", settings=SHORT))
        assert chat.text == raw.text
        assert abs(other - same) > 1e-4

    async def test_fails_where_it_is_not_shown_an_image_or_given_a_system_message(self, folders: Folders) -> None:
        async with opened(folders["paligemma"]) as model:
            words = await model.generate(asked("what?", settings=SHORT))
            system = await model.generate(with_system(asked(drawn(0), "what?", settings=SHORT)))
        assert isinstance(words, Failure)
        assert isinstance(system, Failure)
        assert (words.outcome, system.reason) == ("error", "prompt_format")

    async def test_is_asked_otherwise_where_that_is_wanted(self, folders: Folders) -> None:
        settings = {"prompt_format": "{images}caption {question}", "max_images": 2}
        async with opened(folders["paligemma"], **settings) as model:
            assert model.info.max_images == 2
            chat = await answer(model, asked(drawn(0), drawn(1), "this", settings=SHORT))
            raw = await answer(model, asked(drawn(0), drawn(1), "<image><image>caption this", settings=SHORT, raw=True))
        assert chat.text == raw.text

    async def test_cannot_be_asked_without_a_place_for_the_question(self, folders: Folders) -> None:
        with pytest.raises(HarnessError, match="no place for the question"):
            async with opened(folders["paligemma"], prompt_format="{images}"):
                pass


async def test_mllama_says_that_it_was_trained_on_one_image(folders: Folders) -> None:
    async with opened(folders["mllama"]) as model:
        assert "one image a prompt" in " ".join(model.info.notes)
