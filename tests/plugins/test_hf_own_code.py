"""Models that come with Python code of their own: never run unless told, and then as any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness import HarnessError
from tests.plugins.hf_asking import answer, answers, asked, by_hand, opened, picture, questions

pytestmark = pytest.mark.anyio
RAN = "ran.txt"
#: As models on the hub do it: a configuration, a model and a processor, each a class in a file beside the weights.
CODE = """
from pathlib import Path
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

Path({ran!r}).write_text("this code ran")


class OwnConfig(Qwen2VLConfig):
    model_type = "own_vlm"


class OwnModel(Qwen2VLForConditionalGeneration):
    config_class = OwnConfig

    def generate(self, input_ids=None, **more):
        written = super().generate(input_ids=input_ids, **more)
        return written[:, input_ids.shape[1]:] if {only_new} else written


class OwnProcessor(Qwen2VLProcessor):
    pass
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers copies such code into a cache; here into one of this test."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))


def with_code(tiny: str, folder: Path, *, kind: str = "AutoModelForCausalLM", only_new: bool = False) -> Path:
    import transformers
    from safetensors.torch import save_file

    shutil.copytree(tiny, folder)
    weights = transformers.AutoModelForImageTextToText.from_pretrained(tiny).state_dict()
    save_file({name: each.clone() for name, each in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    (folder / "own.py").write_text(CODE.format(ran=str(folder.parent / RAN), only_new=only_new))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own_vlm", "architectures": ["OwnModel"]}
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", kind: "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    processor = json.loads((folder / "processor_config.json").read_text())
    processor |= {"processor_class": "OwnProcessor", "auto_map": {"AutoProcessor": "own.OwnProcessor"}}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    return folder


class TestCodeOfAModel:
    async def test_does_not_run_unless_told_and_the_error_names_the_setting(
        self, tiny_vlm: str, tmp_path: Path
    ) -> None:
        folder = with_code(tiny_vlm, tmp_path / "own")
        with pytest.raises(HarnessError) as caught:
            async with opened(folder):
                pass

        assert "-M trust_remote_code=true" in caught.value.remedy
        assert not (tmp_path / RAN).exists()

    @pytest.mark.parametrize("kind", ["AutoModelForImageTextToText", "AutoModelForCausalLM", "AutoModel"])
    @pytest.mark.parametrize("only_new", [False, True])
    async def test_runs_as_any_other_model_where_it_is_trusted(
        self, tiny_vlm: str, tmp_path: Path, kind: str, only_new: bool
    ) -> None:
        folder = with_code(tiny_vlm, tmp_path / "own", kind=kind, only_new=only_new)
        async with opened(folder, trust_remote_code=True) as model:
            assert model.info.max_images is None
            first, second = picture("star"), picture("ring", "blue")
            given = await answer(model, asked(first, second, "?"))
            many = await answers(model, questions(4))
        async with opened(tiny_vlm) as plain:
            expected = await answers(plain, questions(4))

        vision = "<|vision_start|><|image_pad|><|vision_end|>"
        prompt = f"<|im_start|>user\n{vision}{vision}?<|im_end|>\n<|im_start|>assistant\n"
        assert (tmp_path / RAN).read_text() == "this code ran"
        assert given.text == by_hand(tiny_vlm, prompt, [first, second])
        assert [each.text for each in many] == [each.text for each in expected]

    async def test_of_a_text_model_runs_too(self, tiny_lm: str, tmp_path: Path) -> None:
        folder = shutil.copytree(tiny_lm, tmp_path / "own-words")
        (folder / "own.py").write_text(
            "from transformers import LlamaConfig, LlamaForCausalLM\n\n\n"
            "class OwnConfig(LlamaConfig):\n    model_type = 'own_words'\n\n\n"
            "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
        )
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own_words", "architectures": ["OwnModel"]}
        config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
        (folder / "config.json").write_text(json.dumps(config))
        async with opened(folder, trust_remote_code=True) as model:
            assert model.info.max_images == 0
            given = await answer(model, asked("hello"))
        async with opened(tiny_lm) as plain:
            assert given.text == (await answer(plain, asked("hello"))).text

    async def test_without_a_processor_cannot_be_shown_images_and_the_error_says_where_it_can(
        self, tiny_vlm: str, tmp_path: Path
    ) -> None:
        folder = with_code(tiny_vlm, tmp_path / "own")
        for name in ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
            (folder / name).unlink(missing_ok=True)
        with pytest.raises(HarnessError) as caught:
            async with opened(folder, trust_remote_code=True):
                pass

        assert "comes without a processor" in caught.value.what
        assert "--model vllm/own -M trust_remote_code=true" in caught.value.remedy
