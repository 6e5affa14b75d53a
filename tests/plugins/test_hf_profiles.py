"""`-M profile=mis-paper` and the limits of images: a family is asked as the paper asked it, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness.local
from harness import HarnessError, Model, Request, Text
from harness.local import PROFILES, find_profile
from tests.plugins.hf_asking import answer, asked, opened, picture, refused
from tests.plugins.tiny.folders import Folders

pytestmark = pytest.mark.anyio
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
