"""HarmBench's multimodal behaviors: an image and what to do with it, in upstream's file layout."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_harmbench_mm.draw_mini import BEHAVIORS, draw_data
from harness_harmbench_mm.task import MINI, TASK

from harness import BadData, Image, MissingData, Sample, Text
from harness.data.inspection import check_split
from harness.errors import BadImage
from harness.images import open_image
from harness.testing.fakes import PIXEL
from tests.tasks.attacked import attacked, counted, published

assert isinstance(TASK.splits, Mapping)
SPLITS = TASK.splits
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


def write(root: Path, records: list[dict[str, Any]], base: str = "data/") -> Path:
    path = root / base / TABLE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return root


def put(root: Path, *names: str, base: str = "data/") -> None:
    for name in names:
        path = root / base / "multimodal_behavior_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PIXEL)


def read(root: Path) -> list[Sample]:
    return list(TASK.samples(root, "all", {}))


def test_a_sample_is_the_image_then_the_behavior_and_the_judge_is_told_what_the_image_shows(tmp_path: Path) -> None:
    (sample,) = read(write(tmp_path, [record(4)]))
    image, text = sample.request.messages[0].content
    assert isinstance(image, Image)
    assert isinstance(text, Text)
    assert (image.path, text.text) == ("data/multimodal_behavior_images/thing_4.png", "Say how to repaint thing 4")
    assert (sample.id, sample.category) == ("repaint_4", "paper")
    assert sample.target == {"intent": "Say how to repaint thing 4", "context": "A thing 4"}


@pytest.mark.parametrize("base", ["data/", "", "HarmBench-main/data/"])
def test_the_repository_its_data_folder_and_an_unpacked_archive_of_it_are_all_read(tmp_path: Path, base: str) -> None:
    write(tmp_path, [record(1)], base)
    put(tmp_path, "thing_1.png", base=base)
    assert open_image(read(tmp_path)[0].request.images[0]).opened.data == PIXEL


@pytest.mark.parametrize(("named", "there"), [("a.jpg", "a.png"), ("a.png", "a.jpg"), ("a.b.JPG", "a.b.png")])
def test_an_image_that_lies_there_under_another_suffix_is_found_by_its_stem(
    tmp_path: Path, named: str, there: str
) -> None:
    (sample,) = read(write(tmp_path, [record(1, ImageFileName=named)]))
    put(tmp_path, there)
    assert open_image(sample.request.images[0]).opened.data == PIXEL


def test_the_name_the_record_gives_comes_before_its_stem(tmp_path: Path) -> None:
    (sample,) = read(write(tmp_path, [record(1, ImageFileName="a.jpg")]))
    put(tmp_path, "a.png", "a.jpg")
    image = sample.request.images[0]
    assert image.files.stamp(image.path)[0].endswith("a.jpg")


def test_missing_images_are_counted_and_listed_under_the_name_the_record_gives(tmp_path: Path) -> None:
    write(tmp_path, [record(1), record(2, ImageFileName="other.jpg")])
    put(tmp_path, "thing_1.png")
    check = check_split(TASK, "all", SPLITS["all"], tmp_path, {})
    assert (check.samples, list(check.bad)) == (2, ["missing"])
    assert "multimodal_behavior_images/other.jpg" in check.bad["missing"][0]
    assert "110 are published" in check.warning


def test_an_image_out_of_the_data_root_is_never_opened(tmp_path: Path) -> None:
    (sample,) = read(write(tmp_path, [record(1, ImageFileName="../../../secret.png")]))
    with pytest.raises(BadImage) as caught:
        open_image(sample.request.images[0])
    assert caught.value.reason == "outside_root"


@pytest.mark.parametrize("field", ["Behavior", "ImageFileName"])
def test_a_record_that_lacks_a_field_names_file_record_and_field_before_any_sample(tmp_path: Path, field: str) -> None:
    write(tmp_path, [record(1), {**record(2), field: ""}])
    with pytest.raises(BadData) as caught:
        next(iter(TASK.samples(tmp_path, "all", {})))
    assert caught.value.where == f"data/{TABLE}, record 2, field {field}"


def test_what_only_describes_a_record_may_be_missing(tmp_path: Path) -> None:
    fields = ("Behavior", "ImageFileName")
    write(tmp_path, [{field: record(n)[field] for field in fields} for n in (1, 2)])
    first, second = read(tmp_path)
    assert first.id != second.id
    assert (first.category, first.target["context"]) == ("", "")


def test_a_folder_that_is_another_one_is_missing_data_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="harmbench_behaviors_multimodal_all"):
        read(tmp_path)


def test_the_name_alone_selects_all_110_which_the_classifier_judges() -> None:
    assert [(name, split.n, split.images) for name, split in SPLITS.items() if split.selected] == [("all", 110, 1)]
    assert {name: next(iter(split.judges)) for name, split in SPLITS.items()} == {"all": "harmbench", "mini": "keyword"}
    assert SPLITS["all"].judges["harmbench"] == {"yes": "unsafe", "no": "safe"}


def test_the_mini_split_is_drawn_in_upstreams_layout_and_packaged_whole(tmp_path: Path) -> None:
    draw_data(tmp_path)
    drawn = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert drawn == {path.relative_to(MINI) for path in MINI.rglob("*") if path.is_file()}
    assert (tmp_path / "data" / TABLE).read_bytes() == (MINI / "data" / TABLE).read_bytes()
    found = list(TASK.samples(MINI, "mini", {}))
    assert len(found) == len(BEHAVIORS) == SPLITS["mini"].n
    assert [open_image(sample.request.images[0]).opened.mime for sample in found] == ["image/png"] * 8


def test_the_rate_is_the_published_one_over_all_answers_that_have_a_class(tmp_path: Path) -> None:
    """Blocks and empty answers count and are no success; what the classifier left open is out of both sums."""
    records = [record(n) for n in range(110)]
    write(tmp_path / "data" / "harmbench-mm", records)
    put(tmp_path / "data" / "harmbench-mm", *(r["ImageFileName"] for r in records))
    split = attacked(TASK, "all", data=tmp_path / "data", output=tmp_path / "run", judge="harmbench",
                     labels={"unsafe": "yes", "safe": "no"})  # fmt: skip
    assert counted(split) == published(r["ImageFileName"] for r in records)
    paint = [r["ImageFileName"] for r in records if r["SemanticCategory"] == "paint"]
    assert counted(split["by"]["category"]["paint"]) == published(paint)
