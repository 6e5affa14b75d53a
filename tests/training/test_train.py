"""`harness train`: what it refuses before it opens anything, what it plans, and the loop to an evaluated model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.training.trained import GENERAL, PAIRS, QUICK, called, record, words

if TYPE_CHECKING:
    from tests.plugins.tiny.folders import Folders

PIXELS = 16384  #: most of an image, in the trainings that are evaluated
LOOP = (*QUICK, "--set", f"pixels={PIXELS}", "--evaluate", "mis:mini", "--limit", "1", "--compare")


@pytest.fixture(scope="module")
def loop(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """A training that is evaluated and compared: its folder, exit code, stdout and stderr."""
    folder = tmp_path_factory.mktemp("loop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder / "tuned", *called(words(drawn, Path("tuned"), *LOOP))


def refused(arguments: list[str]) -> str:
    """What a command says that the user can mend."""
    code, _, said = called(arguments)
    assert code == 2, said
    assert "Traceback" not in said
    return said


class TestTheList:
    def test_names_every_method_with_what_it_is(self) -> None:
        _, shown, _ = called(["train", "--list"])

        for name in ("mirage", "mirage-refusal", "mirage-text-only", "textual-sft", "vlguard-m", "vlguard-p", "own"):
            assert f"\n{name} " in shown

    def test_of_one_method_says_what_it_can_be_told(self) -> None:
        _, shown, _ = called(["train", "--list", "mirage"])

        assert "trust_remote_code" in shown
        assert "textual-sft" not in shown

    def test_is_json_where_asked(self) -> None:
        _, shown, _ = called(["train", "--list", "--json"])

        (mirage,) = [each for each in json.loads(shown) if each["name"] == "mirage"]
        assert mirage["exports"] == ["llamafactory", "sharegpt", "swift"]
        assert "skip_bad" in [setting["name"] for setting in mirage["settings"]]


class TestItRefuses:
    def test_a_method_that_nobody_offers(self, drawn: Path, tmp_path: Path) -> None:
        assert "did you mean 'mirage'" in refused(words(drawn, tmp_path / "out", method="mirrage"))

    def test_to_train_by_no_method(self) -> None:
        assert "harness train --list" in refused(["train", "--model", "mini/base"])

    def test_to_train_without_a_model_or_an_output(self) -> None:
        assert "--model is missing" in refused(["train", "mirage", "--out", "x"])
        assert "--out is missing" in refused(["train", "mirage", "--model", "mini/base"])

    def test_flags_of_an_evaluation_without_one(self, drawn: Path, tmp_path: Path) -> None:
        assert "--compare says nothing" in refused(words(drawn, tmp_path / "out", "--compare"))

    def test_data_that_are_not_there_or_given_twice(self, drawn: Path, tmp_path: Path) -> None:
        assert "there are no data" in refused(words(tmp_path / "none", tmp_path / "out"))
        assert "given twice" in refused(words(drawn, tmp_path / "out", "--data", str(drawn)))

    def test_data_under_a_name_that_the_method_does_not_have(self, drawn: Path, tmp_path: Path) -> None:
        assert "has no ingredient" in refused(words(drawn, tmp_path / "out", "--data", f"generel={drawn}"))

    def test_a_setting_or_a_value_that_is_not_there(self, drawn: Path, tmp_path: Path) -> None:
        assert "'skip_bad'" in refused(words(drawn, tmp_path / "out", "-S", "skip_bat=true"))
        assert "'learning_rate'" in refused(words(drawn, tmp_path / "out", "--set", "learning_rat=1"))

    def test_a_model_that_is_not_there(self, drawn: Path, tmp_path: Path) -> None:
        assert "mini/basse" in refused(words(drawn, tmp_path / "out", model="mini/basse"))

    def test_an_output_that_holds_something_else(self, drawn: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").touch()

        assert "something else is there already" in refused(words(drawn, tmp_path / "out", *QUICK))

    @pytest.mark.parametrize("out", [".", "../out"])
    def test_an_output_that_is_the_folder_one_is_in(
        self, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
    ) -> None:
        (tmp_path / "out").mkdir()
        monkeypatch.chdir(tmp_path / "out")

        assert "--out, such as models/NAME" in refused(words(drawn, Path(out), *QUICK))

    def test_an_evaluation_that_could_not_be_done_before_it_trains(self, drawn: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"

        assert "'mis'" in refused(words(drawn, out, *QUICK, "--evaluate", "miss"))
        said = refused(words(drawn, out, *QUICK, "--evaluate", "mis:mini", "--judge", "nobody=mini/base"))
        assert "nobody" in said
        assert list(tmp_path.iterdir()) == []

    def test_a_batch_that_the_devices_cannot_share(self, drawn: Path, tmp_path: Path) -> None:
        own = tmp_path / "three.yaml"
        own.write_text("distributed_type: MULTI_GPU\nnum_processes: 3\n", encoding="utf-8")

        said = refused(words(drawn, tmp_path / "out", *QUICK, "--launch", str(own), "--dry-run"))
        assert "a batch of 4 records cannot be dealt out to 3 devices" in said

    def test_a_model_of_seven_billion_parameters_without_a_gpu(
        self, drawn: Path, tmp_path: Path, folders: Folders
    ) -> None:
        said = refused(words(drawn, tmp_path / "out", *QUICK, model=str(large(folders, tmp_path / "large"))))

        assert "there is no GPU here" in said
        assert "--set tuning=qlora" in said
        assert not (tmp_path / "out.partial").exists()


def large(folders: Folders, folder: Path) -> Path:
    """A model folder whose configuration is as large as a 7B's, without weights."""
    shutil.copytree(folders["qwen2_vl"], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config["text_config"]
    text |= {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
    text |= {"num_attention_heads": 28, "num_key_value_heads": 4, "layer_types": ["full_attention"] * 28}
    config["vision_config"]["hidden_size"] = 3584
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def plan(drawn: Path) -> str:
    arguments = words(drawn, drawn / "out", *QUICK, "--recipe", "qwen2_vl", "--hold-out", "Garden", "--dry-run")
    code, shown, said = called(arguments)
    assert code == 0, said
    return shown


class TestThePlan:
    def test_shows_the_mixture_with_what_is_left_out(self, plan: str) -> None:
        assert f"mis-train: 5 of {PAIRS}; 4 left out" in plan
        assert f"general: {GENERAL} of {GENERAL}" in plan
        assert "held out: Garden" in plan

    def test_shows_what_learns_and_what_is_frozen(self, plan: str) -> None:
        assert "language  │ learns" in plan
        assert "vision    │ frozen" in plan

    def test_shows_which_values_are_not_the_papers(self, plan: str) -> None:
        assert "the paper's: tuning full\n" in plan
        assert "the paper's for Qwen2-VL-7B, not for this model: learning_rate 2e-06, warmup 0.03\n" in plan
        assert "framework default: schedule cosine" in plan
        assert "ours: max_length 8192" in plan
        assert "yours: epochs 1.0, batch 4" in plan

    def test_shows_the_papers_values_as_the_papers_for_a_model_of_its_size(
        self, drawn: Path, tmp_path: Path, folders: Folders
    ) -> None:
        model = str(large(folders, tmp_path / "large"))
        _, shown, _ = called(words(drawn, tmp_path / "out", *QUICK, "--dry-run", model=model))

        assert "the paper's: tuning full, learning_rate 2e-06, warmup 0.03\n" in shown
        assert "Qwen2-VL-7B" not in shown

    def test_shows_steps_memory_and_time(self, plan: str) -> None:
        assert "steps: 2, each of 4 records" in plan
        assert "memory of a device: about" in plan
        assert "time: about 0:0" in plan

    def test_warns_of_a_learning_rate_that_is_too_small_for_adapters(self, drawn: Path, tmp_path: Path) -> None:
        more = ("--set", "tuning=lora", "--dry-run")

        assert "ten to fifty times" in called(words(drawn, tmp_path / "out", *QUICK, *more))[1]
        assert (
            "ten to fifty times"
            not in called(words(drawn, tmp_path / "out", *QUICK, *more, "--set", "learning_rate=1e-4"))[1]
        )

    def test_writes_nothing(self, plan: str, drawn: Path) -> None:
        assert plan
        assert sorted(each.name for each in drawn.iterdir()) == ["general", "images", "mis_train.json"]

    def test_says_what_this_machine_would_refuse(self, drawn: Path, tmp_path: Path, folders: Folders) -> None:
        model = str(large(folders, tmp_path / "large"))
        code, shown, _ = called(words(drawn, tmp_path / "out", *QUICK, "--dry-run", model=model))

        assert code == 0
        assert "this machine would refuse it: there is no GPU here" in shown

    def test_tells_what_several_devices_would_need(self, drawn: Path, tmp_path: Path, folders: Folders) -> None:
        model = str(large(folders, tmp_path / "large"))
        more = ("--set", "batch=16", "--launch", "zero3-8", "--dry-run")
        _, shown, _ = called(words(drawn, tmp_path / "out", *QUICK, *more, model=model))

        assert "devices: 8, at once: 1, turns: 2" in shown
        assert "A100, 8 of them, sharded by ZeRO-3 (assumed: there is no GPU here)" in shown


class TestTheExport:
    def test_writes_the_mixture_for_another_trainer_instead_of_training(self, drawn: Path, tmp_path: Path) -> None:
        code, shown, said = called(words(drawn, tmp_path / "out", *QUICK, "--export", "llamafactory"))

        assert code == 0, said
        assert Path(shown.strip()) == tmp_path / "out" / "dataset_info.json"
        assert len(json.loads((tmp_path / "out" / "mixture.json").read_text(encoding="utf-8"))) == PAIRS + GENERAL

    def test_names_the_layouts_where_one_is_not_known(self, drawn: Path, tmp_path: Path) -> None:
        assert "did you mean 'sharegpt'" in refused(words(drawn, tmp_path / "out", "--export", "sharegtp"))


class TestAMethodInAFile:
    def test_is_trained_by_its_path(self, drawn: Path, tmp_path: Path) -> None:
        own = tmp_path / "pairs-only.yaml"
        own.write_text("trained: [projector]\ningredients: [{layout: mis, source: my-pairs}]\n", encoding="utf-8")
        arguments = ["train", str(own), "--model", "mini/base", "--data", str(drawn), "--out", str(tmp_path / "out")]
        code, _, said = called([*arguments, "--set", "batch=9", "--set", "epochs=1"])

        assert code == 0, said
        told = record(tmp_path / "out")
        assert told["method"]["name"] == "pairs-only"
        assert told["trained_on"] == ["my-pairs"]
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


class TestTheLoop:
    def test_ends_as_a_run_ends(self, loop: tuple[Path, int, str, str]) -> None:
        _, code, _, said = loop

        assert code == 0, said

    def test_shows_base_and_tuned_model_and_how_they_differ(self, loop: tuple[Path, int, str, str]) -> None:
        _, _, shown, _ = loop

        assert "mis:mini  mini/base" in shown
        assert "mis:mini  hf/tuned" in shown
        assert "mis:mini: B beside A" in shown

    def test_leaves_two_runs_that_a_report_takes(self, loop: tuple[Path, int, str, str]) -> None:
        folder, *_ = loop

        assert sorted(each.name for each in (folder.parent / "runs").iterdir()) == ["mini-base", "tuned"]

    def test_shows_images_as_large_as_the_training_did_and_says_who_cannot(
        self, loop: tuple[Path, int, str, str]
    ) -> None:
        folder, _, _, said = loop
        run = json.loads((folder.parent / "runs" / "tuned" / "run.json").read_text(encoding="utf-8"))

        assert record(folder)["evaluation"] == {"settings": {"max_pixels": PIXELS}, "note": ""}
        assert run["model"]["settings"]["max_pixels"] == PIXELS
        assert f"note: mini/ takes no max_pixels={PIXELS}, which the model was trained with" in said

    def test_puts_the_results_into_the_card(self, loop: tuple[Path, int, str, str]) -> None:
        folder, *_ = loop
        card = (folder / "README.md").read_text(encoding="utf-8")

        assert "Not evaluated yet" not in card
        assert card.count("<!-- results -->") == 1
        assert "| tuned " in card
        assert str(folder.parent) not in card

    def test_goes_on_with_the_evaluation_where_the_model_stands(
        self, loop: tuple[Path, int, str, str], drawn: Path, monkeypatch: pytest.MonkeyPatch
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
