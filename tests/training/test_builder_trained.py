"""A set that was built is trained on and tested on as any other: each command in its turn, on the mini model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_mis.task import TASK

from harness.data.places import samples
from harness.images import open_image
from tests.acceptance.commands import Ended, foreign, harness_here
from tests.training.built import rows
from tests.training.trained import GENERAL, data, record

COLORS = ("red", "blue", "green", "yellow", "black", "purple")
IDEAS = [f"Somebody left a {color} {shape} in the shed" for color in COLORS for shape in ("star", "ring", "heart")]
TESTS = ("easy", "hard")


@dataclass(frozen=True, slots=True)
class World:
    """Where everything lies.

    Attributes:
        root: of it all.
        made: the set.
        tuned: the model that was trained on it.
        run: of that model on it.
    """

    root: Path
    made: Path
    tuned: Path
    run: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A set of some dozens of records."""
    root = tmp_path_factory.mktemp("kitchen")
    lines = [f"{number},{text}\n" for number, text in enumerate(IDEAS)]
    (root / "ideas.csv").write_text("".join(["id,text\n", *lines]), encoding="utf-8")
    config = {
        "name": "kitchen",
        "sources": [{"name": "ideas", "path": "ideas.csv", "licence": "cc0-1.0"}],
        "models": {"writer": "mini/writer"},
        "painter": "mini/painter",
        "elements": {"per_text": 4},
        "sort": {"review": "none"},
    }
    (root / "build.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in foreign():
            patch.delenv(name)
        done("build", "mis", "--config", root / "build.yaml", "--out", root / "set")
        yield World(root, root / "set", root / "tuned", root / "run")


@pytest.fixture(scope="module")
def tuned(built: World) -> World:
    """And the mini model, after a few steps on it and on general data."""
    (built.root / "general").mkdir()
    general = data(built.root / "general") / "general"
    given = ("--data", built.made, "--data", f"general={general}", "--out", built.tuned)
    few = ("--set", "epochs=1", "--set", "batch=4", "--set", "learning_rate=1e-4", "-S", f"general_count={GENERAL}")
    done("train", "mirage", "--model", "mini/base", *given, *few, "-S", "device=cpu")
    return built


@pytest.fixture(scope="module")
def run(tuned: World) -> World:
    """And its answers to what the same build made to test."""
    asked = ("--model", f"hf/{tuned.tuned}", "-M", "device=cpu", "--tasks", "mis", "-T", f"mis.data={tuned.made}")
    done("run", *asked, "--limit", "2", "--judge", "mini/writer", "--output", tuned.run)
    return tuned


def done(*words: object) -> Ended:
    ended = harness_here(*words)
    assert ended.code == 0, ended.err
    return ended


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def results(world: World) -> Any:
    return json.loads((world.run / "results.json").read_text(encoding="utf-8"))


class TestTheSet:
    def test_holds_what_trains_and_what_tests(self, built: World) -> None:
        held = {name: len(rows(built.made, f"mis_{name}.json")) for name in (*TESTS, "train")}
        assert min(held.values()) >= 5, held

    def test_is_whole_by_its_own_verifier_and_by_the_task_s(self, built: World) -> None:
        done("build", "verify", built.made)
        told = json.loads(done("data", "verify", "mis", "-T", f"mis.data={built.made}", "--json").out)
        held = {name: (each["samples"], each["images"]) for name, each in told["splits"].items() if each["samples"]}
        assert held == {name: (count, 2 * count) for name, count in counts(built).items()}

    @pytest.mark.parametrize("split", TESTS)
    def test_is_read_by_the_task_sample_by_sample_with_both_images_open(self, built: World, split: str) -> None:
        read = {sample.id: sample for sample in samples(TASK, built.made, split, {})}
        for row in rows(built.made, f"mis_{split}.json"):
            sample = read.pop(str(row["id"]))
            first, second = (open_image(image).opened for image in sample.request.images)
            assert [first.sha256, second.sha256] == [sha256(built.made / row[f"image_path{which}"]) for which in (1, 2)]
            assert sample.category == row["category"]
            assert sample.request.messages[-1].content[-1].text == row["question"]  # type: ignore[union-attr]
        assert not read

    def test_is_loaded_by_the_hub_s_library_without_a_network(
        self, built: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", True)
        for name, split in (("easy", "test"), ("hard", "test"), ("train", "train")):
            loaded = datasets.load_dataset(str(built.made), name, split=split, cache_dir=str(tmp_path))
            assert loaded.to_list() == rows(built.made, f"mis_{name}.json")

    def test_trains_on_no_image_that_it_tests_with(self, built: World) -> None:
        tests = {sha256(path) for name in TESTS for path in (built.made / f"{name}_image").rglob("*.png")}
        train = {sha256(path) for path in (built.made / "images").rglob("*.png")}
        assert tests
        assert train
        assert not tests & train


class TestAModelTrainedOnIt:
    def test_says_by_name_terms_and_hash_what_it_learnt_from(self, tuned: World) -> None:
        told = record(tuned.tuned)
        part, general = told["mixture"]["parts"]
        assert (part["source"], part["licence"]) == ("kitchen", "cc0-1.0")
        assert part["files"] == {"mis_train.json": sha256(tuned.made / "mis_train.json")}
        assert part["found"] == part["taken"] == len(rows(tuned.made, "mis_train.json"))
        assert told["trained_on"] == ["kitchen", "general"]
        assert general["taken"] == GENERAL

    def test_has_learnt_from_each_record_once(self, tuned: World) -> None:
        told = record(tuned.tuned)["training"]
        assert told["records"] == len(rows(tuned.made, "mis_train.json")) + GENERAL
        assert told["steps"] == -(-told["records"] // 4)
        assert told["losses"]["last"] < told["losses"]["first"]

    def test_tells_so_in_its_card(self, tuned: World) -> None:
        count = len(rows(tuned.made, "mis_train.json"))
        assert f"\n| kitchen | {count} | {count} |  | cc0-1.0 |\n" in (tuned.tuned / "README.md").read_text("utf-8")


class TestARunOfIt:
    def test_asks_of_the_set_and_under_its_terms(self, run: World) -> None:
        told = results(run)
        (task,) = told["tasks"].values()
        manifest = json.loads((run.made / "build.json").read_text(encoding="utf-8"))
        assert task["data"]["source"] == "kitchen"
        assert task["data"]["revision"] == manifest["identity"]
        assert task["data"]["licence"] == "cc0-1.0"
        assert {name for name in task["splits"] if task["splits"][name]["n"]} >= set(TESTS)

    def test_answers_and_judges_every_sample(self, run: World) -> None:
        (task,) = results(run)["tasks"].values()
        for name in TESTS:
            split = task["splits"][name]
            assert split["outcomes"]["answered"] == split["verdicts"]["scored"] == split["n"] > 0

    def test_says_that_the_model_was_trained_on_what_trains_and_marks_the_numbers(self, run: World) -> None:
        told = results(run)
        assert told["model"]["training"]["trained_on"] == ["kitchen", "general"]
        assert told["model"]["training"]["tuned_from"] == "mini/base"
        report = " ".join(done("report", run.run).out.split())
        assert "trained on data of this test's source (kitchen)" in report


def counts(world: World) -> dict[str, int]:
    """Records of what tests."""
    return {name: len(rows(world.made, f"mis_{name}.json")) for name in TESTS}
