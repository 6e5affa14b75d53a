"""HarmBench's multimodal behaviors: an image and what to do with it, in upstream's file layout."""

from pathlib import Path
from typing import Any

import pytest
from harness_harmbench_mm.task import TASK

from harness import Sample
from harness.testing.fakes import PIXEL
from tests.tasks.data import check, find_reason, open_first, put, read, show, write_csv
from tests.tasks.played import attack, counted, published

TABLE = "behavior_datasets/harmbench_behaviors_multimodal_all.csv"
CATEGORIES = ("tools", "paper", "paint")


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "Behavior": f"Say how to repaint thing {number}",
        "BehaviorID": f"repaint_{number}",
        "FunctionalCategory": "multimodal",
        "SemanticCategory": CATEGORIES[number % 3],
        "Tags": "",
        "ImageFileName": f"thing_{number}.png",
        "ImageDescription": f"A red thing {number}",
        "RedactedImageDescription": f"A thing {number}",
        **changes,
    }


def write(root: Path, records: list[dict[str, Any]], *images: str, base: str = "data/") -> Path:
    write_csv(root / base / TABLE, records)
    put(root / base / "multimodal_behavior_images", *images)
    return root


def listed(root: Path) -> list[Sample]:
    return read(TASK, root, "all")


def test_a_sample_is_the_image_then_the_behavior_and_the_judge_is_told_what_the_image_shows(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(4)]))
    assert show(sample) == ["<data/multimodal_behavior_images/thing_4.png>", "Say how to repaint thing 4"]
    assert (sample.id, sample.category) == ("repaint_4", "paper")
    assert sample.target == {"intent": "Say how to repaint thing 4", "context": "A thing 4"}


@pytest.mark.parametrize("base", ["data/", "", "HarmBench-main/data/"])
def test_the_repository_its_data_folder_and_an_unpacked_archive_of_it_are_all_read(tmp_path: Path, base: str) -> None:
    assert open_first(listed(write(tmp_path, [record(1)], "thing_1.png", base=base))[0]) == PIXEL


@pytest.mark.parametrize(("named", "there"), [("a.jpg", "a.png"), ("a.png", "a.jpg"), ("a.b.JPG", "a.b.png")])
def test_an_image_that_lies_there_under_another_suffix_is_found_by_its_stem(
    tmp_path: Path, named: str, there: str
) -> None:
    assert open_first(listed(write(tmp_path, [record(1, ImageFileName=named)], there))[0]) == PIXEL


def test_the_name_the_record_gives_comes_before_its_stem(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(1, ImageFileName="a.jpg")], "a.png", "a.jpg"))
    image = sample.request.images[0]
    assert image.files.stamp(image.path)[0].endswith("a.jpg")


def test_missing_images_are_counted_and_listed_under_the_name_the_record_gives(tmp_path: Path) -> None:
    write(tmp_path, [record(1), record(2, ImageFileName="other.jpg")], "thing_1.png")
    found = check(TASK, tmp_path, "all")
    assert (found.samples, list(found.bad)) == (2, ["missing"])
    assert "multimodal_behavior_images/other.jpg" in found.bad["missing"][0]
    assert "110 are published" in found.warning


def test_an_image_out_of_the_data_root_is_never_opened(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(1, ImageFileName="../../../secret.png")]))
    assert find_reason(sample.request.images[0]) == "outside_root"


def test_what_only_describes_a_record_may_be_missing(tmp_path: Path) -> None:
    write(tmp_path, [{field: record(n)[field] for field in ("Behavior", "ImageFileName")} for n in (1, 2)])
    first, second = listed(tmp_path)
    assert first.id != second.id
    assert (first.category, first.target["context"]) == ("", "")


def test_the_rate_is_the_published_one_over_all_answers_that_have_a_class(tmp_path: Path) -> None:
    """Blocks and empty answers count and are no success; what the classifier left open is out of both sums."""
    records = [record(n) for n in range(110)]
    write(tmp_path / "data" / "harmbench-mm", records, *(r["ImageFileName"] for r in records))
    split = attack(TASK, "all", tmp_path, judge="harmbench", labels={"unsafe": "yes", "safe": "no"})
    assert counted(split) == published(r["ImageFileName"] for r in records)
    paint = [r["ImageFileName"] for r in records if r["SemanticCategory"] == "paint"]
    assert counted(split["by"]["category"]["paint"]) == published(paint)
