"""Methods as values and in files, and one training on several processes by accelerate."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness_mirage import harness_trainers
from harness_mirage.launching import alone, asked_as_text, asked_of_text, launch, main_process
from harness_mirage.methods import METHODS, MULTIMODAL, Method
from harness_mirage.written import method_in, method_of

from harness import BadData, HarnessError, Training, UnknownName
from tests.training.trained import QUICK, called, data, record, words

ONE = {"layout": "mis"}
TWO = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 2\n"


def method(**values: Any) -> Method:
    return method_of({"name": "own", "description": "of a test", "ingredients": [ONE], **values}, "own.yaml")


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

        assert asked_of_text(asked_as_text(method, asked)) == (method, replace(asked, launch=""))


class TestAMethodInAFile:
    def test_is_named_by_the_file_and_trains_the_papers_parts(self, tmp_path: Path) -> None:
        own = tmp_path / "My Pairs.yaml"
        own.write_text("ingredients: [{layout: mis, count: 5}]\n", encoding="utf-8")

        found = method_in(own)
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
        ("key", "value"), [("name", 3), ("trained", "language"), ("recipe", None), ("name", "A b")]
    )
    def test_is_refused_where_a_value_is_of_another_kind(self, key: str, value: object) -> None:
        with pytest.raises(BadData, match=r"own\.yaml"):
            method(**{key: value})

    def test_must_be_a_mapping(self, tmp_path: Path) -> None:
        own = tmp_path / "own.yaml"
        own.write_text("- mis\n", encoding="utf-8")

        with pytest.raises(BadData, match="a method is a mapping"):
            method_in(own)


class TestSeveralProcesses:
    def test_are_told_apart_by_their_rank(self) -> None:
        assert main_process({})
        assert main_process({"RANK": "0"})
        assert not main_process({"RANK": "1"})

    def test_are_none_without_a_launch_so_one_gpu_is_seen(self) -> None:
        assert alone({}) == {"CUDA_VISIBLE_DEVICES": "0"}
        assert alone({"CUDA_VISIBLE_DEVICES": "2,3"}) == {"CUDA_VISIBLE_DEVICES": "2"}
        assert alone({"CUDA_VISIBLE_DEVICES": ""}) == {"CUDA_VISIBLE_DEVICES": ""}
        assert alone({"WORLD_SIZE": "8"}) == {}

    def test_on_several_nodes_want_to_know_which_one_this_is(self, tmp_path: Path) -> None:
        asked = Training(model="m", data={}, out=tmp_path / "out", launch="fsdp-nodes")

        with pytest.raises(HarnessError, match="NODE_RANK, MASTER_ADDR, MASTER_PORT"):
            launch(METHODS[0], asked)

    def test_by_a_configuration_that_is_not_there_name_the_nearest(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="fsdp-8"):
            launch(METHODS[0], Training(model="m", data={}, out=tmp_path / "out", launch="fsdp-9"))

    def test_end_when_one_is_killed_leave_no_model_and_go_on_from_the_checkpoint(self, tmp_path: Path) -> None:
        drawn, out, two = data(tmp_path / "data"), tmp_path / "out", tmp_path / "two.yaml"
        two.write_text(TWO, encoding="utf-8")
        more = ("-S", "device=cpu", "-S", "save_every=5", "--launch", str(two), "--set", "epochs=30")
        asked = words(drawn, out, *QUICK, *more)

        code, said = ended_by_a_kill([sys.executable, "-m", "harness", *asked], tmp_path / "out.partial")
        assert code == 2
        assert "a process of the training ended early" in said
        assert "Traceback" not in said
        assert not out.exists()

        code, _, said = called(asked)
        assert code == 0, said
        told = record(out)["training"]
        assert told["resumed_from"] >= 5
        assert told["steps"] == 90
        lines = (out / "history.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 90


def ended_by_a_kill(command: list[str], scratch: Path) -> tuple[int, str]:
    """Kill the second process of a training once it has a checkpoint -> exit code and stderr of the first."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        while not any(scratch.glob("checkpoints/*/whole")) and started.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(0.1)
        for child in psutil.Process(started.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.environ().get("RANK") == "1":
                    child.kill()
        _, said = started.communicate()
    return started.returncode, said
