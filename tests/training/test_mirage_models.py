"""Opening the base of a training: what it is, which part of it is what, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_mirage.methods import LANGUAGE, MULTIMODAL
from harness_mirage.models.weights import check_weights, find_model_folder

from harness import HarnessError
from tests.plugins.tiny.folders import Folders
from tests.training.tiny_training import KNOWN, METHOD, Fit, kinds, load_weights, recipe, training


def opened(model: str | Path, how: Any = None, **settings: Any) -> Any:
    from harness_mirage.models.base import open_base

    return open_base(training(model, Path("out"), **settings), how or recipe())


def refused(model: str | Path, how: Any = None, **settings: Any) -> HarnessError:
    with pytest.raises(HarnessError) as raised:
        opened(model, how, **settings)
    return raised.value


@pytest.fixture
def copied(folders: Folders, tmp_path: Path) -> Path:
    """A base that a test may change."""
    return shutil.copytree(folders["qwen2_vl"], tmp_path / "base")


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    said = json.loads((folder / "config.json").read_text())
    change(said)
    (folder / "config.json").write_text(json.dumps(said))


class TestTheRoles:
    @pytest.mark.parametrize("name", KNOWN)
    def test_give_every_parameter_exactly_one(self, folders: Folders, name: str) -> None:
        base = opened(folders[name])
        named = [each for role in ("language", "projector", "vision") for each in base.roles.named[role]]
        assert sorted(named) == sorted(each for each, _ in base.model.named_parameters())
        assert all(base.roles.named[role] for role in ("language", "projector", "vision"))

    @pytest.mark.parametrize("name", KNOWN)
    def test_count_embeddings_and_output_layer_to_the_language_model(self, folders: Folders, name: str) -> None:
        base = opened(folders[name])
        names = {id(weight): name for name, weight in base.model.named_parameters()}
        ends = (base.model.get_input_embeddings().weight, base.model.get_output_embeddings().weight)
        assert {names[id(weight)] for weight in ends} <= set(base.roles.named["language"])

    def test_of_qwen3_take_every_merger_for_the_projector(self, folders: Folders) -> None:
        base = opened(folders["qwen3_vl"])
        assert any("deepstack_merger_list" in name for name in base.roles.named["projector"])
        assert not any("merger" in name for name in base.roles.named["vision"])

    def test_of_an_unknown_architecture_are_asked_for_with_its_modules(self, folders: Folders) -> None:
        error = refused(folders["mllama"])
        assert "model.language_model" in error.what
        assert "model.vision_model" in error.what
        assert "roles:" in error.remedy

    def test_of_an_unknown_architecture_are_guessed_in_a_recipe_that_it_can_be_opened_by(
        self, folders: Folders
    ) -> None:
        written = yaml.safe_load(refused(folders["mllama"]).remedy.splitlines()[-1])
        base = opened(folders["mllama"], recipe(roles=written["roles"]))
        assert {name.split(".")[1] for name in base.roles.named["projector"]} == {"multi_modal_projector"}
        assert {name.split(".")[1] for name in base.roles.named["vision"]} == {"vision_model"}

    def test_that_no_module_is_called_after_are_left_open(self) -> None:
        from harness_mirage.models.roles import guess_roles

        its = guess_roles(["model.embed", "model.eyes", "lm_head.weight"])
        assert its == r"language: 'model\.embed|lm_head\.weight', projector: '…', vision: 'model\.eyes'"

    def test_can_be_named_in_the_recipe(self, folders: Folders) -> None:
        how = recipe(
            roles={
                "language": r"model\.language_model|lm_head",
                "projector": r"model\.multi_modal_projector",
                "vision": r"model\.vision_model",
            }
        )
        assert opened(folders["mllama"], how).roles.named["projector"]

    def test_that_leave_a_parameter_out_are_refused_by_its_name(self, folders: Folders) -> None:
        error = refused(folders["qwen2_vl"], recipe(roles={"language": r"model\.language_model"}))
        assert "model.visual.patch_embed.proj.weight has none" in error.what

    def test_that_overlap_are_refused(self, folders: Folders) -> None:
        error = refused(folders["qwen2_vl"], recipe(roles={"language": "model", "vision": r"model\.visual"}))
        assert "language and vision" in error.what

    @pytest.mark.parametrize("roles", [{"tongue": "x"}, {"language": "("}])
    def test_that_are_no_roles_or_no_patterns_are_refused(self, folders: Folders, roles: dict[str, str]) -> None:
        assert "roles" in refused(folders["qwen2_vl"], recipe(roles=roles)).where


class TestTheTable:
    @pytest.mark.parametrize(("trained", "learning"), [(MULTIMODAL, 2), (LANGUAGE, 1)])
    def test_counts_what_learns_and_what_is_frozen(self, folders: Folders, trained: Any, learning: int) -> None:
        from harness_mirage.models.roles import count_parameters, format_roles, freeze

        base = opened(folders["qwen2_vl"])
        freeze(base, trained, recipe())
        counts = count_parameters(base.model, base.roles)
        drawn = format_roles(base.model, base.roles)
        assert sum(whole for whole, _ in counts.values()) == sum(each.numel() for each in base.model.parameters())
        assert [learnt in (0, whole) for whole, learnt in counts.values()] == [True] * 3
        assert drawn.count("learns") == learning
        assert drawn.count("frozen") == 3 - learning
        assert f"{counts['language'][0]:,}" in drawn

    def test_can_be_drawn_before_any_weight_is_read(self, folders: Folders, tmp_path: Path) -> None:
        from harness_mirage.models.base import outline_base
        from harness_mirage.models.roles import count_parameters, format_roles, outline_learner

        folder = shutil.copytree(folders["gemma3"], tmp_path / "base")
        (folder / "model.safetensors").unlink()
        for tuning, learning in (("full", 2), ("lora", 1)):  # the projector of Gemma 3 has no linear layer
            base = outline_base(training(folder, tmp_path / "out"), recipe(tuning=tuning))
            model = outline_learner(base, METHOD.trained, recipe(tuning=tuning))
            assert {weight.device.type for weight in model.parameters()} == {"meta"}
            assert format_roles(model, base.roles).count("learns") == learning
            assert sum(whole for whole, _ in count_parameters(model, base.roles).values()) == 78_688


class TestLora:
    @pytest.mark.parametrize("name", KNOWN)
    def test_sits_on_the_linear_layers_of_the_trained_roles_only(self, folders: Folders, name: str) -> None:
        import re

        import torch
        from harness_mirage.models.roles import match_linear_layers

        base = opened(folders[name])
        modules: dict[str, Any] = dict(base.model.named_modules())
        linear = {each for each, its in modules.items() if isinstance(its, torch.nn.Linear) and each != "lm_head"}
        for trained in (LANGUAGE, MULTIMODAL):
            pattern, learning = match_linear_layers(base, trained), base.roles.select(trained)
            hit = {each for each in modules if re.fullmatch(pattern, each)}
            assert hit == {each for each in linear if f"{each}.weight" in learning}
            assert len(hit) >= 14

    def test_quantised_asks_for_bitsandbytes_where_it_is_not_installed(self, folders: Folders) -> None:
        assert "pip install bitsandbytes" in refused(folders["qwen2_vl"], recipe(tuning="qlora")).remedy


class TestTheBase:
    def test_can_be_a_folder_or_a_name_of_hf(self, folders: Folders) -> None:
        folder = folders["qwen2_vl"]
        assert find_model_folder(str(folder)) == folder
        assert find_model_folder(f"hf/{folder}") == folder

    def test_of_an_api_has_no_files(self) -> None:
        error = refused("openai/gpt-4o")
        assert "no files" in error.what
        assert "hf/" in error.remedy

    def test_that_is_nowhere_is_refused(self) -> None:
        assert "no such model folder" in refused("./nowhere").what

    def test_must_not_be_an_adapter(self, tmp_path: Path) -> None:
        (tmp_path / "adapter_config.json").write_text("{}")
        error = refused(tmp_path)
        assert "adapter" in error.what
        assert "merge it first" in error.remedy

    def test_must_be_a_model(self, tmp_path: Path) -> None:
        assert "config.json" in refused(tmp_path).what

    def test_must_see(self, tmp_path: Path) -> None:
        from tests.plugins import tiny_models

        assert "sees no images" in refused(tiny_models.save_lm(tmp_path / "lm")).what

    def test_must_have_a_chat_template(self, copied: Path) -> None:
        (copied / "chat_template.jinja").unlink()
        error = refused(copied)
        assert "no chat template" in error.what
        assert "chat_template.jinja" in error.remedy

    def test_whose_configuration_does_not_hold_together_is_refused_with_what_is_wrong(self, copied: Path) -> None:
        layers = json.loads((copied / "config.json").read_text())["text_config"]["num_hidden_layers"]
        # one more than it names kinds of
        change_config(copied, lambda said: said["text_config"].update(num_hidden_layers=layers + 1))
        error = refused(copied)
        assert "num_hidden_layers" in error.what
        assert "\n" not in error.what

    def test_must_have_all_its_weights(self, copied: Path) -> None:
        from safetensors.torch import save_file

        kept = {name: each for name, each in load_weights(copied).items() if "merger" not in name}
        save_file(kept, copied / "model.safetensors", metadata={"format": "pt"})
        assert "merger" in refused(copied).what

    def test_with_code_of_its_own_is_opened_only_when_trusted(self, copied: Path) -> None:
        own = {"AutoConfig": "strange.Config", "AutoModel": "strange.VL"}
        change_config(copied, lambda said: said.update(model_type="strange_vl", auto_map=own))
        assert "-S trust_remote_code=true" in refused(copied).remedy

    def test_that_learns_in_full_is_held_in_float32(self, folders: Folders) -> None:
        import torch

        full, adapted = (
            opened(folders["qwen2_vl"], recipe(tuning=each, precision="bf16")) for each in ("full", "lora")
        )
        assert {weight.dtype for weight in full.model.parameters()} == {torch.float32}
        assert {weight.dtype for weight in adapted.model.parameters()} == {torch.bfloat16}


CODE = Path(__file__).with_name("stranger") / "stranger.py"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' if add_generation_prompt else '' }}"
)
CLASSES = {"AutoConfig": "StrangerConfig", "AutoModel": "Stranger", "AutoProcessor": "StrangerProcessor"}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: weights, words and code."""
    import torch
    import transformers

    from tests.plugins.tiny_models import tokenizer

    root = tmp_path_factory.mktemp("stranger")
    folder = root / "model"
    words = tokenizer(TEMPLATE)
    words.save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    shutil.copyfile(CODE, folder / CODE.name)
    named = {kind: f"stranger.{name}" for kind, name in CLASSES.items()}
    said = {"model_type": "minicpmv", "vocab_size": len(words), "hidden_size": 32, "auto_map": named}
    (folder / "config.json").write_text(json.dumps({**said, "architectures": ["Stranger"], "dtype": "float32"}))
    (folder / "processor_config.json").write_text(
        json.dumps({"auto_map": named, "processor_class": CLASSES["AutoProcessor"]})
    )
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    model = transformers.AutoModel.from_config(config, trust_remote_code=True)
    from safetensors.torch import save_file

    save_file(dict(model.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


class TestAModelWithCodeOfItsOwn:
    def test_is_refused_until_it_is_trusted(self, stranger: Path, fit: Fit) -> None:
        with pytest.raises(HarnessError) as raised:
            fit(stranger)
        assert "-S trust_remote_code=true" in raised.value.remedy

    def test_learns_answers_and_keeps_its_vision_tower(self, stranger: Path, fit: Fit) -> None:
        made = fit(stranger, kinds() * 2, recipe(epochs=8.0, batch=4), trust_remote_code=True)
        before, after = load_weights(stranger), load_weights(made.folder)
        moved = {name.split(".")[0] for name in before if not (before[name] == after[name]).all()}
        assert moved == {"llm", "resampler"}
        assert made.history[-1]["loss"] < 0.7 * made.history[0]["loss"]
        assert (made.folder / CODE.name).is_file()

    def test_takes_adapters_on_its_language_model(self, stranger: Path, fit: Fit) -> None:
        made = fit(stranger, how=recipe(tuning="lora"), trust_remote_code=True)
        assert made.kind == "adapter"
        assert made.counts["language"][1] > 0 == made.counts["vision"][1]

    def test_runs_its_vision_tower_once_a_step_where_devices_train_together_whatever_its_images(
        self, stranger: Path
    ) -> None:
        import torch

        base, made = _batch(stranger)
        calls: list[int] = []
        base.model.vpm.register_forward_hook(lambda *_: calls.append(1))
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        try:
            together = base.model(**made).loss.item()
        finally:
            torch.distributed.destroy_process_group()
        assert len(calls) == 1
        assert base.model.config.vision_batch_size == 2
        assert base.model(**made).loss.item() == pytest.approx(together)
        assert len(calls) > 2

    def test_is_learnt_from_its_answers_only(self, stranger: Path) -> None:
        base, made = _batch(stranger)
        words = base.frontend.tokenizer
        texts = [words.decode([each for each in row if each != -100]) for row in made["labels"].tolist()]
        assert texts == [
            "No, that is not safe.<|im_end|>",
            "For fun.<|im_end|>",
            "Fine.<|im_end|>",
            "One.<|im_end|>Two.<|im_end|>",
        ]


def _batch(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The opened base, and a batch of one record of each kind."""
    from tests.training.test_mirage_sft_batches import batch

    base = opened(folder, trust_remote_code=True)
    made = batch(base, kinds())
    del made["records"]
    return base, made


class TestTheWeights:
    def test_of_several_files_are_those_of_the_index(self, tmp_path: Path) -> None:
        index = tmp_path / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}), encoding="utf-8")
        with pytest.raises(HarnessError, match=r"2 files of weights are missing: one\.safetensors, two\.safetensors"):
            check_weights(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"no weights", (2).to_bytes(8, "little") + b"[]"])
    def test_that_are_none_are_refused_by_their_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(HarnessError, match=r"not a whole file of weights.*model\.safetensors"):
            check_weights(tmp_path)

    @pytest.mark.parametrize("text", ["[]", "no JSON", '{"weight_map": 3}'])
    def test_of_an_index_that_is_none_are_refused_by_its_name(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "model.safetensors.index.json").write_text(text, encoding="utf-8")
        with pytest.raises(HarnessError, match=r"not an index of weights"):
            check_weights(tmp_path)

    def test_that_are_whole_are_let_through(self, folders: Folders) -> None:
        check_weights(folders["qwen2_vl"])
