"""Opening a model: folders, adapters, code of its own, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from harness_hf.provider import PROVIDER, SETTINGS
from harness_vllm.provider import PROVIDER as VLLM

from harness import Generation, HarnessError, Provider, Request, Response
from harness.fingerprint import hash_folder
from harness.images import inline_image, open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL
from tests.plugins.hf_asking import answer, answers, asked, by_hand, opened, picture, questions, refused
from tests.plugins.tiny.folders import Folders, make_once

pytestmark = pytest.mark.anyio
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ASKED = asked("hello", settings=Generation(temperature=0.0, max_tokens=12))


@pytest.fixture
def vlm(tiny_vlm: str) -> Path:
    return Path(tiny_vlm)


@pytest.fixture
def lm(tiny_lm: str) -> Path:
    return Path(tiny_lm)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, and an empty hub cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cached_model(hub: Path, model: str | Path, *without: str) -> Path:
    """The snapshot of `someone/tiny`, as a download leaves it; `without` are patterns of files that it lacks."""
    repository = hub / "models--someone--tiny"
    shutil.copytree(model, repository / "snapshots" / COMMIT, ignore=shutil.ignore_patterns(*without))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


async def said(name: object, request: Request = ASKED, **settings: Any) -> Response:
    async with opened(str(name), **settings) as model:
        return await answer(model, request)


class TestSettings:
    def test_are_each_filed_as_identity_or_as_transport(self) -> None:
        """A new setting belongs here: would another value make another answer?"""
        transport = {"device", "sharding", "threads", "batch_size", "batch_wait", "max_images"}
        identity = {
            *("dtype", "load_in", "attn_implementation", "revision", "adapter", "profile", "prompt_format"),
            *("min_pixels", "max_pixels", "max_patches", "longest_edge"),
            *("thinking", "control_tokens", "trust_remote_code"),
        }
        assert {setting.name for setting in SETTINGS if not setting.identity} == transport
        assert {setting.name for setting in SETTINGS if setting.identity} == identity

    def test_never_run_code_of_a_model_unless_told(self) -> None:
        [trust] = [setting for setting in SETTINGS if setting.name == "trust_remote_code"]
        assert trust.default is False

    async def test_of_pixels_change_how_many_tokens_an_image_takes(self, vlm: Path) -> None:
        request = asked(open_image(inline_image("pixel.png", PIXEL)), "?", settings=ASKED.settings)
        small = await said(vlm, request)
        large = await said(vlm, request, min_pixels=128 * 128, max_pixels=128 * 128)
        assert large.usage.input_tokens == small.usage.input_tokens + 12

    async def test_of_pixels_are_refused_where_the_processor_takes_none(self, lm: Path) -> None:
        assert "max_pixels" in (await refused(lm, max_pixels=4096)).what

    @pytest.mark.parametrize("name", ["gpu", "cuda:999", "cpu:0", "cuda:x", ""])
    async def test_of_a_device_that_is_not_there_are_refused(self, lm: Path, name: str) -> None:
        assert "device" in (await refused(lm, device=name)).what.lower()

    @pytest.mark.parametrize("settings", [{"load_in": "4bit"}, {"load_in": "8bit"}, {"sharding": "auto"}])
    async def test_of_gpus_are_refused_where_there_is_none(self, lm: Path, settings: dict[str, str]) -> None:
        error = await refused(lm, device="cpu", **settings)
        ((name, value),) = settings.items()
        assert error.what.startswith(f"-M {name}={value}")
        assert f"leave out -M {name}" in error.remedy

    async def test_of_thinking_are_refused_where_the_template_has_no_switch(self, lm: Path) -> None:
        assert "thinking" in (await refused(lm, thinking="on")).what

    async def test_of_dtype_and_attention_reach_the_model(self, lm: Path) -> None:
        from harness_hf.loading import load

        values = {"dtype": "bfloat16", "attn_implementation": "eager"}
        loaded = load(str(lm), effective(SETTINGS, values, owner="hf"))
        assert str(loaded.model.dtype) == "torch.bfloat16"
        assert loaded.model.config._attn_implementation == "eager"

    @pytest.mark.parametrize(("wanted", "expected"), [(None, 1), (3, 3), (0, 1)])
    async def test_of_threads_give_a_small_model_one_unless_told(
        self, lm: Path, wanted: int | None, expected: int
    ) -> None:
        import torch

        from harness.local.devices import choose_threads, limit_threads

        before = torch.get_num_threads()
        number = choose_threads(torch.nn.Linear(2, 2), wanted)
        with limit_threads(number):
            assert torch.get_num_threads() == number == expected
        assert torch.get_num_threads() == before


class TestAFolder:
    async def test_is_known_by_its_files_and_never_by_its_path(self, lm: Path, tmp_path: Path) -> None:
        elsewhere = shutil.copytree(lm, tmp_path / "elsewhere" / "moved")
        async with opened(lm) as model, opened(elsewhere) as moved:
            assert model.info.fingerprint == hash_folder(lm)
            assert moved.info.fingerprint == model.info.fingerprint
            assert model.info.resolved == ""

    async def test_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        error = await refused(tmp_path / "gone")
        assert "no such model folder" in error.what
        assert error.where == str(tmp_path / "gone")

    async def test_without_a_model_is_refused(self, tmp_path: Path) -> None:
        assert "config.json" in (await refused(tmp_path)).what

    async def test_that_lacks_weights_is_refused_since_they_would_be_random(self, lm: Path, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        folder = shutil.copytree(lm, tmp_path / "holes")
        weights = load_file(folder / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        error = await refused(folder)
        assert "lacks 1 weight" in error.what
        assert "layers.1.mlp.up_proj" in error.what

    @pytest.mark.parametrize(
        ("file", "content"),
        [
            ("model.safetensors", "torn"),
            ("config.json", "{"),
            ("config.json", json.dumps({"model_type": "of-next-year"})),
            ("tokenizer.json", "{}"),
        ],
    )
    async def test_that_is_broken_is_refused_without_a_traceback(
        self, lm: Path, tmp_path: Path, file: str, content: str
    ) -> None:
        folder = shutil.copytree(lm, tmp_path / "broken")
        (folder / file).write_text(content)
        error = await refused(folder)
        assert error.what.startswith("transformers cannot open this model")
        assert "\n" not in error.what

    async def test_with_code_of_its_own_is_refused_unless_trusted(self, lm: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(lm, tmp_path / "own-code")
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own.py").write_text("raise SystemExit('this code ran')")
        error = await refused(folder)
        assert "trust_remote_code" in error.remedy

    async def test_without_a_chat_template_answers_raw_requests_only(self, lm: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(lm, tmp_path / "base")
        (folder / "chat_template.jinja").unlink()
        async with opened(folder) as model:
            assert "system" not in model.info.can
            raw = await model.generate(asked("hello", settings=ASKED.settings, raw=True))
            with pytest.raises(HarnessError, match="chat template"):
                await model.generate(ASKED)
        assert isinstance(raw, Response)


class TestAHubModel:
    @pytest.fixture
    def cached(self, lm: Path, offline: Path) -> str:
        cached_model(offline, lm)
        return "someone/tiny"

    async def test_is_known_by_its_commit(self, cached: str) -> None:
        async with opened(cached) as model:
            assert model.info.resolved == COMMIT
            assert model.info.fingerprint == {"hub": "someone/tiny", "commit": COMMIT}
            given = await model.generate(ASKED)
        assert isinstance(given, Response)
        assert given.model == "someone/tiny"

    async def test_that_is_not_here_is_refused_with_how_to_fetch_it_when_there_is_no_network(
        self, offline: Path
    ) -> None:
        error = await refused("someone/else")
        assert "cannot be reached" in error.what
        assert "hf download someone/else" in error.remedy

    async def test_with_a_revision_that_is_not_here_is_refused(self, cached: str) -> None:
        assert "cannot be reached" in (await refused(cached, revision="other")).what

    @pytest.mark.parametrize("name", ["a b", "someone/..", "x/y/z"])
    async def test_that_cannot_be_one_is_refused(self, offline: Path, name: str) -> None:
        assert "folder" in (await refused(name)).what

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ("GatedRepoError", "HF_TOKEN"),
            ("RepositoryNotFoundError", "check its name"),
            ("RevisionNotFoundError", "branches and tags"),
            ("EntryNotFoundError", "transformers model"),
        ],
    )
    async def test_that_the_hub_refuses_has_a_remedy(
        self, monkeypatch: pytest.MonkeyPatch, fault: str, expected: str
    ) -> None:
        import httpx
        import huggingface_hub
        from huggingface_hub import errors

        request = httpx.Request("GET", "http://127.0.0.1/")
        kind = getattr(errors, fault)
        error = (
            kind("no", response=httpx.Response(404, request=request)) if fault != "EntryNotFoundError" else kind("no")
        )

        def hub(*_: object, **__: object) -> str:
            raise error

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
        assert expected in (await refused("someone/tiny")).remedy


class TestWithoutTheExtra:
    @pytest.mark.parametrize("package", ["torch", "transformers"])
    async def test_the_error_names_the_command_that_installs_it(
        self, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        for name in [name for name in sys.modules if name.startswith("harness_hf.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
        error = await refused("any/model")
        assert error.remedy == "pip install 'vlm-safety-harness[hf]'"
        assert package in error.what


# where the files of `hf/NAME` and `vllm/NAME` are, for who trains or copies them


def folder(name: str, provider: Provider = PROVIDER) -> Path:
    assert provider.folder is not None
    return provider.folder(name, effective(provider.settings, {}, owner=f"{provider.scheme}/"))


@pytest.mark.parametrize("provider", [PROVIDER, VLLM], ids=lambda each: each.scheme)
def test_a_folder_is_its_own(tiny_lm: str, provider: Provider) -> None:
    assert folder(tiny_lm, provider) == Path(tiny_lm)


@pytest.mark.parametrize("provider", [PROVIDER, VLLM], ids=lambda each: each.scheme)
def test_a_downloaded_model_lies_in_its_snapshot(tiny_lm: str, offline: Path, provider: Provider) -> None:
    snapshot = cached_model(offline, tiny_lm)
    assert folder("someone/tiny", provider) == snapshot


@pytest.mark.parametrize(("provider", "setting"), [(PROVIDER, "adapter="), (VLLM, "lora=")])
def test_an_adapter_is_no_model(tmp_path: Path, provider: Provider, setting: str) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(HarnessError, match="an adapter, not a model") as raised:
        folder(str(tmp_path), provider)
    assert setting in raised.value.remedy


def test_a_model_that_is_nowhere_is_refused_with_how_to_fetch_it(offline: Path) -> None:
    with pytest.raises(HarnessError, match="cannot be reached") as raised:
        folder("someone/else")
    assert "hf download someone/else" in raised.value.remedy


def test_a_repository_without_weights_is_refused(tiny_lm: str, offline: Path) -> None:
    cached_model(offline, tiny_lm, "*.safetensors")
    with pytest.raises(HarnessError, match="no weights"):
        folder("someone/tiny")


@pytest.fixture
def adapter(vlm: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.plugins import tiny_models

    saved = make_once(tmp_path_factory, "adapter", lambda folder: tiny_models.save_adapter(folder, vlm))
    return Path(shutil.copytree(saved, tmp_path / "adapter"))


async def answer_text(name: object, **settings: Any) -> str:
    async with opened(str(name), **settings) as model:
        return (await answer(model, ASKED)).text


class TestAnAdapter:
    async def test_changes_the_answers_and_the_fingerprint(self, vlm: Path, adapter: Path) -> None:
        plain, tuned = await answer_text(vlm), await answer_text(vlm, adapter=str(adapter))
        async with opened(vlm, adapter=adapter) as model:
            fingerprint = model.info.fingerprint
        assert tuned != plain
        assert fingerprint == {**hash_folder(vlm), "adapter": hash_folder(adapter)}

    async def test_answers_as_the_merged_model_does(self, vlm: Path, adapter: Path, tmp_path: Path) -> None:
        import peft
        import torch
        import transformers

        base = transformers.AutoModelForImageTextToText.from_pretrained(vlm, dtype=torch.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks the model by an older name
            merged = peft.PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
        folder = shutil.copytree(vlm, tmp_path / "merged")
        merged.save_pretrained(folder)
        assert await answer_text(folder) == await answer_text(vlm, adapter=str(adapter))

    @pytest.mark.parametrize("family", ["internvl", "gemma3", "qwen3_vl"])
    @pytest.mark.parametrize("says", ["its class", "its base", "nothing"])
    async def test_of_another_architecture_is_refused_though_every_layer_fits(
        self, folders: Folders, vlm: Path, adapter: Path, family: str, says: str
    ) -> None:
        written = json.loads((adapter / "adapter_config.json").read_text())
        written["auto_mapping"] = written["auto_mapping"] if says == "its class" else None
        written["base_model_name_or_path"] = str(vlm) if says == "its base" else "someone/qwen2-vl"
        (adapter / "adapter_config.json").write_text(json.dumps(written))
        if says == "nothing":
            async with opened(folders[family], adapter=adapter) as model:
                assert model.info.notes == ("the adapter says that it was trained on qwen2-vl",)
            return
        error = await refused(folders[family], adapter=adapter)
        assert error.what.startswith("the adapter does not fit this model: it")
        assert {"its class": "Qwen2VLForConditionalGeneration", "its base": "qwen2_vl"}[says] in error.what
        assert error.remedy == "name the model it was trained on"

    async def test_of_a_larger_model_of_the_same_architecture_is_refused(
        self, vlm: Path, adapter: Path, tmp_path: Path
    ) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(adapter / "adapter_model.safetensors")
        wider = {name: weight.repeat(1, 2) if "lora_A" in name else weight for name, weight in weights.items()}
        save_file(wider, adapter / "adapter_model.safetensors")
        error = await refused(vlm, adapter=adapter)
        assert error.what == "the adapter does not fit this model: its weights have another size"

    async def test_with_layers_that_the_model_lacks_is_refused(self, vlm: Path, adapter: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(adapter / "adapter_model.safetensors")
        deeper = {**weights, **{name.replace("layers.1.", "layers.7."): each for name, each in weights.items()}}
        save_file({name: each.clone() for name, each in deeper.items()}, adapter / "adapter_model.safetensors")
        assert "layers.7." in (await refused(vlm, adapter=adapter)).what

    async def test_of_a_text_model_is_refused_on_another(self, adapter: Path, tiny_lm: str) -> None:
        assert "does not fit" in (await refused(tiny_lm, adapter=adapter)).what

    async def test_that_is_not_there_is_refused(self, tiny_lm: str, tmp_path: Path) -> None:
        assert "adapter_config.json" in (await refused(tiny_lm, adapter=tmp_path)).what

    async def test_that_is_a_whole_model_is_refused_with_how_to_run_that(self, vlm: Path, tiny_lm: str) -> None:
        error = await refused(vlm, adapter=tiny_lm)
        assert error.what == "this folder holds a whole model, not an adapter"
        assert error.remedy == f"use --model hf/{tiny_lm}, without -M adapter"

    async def test_named_as_the_model_is_refused_with_the_setting_that_takes_it(self, adapter: Path) -> None:
        error = await refused(adapter)
        assert error.what == "this folder holds an adapter, not a model"
        assert f"-M adapter={adapter}" in error.remedy

    async def test_that_is_torn_is_refused_without_a_traceback(self, vlm: Path, adapter: Path) -> None:
        (adapter / "adapter_model.safetensors").write_bytes(b"torn")
        error = await refused(vlm, adapter=adapter)
        assert "\n" not in error.what
        assert str(adapter) in error.where

    async def test_whose_configuration_is_no_adapter_is_refused(self, vlm: Path, tmp_path: Path) -> None:
        (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "OF_NEXT_YEAR"}))
        assert "\n" not in (await refused(vlm, adapter=tmp_path)).what


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
        assert "has no processor" in caught.value.what
        assert "--model vllm/own -M trust_remote_code=true" in caught.value.remedy
