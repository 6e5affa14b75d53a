"""Fixtures that several files about training use."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders
    from tests.training.taking_hub import TakingHub

_HUBS = ("HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> "Folders":
    """The model folder of each family of vision-language models, by name."""
    from tests.plugins.tiny.folders import Folders

    return Folders(tmp_path_factory)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Iterator[TakingHub]":
    """A stand-in of the hub that takes data sets, and a token for it."""
    pytest.importorskip("huggingface_hub")
    from tests.training.taking_hub import TOKEN, TakingHub

    for name in _HUBS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # its store is another service
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with TakingHub() as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        yield place
