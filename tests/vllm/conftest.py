"""Tests with vLLM's real engine and servers: `make test-vllm`. Where vLLM is not installed, none is collected."""

import importlib.util
import os
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HERE_IS_VLLM = importlib.util.find_spec("vllm") is not None
collect_ignore_glob = [] if HERE_IS_VLLM else ["test_*.py"]

#: Small and offline; compiling costs more than it saves on these models.
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_NUM_THREADS": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
if HERE_IS_VLLM:
    os.environ.update(ENVIRONMENT)


def pytest_configure(config: pytest.Config) -> None:
    """An engine that died or never started leaves a socket's context behind."""
    warnings.filterwarnings("ignore", "Unclosed context", ResourceWarning)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of vLLM and torch are theirs to mend."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session", autouse=True)
def no_logs_left() -> Iterator[None]:
    """The logs of engines that are made to fail are kept for a person; here there is none."""
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob("harness-vllm-*.log"))
    yield
    for log in set(folder.glob("harness-vllm-*.log")) - before:
        log.unlink()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for an engine and all tests that share it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def mini() -> AsyncIterator[object]:
    """The mini world's model in a running engine."""
    from tests.plugins.hf_asking import MINI
    from tests.vllm.engine_asking import opened

    async with opened(MINI, images_per_prompt=2) as model:
        yield model
