"""`harness train`: the list, the plan as text and as JSON, the export, and the loop to an evaluated model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.training.trained import GENERAL, PAIRS, QUICK, Train, called, large, record, words

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders

PIXELS = 16384  #: most of an image, in the trainings that are evaluated
LOOP = (*QUICK, "--set", f"pixels={PIXELS}", "--evaluate", "mis:mini", "--limit", "1", "--compare")
Loop = tuple[Path, int, str, str]


@pytest.fixture(scope="module")
def loop(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """A training that is evaluated and compared: its folder, exit code, stdout and stderr."""
    folder = tmp_path_factory.mktemp("loop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder / "tuned", *called(words(drawn, Path("tuned"), *LOOP))


def test_the_list_names_every_method_and_of_one_what_it_can_be_told_also_as_json() -> None:
    _, shown, _ = called(["train", "--list"])
    for name in ("mirage", "mirage-refusal", "mirage-text-only", "textual-sft", "vlguard-m", "vlguard-p", "own"):
        assert f"\n{name} " in shown
    _, shown, _ = called(["train", "--list", "mirage"])
    assert "trust_remote_code" in shown
    assert "textual-sft" not in shown
    _, shown, _ = called(["train", "--list", "--json"])
    (mirage,) = [each for each in json.loads(shown) if each["name"] == "mirage"]
    assert mirage["exports"] == ["llamafactory", "sharegpt", "swift"]
    assert "skip_bad" in [setting["name"] for setting in mirage["settings"]]


@pytest.fixture(scope="module")
def plan(drawn: Path) -> str:
    arguments = words(drawn, drawn / "out", *QUICK, "--recipe", "qwen2_vl", "--hold-out", "Garden", "--dry-run")
    code, shown, said = called(arguments)
    assert code == 0, said
    return shown


class TestThePlan:
    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param(
                (f"mis-train: 5 of {PAIRS}; 4 left out", f"general: {GENERAL} of {GENERAL}", "held out: Garden"),
                id="the mixture with what is left out",
            ),
            pytest.param(("language  │ learns", "vision    │ frozen"), id="what learns and what is frozen"),
            pytest.param(
                (
                    "the paper's: tuning full\n",
                    "the paper's for Qwen2-VL-7B, not for this model: learning_rate 2e-06, warmup 0.03\n",
                    "framework default: schedule cosine",
                    "ours: max_length 8192",
                    "yours: epochs 1.0, batch 4",
                ),
                id="which values are not the paper's",
            ),
            pytest.param(
                ("steps: 2, each of 4 records", "memory of a device: about", "time: about 0:0"),
                id="steps, memory and time",
            ),
        ],
    )
    def test_shows(self, plan: str, lines: tuple[str, ...]) -> None:
        assert [line for line in lines if line not in plan] == []

    def test_writes_nothing(self, plan: str, drawn: Path) -> None:
        assert plan
        assert sorted(each.name for each in drawn.iterdir()) == ["general", "images", "mis_train.json"]

    def test_shows_the_papers_values_as_the_papers_for_a_model_of_its_size(
        self, train: Train, tmp_path: Path, folders: Folders
    ) -> None:
        _, shown, _ = train("--dry-run", model=large(folders, tmp_path / "large"))
        assert "the paper's: tuning full, learning_rate 2e-06, warmup 0.03\n" in shown
        assert "Qwen2-VL-7B" not in shown

    def test_warns_of_a_learning_rate_that_is_too_small_for_adapters(self, train: Train) -> None:
        more = ("--set", "tuning=lora", "--dry-run")
        assert "ten to fifty times" in train(*more)[1]
        assert "ten to fifty times" not in train(*more, "--set", "learning_rate=1e-4")[1]

    def test_tells_what_several_devices_would_need(self, train: Train, tmp_path: Path, folders: Folders) -> None:
        more = ("--set", "batch=16", "--launch", "zero3-8", "--dry-run")
        _, shown, _ = train(*more, model=large(folders, tmp_path / "large"))
        assert "devices: 8, at once: 1, turns: 2" in shown
        assert "A100, 8 of them, sharded by ZeRO-3 (assumed: there is no GPU here)" in shown

    def test_says_that_a_judge_is_not_used_where_a_rule_judges(self, train: Train) -> None:
        code, _, said = train("--dry-run", "--evaluate", "mis:mini", "--judge", "mini/base")
        assert (code, said) == (0, "note: --judge mini/base is not used: no model is asked by the rule mini\n")


class TestThePlanAsJson:
    def test_has_the_names_of_training_json_and_steps_devices_memory_time_and_refusals(
        self, train: Train, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "wandb", None)
        code, shown, said = train("-S", "general_count=7", "-S", "log=wandb", "--dry-run", "--json")
        assert code == 0, said
        plan: Any = json.loads(shown)
        assert plan["mixture"]["records"] == PAIRS + GENERAL
        taken = [(part["taken"], part["wanted"]) for part in plan["mixture"]["parts"]]
        assert taken == [(PAIRS, None), (GENERAL, 7)]
        assert plan["recipe"]["values"]["batch"] == {"value": 4, "source": "user"}
        assert plan["parameters"]["vision"]["learnt"] == 0 < plan["parameters"]["language"]["learnt"]
        assert (plan["steps"], plan["devices"]["held"], plan["devices"]["turns"]) == (3, 4, 1)
        assert plan["memory"]["whole"] > plan["memory"]["weights"] > 0
        assert plan["seconds"] > 0
        assert plan["refusals"] == ["-S log=wandb needs a package\n  pip install wandb, or leave it out"]

    def test_is_the_text_of_a_trainer_that_has_no_other(self, tmp_path: Path) -> None:
        plugin = tmp_path / "mine.py"
        plugin.write_text(
            "from harness import Trainer, hookimpl\n\n\n"
            "@hookimpl\n"
            "def harness_trainers():\n"
            '    return [Trainer(name="mine", description="", plan=lambda _: "my plan", train=lambda to: to.out)]\n',
            encoding="utf-8",
        )
        more = ["--plugin", str(plugin), "--model", "mini/base", "--out", str(tmp_path / "out"), "--dry-run", "--json"]
        assert json.loads(called(["train", "mine", *more])[1]) == {"method": "mine", "plan": "my plan", "refusals": []}


class TestTheExport:
    def test_writes_the_mixture_for_another_trainer_instead_of_training(self, train: Train, tmp_path: Path) -> None:
        code, shown, said = train("--export", "llamafactory")
        assert code == 0, said
        assert Path(shown.strip()) == tmp_path / "out" / "dataset_info.json"
        assert len(json.loads((tmp_path / "out" / "mixture.json").read_text(encoding="utf-8"))) == PAIRS + GENERAL

    def test_wants_no_model_and_tells_its_file_as_json_where_asked(self, drawn: Path, tmp_path: Path) -> None:
        given = ["--data", str(drawn), "--data", f"general={drawn / 'general'}", "--out", str(tmp_path / "out")]
        code, shown, said = called(["train", "mirage", *given, "--export", "swift", "--json"])
        assert code == 0, said
        assert json.loads(shown) == {"exported": str(tmp_path / "out" / "mixture.jsonl")}


class TestAMethodInAFile:
    def test_is_trained_by_its_path(self, drawn: Path, tmp_path: Path) -> None:
        own = tmp_path / "pairs-only.yaml"
        own.write_text("trained: [projector]\ningredients: [{layout: mis, source: my-pairs}]\n", encoding="utf-8")
        arguments = ["train", str(own), "--model", "mini/base", "--data", str(drawn), "--out", str(tmp_path / "out")]
        code, _, said = called([*arguments, "--set", "batch=9", "--set", "epochs=1"])
        assert code == 0, said
        told = record(tmp_path / "out")
        assert (told["method"]["name"], told["trained_on"]) == ("pairs-only", ["my-pairs"])
        assert told["settings"]["method"] == "pairs-only.yaml"
        assert told["parameters"]["language"]["learnt"] == 0 < told["parameters"]["projector"]["learnt"]

    def test_may_be_a_plugin_of_one_file(self, drawn: Path, tmp_path: Path) -> None:
        plugin = tmp_path / "mine.py"
        plugin.write_text(
            "from harness_mirage import Ingredient, Method, trainer\n"
            "from harness import hookimpl\n\n\n"
            "@hookimpl\n"
            "def harness_trainers():\n"
            '    mine = Method(name="mine", description="my pairs", ingredients=(Ingredient(layout="mis"),))\n'
            "    return [trainer(mine)]\n",
            encoding="utf-8",
        )
        arguments = ["train", "mine", "--plugin", str(plugin), "--model", "mini/base", "--data", str(drawn)]
        code, shown, said = called([*arguments, "--out", str(tmp_path / "out"), "--dry-run"])
        assert code == 0, said
        assert shown.startswith("mine on mini/base (qwen2_vl)")


def test_what_was_wanted_is_said_in_the_plan_while_training_and_in_the_card(train: Train, tmp_path: Path) -> None:
    more = ("-S", "general_count=7", "--hold-out", "Garden")
    assert f"  general: {GENERAL} of {GENERAL}, 7 wanted\n" in train(*more, "--dry-run")[1]
    code, _, said = train(*more)
    assert code == 0
    assert f"note: general has {GENERAL} records to learn from, and 7 were wanted\n" in said
    assert "8 records (mis-train: 5 of 9; general: 3 of 3, 7 wanted; 4 held out); recipe mini/mirage\n" in said
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"| general | {GENERAL} | {GENERAL} (7 wanted) |" in card
    assert "| max_length | none |" in card
    assert "| checkpointing | false |" in card


class TestTheLoop:
    def test_ends_as_a_run_ends_shows_both_models_and_leaves_two_runs_that_a_report_takes(self, loop: Loop) -> None:
        folder, code, shown, said = loop
        assert code == 0, said
        for line in ("mis:mini  mini/base", "mis:mini  hf/tuned", "mis:mini: B beside A"):
            assert line in shown
        assert sorted(each.name for each in (folder.parent / "runs").iterdir()) == ["mini-base", "tuned"]

    def test_shows_images_as_large_as_the_training_did_and_says_who_cannot(self, loop: Loop) -> None:
        folder, _, _, said = loop
        run = json.loads((folder.parent / "runs" / "tuned" / "run.json").read_text(encoding="utf-8"))
        assert record(folder)["evaluation"] == {"settings": {"max_pixels": PIXELS}, "note": ""}
        assert run["model"]["settings"]["max_pixels"] == PIXELS
        assert f"note: mini/ takes no max_pixels={PIXELS}, which the model was trained with" in said

    def test_puts_the_results_into_the_card(self, loop: Loop) -> None:
        folder, *_ = loop
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "Not evaluated yet" not in card
        assert card.count("<!-- results -->") == 1
        assert "| tuned " in card
        assert str(folder.parent) not in card

    def test_goes_on_with_the_evaluation_where_the_model_stands(
        self, loop: Loop, drawn: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, *_ = loop
        before = (folder / "model.safetensors").stat().st_mtime_ns
        monkeypatch.chdir(folder.parent)
        code, shown, said = called(words(drawn, Path("tuned"), *LOOP, "--json"))
        assert code == 0, said
        assert "holds this training already" in said
        assert (folder / "model.safetensors").stat().st_mtime_ns == before
        told = json.loads(shown)
        assert [each["model"]["ref"] for each in told["results"]] == ["mini/base", "hf/tuned"]
        assert told["comparison"]["splits"]


def test_a_training_is_reported_to_nobody_unless_the_user_wants_that() -> None:
    code = """
import sys, types
from harness_mirage.run import prepare, training_environment
assert "huggingface_hub" not in sys.modules
with training_environment(types.SimpleNamespace(launch="")):
    from huggingface_hub import constants
print(constants.HF_HUB_DISABLE_TELEMETRY)
"""
    for given, found in (({}, "True"), ({"HF_HUB_DISABLE_TELEMETRY": "0"}, "False")):
        environment = {key: value for key, value in os.environ.items() if "TELEMETRY" not in key} | given
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == found
