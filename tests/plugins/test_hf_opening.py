"""Opening `hf/…`: where a model comes from, what identifies it, what is refused with a remedy, where its files are."""

from __future__ import annotations

import json
import shutil
import sys
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
from tests.plugins.hf_asking import answer, asked, opened, refused

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
