"""Models that several test files open."""

import pytest


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a Qwen2-VL with random weights."""
    from tests.plugins import tiny_models

    return str(tiny_models.save_vlm(tmp_path_factory.mktemp("models") / "tiny-vlm"))


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a Llama with random weights."""
    from tests.plugins import tiny_models

    return str(tiny_models.save_lm(tmp_path_factory.mktemp("models") / "tiny-lm"))
