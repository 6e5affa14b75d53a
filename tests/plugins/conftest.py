"""Fixtures that several test files use: models, an environment, an event loop."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a Qwen2-VL with random weights."""
    from tests.plugins import tiny_models
    from tests.plugins.tiny.folders import make_once

    return str(make_once(tmp_path_factory, "tiny-vlm", tiny_models.save_vlm))


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a Llama with random weights."""
    from tests.plugins import tiny_models
    from tests.plugins.tiny.folders import make_once

    return str(make_once(tmp_path_factory, "tiny-lm", tiny_models.save_lm))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> "Folders":
    """The model folder of each family of vision-language models, by name."""
    from tests.plugins.tiny.folders import Folders

    return Folders(tmp_path_factory)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children find a package that is called vlmeval; this process does not."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).with_name("fake_zoo")))
    monkeypatch.delenv("HARNESS_VLMEVAL_PYTHON", raising=False)
    assert "vlmeval" not in sys.modules


@pytest.fixture
def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address of a server in the environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def without_google(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment that Google's SDK reads, and a key under a name of its own."""
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GEMINI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MY_KEY", "AIza-key-of-the-test")


@pytest.fixture
def anyio_backend() -> str:
    """The SDKs of providers run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def judged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that two rules have judged; to be copied."""
    from tests.plugins.agree_asking import judged

    return judged(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def judged_run(judged_once: Path, tmp_path: Path) -> Path:
    """A run that two rules have judged."""
    return Path(shutil.copytree(judged_once, tmp_path / "run"))
