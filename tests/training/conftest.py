"""Fixtures that several files about training use."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness_mirage.methods import Method
from harness_mirage.mixture import Record
from harness_mirage.recipe import Recipe

from tests.plugins.tiny.folders import Folders, make_once
from tests.training.tiny_training import KNOWN, METHOD, Fit, fitted, kinds, load_trainer, training
from tests.training.trained import QUICK, Train, called, data, tune_once, words

if TYPE_CHECKING:
    from tests.training.built import Workplace
    from tests.training.taking_hub import TakingHub

_HUBS = ("HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_OFFLINE")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """One thread a process, in the processes that tests start as well: for models this small more are slower."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """The model folder of each family of vision-language models, by name."""
    load_trainer()
    return Folders(tmp_path_factory)


@pytest.fixture
def fit(folders: Folders, tmp_path: Path) -> Fit:
    """Fit a small model: its family's name, a folder, or what a user would name.

    Args of it: records and recipe, else one of each kind and a quick one; `out`, the output's name; settings.
    """

    def run(
        model: str | Path = "qwen2_vl",
        records: Sequence[Record] | None = None,
        how: Recipe | None = None,
        *,
        out: str = "out",
        method: Method = METHOD,
        digest: str = "d",
        **asked: Any,
    ) -> Any:
        base = folders[model] if isinstance(model, str) and model in KNOWN else model
        return fitted(training(base, tmp_path / out, **asked), records or kinds(), how, method, digest)

    return run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of `tests.training.trained`."""
    return make_once(tmp_path_factory, "data", data)


@pytest.fixture
def train(drawn: Path, tmp_path: Path) -> Train:
    """Give `harness train` for a quick training of these data to `tmp_path / "out"`, unless the test says otherwise."""

    def run(*more: str, root: Path = drawn, out: Path = tmp_path / "out", **changes: str) -> tuple[int, str, str]:
        return called(words(root, out, *QUICK, *more, **changes))

    return run


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    """The model that `harness train` makes of mini/base and these data, quickly."""
    return tune_once(tmp_path_factory, "tuned", drawn)


@pytest.fixture(scope="session")
def killed_trainings(tmp_path_factory: pytest.TempPathFactory, folders: Folders) -> Path:
    """FULL and LORA of `tests.training.killed_training`: a training each that was killed after its fifth step."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "tests.training.killed_training", folders["qwen2_vl"], folder]
        ran = subprocess.run(command, check=False, capture_output=True)
        assert ran.returncode == 0, ran.stderr.decode()

    return make_once(tmp_path_factory, "killed", build)


@pytest.fixture
def place(tmp_path: Path) -> "Workplace":
    """A folder for a set of the builder, and the images that its build keeps."""
    from tests.training.built import Workplace

    return Workplace(tmp_path / "set")


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
