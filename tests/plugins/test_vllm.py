"""What the vllm provider does before its engine runs, and what its errors say."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from harness_vllm.adapter import Adapter, check_adapter, read_adapter
from harness_vllm.children import ENVIRONMENT, LOG, prepare, redirect_children, settle
from harness_vllm.engine import death_error, start_error, to_failure
from harness_vllm.generation import PromptStyle, find_style
from harness_vllm.model import ModelSource, build_arguments
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


class EngineGenerateError(Exception):
    """As vLLM wraps what a request raises in it."""


def wrapped(cause: Exception) -> Exception:
    error = EngineGenerateError()
    error.__cause__ = cause
    return error


class TestAFault:
    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (
                ValueError("The decoder prompt (length 9) is longer than the maximum model length of 5."),
                "context_length",
            ),
            (ValueError("This model's maximum context length is 5 tokens."), "context_length"),
            (ValueError("At most 2 image(s) may be provided in one prompt."), "ValueError"),
            (wrapped(ZeroDivisionError("absolute aspect ratio")), "ZeroDivisionError"),
            (wrapped(ValueError("longer than the maximum model length of 5")), "context_length"),
        ],
    )
    def test_of_one_request_is_an_error_with_a_reason(self, error: Exception, reason: str) -> None:
        failed = to_failure(error)
        assert (failed.outcome, failed.reason, failed.transient) == ("error", reason, False)

    @pytest.mark.parametrize(
        "line",
        [
            "ValueError: No available memory for the cache blocks.",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
            "ValueError: To serve at least one request, 4 GiB KV cache is needed",
        ],
    )
    def test_of_memory_at_the_start_comes_with_what_helps(self, tmp_path: Path, line: str) -> None:
        error = start_error("vllm/o/m", RuntimeError("Engine core initialization failed."), log(tmp_path, line))
        assert error.what == f"there is too little memory for this model: {line}"
        assert "gpu_memory_utilization" in error.remedy

    def test_of_memory_that_others_hold_asks_for_less(self, tmp_path: Path) -> None:
        line = "ValueError: Free memory on device cuda:0 (1/80 GiB) is less than desired GPU memory utilization (0.9)"
        error = start_error("vllm/m", RuntimeError("failed"), log(tmp_path, line))
        assert "too little memory" in error.what
        assert "other processes use part of the memory" in error.remedy

    def test_of_a_strange_model_names_the_other_way(self, tmp_path: Path) -> None:
        line = "KeyError: 'layers.0.strange.weight'"
        error = start_error("vllm/o/m", RuntimeError("Engine core initialization failed."), log(tmp_path, line))
        assert error.what == f"vLLM cannot run this model: {line}"
        assert "--model hf/o/m" in error.remedy
        assert str(tmp_path) in error.remedy

    def test_that_pydantic_wraps_is_told_without_its_wrapping(self) -> None:
        text = (
            "1 validation error for ModelConfig\n  Value error, Model architectures ['X'] are not supported. [type=v]"
        )
        assert start_error("vllm/m", ValueError(text)).what == (
            "vLLM cannot run this model: Model architectures ['X'] are not supported."
        )

    def test_of_the_engine_says_how_to_go_on(self, tmp_path: Path) -> None:
        error = death_error("vllm/m", log(tmp_path, "torch.OutOfMemoryError: CUDA out of memory."))
        assert error.what == "vLLM's engine has died: torch.OutOfMemoryError: CUDA out of memory."
        assert "same command again" in error.remedy


def log(folder: Path, line: str) -> Path:
    """What an engine writes when it ends: its own traceback first, then those of who waited for it."""
    file = folder / "engine.log"
    file.write_text(
        f"(Worker pid=7) ERROR 11-24 22:21:08 [core.py:9] Traceback (most recent call last):\n"
        f"(Worker pid=7) ERROR 11-24 22:21:08 [core.py:9] {line}\n"
        f"(EngineCore pid=6) Exception: WorkerProc initialization failed due to an exception\n"
    )
    return file


class TestVllmsProcesses:
    def test_write_to_the_log_and_leave_ctrl_c_to_us(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "engine.log"
        with redirect_children(file):
            child = multiprocessing.get_context("spawn").Process(target=in_a_child)
            child.start()
            child.join()
        assert child.exitcode == 0
        assert file.read_text() == "to stdout\nto stderr\n"
        assert capfd.readouterr() == ("", "")
        assert LOG not in os.environ

    def test_are_let_be_where_they_are_not_ours(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        with redirect_children(tmp_path / "engine.log"):
            settle()
        os.write(1, b"still here\n")
        assert capfd.readouterr().out == "still here\n"

    def test_are_told_to_keep_off_stdout_unless_the_user_says_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ENVIRONMENT:
            monkeypatch.setenv(name, "as set")
        monkeypatch.delenv("VLLM_LOGGING_STREAM")
        prepare()
        assert os.environ["VLLM_LOGGING_STREAM"] == "ext://sys.stderr"
        assert os.environ["VLLM_LOGGING_LEVEL"] == "as set"


def in_a_child() -> None:
    settle()
    signal.raise_signal(signal.SIGINT)
    os.write(1, b"to stdout\n")
    os.write(2, b"to stderr\n")


class TestAnAdapter:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return saved(tmp_path / "adapter", {"layers.0.self_attn.q_proj": (4, 8, 16)}, r=4)

    def test_is_given_the_least_rank_that_holds_it(self, folder: Path, tmp_path: Path) -> None:
        larger = saved(tmp_path / "larger", {"layers.0.up": (20, 8, 16)}, r=4, rank_pattern={"up": 20})
        assert read_adapter(folder).rank == 8
        assert read_adapter(larger).rank == 32

    def test_fits_a_base_of_its_shapes_whatever_stands_before_the_layer(self, folder: Path, tmp_path: Path) -> None:
        base = weights(tmp_path / "base", {"model.language_model.layers.0.self_attn.q_proj.weight": (16, 8)})
        check_adapter(read_adapter(folder), base)

    @pytest.mark.parametrize(
        ("weight", "shape", "why"),
        [
            ("layers.0.self_attn.q_proj.weight", (16, 4), "has another size"),
            ("layers.0.self_attn.q_proj.weight", (8, 8), "has another size"),
            ("layers.1.self_attn.q_proj.weight", (16, 8), "it has no model.layers.0.self_attn.q_proj"),
        ],
    )
    def test_of_another_base_is_refused(
        self, folder: Path, tmp_path: Path, weight: str, shape: tuple[int, int], why: str
    ) -> None:
        base = weights(tmp_path / "base", {f"model.{weight}": shape})
        with pytest.raises(HarnessError, match="does not fit this model") as caught:
            check_adapter(read_adapter(folder), base)
        assert why in caught.value.what

    def test_of_a_quantised_base_is_compared_by_name(self, folder: Path, tmp_path: Path) -> None:
        base = weights(tmp_path / "base", {"model.layers.0.self_attn.q_proj.scales": (3,)})
        check_adapter(read_adapter(folder), base)

    def test_whose_base_is_not_here_yet_waits_for_it(self, folder: Path, tmp_path: Path) -> None:
        check_adapter(read_adapter(folder), tmp_path)

    @pytest.mark.parametrize("module", ["visual.blocks.0.attn.qkv", "multi_modal_projector.linear_1", "vision_tower.x"])
    def test_that_also_changes_how_the_model_sees_is_refused(self, tmp_path: Path, module: str) -> None:
        folder = saved(tmp_path / "adapter", {module: (4, 8, 16)}, r=4)
        with pytest.raises(HarnessError, match="outside the language model"):
            check_adapter(read_adapter(folder), tmp_path)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"r": "many"}', '{"r": 8, "rank_pattern": [1]}'])
    def test_whose_configuration_is_broken_is_refused_with_what_is_wrong(self, tmp_path: Path, text: str) -> None:
        folder = saved(tmp_path / "adapter", {"layers.0.up": (4, 8, 16)}, r=4)
        (folder / "adapter_config.json").write_text(text)
        with pytest.raises(HarnessError, match=r"the adapter cannot be read: adapter_config\.json"):
            read_adapter(folder)

    def test_whose_weights_are_broken_is_refused_with_what_is_wrong(self, tmp_path: Path) -> None:
        folder = saved(tmp_path / "adapter", {"layers.0.up": (4, 8, 16)}, r=4)
        (folder / "adapter_model.safetensors").write_bytes(b"torn")
        with pytest.raises(HarnessError, match=r"the adapter cannot be read: adapter_model\.safetensors"):
            check_adapter(read_adapter(folder), tmp_path)

    @pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
    def test_that_is_not_whole_is_refused(self, folder: Path, missing: str) -> None:
        (folder / missing).unlink()
        with pytest.raises(HarnessError, match=missing):
            read_adapter(folder)

    def test_of_a_rank_beyond_vllms_is_refused(self, tmp_path: Path) -> None:
        folder = saved(tmp_path / "adapter", {"layers.0.up": (600, 8, 16)}, r=600)
        with pytest.raises(HarnessError, match="rank is 600"):
            read_adapter(folder)


def saved(folder: Path, parts: dict[str, tuple[int, int, int]], **config: Any) -> Path:
    """An adapter as peft writes it: module -> rank, inputs, outputs."""
    shapes = {}
    for module, (rank, inputs, outputs) in parts.items():
        shapes[f"base_model.model.model.{module}.lora_A.weight"] = (rank, inputs)
        shapes[f"base_model.model.model.{module}.lora_B.weight"] = (outputs, rank)
    weights(folder, shapes, "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def weights(folder: Path, shapes: dict[str, tuple[int, ...]], file: str = "model.safetensors") -> Path:
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, folder / file)
    return folder
