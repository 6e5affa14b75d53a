"""A plan tells, and exits with 0, what the training itself would end with: each reason why it would not begin here."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness_mirage.models.weights import check_weights

from harness import HarnessError
from tests.training.trained import QUICK, called, words

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders

REFUSED = "this machine would refuse it: "


def told(arguments: list[str]) -> list[str]:
    """What a plan says that this machine would refuse, after it was seen that the training does refuse it."""
    code, shown, said = called([*arguments, "--dry-run"])
    assert code == 0, said
    lines = [line.removeprefix(REFUSED) for line in shown.splitlines() if line.startswith(REFUSED)]
    code, _, said = called(arguments)
    assert (code, f"error: {lines[0]}" in said.splitlines()) == (2, True), said
    return lines


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "tuning=qlora"), "tuning: qlora needs bitsandbytes"),
        (("-S", "log=wandb"), "-S log=wandb needs a package"),
        (("--launch", "zero3-4"), "--launch zero3-4 needs DeepSpeed"),
        (("--launch", "fsdp-4"), "--launch fsdp-4 wants 4 GPUs, and 0 can be seen here"),
        (("--set", "max_length=5"), "no record is short enough for max_length 5"),
    ],
)
def test_what_the_machine_lacks_is_said_at_the_end_of_the_plan(
    drawn: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    assert told(words(drawn, tmp_path / "out", *QUICK, *more)) == [said]
    assert list(tmp_path.iterdir()) == []


def test_every_reason_is_told_and_not_the_first_alone(drawn: Path, tmp_path: Path) -> None:
    more = ("-S", "log=wandb", "--set", "tuning=qlora", "--set", "max_length=5")

    assert len(told(words(drawn, tmp_path / "out", *QUICK, *more))) == 3


def test_an_output_whose_name_is_taken_is_told(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()

    assert told(words(drawn, tmp_path / "out", *QUICK)) == [f"something else is there already ({tmp_path / 'out'})"]


def test_an_output_below_a_file_is_told(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (said,) = told(words(drawn, tmp_path / "file" / "deeper" / "out", *QUICK))

    assert said.startswith(f"cannot write there: {tmp_path / 'file'} is a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="for who may write everywhere nothing is read-only")
def test_an_output_where_nothing_can_be_written_is_told(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    (said,) = told(words(drawn, tmp_path / "closed" / "out", *QUICK))

    assert said.startswith("cannot write there: Permission denied")


def test_the_checkpoints_of_another_training_are_told(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "identity.json").write_text('{"model": "mini/other"}', encoding="utf-8")
    (said,) = told(words(drawn, tmp_path / "out", *QUICK))

    assert "checkpoints of a training with another" in said
    code, shown, _ = called(words(drawn, tmp_path / "out", *QUICK, "--fresh", "--dry-run"))
    assert (code, REFUSED in shown) == (0, False)


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_weights_that_are_missing_or_cut_short_are_told(
    drawn: Path, tmp_path: Path, folders: Folders, how: str
) -> None:
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "base")
    file = folder / "model.safetensors"
    if how == "missing":
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size - 100)
    (said,) = told(words(drawn, tmp_path / "out", *QUICK, model=str(folder)))

    assert "no file of weights" in said if how == "missing" else "cut short" in said


def test_a_model_that_stands_already_is_told_and_nothing_is_refused(drawn: Path, tuned: Path) -> None:
    code, shown, _ = called([*words(drawn, tuned, *QUICK), "--dry-run"])

    assert code == 0
    assert "holds this training already: nothing would be trained" in shown
    assert REFUSED not in shown


class TestTheWeights:
    def test_of_several_files_are_those_of_the_index(self, tmp_path: Path) -> None:
        index = tmp_path / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}), encoding="utf-8")

        with pytest.raises(HarnessError, match=r"2 files of weights are missing: one\.safetensors, two\.safetensors"):
            check_weights(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"no weights", (2).to_bytes(8, "little") + b"[]"])
    def test_that_are_none_are_refused_by_their_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "model.safetensors").write_bytes(content)

        with pytest.raises(HarnessError, match=r"not a whole file of weights.*model\.safetensors"):
            check_weights(tmp_path)

    @pytest.mark.parametrize("text", ["[]", "no JSON", '{"weight_map": 3}'])
    def test_of_an_index_that_is_none_are_refused_by_its_name(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "model.safetensors.index.json").write_text(text, encoding="utf-8")

        with pytest.raises(HarnessError, match=r"not an index of weights"):
            check_weights(tmp_path)

    def test_that_are_whole_are_let_through(self, folders: Folders) -> None:
        check_weights(folders["qwen2_vl"])
