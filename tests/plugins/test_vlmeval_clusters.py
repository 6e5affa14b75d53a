"""Which samples are resampled together: questions about one image, and a question with its unanswerable twin."""

import base64
import random
from itertools import groupby
from pathlib import Path

import pytest
from harness_vlmeval.samples import find_twins

from harness import Sample
from harness.drawings import draw, png
from tests.plugins.vlmeval_asking import zoo
from tests.plugins.vlmeval_sets import choices, listed, run, split, write, yes_no

__all__ = ["zoo"]
pytestmark = pytest.mark.usefixtures("zoo")


def cell(shape: str) -> str:
    return base64.b64encode(png(draw("red", shape, random.Random(shape)))).decode()


CELLS = [cell(shape) for shape in ("circle", "star", "heart")]


def runs_of(found: list[Sample]) -> list[tuple[str, list[str]]]:
    """Clusters in the order in which they come, each as often as it is met, with its samples."""
    grouped = groupby(found, key=lambda sample: sample.cluster or sample.id)
    return [(key, [sample.id for sample in samples]) for key, samples in grouped]


def test_popes_questions_about_one_image_are_a_cluster_wherever_the_file_has_them(tmp_path: Path) -> None:
    write(tmp_path / "POPE.tsv", yes_no(9, image=lambda n: CELLS[n % 3]))
    found = runs_of(listed("pope", "random", tmp_path))
    assert [ids for _, ids in found] == [["0", "3", "6"], ["1", "4", "7"], ["2", "5", "8"]]
    assert len({key for key, _ in found}) == 3


def test_popes_intervals_count_images_also_where_its_three_sets_are_pooled(tmp_path: Path) -> None:
    sets = "adversarial,popular,random"
    rows = yes_no(12, image=lambda n: CELLS[n % 3], category=lambda _: sets)
    write(tmp_path / "data" / "pope" / "POPE.tsv", rows)
    found = run(tmp_path, "pope:test", lambda _: "yes")
    for name, n in (("random", 12), ("popular", 12), ("adversarial", 12), ("test", 36)):
        there = split(found, "pope", name)
        assert (there["n"], there["metrics"]["accuracy"]["clusters"]) == (n, 3)


def test_the_open_set_clusters_other_yes_or_no_sets_by_image_too(tmp_path: Path) -> None:
    write(tmp_path / "POPE.tsv", yes_no(6, image=lambda n: CELLS[n % 2]))
    assert [ids for _, ids in runs_of(listed("vlmeval", "POPE", tmp_path))] == [["0", "2", "4"], ["1", "3", "5"]]


def test_an_image_that_cannot_be_read_joins_no_cluster(tmp_path: Path) -> None:
    write(tmp_path / "POPE.tsv", yes_no(4, image=lambda n: "?" if n % 2 else CELLS[0]))
    assert [ids for _, ids in runs_of(listed("pope", "random", tmp_path))] == [["0", "2"], ["1"], ["3"]]


def test_a_muirbench_question_and_its_unanswerable_twin_are_a_cluster(tmp_path: Path) -> None:
    twin = {0: "14.0", 4: "10", 1: "13.0"}  # the last by one of the two alone; a column with gaps has .0
    rows = choices(6, idx=lambda n: 10 + n, counterpart_idx=lambda n: twin.get(n, ""))
    write(tmp_path / "data" / "muirbench" / "MUIRBench.tsv", rows)
    found = run(tmp_path, "muirbench:test", lambda _: "A")
    assert split(found, "muirbench", "test")["metrics"]["accuracy"]["clusters"] == 4
    listing = runs_of(listed("muirbench", "test", tmp_path / "data" / "muirbench"))
    assert [ids for _, ids in listing] == [["0", "4"], ["1", "3"], ["2"], ["5"]]


def test_without_its_column_of_twins_each_muirbench_question_stands_alone(tmp_path: Path) -> None:
    write(tmp_path / "MUIRBench.tsv", choices(3))
    assert [sample.cluster for sample in listed("muirbench", "test", tmp_path)] == ["", "", ""]


def test_a_counterpart_that_is_not_in_the_file_makes_no_pair() -> None:
    assert (
        find_twins([{"id": "0", "number": "0", "counterpart": "-1"}, {"id": "1", "number": "1", "counterpart": "-1"}])
        == {}
    )
