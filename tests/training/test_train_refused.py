"""What `harness train` refuses before anything is written, and never calls a bug; a plan says the same."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import HarnessError
from harness.files import resolve_name
from tests.training.tiny_training import Fit, recipe
from tests.training.trained import Train, called, large

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders

Refuse = Callable[..., str]
WOULD = "this machine would refuse it: "
CPU = ("-S", "device=cpu")


@pytest.fixture
def refuse(train: Train, tmp_path: Path) -> Refuse:
    """Give a command that is refused at once -> what it says; it leaves the test's folder as it was."""

    def run(*more: str, **changes: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        code, shown, said = train(*more, **changes)
        assert (code, shown) == (2, ""), said
        assert not [word for word in ("Traceback", "bug", "records/s") if word in said]
        assert sorted(tmp_path.rglob("*")) == before
        return said

    return run


@pytest.mark.parametrize(
    ("more", "changes", "said"),
    [
        pytest.param((), {"method": "mirrage"}, "did you mean 'mirage'", id="a method that no plugin offers"),
        pytest.param((), {"root": Path("none")}, "there is no data", id="data that are not there"),
        pytest.param(("--data", "."), {}, "given twice", id="data that are given twice"),
        pytest.param(("--data", "generel=."), {}, "has no ingredient", id="data under a name that the method lacks"),
        pytest.param(("-S", "skip_bat=true"), {}, "'skip_bad'", id="a setting that is not there"),
        pytest.param(("--set", "learning_rat=1"), {}, "'learning_rate'", id="a value that is not there"),
        pytest.param((), {"model": "mini/basse"}, "mini/basse", id="a model that is not there"),
        pytest.param(("--evaluate", "miss"), {}, "'mis'", id="a task that is not there"),
        pytest.param(("--evaluate", "miss", "--dry-run"), {}, "'mis'", id="a task that is not there, in the plan"),
        pytest.param(
            ("--evaluate", "mis:mini", "--judge", "nobody=mini/base"), {}, "nobody", id="a rubric that is not there"
        ),
        pytest.param(
            ("--evaluate", "mis:mini", "--judge", "foo/bar"), {}, "no provider is called 'foo'", id="a strange judge"
        ),
        pytest.param(("--compare",), {}, "--compare says nothing", id="a comparison without an evaluation"),
        pytest.param(("--judge", "mini/base"), {}, "--judge says nothing without --evaluate", id="a judge without one"),
        pytest.param(("--limit", "3"), {}, "--limit says nothing without --evaluate", id="a limit without one"),
        pytest.param(("--evaluate", ""), {}, "--evaluate names no task", id="an evaluation of nothing"),
        pytest.param(("--evaluate", " , "), {}, "--evaluate names no task", id="an evaluation of a comma"),
        pytest.param(
            ("--export", "swift", "--evaluate", "mis:mini"), {}, "--export trains nothing", id="an evaluated export"
        ),
        pytest.param(("--export", "sharegtp"), {}, "did you mean 'sharegpt'", id="an export in a strange layout"),
        pytest.param(("--export", "swft", "--dry-run"), {}, "did you mean 'swift'?", id="that, in the plan"),
        *(
            pytest.param(("--set", each), {}, "is not a number above 0", id=f"a training that learns nothing: {each}")
            for each in ("epochs=0", "epochs=-1", "epochs=nan", "epochs=inf", "learning_rate=0")
        ),
        *(
            pytest.param(
                ("--seed", seed, *plan),
                {},
                "a seed is a whole number from 0 to 4294967295",
                id=" ".join(("seed", seed, *plan)),
            )
            for seed in ("-1", "4294967296", "99999999999")
            for plan in ((), ("--dry-run",))
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    refuse: Refuse, more: tuple[str, ...], changes: dict[str, object], said: str
) -> None:
    assert said in refuse(*more, **changes)


def test_to_train_by_no_method_without_a_model_or_without_an_output_is_refused() -> None:
    for arguments, said in (
        (["train", "--model", "mini/base"], "harness train --list"),
        (["train", "mirage", "--out", "x"], "--model is missing"),
        (["train", "mirage", "--model", "mini/base"], "--out is missing"),
    ):
        code, _, told = called(arguments)
        assert (code, said in told) == (2, True), told


def test_a_judge_of_the_environment_is_no_flag_that_says_nothing(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_JUDGE", "mini/base")
    assert train("--dry-run")[0] == 0


@pytest.fixture
def would_refuse(train: Train, refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What a plan says that this machine would refuse, after it was seen that the training does refuse it."""
    monkeypatch.setitem(sys.modules, "wandb", None)

    def run(*more: str, **changes: object) -> list[str]:
        code, shown, said = train(*more, "--dry-run", **changes)
        assert code == 0, said
        lines = [line.removeprefix(WOULD) for line in shown.splitlines() if line.startswith(WOULD)]
        assert f"error: {lines[0]}" in refuse(*more, **changes).splitlines()
        return lines

    return run


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "tuning=qlora"), "tuning: qlora needs bitsandbytes"),
        (("--set", "optimizer=adamw_8bit"), "optimizer: adamw_8bit needs bitsandbytes"),
        (("--set", "optimizer=paged_adamw_8bit"), "optimizer: paged_adamw_8bit needs bitsandbytes"),
        (("-S", "log=wandb"), "-S log=wandb needs a package"),
        (("--launch", "zero3-4"), "--launch zero3-4 needs DeepSpeed"),
        (("--launch", "fsdp-4"), "--launch fsdp-4 needs 4 GPUs, and 0 can be seen here"),
        (("--set", "max_length=5"), "no record is short enough for max_length 5"),
    ],
)
def test_what_the_machine_lacks_is_said_at_the_end_of_the_plan(
    would_refuse: Callable[..., list[str]], more: tuple[str, ...], said: str
) -> None:
    assert would_refuse(*more) == [said]


def test_every_reason_is_told_and_not_the_first_alone(would_refuse: Callable[..., list[str]]) -> None:
    assert len(would_refuse("-S", "log=wandb", "--set", "tuning=qlora", "--set", "max_length=5")) == 3


def test_an_output_whose_name_is_taken_is_told(would_refuse: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    assert would_refuse() == [f"something else is there already ({tmp_path / 'out'})"]


def test_an_output_below_a_file_is_told(would_refuse: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out", tmp_path / "file" / "deeper" / "out"):
        (said,) = would_refuse(out=out)
        assert said.startswith(f"cannot write there: {tmp_path / 'file'} is a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="for who may write everywhere nothing is read-only")
def test_an_output_where_nothing_can_be_written_is_told(would_refuse: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    (said,) = would_refuse(out=tmp_path / "closed" / "out")
    assert said.startswith("cannot write there: Permission denied")


def test_the_checkpoints_of_another_training_are_told(
    would_refuse: Callable[..., list[str]], train: Train, tmp_path: Path
) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "identity.json").write_text('{"model": "mini/other"}', encoding="utf-8")
    (said,) = would_refuse()
    assert "checkpoints of a training with another" in said
    code, shown, _ = train("--fresh", "--dry-run")
    assert (code, WOULD in shown) == (0, False)


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_weights_that_are_missing_or_cut_short_are_told(
    would_refuse: Callable[..., list[str]], tmp_path: Path, folders: Folders, how: str
) -> None:
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "base")
    file = folder / "model.safetensors"
    if how == "missing":
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size - 100)
    (said,) = would_refuse(model=str(folder))
    assert "no file of weights" in said if how == "missing" else "cut short" in said


def test_a_model_of_seven_billion_parameters_without_a_gpu_is_told_with_what_would_do(
    would_refuse: Callable[..., list[str]], refuse: Refuse, tmp_path: Path, folders: Folders
) -> None:
    model = large(folders, tmp_path / "large")
    assert would_refuse(model=model)[0].startswith("there is no GPU here")
    assert "--set tuning=qlora" in refuse(model=model)


def test_a_model_that_stands_already_is_told_and_nothing_is_refused(train: Train, tuned: Path) -> None:
    code, shown, _ = train("--dry-run", out=tuned)
    assert code == 0
    assert "holds this training already: nothing would be trained" in shown
    assert WOULD not in shown


def test_without_its_data_an_evaluation_is_one_that_this_machine_would_refuse(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    more = ("--dry-run", "--evaluate", "mis,mis:mini", "--judge", "mini/base")
    code, shown, _ = train(*more)
    assert (code, f"{WOULD}the data of mis is not on this machine" in shown) == (0, True)
    refusals = json.loads(train(*more, "--json")[1])["refusals"]
    assert [line.partition(":")[0] for line in refusals] == ["the data of mis is not on this machine"]


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["resume", "fresh"])
@pytest.mark.parametrize("out", [".", "..", "sub/..", "/"])
def test_an_output_that_holds_the_folder_one_is_in(
    refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, fresh: tuple[str, ...]
) -> None:
    (tmp_path / "here" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert "name another --out" in refuse(*fresh, out=Path(out))


@pytest.mark.parametrize("out", [".", "../out"])
def test_an_output_that_is_the_empty_folder_one_is_in_is_refused_with_a_name_that_would_do(
    refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    assert "--out, such as models/NAME" in refuse(out=Path(out))


def test_an_output_with_detours_is_the_folder_they_lead_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve_name(Path("a/b/..")) == (tmp_path / "a").resolve()
    assert resolve_name(Path("a/b")) == Path("a/b")


@pytest.mark.parametrize("more", [(), ("--fresh",)], ids=["resume", "fresh"])
def test_an_output_that_is_a_link_to_nothing(refuse: Refuse, tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "out").symlink_to("nowhere")
    said = refuse(*more)
    assert "this is a link, and a folder cannot replace it" in said
    assert "out -> nowhere" in said


def test_an_output_that_is_a_link_to_an_empty_folder(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").symlink_to("empty")
    assert "this is a link" in refuse()


def test_an_output_in_a_folder_of_the_system(refuse: Refuse) -> None:
    for out in (Path("/proc/x"), Path("/proc")):
        assert "name another --out" in refuse(out=out)


def test_a_batch_that_the_devices_cannot_share(refuse: Refuse, tmp_path: Path) -> None:
    own = tmp_path / "three.yaml"
    own.write_text("distributed_type: MULTI_GPU\nnum_processes: 3\n", encoding="utf-8")
    said = refuse("--launch", str(own), "--dry-run")
    assert "a batch of 4 records cannot be divided among 3 devices" in said


FSDP = "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: "
SPREADS = "spreads a model over GPUs, and -S device=cpu uses none"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("distributed_type: MULTI_CPU\nnum_processes: two\n", "num_processes: two is not a whole number from 1"),
        (f"{FSDP}{{fsdp_version: 1}}\n", SPREADS),
        (f"{FSDP}{{fsdp_version: 2, fsdp_state_dict_type: FULL_STATE_DICT}}\n", SPREADS),
        ("distributed_type: DEEPSPEED\nnum_processes: 2\ndeepspeed_config: {zero_stage: 2}\n", SPREADS),
        (
            f"{FSDP}{{fsdp_state_dict_type: SHARDED_STATE_DICT}}\n",
            "with SHARDED_STATE_DICT the weights stay spread over the devices, and no model would be written",
        ),
    ],
    ids=["two", "FSDP 1", "FSDP 2", "ZeRO", "spread"],
)
def test_a_launch_that_cannot_start_or_leaves_no_model(refuse: Refuse, tmp_path: Path, text: str, why: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text, encoding="utf-8")
    assert why in refuse("--launch", str(own), *CPU)


@pytest.mark.parametrize("scheme", ["", "hf/"])
def test_a_model_without_its_tokenizer(refuse: Refuse, tmp_path: Path, folders: Folders, scheme: str) -> None:
    model = shutil.copytree(folders["qwen2_vl"], tmp_path / "m", ignore=shutil.ignore_patterns("tokenizer*"))
    said = refuse(*CPU, model=f"{scheme}{model}")
    assert "the model's tokenizer has no vocabulary: its files are missing" in said
    code, _, said = called(["run", "--model", f"hf/{model}", "--tasks", "mis:mini", "--output", str(tmp_path / "run")])
    assert (code, "has no vocabulary" in said) == (2, True)


def test_a_training_of_no_steps_leaves_no_model(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no step was done"):
        fit(how=recipe(epochs=0.0))
    assert not (tmp_path / "out").exists()


def test_a_working_folder_that_is_a_file(fit: Fit, tmp_path: Path) -> None:
    (tmp_path / "out.partial").touch()
    with pytest.raises(HarnessError, match="the training cannot write there"):
        fit()
