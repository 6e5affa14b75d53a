"""Fixtures that several files about training use."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> "Folders":
    """The model folder of each family of vision-language models, by name."""
    import torch

    from tests.plugins.tiny.folders import Folders

    torch.set_num_threads(1)  # two threads are slower than one on busy cores, for models this small
    return Folders(tmp_path_factory.mktemp("families"))
