"""What a training leaves when it is killed passes for no model, and the training goes on from it all the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness_mirage.models.weights import find_model_folder

from harness import HarnessError
from harness.fingerprint import MARK, hash_folder
from tests.training.tiny_training import fitted, pair, recipe, training, weights
from tests.training.trained import QUICK, called, data, words

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders


@pytest.fixture(scope="module", params=["full", "lora"])
def killed(request: pytest.FixtureRequest, killed_trainings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of a training that was killed after its fifth step, with a checkpoint of the third."""
    folder = tmp_path_factory.mktemp(request.param)
    return shutil.copytree(killed_trainings / request.param / "out.partial", folder / "out.partial")


def places(killed: Path) -> list[Path]:
    """The checkpoint, a copy of it, and one without its mark of being whole."""
    checkpoint = killed / "checkpoints" / "checkpoint-3"
    copied = shutil.copytree(checkpoint, killed.parent / "copied", dirs_exist_ok=True)
    cut = shutil.copytree(checkpoint, killed.parent / "cut", dirs_exist_ok=True)
    (cut / "whole").unlink()
    return [killed, checkpoint, copied, cut]


def test_its_checkpoints_are_the_base_of_no_training_and_no_adapter(killed: Path) -> None:
    for place in places(killed):
        for name in (str(place), f"hf/{place}"):
            with pytest.raises(HarnessError, match="has not ended"):
                find_model_folder(name)
        with pytest.raises(HarnessError, match="has not ended"):
            hash_folder(place)  # of whatever a provider puts on a model


def test_no_command_takes_them_for_a_model(killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = data(tmp_path / "data")
    for place in places(killed):
        for arguments in (
            ["run", "--model", f"hf/{place}", "--tasks", "mis:mini", "--limit", "1"],
            words(drawn, tmp_path / "out", *QUICK, model=str(place)),
            [*words(drawn, tmp_path / "out", *QUICK, model=str(place)), "--dry-run"],
        ):
            code, _, said = called(arguments)
            assert code == 2
            assert "this is part of a training that has not ended, and no model yet" in said


@pytest.mark.parametrize("killed", ["lora"], indirect=True)
def test_an_adapter_among_them_goes_on_no_model(
    killed: Path, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in places(killed)[1:]:
        arguments = ["run", "--model", f"hf/{folders['qwen2_vl']}", "-M", f"adapter={place}", "--tasks", "mis:mini"]
        code, _, said = called([*arguments, "--limit", "1"])
        assert code == 2
        assert "has not ended" in said


def test_the_training_goes_on_from_them_to_a_model_without_the_mark(killed: Path, folders: Folders) -> None:
    tuning = killed.parent.name.rstrip("0123456789")
    out, how = killed.with_name("out"), recipe(epochs=2.0, tuning=tuning, dropout=0.1)
    made = fitted(training(folders["qwen2_vl"], out, save_every=3), [pair(at) for at in range(9)], how)

    assert made.resumed_from == 3
    assert not list(made.folder.rglob(MARK))


def test_after_the_last_step_it_learns_nothing_more(folders: Folders, tmp_path: Path) -> None:
    how, records = recipe(epochs=0.5, schedule="constant"), [pair(at) for at in range(8)]
    asked = training(folders["qwen2_vl"], tmp_path / "out", save_every=1)
    first, before = fitted(asked, records, how), weights(tmp_path / "out.partial" / "model")
    again = fitted(asked, records, how)

    assert (first.steps, again.steps, again.resumed_from) == (2, 2, 2)
    assert again.history == first.history
    assert all((each == before[name]).all() for name, each in weights(again.folder).items())
