"""What a training leaves: a folder that stands whole or not at all, that loads, and whose record is true."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import shutil
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import ANY

import pytest
import yaml
from harness_mirage import output
from harness_mirage.models.weights import find_model_folder
from harness_mirage.recipe import FIELDS

import harness
from harness import HarnessError
from harness.board.leaderboard import boards
from harness.fingerprint import hash_folder
from harness.keys import digest
from tests.plugins.tiny.folders import Folders, make_once
from tests.training.trained import GENERAL, PAIRS, Train, record, tune, tune_once

STEPS = [
    MappingProxyType({"step": float(at), "loss": 2.0 / at, "learning_rate": 0.1, "epoch": at / 3}) for at in (1, 2, 3)
]


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    return tune_once(tmp_path_factory, "full", drawn, "--hold-out", "Cutting-Board", "-S", "log=tensorboard")


@pytest.fixture(scope="session")
def lora(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    return tune_once(tmp_path_factory, "lora", drawn, "--set", "tuning=lora")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that is a folder of the user's."""
    mini = find_model_folder("mini/base")
    return make_once(tmp_path_factory, "disk", lambda folder: shutil.copytree(mini, folder / "my-base")) / "my-base"


@pytest.fixture(scope="session")
def from_base(tmp_path_factory: pytest.TempPathFactory, drawn: Path, base: Path) -> Path:
    return tune_once(tmp_path_factory, "from-base", drawn, model=str(base))


def answers(model: str, folder: Path, **settings: Any) -> harness.Results:
    """Results of a run of one sample."""
    done = harness.run(model, "mis:mini", limit=1, output=folder, model_settings=settings)
    assert done.exit_code == 0
    return done.results


class TestAModelThatStands:
    def test_is_not_taken_for_that_of_a_base_whose_weights_were_replaced(
        self, train: Train, base: Path, from_base: Path, tmp_path: Path
    ) -> None:
        from safetensors.torch import load_file, save_file

        base, out = shutil.copytree(base, tmp_path / base.name), shutil.copytree(from_base, tmp_path / "tuned")
        assert "holds this training already" in train(out=out, model=str(base))[2]
        save_file({name: each * 2 for name, each in load_file(base / "model.safetensors").items()}, base / "other")
        (base / "other").replace(base / "model.safetensors")
        code, _, said = train(out=out, model=str(base))
        assert code == 2
        assert "something else is there already" in said


class TestAModelWhoseProcessorTakesNoLimitOfPixels:
    def test_says_that_an_evaluation_shows_it_larger_images(
        self, drawn: Path, folders: Folders, tmp_path: Path
    ) -> None:
        out = tune(drawn, tmp_path / "tuned", "--set", "pixels=4096", model=str(folders["internvl"]))
        told = record(out)["evaluation"]
        assert told["settings"] == {}
        assert "4,096 pixels" in told["note"]


class TestABaseThatIsAFolder:
    @pytest.mark.parametrize("scheme", ["", "hf/"])
    def test_is_named_by_its_name_and_known_by_its_files(
        self, drawn: Path, base: Path, from_base: Path, tmp_path: Path, scheme: str
    ) -> None:
        out = tune(drawn, tmp_path / "tuned", model=f"{scheme}{base}") if scheme else from_base
        told = record(out)
        assert told["tuned_from"] == "hf/my-base"
        assert told["base"]["digest"] == digest(hash_folder(base))
        for name in ("training.json", "README.md"):
            assert str(base.parent) not in (out / name).read_text(encoding="utf-8")
        assert "# hf/my-base, tuned by mirage" in (out / "README.md").read_text(encoding="utf-8")

    def test_may_be_moved_before_the_same_command_finds_its_model(
        self, train: Train, base: Path, from_base: Path, tmp_path: Path
    ) -> None:
        moved_to = shutil.copytree(base, tmp_path / "elsewhere" / base.name)
        assert "holds this training already" in train(out=from_base, model=str(moved_to))[2]

    def test_is_what_an_arrow_leads_from(self, base: Path, from_base: Path, tmp_path: Path) -> None:
        runs = [
            harness.run(f"hf/{folder}", "mis:mini", limit=1, output=tmp_path / folder.name).results
            for folder in (base, from_base)
        ]
        first, second = (row for board in boards(runs) for row in sorted(board.rows, key=lambda row: row.tuned_from))
        assert second.tuned_from == "hf/my-base"
        assert second.base_files == first.files != ""


class TestTheFolder:
    def test_stands_alone_once_all_of_it_is_there(self, full: Path) -> None:
        assert [each.name for each in full.parent.iterdir()] == ["tuned"]

    def test_holds_weights_processor_card_record_and_losses(self, full: Path) -> None:
        names = {each.name for each in full.iterdir()}
        assert {"model.safetensors", "config.json", "generation_config.json", "processor_config.json"} <= names
        assert {"chat_template.jinja", "tokenizer.json", "README.md", "training.json"} <= names
        assert {"history.jsonl", "losses.csv"} <= names

    def test_is_loaded_by_hf(self, full: Path, tmp_path: Path) -> None:
        model = answers(f"hf/{full}", tmp_path / "run")["model"]
        assert model["training"] == {
            "tuned_from": "mini/base",
            "trained_on": ["mis-train", "general"],
            "held_out": ["Cutting-Board"],
            "base_files": record(full)["base"]["digest"],
            "seed": "0",
            "recipe": ANY,
        }

    def test_of_an_adapter_is_loaded_upon_its_base(self, lora: Path, tmp_path: Path) -> None:
        from harness import plugins

        folder = plugins.current().provider("mini").folder
        assert folder is not None
        model = answers(f"hf/{folder('base', {})}", tmp_path / "run", adapter=str(lora))["model"]
        assert model["training"]["tuned_from"] == "mini/base"
        assert (lora / "adapter_model.safetensors").is_file()
        assert not (lora / "model.safetensors").exists()

    def test_keeps_what_tensorboard_reads_where_it_was_asked_for(self, full: Path, lora: Path) -> None:
        assert any((full / "tensorboard").rglob("events*"))
        assert not (lora / "tensorboard").exists()

    def test_of_other_work_is_never_replaced_unless_asked_and_then_kept_aside(
        self, train: Train, tuned: Path, tmp_path: Path
    ) -> None:
        out = shutil.copytree(tuned, tmp_path / "tuned")
        code, _, said = train("--seed", "1", out=out)
        assert (code, record(out)["training"]["seed"]) == (2, 0)
        assert "--fresh" in said
        code, _, said = train("--seed", "1", "--fresh", out=out)
        assert (code, record(out)["training"]["seed"]) == (0, 1)
        (aside,) = tmp_path.glob(".tuned.*")
        assert record(aside)["training"]["seed"] == 0
        assert f"what was in {out} before is in {aside}\n" in said

    def test_is_not_there_when_the_disk_is_full_at_the_end_and_the_same_command_completes_it(
        self, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full_disk(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        out = tmp_path / "out"
        with monkeypatch.context() as patch:
            patch.setattr(output, "write_losses", full_disk)
            code, _, said = train()
        assert (code, out.exists()) == (2, False)
        assert "No space left on device; the last whole checkpoint is that of step 3" in said
        assert "goes on from step 3\n" in train()[2]
        assert record(out)["training"]["resumed_from"] == 3

    def test_stays_in_the_scratch_folder_where_its_name_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "made").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "something").touch()
        with pytest.raises(HarnessError, match="cannot get its name"):
            output.move_model(tmp_path / "made", tmp_path / "out", replace=False)
        assert (tmp_path / "made").is_dir()


class TestTheRecord:
    def test_says_what_the_model_was_made_of(self, full: Path) -> None:
        told = record(full)
        assert told["schema"] == "harness.training/1"
        assert (told["kind"], told["method"]["name"]) == ("model", "mirage")
        assert (told["tuned_from"], told["trained_on"]) == ("mini/base", ["mis-train", "general"])
        assert [part["source"] for part in told["mixture"]["parts"]] == ["mis-train", "general"]
        assert told["mixture"]["held_out"] == ["Cutting-Board"]
        assert [part["taken"] for part in told["mixture"]["parts"]] == [PAIRS - 5, GENERAL]

    def test_has_every_value_of_the_recipe_with_its_source(self, full: Path) -> None:
        values = record(full)["recipe"]["values"]
        assert list(values) == list(FIELDS)
        assert values["batch"] == {"value": 4, "source": "user"}
        assert values["learning_rate"] == {"value": 0.001, "source": "ours"}

    def test_has_the_hash_of_every_file_that_was_written(self, full: Path) -> None:
        files = record(full)["files"]
        written = {each.relative_to(full).as_posix() for each in full.rglob("*") if each.is_file()}
        assert set(files) == written - {"training.json", "README.md"}
        for name, told in files.items():
            assert told["sha256"] == hashlib.sha256((full / name).read_bytes()).hexdigest()

    def test_has_the_hashes_of_what_went_in(self, full: Path, drawn: Path) -> None:
        told = record(full)
        (file,) = told["mixture"]["parts"][0]["files"].values()
        assert file == hashlib.sha256((drawn / "mis_train.json").read_bytes()).hexdigest()
        assert told["base"]["files"] == hash_folder(find_model_folder("mini/base"))
        assert told["base"]["digest"] == digest(told["base"]["files"])
        assert len(told["mixture"]["digest"]) == 64

    def test_counts_what_learnt(self, full: Path, lora: Path) -> None:
        learnt = {name: each["learnt"] for name, each in record(full)["parameters"].items()}
        few = record(lora)["parameters"]
        assert learnt["vision"] == 0 < learnt["projector"] < learnt["language"]
        assert 0 < few["language"]["learnt"] < few["language"]["all"] / 2

    def test_names_no_path_of_this_machine(self, full: Path, lora: Path) -> None:
        for folder in (full, lora):
            for name in ("training.json", "README.md"):
                assert str(folder.parent) not in (folder / name).read_text(encoding="utf-8")


class TestTheCard:
    def test_says_data_recipe_use_and_terms(self, full: Path) -> None:
        text = (full / "README.md").read_text(encoding="utf-8")
        for heading in ("Data", "Recipe", "Results", "Intended use and limits", "Licence"):
            assert f"\n## {heading}\n" in text
        assert "| mis-train | 9 | 4 | 5: held out" in text
        assert "apache-2.0" in text
        assert "| batch | 4 | user |" in text
        assert "reproduces the recipe, not the numbers" in text
        assert "Held out, and never seen: Cutting-Board." in text

    def test_names_no_published_set_for_data_that_only_stand_in_its_place(self, full: Path) -> None:
        text = (full / "README.md").read_text(encoding="utf-8")
        assert "\n| general | 3 | 3 |  | not known |\n" in text
        assert "M4-Instruct" not in text

    def test_names_the_model_whose_values_the_paper_gives(self, full: Path) -> None:
        told = record(full)
        told["recipe"]["paper"] = "Qwen2-VL-7B"
        assert "The paper's values are those for Qwen2-VL-7B." in output.render_card(told)
        assert "The paper's values" not in (full / "README.md").read_text(encoding="utf-8")

    def test_names_a_base_on_the_hub_for_the_hub(self, full: Path) -> None:
        told = {**record(full), "tuned_from": "hf/Qwen/Qwen2-VL-7B-Instruct"}
        assert "\nbase_model: Qwen/Qwen2-VL-7B-Instruct\n" in output.render_card(told)

    def test_begins_with_what_a_hub_reads(self, lora: Path) -> None:
        _, head, _ = (lora / "README.md").read_text(encoding="utf-8").split("---\n", 2)
        assert yaml.safe_load(head) == {"library_name": "peft", "pipeline_tag": "image-text-to-text"}


class TestTheLosses:
    def test_are_lines_and_a_table(self, tmp_path: Path) -> None:
        output.write_losses(tmp_path, [*STEPS, {"step": 3.0, "train_runtime": 1.0}])
        lines = [json.loads(line) for line in (tmp_path / output.LINES).read_text(encoding="utf-8").splitlines()]
        with (tmp_path / output.TABLE).open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        assert [line["loss"] for line in lines] == [float(row["loss"]) for row in table] == [2.0, 1.0, 2.0 / 3]

    def test_are_drawn_where_the_plotting_library_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        output.write_losses(tmp_path, STEPS)
        assert (tmp_path / output.PLOT).read_text(encoding="utf-8").startswith("<svg")
        bare = tmp_path / "bare"
        bare.mkdir()
        monkeypatch.setattr(output, "find_spec", lambda name: None)
        output.write_losses(bare, STEPS)
        assert sorted(each.name for each in bare.iterdir()) == [output.LINES, output.TABLE]
