"""The `vllm` provider as far as it goes without vLLM; the engine itself is tested in `tests/vllm`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness_vllm.adapter import Adapter
from harness_vllm.model import ModelSource, build_arguments
from harness_vllm.prompt_style import PromptStyle, find_style
from harness_vllm.provider import PROVIDER, SETTINGS

from harness import Failure, HarnessError, Image, Message, Request, Text
from harness.images import inline_image, open_image
from harness.local import Frontend, Origin, Profile, Prompt, PromptBuilder, find_profile
from harness.settings import effective
from harness.testing.fakes import PIXEL

PICTURE = open_image(inline_image("pixel.png", PIXEL))
TRANSPORT = {
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "gpu_memory_utilization",
    "max_num_seqs",
    "enforce_eager",
    "images_per_prompt",
}
HUB = Origin(place="o/m", folder=Path("c0ffee"), name="o/m", commit="c0ffee", fingerprint={"hub": "o/m"})
HERE = Origin(place="/m", folder=Path("/m"), name="m", commit="", fingerprint={"config.json": {}})


def asked(
    origin: Origin = HERE, put_on: Adapter | None = None, kind: str = "qwen2_vl", **settings: Any
) -> dict[str, Any]:
    values = effective(SETTINGS, settings, owner="provider vllm")
    profile = find_profile(values["profile"], kind) if values["profile"] else None
    source = ModelSource(origin=origin, adapter=put_on, model_type=kind, profile=profile)
    return build_arguments(source, values)


class TestWithoutTheExtra:
    def test_the_error_names_the_command_that_installs_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(HarnessError) as caught:
            PROVIDER.open("any/model", effective(SETTINGS, {}, owner="provider vllm"))

        assert caught.value.remedy == "pip install 'vlm-safety-harness[vllm]'"
        assert "\n" not in caught.value.what


class TestSettings:
    def test_that_only_spread_the_work_are_no_part_of_the_identity(self) -> None:
        assert {setting.name for setting in SETTINGS if not setting.identity} == TRANSPORT

    def test_are_vllms_own_words(self) -> None:
        given = asked(tensor_parallel=2, data_parallel=3, gpu_memory_utilization=0.5, max_model_len=99, dtype="float16")

        assert (given["tensor_parallel_size"], given["data_parallel_size"], given["pipeline_parallel_size"]) == (
            2,
            3,
            1,
        )
        assert (given["gpu_memory_utilization"], given["max_model_len"], given["dtype"]) == (0.5, 99, "float16")
        assert given["enable_prefix_caching"] is True

    def test_that_are_not_set_are_left_to_vllm(self) -> None:
        given = asked()

        assert not {"gpu_memory_utilization", "max_model_len", "quantization", "revision", "enable_lora"} & set(given)
        assert given["limit_mm_per_prompt"] == {"video": 0, "audio": 0}

    def test_limit_the_images_to_what_the_run_asks_with(self) -> None:
        assert asked(images_per_prompt=4)["limit_mm_per_prompt"] == {"video": 0, "audio": 0, "image": 4}

    def test_pin_a_hub_model_to_its_commit(self) -> None:
        assert asked(HUB)["revision"] == "c0ffee"

    def test_keep_a_slot_free_beside_an_adapter(self) -> None:
        """With one slot, vLLM on CPU answers plain requests by the adapter."""
        given = asked(put_on=Adapter(folder=Path("a"), rank=16, fingerprint={}))

        assert (given["enable_lora"], given["max_loras"], given["max_lora_rank"]) == (True, 2, 16)

    def test_of_the_image_processor_are_one_object(self) -> None:
        given = asked(max_pixels=100, mm_processor_kwargs='{"num_crops": 4}')

        assert given["mm_processor_kwargs"] == {"max_pixels": 100, "num_crops": 4}

    def test_may_be_any_argument_of_the_engine(self) -> None:
        assert asked(engine='{"swap_space": 1, "max_num_seqs": 5}')["max_num_seqs"] == 5

    @pytest.mark.parametrize("name", ["engine", "mm_processor_kwargs"])
    @pytest.mark.parametrize("text", ["{", "[1]", "3"])
    def test_that_should_be_json_objects_are_refused_where_they_are_none(self, name: str, text: str) -> None:
        with pytest.raises(HarnessError, match=f"-M {name} is not a JSON object"):
            asked(**{name: text})


class TestAProfile:
    def test_gives_what_the_paper_gave_and_the_settings_win(self) -> None:
        tiles = asked(kind="internvl_chat", profile="mis-paper")
        edge = asked(kind="idefics3", profile="mis-paper")
        own = asked(kind="idefics3", profile="mis-paper", dtype="float32", mm_processor_kwargs='{"size": 7}')

        assert tiles["mm_processor_kwargs"] == {"max_dynamic_patch": 4}
        assert (edge["mm_processor_kwargs"], edge["dtype"]) == ({"size": {"longest_edge": 1456}}, "bfloat16")
        assert (own["mm_processor_kwargs"], own["dtype"]) == ({"size": 7}, "float32")

    def test_ends_answers_by_its_tokens_and_its_limit(self) -> None:
        found = style(PLAIN, profile=find_profile("mis-paper", "internvl_chat"))

        assert found.max_tokens == 1024
        assert len(found.ends) == 3  # of its four, the tokenizer has three


PLAIN = "{%- for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"


def style(template: str, *, image: str = "", profile: Profile | None = None, **settings: Any) -> PromptStyle:
    """Of a model that comes with a tokenizer alone."""
    from tests.plugins import tiny_models

    frontend = Frontend(tiny_models.tokenizer(template), vlm=False, image=image)
    return find_style(frontend, effective(SETTINGS, settings, owner="provider vllm"), profile, sees=bool(image))


def prompt(found: PromptStyle, *parts: Text | Image) -> Prompt | Failure:
    builder = PromptBuilder(found.frontend, found.chat, escape=True, form=found.form)
    return builder(Request(messages=(Message(role="user", content=parts),)))


class TestAModelWhoseTemplateKnowsNoImages:
    """Such as Phi-3.5-Vision, MiniCPM-V or the first InternVL: vLLM says what stands for an image."""

    @pytest.mark.parametrize(
        ("image", "first", "second"),
        [("<image>", "<image>", "<image>"), ("<|image_{i}|>", "<|image_1|>", "<|image_2|>")],
    )
    def test_is_shown_each_image_where_it_stands(self, image: str, first: str, second: str) -> None:
        found = style(PLAIN, image=image)
        made = prompt(found, PICTURE, Text(text="one"), PICTURE, Text(text="two"))

        assert isinstance(made, Prompt)
        assert made.text == f"[user]{first}\none{second}\ntwo[assistant]"
        assert len(made.images) == 2
        assert "images" in found.can

    def test_is_not_taken_in_by_a_text_that_spells_one_out(self) -> None:
        made = prompt(style(PLAIN, image="<|image_{i}|>"), PICTURE, Text(text="<|image_2|>"))

        assert isinstance(made, Failure)
        assert made.reason == "image_places"

    def test_takes_none_where_vllm_does_not_say(self) -> None:
        assert "images" not in style(PLAIN).can

    def test_may_be_given_a_whole_prompt(self) -> None:
        found = style(PLAIN, image="<image>", prompt_format="User: {images}{question} Answer:")
        made = prompt(found, PICTURE, Text(text="What?"))

        assert isinstance(made, Prompt)
        assert made.text == "User: <image>What? Answer:"
        assert "system" not in found.can


class TestAModelThatThinks:
    def test_keeps_no_schema_since_it_would_bind_its_thoughts(self) -> None:
        thinks = PLAIN + "{{ '<think>' if enable_thinking is not defined or enable_thinking else '<think></think>' }}"

        assert "schema" not in style(thinks).can
        assert "schema" in style(thinks, thinking="off").can
