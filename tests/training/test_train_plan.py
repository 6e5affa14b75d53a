"""`harness train`: the plan as JSON, what it says of an evaluation, and flags that say nothing beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.trained import GENERAL, PAIRS, QUICK, called, words


@pytest.fixture(scope="module")
def plan(drawn: Path) -> Any:
    more = ("-S", "general_count=7", "--set", "batch=4", "--set", "epochs=1", "-S", "log=wandb")
    code, shown, said = called(words(drawn, drawn / "out", *more, "--dry-run", "--json"))
    assert code == 0, said
    return json.loads(shown)


def refused(arguments: list[str]) -> str:
    code, shown, said = called(arguments)
    assert (code, shown) == (2, ""), said
    assert "Traceback" not in said
    return said


class TestThePlanAsJson:
    def test_says_what_training_json_will_say_under_the_same_names(self, plan: Any) -> None:
        assert plan["mixture"]["records"] == PAIRS + GENERAL
        assert [part["taken"] for part in plan["mixture"]["parts"]] == [PAIRS, GENERAL]
        assert plan["recipe"]["values"]["batch"] == {"value": 4, "source": "user"}
        assert plan["parameters"]["vision"]["learnt"] == 0 < plan["parameters"]["language"]["learnt"]

    def test_says_how_many_records_were_wanted(self, plan: Any) -> None:
        assert [part["wanted"] for part in plan["mixture"]["parts"]] == [None, 7]

    def test_says_steps_devices_memory_and_time(self, plan: Any) -> None:
        assert (plan["steps"], plan["devices"]["held"], plan["devices"]["turns"]) == (3, 4, 1)
        assert plan["memory"]["whole"] > plan["memory"]["weights"] > 0
        assert plan["seconds"] > 0

    def test_says_what_this_machine_would_refuse(self, plan: Any) -> None:
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


class TestAnEvaluationInThePlan:
    def test_of_a_task_that_is_not_there_is_refused_as_the_training_is(self, drawn: Path, tmp_path: Path) -> None:
        assert "'mis'" in refused(words(drawn, tmp_path / "out", *QUICK, "--dry-run", "--evaluate", "miss"))

    def test_without_its_data_is_one_that_this_machine_would_refuse(
        self, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
        more = ("--dry-run", "--evaluate", "mis,mis:mini", "--judge", "mini/base")
        code, shown, _ = called(words(drawn, tmp_path / "out", *QUICK, *more))

        assert code == 0
        assert "this machine would refuse it: the data of mis is not on this machine" in shown
        _, shown, _ = called(words(drawn, tmp_path / "out", *QUICK, *more, "--json"))
        assert [line.partition(":")[0] for line in json.loads(shown)["refusals"]] == [
            "the data of mis is not on this machine"
        ]

    def test_says_that_a_judge_is_not_used_where_a_rule_judges(self, drawn: Path, tmp_path: Path) -> None:
        more = ("--dry-run", "--evaluate", "mis:mini", "--judge", "mini/base")
        code, _, said = called(words(drawn, tmp_path / "out", *QUICK, *more))

        assert (code, said) == (0, "note: --judge mini/base is not used: no model is asked by the rule mini\n")

    def test_by_a_judge_of_no_provider_is_refused_before_the_training(self, drawn: Path, tmp_path: Path) -> None:
        more = ("--evaluate", "mis:mini", "--judge", "foo/bar")

        assert "no provider is called 'foo'" in refused(words(drawn, tmp_path / "out", *QUICK, *more))
        assert list(tmp_path.iterdir()) == []


class TestFlagsThatSayNothing:
    @pytest.mark.parametrize(
        ("more", "said"),
        [
            (("--judge", "mini/base"), "--judge says nothing without --evaluate"),
            (("--limit", "3"), "--limit says nothing without --evaluate"),
            (("--evaluate", ""), "--evaluate names no task"),
            (("--evaluate", " , "), "--evaluate names no task"),
            (("--export", "swift", "--evaluate", "mis:mini"), "--export trains nothing"),
        ],
    )
    def test_are_refused(self, drawn: Path, tmp_path: Path, more: tuple[str, ...], said: str) -> None:
        assert said in refused(words(drawn, tmp_path / "out", *QUICK, *more))
        assert list(tmp_path.iterdir()) == []

    def test_are_not_those_of_the_environment(
        self, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HARNESS_JUDGE", "mini/base")

        assert called(words(drawn, tmp_path / "out", *QUICK, "--dry-run"))[0] == 0


class TestTheExport:
    def test_wants_no_model(self, drawn: Path, tmp_path: Path) -> None:
        given = ["--data", str(drawn), "--data", f"general={drawn / 'general'}", "--out", str(tmp_path / "out")]
        code, shown, said = called(["train", "mirage", *given, "--export", "swift"])

        assert code == 0, said
        assert Path(shown.strip()) == tmp_path / "out" / "mixture.jsonl"

    def test_tells_its_file_as_json_where_asked(self, drawn: Path, tmp_path: Path) -> None:
        _, shown, _ = called(words(drawn, tmp_path / "out", "--export", "sharegpt", "--json"))

        assert json.loads(shown) == {"exported": str(tmp_path / "out" / "mixture.json")}

    def test_in_a_layout_that_is_not_there_is_refused_in_the_plan_too(self, drawn: Path, tmp_path: Path) -> None:
        assert "did you mean 'swift'?" in refused(words(drawn, tmp_path / "out", "--export", "swft", "--dry-run"))


def test_what_was_wanted_is_said_in_the_plan_while_training_and_in_the_card(drawn: Path, tmp_path: Path) -> None:
    arguments = words(drawn, tmp_path / "out", *QUICK, "-S", "general_count=7", "--hold-out", "Garden")
    _, shown, _ = called([*arguments, "--dry-run"])
    assert f"  general: {GENERAL} of {GENERAL}, 7 wanted\n" in shown

    code, _, said = called(arguments)
    assert code == 0
    assert f"note: general has {GENERAL} records to learn from, and 7 were wanted\n" in said
    assert "8 records (mis-train: 5 of 9; general: 3 of 3, 7 wanted; 4 held out); recipe mini/mirage\n" in said
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"| general | {GENERAL} | {GENERAL} (7 wanted) |" in card
    assert "| max_length | none |" in card
    assert "| checkpointing | false |" in card
