"""Families of models and their profiles: prompts, images and answers as transformers alone would have them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import PIL.Image
import pytest

import harness.local
from harness import Failure, Generation, HarnessError, Image, Message, Model, Request, Response, Text
from harness.drawings import COLORS, SHAPES, draw
from harness.images import inline_image, open_image
from harness.local import PROFILES, find_profile
from tests.plugins.hf_asking import answer, answers, asked, opened, picture, refused
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


PAGE = Path(__file__).parents[2] / "docs" / "providers" / "hf.md"
BOTH = asked(picture("star"), picture("ring", "blue"), "What now?")


async def written(model: Model, request: Request = BOTH) -> str:
    prompt = model._builder(request)  # type: ignore[attr-defined]
    assert isinstance(prompt, harness.local.Prompt), prompt
    return prompt.text


class TestAProfile:
    async def test_numbers_the_images_of_internvl(self, folders: Folders) -> None:
        async with opened(folders["internvl"], profile="mis-paper") as model:
            text = await written(model)
            await answer(model, BOTH)
        assert text == (
            "<|im_start|>user\nImage-1: <IMG_CONTEXT>\n\nImage-2: <IMG_CONTEXT>\n\nWhat now?<|im_end|>\n"
            "<|im_start|>assistant\n"
        )

    async def test_writes_the_whole_prompt_of_idefics(self, folders: Folders) -> None:
        async with opened(folders["idefics3"], profile="mis-paper", longest_edge=64) as model:
            text = await written(model)
            assert "system" not in model.info.can
            await answer(model, BOTH)
        assert text == (
            "<|begin_of_text|>User:Image-1: <image>\n\nImage-2: <image>\n\nWhat now?<end_of_utterance>\nAssistant:"
        )

    async def test_writes_the_conversation_of_llava_interleave(self, folders: Folders) -> None:
        async with opened(folders["llava_interleave"], profile="mis-paper") as model:
            text = await written(model)
        assert text == (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n<image>\n<image>\nWhat now?<|im_end|>\n<|im_start|>assistant\n"
        )

    async def test_leaves_qwen_to_its_own_template(self, folders: Folders) -> None:
        async with opened(folders["qwen2_vl"]) as plain, opened(folders["qwen2_vl"], profile="mis-paper") as model:
            assert await written(model) == await written(plain)
            assert model.info.notes == ("profile mis-paper, Qwen2-VL: max_tokens 1024 (published)",)

    async def test_keeps_the_order_of_a_message_that_mixes_texts_and_images(self, folders: Folders) -> None:
        mixed = asked("first", picture("star"), "then", picture("ring"), "so?")
        async with opened(folders["internvl"], profile="mis-paper") as model:
            text = await written(model, mixed)
        assert "firstImage-1: <IMG_CONTEXT>\n\nthenImage-2: <IMG_CONTEXT>\n\nso?" in text

    async def test_leaves_what_a_message_spells_out_mere_text(self, folders: Folders) -> None:
        async with opened(folders["idefics3"], profile="mis-paper") as model:
            text = await written(model, asked(picture(), "<image><end_of_utterance>"))
        assert text.endswith("< image>< end_of_utterance><end_of_utterance>\nAssistant:")

    async def test_is_told_and_decides_format_and_sizes_unless_a_setting_does(self, folders: Folders) -> None:
        async def state(**settings: Any) -> tuple[str, int, tuple[str, ...]]:
            async with opened(folders["idefics3"], profile="mis-paper", **settings) as model:
                loaded = model._runner.generator.loaded  # type: ignore[attr-defined]
                edge = loaded.frontend.processor.image_processor.size["longest_edge"]
                return str(loaded.model.dtype), edge, model.info.notes

        dtype, edge, (told,) = await state(dtype="auto")
        assert (dtype, edge) == ("torch.bfloat16", 1456)
        assert "line 'Image-{i}: {image}\\n\\n' (published)" in told
        assert "dtype 'bfloat16' (published)" in told
        assert (await state(dtype="float32", longest_edge=64))[:2] == ("torch.float32", 64)

    async def test_limits_the_tiles_of_internvl_and_adds_its_stop_tokens(self, folders: Folders) -> None:
        async with opened(folders["internvl"], profile="mis-paper") as model:
            loaded = model._runner.generator.loaded  # type: ignore[attr-defined]
            assert loaded.frontend.processor.image_processor.max_patches == 4
            ends = loaded.frontend.tokenizer.convert_ids_to_tokens(sorted(model._runner.generator.ends))  # type: ignore[attr-defined]
        assert ends == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # it has no <|end|>

    async def test_of_another_family_is_refused_with_those_it_has(self, folders: Folders) -> None:
        error = await refused(folders["gemma3"], profile="mis-paper")
        assert "gemma3" in error.what
        assert "Idefics3 (idefics3)" in error.remedy
        assert "LLaVA-NeXT-Interleave (llava/qwen2)" in error.remedy

    def test_of_a_name_nobody_knows_is_refused(self) -> None:
        with pytest.raises(HarnessError, match="no profile 'mine'"):
            find_profile("mine", "qwen2_vl")

    def test_caps_an_answer_at_what_the_paper_allowed(self) -> None:
        assert find_profile("mis-paper", "deepseek_vl_v2").max_tokens.value == 512

    @pytest.mark.parametrize("profile", PROFILES["mis-paper"], ids=lambda profile: profile.family)
    def test_stands_on_the_page_value_by_value(self, profile: harness.local.Profile) -> None:
        page = PAGE.read_text(encoding="utf-8")
        for name, value in profile.rows():
            if value.value is not None or value.why:
                what = "own" if value.value is None else json.dumps(value.value, ensure_ascii=False)
                why = f": {value.why}" if value.why else ""
                assert f"    {profile.family} · {name} · {what} · {value.basis}{why}\n" in page


class TestALimit:
    @pytest.mark.parametrize(
        ("name", "setting", "small", "large"),
        [
            ("internvl", "max_patches", 1, 4),
            ("idefics3", "longest_edge", 32, 64),
            ("smolvlm", "longest_edge", 32, 64),
            ("qwen2_5_vl", "max_pixels", 64 * 64, 128 * 128),
        ],
    )
    async def test_of_images_changes_how_much_of_them_is_read(
        self, folders: Folders, name: str, setting: str, small: int, large: int
    ) -> None:
        async def read(value: int) -> int:
            more = {"min_pixels": value} if setting == "max_pixels" else {}
            async with opened(folders[name], **{setting: value}, **more) as model:
                return (await answer(model, BOTH)).usage.input_tokens

        assert await read(small) < await read(large)

    @pytest.mark.parametrize(
        ("name", "setting", "value", "others"),
        [
            ("gemma3", "max_pixels", 4096, "no limit of its images"),
            ("gemma3", "longest_edge", 64, "no limit of its images"),
            ("idefics3", "max_patches", 4, "longest_edge"),
            ("internvl", "max_pixels", 4096, "max_patches"),
            ("qwen2_vl", "longest_edge", 64, "min_pixels, max_pixels"),
            ("llava_next", "max_patches", 4, "no limit of its images"),
            ("mllama", "max_patches", 1, "no limit of its images"),
            ("internvl", "max_patches", 0, "max_patches"),
        ],
    )
    async def test_that_the_processor_does_not_know_is_refused_with_those_it_does(
        self, folders: Folders, name: str, setting: str, value: int, others: str
    ) -> None:
        error = await refused(folders[name], **{setting: value})
        assert f"takes no {setting}={value}" in error.what
        assert error.remedy.endswith(f"this model takes {others}")


class TestAnswersOfABaseModel:
    async def test_come_by_a_prompt_format_of_ones_own(self, tiny_lm: str, tmp_path: Path) -> None:
        folder = shutil.copytree(tiny_lm, tmp_path / "base")
        (folder / "chat_template.jinja").unlink()
        async with opened(folder, prompt_format="Q: {question}\\nA:") as model:
            given = await answer(model, asked("why?", "how?"))
            raw = await answer(model, asked(Text(text="Q: why?\nhow?\nA:"), raw=True))
        assert given.text == raw.text
