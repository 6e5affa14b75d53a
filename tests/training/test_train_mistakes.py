"""What a person may get wrong in `harness train` is said before anything is written, and is never called a bug."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import HarnessError
from harness.files import resolve_name
from tests.training.tiny_training import fitted, kinds, recipe, training
from tests.training.trained import QUICK, called, words

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders

LAUNCHES = {
    "two": "distributed_type: MULTI_CPU\nnum_processes: two\n",
    "one": "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: {fsdp_version: 1}\n",
    "second": "distributed_type: FSDP\nnum_processes: 2\n"
    "fsdp_config: {fsdp_version: 2, fsdp_state_dict_type: FULL_STATE_DICT}\n",
    "zero": "distributed_type: DEEPSPEED\nnum_processes: 2\ndeepspeed_config: {zero_stage: 2}\n",
    "spread": "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: {fsdp_state_dict_type: SHARDED_STATE_DICT}\n",
}
CPU = ("-S", "device=cpu")


def refused(arguments: list[str], folder: Path) -> str:
    """What is said of a mistake; nothing in a folder is another one afterwards."""
    before = sorted(folder.rglob("*"))
    code, _, said = called([*arguments, *CPU])
    assert code == 2, said
    assert "bug" not in said
    assert "records/s" not in said
    assert sorted(folder.rglob("*")) == before
    return said


@pytest.mark.parametrize("seed", ["-1", "4294967296", "99999999999"])
def test_a_seed_that_no_generator_takes(drawn: Path, tmp_path: Path, seed: str) -> None:
    arguments = words(drawn, tmp_path / "out", *QUICK, "--seed", seed)
    assert "a seed is a whole number from 0 to 4294967295" in refused(arguments, tmp_path)
    assert called([*arguments, "--dry-run"])[0] == 2


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit"])
def test_an_optimizer_whose_package_is_not_installed(drawn: Path, tmp_path: Path, name: str) -> None:
    arguments = words(drawn, tmp_path / "out", *QUICK, "--set", f"optimizer={name}")
    assert f"optimizer: {name} needs bitsandbytes" in refused(arguments, tmp_path)
    assert "this machine would refuse it: optimizer" in called([*arguments, "--dry-run"])[1]


@pytest.mark.parametrize("given", ["epochs=0", "epochs=-1", "epochs=nan", "epochs=inf", "learning_rate=0"])
def test_a_training_that_would_learn_nothing(drawn: Path, tmp_path: Path, given: str) -> None:
    said = refused(words(drawn, tmp_path / "out", *QUICK, "--set", given), tmp_path)
    assert "is not a number above 0" in said


def test_a_training_of_no_steps_leaves_no_model(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no step was done"):
        fitted(training(folders["qwen2_vl"], tmp_path / "out"), kinds(), recipe(epochs=0.0))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("two", "num_processes: two is not a whole number from 1"),
        ("one", "spreads a model over GPUs, and -S device=cpu uses none"),
        ("second", "spreads a model over GPUs, and -S device=cpu uses none"),
        ("zero", "spreads a model over GPUs, and -S device=cpu uses none"),
        ("spread", "with SHARDED_STATE_DICT the weights stay spread over the devices, and no model would be written"),
    ],
)
def test_a_launch_that_cannot_start_or_leaves_no_model(drawn: Path, tmp_path: Path, name: str, why: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(LAUNCHES[name], encoding="utf-8")
    assert why in refused(words(drawn, tmp_path / "out", *QUICK, "--launch", str(own)), tmp_path)


@pytest.mark.parametrize("scheme", ["", "hf/"])
def test_a_model_without_its_tokenizer(drawn: Path, tmp_path: Path, folders: Folders, scheme: str) -> None:
    model = shutil.copytree(folders["qwen2_vl"], tmp_path / "m", ignore=shutil.ignore_patterns("tokenizer*"))
    said = refused(words(drawn, tmp_path / "out", *QUICK, model=f"{scheme}{model}"), tmp_path)
    assert "the model's tokenizer has no vocabulary: its files are missing" in said
    code, _, said = called(["run", "--model", f"hf/{model}", "--tasks", "mis:mini", "--output", str(tmp_path / "run")])
    assert (code, "has no vocabulary" in said) == (2, True)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("out", [".", "..", "sub/..", "/"])
def test_an_output_that_holds_the_folder_one_is_in(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, fresh: bool
) -> None:
    (tmp_path / "here" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    said = refused(words(drawn, Path(out), *QUICK, *(["--fresh"] if fresh else [])), tmp_path)
    assert "name another --out" in said


def test_an_output_with_detours_is_the_folder_they_lead_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve_name(Path("a/b/..")) == (tmp_path / "a").resolve()
    assert resolve_name(Path("a/b")) == Path("a/b")


@pytest.mark.parametrize("fresh", [False, True])
def test_an_output_that_is_a_link_to_nothing(drawn: Path, tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "out").symlink_to("nowhere")
    said = refused(words(drawn, tmp_path / "out", *QUICK, *(["--fresh"] if fresh else [])), tmp_path)
    assert "a link is there, whose place no folder can take" in said
    assert "out -> nowhere" in said


def test_an_output_that_is_a_link_to_an_empty_folder(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").symlink_to("empty")
    assert "a link is there" in refused(words(drawn, tmp_path / "out", *QUICK), tmp_path)


def test_an_output_where_nothing_can_be_written(drawn: Path, tmp_path: Path) -> None:
    for out in (Path("/proc/x"), Path("/proc")):
        assert "name another --out" in refused(words(drawn, out, *QUICK), tmp_path)
    (tmp_path / "file").touch()
    assert "cannot write there" in refused(words(drawn, tmp_path / "file" / "out", *QUICK), tmp_path)


def test_a_working_folder_that_is_a_file(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "out.partial").touch()
    with pytest.raises(HarnessError, match="a training cannot work there"):
        fitted(training(folders["qwen2_vl"], tmp_path / "out"), kinds(), recipe())
