"""Where the files of `hf/NAME` lie, for who trains or copies them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness_hf.provider import PROVIDER

from harness import HarnessError
from harness.settings import effective

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def folder(name: str) -> Path:
    assert PROVIDER.folder is not None
    return PROVIDER.folder(name, effective(PROVIDER.settings, {}, owner="hf/"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub client, on a machine without a network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_folder_is_its_own(tiny_lm: str) -> None:
    assert folder(tiny_lm) == Path(tiny_lm)


def test_a_downloaded_model_lies_in_its_snapshot(tiny_lm: str, cache: Path) -> None:
    repository = cache / "models--someone--tiny"
    shutil.copytree(tiny_lm, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)

    assert folder("someone/tiny") == repository / "snapshots" / COMMIT


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")

    with pytest.raises(HarnessError, match="an adapter, not a model") as raised:
        folder(str(tmp_path))
    assert "adapter=" in raised.value.remedy


def test_a_model_that_is_nowhere_is_refused_with_how_to_fetch_it(cache: Path) -> None:
    with pytest.raises(HarnessError, match="cannot be reached") as raised:
        folder("someone/else")
    assert "hf download someone/else" in raised.value.remedy


def test_a_repository_without_weights_is_refused(tiny_lm: str, cache: Path) -> None:
    repository = cache / "models--someone--tiny"
    shutil.copytree(tiny_lm, repository / "snapshots" / COMMIT, ignore=shutil.ignore_patterns("*.safetensors"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)

    with pytest.raises(HarnessError, match="no weights"):
        folder("someone/tiny")
