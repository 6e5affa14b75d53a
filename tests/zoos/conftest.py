"""Tests against the real zoos, which need an environment of their own: `make test-zoos`."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent
collect_ignore_glob = [] if importlib.util.find_spec("lm_eval") else ["*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the zoos and their libraries warn of is theirs."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub, no key, and caches of the tests' own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.getbasetemp() / "hub"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def base() -> str:
    """Folder of the mini world's model."""
    import harness_mini

    assert harness_mini.__file__
    return str(Path(harness_mini.__file__).with_name("base"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the user's tasks for lm-eval."""
    from tests.zoos.lm_eval_tasks import write_tasks

    return write_tasks(tmp_path / "data" / "lm-eval")


@pytest.fixture
def anyio_backend() -> str:
    """The providers run on asyncio."""
    return "asyncio"
