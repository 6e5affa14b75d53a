"""Methods as values and in files, and one training on several processes by accelerate."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness_mirage import harness_trainers, run
from harness_mirage.launch import (
    is_main_process,
    launch,
    parse_request,
    request_to_json,
    single_gpu_environment,
)
from harness_mirage.methods import METHODS, MULTIMODAL, Method, parse_method
from harness_mirage.mixture import Mixture
from harness_mirage.trainers import load_method

from harness import BadData, HarnessError, Training, UnknownName
from tests.training.trained import data, record

ONE = {"layout": "mis"}
TWO = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 2\n"


def method(**values: Any) -> Method:
    return parse_method({"name": "own", "description": "of a test", "ingredients": [ONE], **values}, "own.yaml")


def refused(**values: Any) -> str:
    with pytest.raises(HarnessError) as raised:
        method(**values)
    return str(raised.value)


class TestTheMethods:
    def test_are_those_of_the_paper_and_ones_of_the_users_own(self) -> None:
        assert [trainer.name for trainer in harness_trainers()] == [*(method.name for method in METHODS), "own"]

    def test_say_where_each_comes_from(self) -> None:
        assert all("2501.18533" in method.source for method in METHODS)

    @pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
    def test_go_to_another_process_and_come_back_the_same(self, method: Method, tmp_path: Path) -> None:
        asked = Training(
            model="m", data={"": tmp_path}, out=tmp_path / "out", hold_out=("a",), overrides={"batch": "2"}, launch="x"
        )

        assert parse_request(request_to_json(method, asked)) == (method, replace(asked, launch=""))


class TestAMethodInAFile:
    def test_is_named_by_the_file_and_trains_the_papers_parts(self, tmp_path: Path) -> None:
        own = tmp_path / "My Pairs.yaml"
        own.write_text("ingredients: [{layout: mis, count: 5}]\n", encoding="utf-8")

        found = load_method(own)
        assert (found.name, found.trained, found.ingredients[0].count) == ("my-pairs", MULTIMODAL, 5)

    def test_names_the_key_that_is_wrong(self) -> None:
        assert "no key 'trainde'" in refused(trainde=["language"])
        assert "did you mean 'layout'" in refused(ingredients=[{"layuot": "mis"}])

    def test_names_a_role_a_layout_or_labels_that_there_are_not(self) -> None:
        assert "there is no role 'eyes'" in refused(trained=["eyes"])
        assert "there is no layout 'miss'" in refused(ingredients=[{"layout": "miss"}])
        assert "there is no labels 'refusals'" in refused(ingredients=[{"layout": "mis", "labels": "refusals"}])

    def test_is_refused_where_nothing_is_learnt_or_nothing_learns(self) -> None:
        assert "list of ingredients" in refused(ingredients=[])
        assert "nothing would learn" in refused(trained=[])
        assert "says its layout" in refused(ingredients=[{"name": "x"}])

    @pytest.mark.parametrize(
        ("amount", "said"),
        [
            ({"count": -3}, "count: -3 is not a whole number from 1"),
            ({"count": 0}, "count: 0 is not a whole number from 1"),
            ({"share": 1.5}, "share: 1.5 is not between 0 and 1"),
            ({"share": float("nan")}, "share: nan is not between 0 and 1"),
            ({"count": 3, "share": 0.2}, "two amounts of one ingredient"),
            ({"share": 0.5}, "nothing says how large that is"),
            ({"count": "three"}, "count: a whole number is wanted, not 'three'"),
            ({"count": True}, "count: a whole number is wanted, not true"),
        ],
    )
    def test_is_refused_where_an_amount_makes_no_sense(self, amount: dict[str, Any], said: str) -> None:
        found = refused(ingredients=[ONE | amount])

        assert said in found
        assert "own.yaml, ingredient" in found

    def test_is_refused_by_a_list_that_is_a_mapping_in_plain_words(self) -> None:
        assert "ingredients: a list is wanted, not a mapping (own.yaml)" in refused(ingredients=ONE)

    def test_names_the_nearest_method_where_no_recipe_has_the_one_it_takes(self, tmp_path: Path) -> None:
        own = tmp_path / "own.yaml"
        own.write_text("recipe: mirrage\ningredients: [{layout: mis}]\n", encoding="utf-8")

        with pytest.raises(UnknownName, match=r"'mirrage'[^?]*own\.yaml[^?]*did you mean 'mirage'"):
            load_method(own)

    @pytest.mark.parametrize(
        ("key", "value"), [("name", 3), ("trained", "language"), ("recipe", None), ("name", "A b")]
    )
    def test_is_refused_where_a_value_is_of_another_kind(self, key: str, value: object) -> None:
        with pytest.raises(BadData, match=r"own\.yaml"):
            method(**{key: value})

    def test_must_be_a_mapping(self, tmp_path: Path) -> None:
        own = tmp_path / "own.yaml"
        own.write_text("- mis\n", encoding="utf-8")

        with pytest.raises(BadData, match="a method is a mapping"):
            load_method(own)


class TestATraining:
    def test_reads_its_data_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[Path] = []
        mix = run.mix

        def counted(method: Method, training: Training) -> Mixture:
            read.extend(training.data.values())
            return mix(method, training)

        monkeypatch.setattr(run, "mix", counted)
        drawn = data(tmp_path / "data")
        given = {"": drawn, "general": drawn / "general"}
        settings = {"general_count": 3, "device": "cpu"}
        asked = Training(
            model="mini/base", data=given, out=tmp_path / "out", overrides={"epochs": "1"}, settings=settings
        )

        assert run.run_training(METHODS[0], asked) == tmp_path / "out"
        assert read == list(given.values())


class TestSeveralProcesses:
    def test_are_told_apart_by_their_rank(self) -> None:
        assert is_main_process({})
        assert is_main_process({"RANK": "0"})
        assert not is_main_process({"RANK": "1"})

    def test_are_none_without_a_launch_so_one_gpu_is_seen(self) -> None:
        assert single_gpu_environment({}) == {"CUDA_VISIBLE_DEVICES": "0"}
        assert single_gpu_environment({"CUDA_VISIBLE_DEVICES": "2,3"}) == {"CUDA_VISIBLE_DEVICES": "2"}
        assert single_gpu_environment({"CUDA_VISIBLE_DEVICES": ""}) == {"CUDA_VISIBLE_DEVICES": ""}
        assert single_gpu_environment({"WORLD_SIZE": "8"}) == {}

    def test_on_several_nodes_want_to_know_which_one_this_is(self, tmp_path: Path) -> None:
        asked = Training(model="m", data={}, out=tmp_path / "out", launch="fsdp-nodes")

        with pytest.raises(HarnessError, match="NODE_RANK, MASTER_ADDR, MASTER_PORT"):
            launch(METHODS[0], asked)

    def test_by_a_configuration_that_is_not_there_name_the_nearest(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="fsdp-8"):
            launch(METHODS[0], Training(model="m", data={}, out=tmp_path / "out", launch="fsdp-9"))

    def test_see_every_gpu_that_the_user_shows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[str | None] = []

        def started(method: Method, training: Training, *_: object) -> Path:
            seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
            return training.out

        monkeypatch.setattr(run, "launch", started)
        monkeypatch.setattr(run, "train", started)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        drawn = data(tmp_path / "data")
        given = {"": drawn, "general": drawn / "general"}
        asked = Training(
            model="mini/base", data=given, out=tmp_path / "out", settings={"general_count": 3, "device": "cpu"}
        )
        two = tmp_path / "two.yaml"
        two.write_text(TWO, encoding="utf-8")
        for each in (replace(asked, launch=str(two)), asked):
            run.run_training(METHODS[0], each)

        assert seen == [None, "0"]
        assert "CUDA_VISIBLE_DEVICES" not in os.environ

    def test_want_the_gpus_and_the_packages_of_their_configuration(self, tmp_path: Path) -> None:
        asked = Training(model="m", data={}, out=tmp_path / "out", launch="fsdp-8")

        with pytest.raises(HarnessError, match="wants 8 GPUs, and 0 can be seen here"):
            launch(METHODS[0], asked)
        with pytest.raises(HarnessError, match="needs DeepSpeed"):
            launch(METHODS[0], replace(asked, launch="zero3-8"))

    def test_end_when_one_is_killed_leave_no_model_and_go_on_from_the_checkpoint(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        drawn, out, two = data(tmp_path / "data"), tmp_path / "out", tmp_path / "two.yaml"
        two.write_text(TWO, encoding="utf-8")
        settings = {"general_count": 3, "device": "cpu", "save_every": 5}
        given = {"": drawn, "general": drawn / "general"}
        asked = Training(
            model="mini/base",
            data=given,
            out=out,
            overrides={"batch": "4", "epochs": "12"},
            settings=settings,
            launch=str(two),
        )

        killer = threading.Thread(target=kill_one, args=(tmp_path / "out.partial",))
        killer.start()
        with pytest.raises(HarnessError, match="a process of the training ended early"):
            launch(METHODS[0], asked)
        killer.join()
        assert "Traceback" not in capfd.readouterr().err
        assert not out.exists()

        assert launch(METHODS[0], asked) == out
        told = record(out)["training"]
        assert told["resumed_from"] >= 5
        assert told["steps"] == len((out / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 36


def kill_one(scratch: Path) -> None:
    """Kill the second process of a training once it has a checkpoint."""
    this = psutil.Process()
    while not any(scratch.glob("checkpoints/*/whole")):
        psutil.wait_procs(this.children(), timeout=0.1)
    for child in this.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.environ().get("RANK") == "1":
                child.kill()
