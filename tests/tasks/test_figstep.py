"""FigStep: a list drawn as an image, whole or in pieces, in upstream's file layout."""

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_figstep.draw_mini import LISTS, draw_data
from harness_figstep.task import MINI, PIECES, PIN, README, SENTENCE, TASK, load_wording

from harness.data.inspection import check_split
from harness.errors import BadData, BadImage, HarnessError, MissingData
from harness.images import open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL
from harness.types import Sample, Text
from tests.tasks.attacked import attacked, counted, end_of, published

FIELDS = ("dataset", "category_id", "task_id", "category_name", "question", "instruction")
TOPICS = ("Paint", "Paper", "Wood", "Clay", "Glass", "Wool", "Stone", "Colour advice", "Shape advice", "Size advice")


def record(category: int, task: int, **changes: Any) -> dict[str, Any]:
    widget = f"widget {category}-{task}"
    return {
        "dataset": "ForbidQI",
        "category_id": category,
        "task_id": task,
        "category_name": TOPICS[(category - 1) % 10],
        "question": f"How do I make {widget}?",
        "instruction": f"Steps to make {widget}.",
        **changes,
    }


def table(records: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


def write(root: Path, records: list[dict[str, Any]], name: str = "safebench", base: str = "data/") -> Path:
    path = root / base / "question" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table(records), encoding="utf-8")
    return root


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PIXEL)


def pieces(root: Path, records: int = 50, lines: int = 50) -> Path:
    """The layout of Pro: a table, a line for each of its records, an archive of pieces."""
    write(root, [record(n // 5 + 1, n % 5 + 1) for n in range(records)], "SafeBench-Tiny")
    sentences = [{"sentence": f"Steps to make *, the {n}th."} for n in range(lines)]
    (root / "data/question/benign_sentences_without_harmful_phase.csv").write_text(table(sentences))
    put(root, "data/images/FigStep-Pro/README.md")
    with zipfile.ZipFile(root / "data/images/FigStep-Pro/sub-figures.zip", "w") as file:
        for number, count in enumerate(PIECES):
            for piece in reversed(range(int(count))):
                file.writestr(f"image_{number}_splits/image_{number}_split_{piece}.png", PIXEL)
    return root


def read(root: Path, split: str = "full", **given: str) -> list[Sample]:
    return list(TASK.samples(root, split, effective(TASK.settings, given, owner="figstep")))


def splits(root: Path = Path(), **given: str) -> Mapping[str, Any]:
    assert callable(TASK.splits)
    return TASK.splits(effective(TASK.settings, given, owner="figstep"), root)


def said(sample: Sample) -> str:
    text = sample.request.messages[0].content[-1]
    assert isinstance(text, Text)
    return text.text


def test_a_sample_is_its_image_then_one_sentence_that_is_the_same_for_all(tmp_path: Path) -> None:
    first, second = read(write(tmp_path, [record(1, 1), record(10, 50)]))
    assert [image.path for image in first.request.images] == ["data/images/SafeBench/query_ForbidQI_1_1_6.png"]
    assert [image.path for image in second.request.images] == ["data/images/SafeBench/query_ForbidQI_10_50_6.png"]
    assert said(first) == said(second) == load_wording("full", {"prompts": "own"}, tmp_path).text
    assert (second.id, second.category, second.tags) == ("10_50", "Size advice", {"topic": "advice"})


def test_what_the_image_asks_for_reaches_the_judge_alone(tmp_path: Path) -> None:
    (sample,) = read(write(tmp_path, [record(3, 7)]))
    assert sample.target == {"intent": "How do I make widget 3-7?", "instruction": "Steps to make widget 3-7."}
    assert "widget" not in said(sample)


@pytest.mark.parametrize("base", ["data/", "", "FigStep-main/data/"])
def test_the_repository_its_data_folder_and_an_unpacked_archive_of_it_are_all_read(tmp_path: Path, base: str) -> None:
    write(tmp_path, [record(1, 1)], base=base)
    put(tmp_path, f"{base}images/SafeBench/query_ForbidQI_1_1_6.png")
    (sample,) = read(tmp_path)
    assert open_image(sample.request.images[0]).opened.data == PIXEL


def test_the_archive_of_the_repository_is_read_without_unpacking_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "figstep.zip", "w") as file:
        file.writestr("FigStep-0861b17/data/question/safebench.csv", table([record(1, 1)]))
        file.writestr("FigStep-0861b17/data/images/SafeBench/query_ForbidQI_1_1_6.png", PIXEL)
    (sample,) = read(tmp_path / "figstep")
    assert open_image(sample.request.images[0]).opened.data == PIXEL


def test_tiny_has_a_table_and_images_of_its_own(tmp_path: Path) -> None:
    (sample,) = read(write(tmp_path, [record(1, 1)], "SafeBench-Tiny"), "tiny")
    assert sample.request.images[0].path == "data/images/SafeBench-Tiny/query_ForbidQI_1_1_6.png"


def test_pro_shows_all_pieces_in_their_order_with_the_records_own_line(tmp_path: Path) -> None:
    found = read(pieces(tmp_path), "pro")
    assert [len(sample.request.images) for sample in found] == [int(count) for count in PIECES]
    assert sum(map(int, PIECES)) == 181
    fourth = [Path(image.path).name for image in found[3].request.images]
    assert fourth == [f"image_3_split_{piece}.png" for piece in range(6)]
    assert said(found[3]).startswith("Steps to make *, the 3th.\n1.")
    assert SENTENCE not in said(found[3])
    assert all(open_image(image).opened.data == PIXEL for sample in found for image in sample.request.images)


def test_a_piece_that_is_lost_is_a_missing_image_and_no_shorter_prompt(tmp_path: Path) -> None:
    pieces(tmp_path)
    folder = tmp_path / "data/images/FigStep-Pro"
    with zipfile.ZipFile(folder / "sub-figures.zip") as file:
        file.extractall(folder)
    (folder / "sub-figures.zip").unlink()
    (folder / "image_0_splits" / "image_0_split_2.png").unlink()
    first, second = read(tmp_path, "pro")[:2]
    assert len(first.request.images) == 3
    with pytest.raises(BadImage) as caught:
        open_image(first.request.images[2])
    assert (caught.value.reason, caught.value.path) == (
        "missing",
        "data/images/FigStep-Pro/image_0_splits/image_0_split_2.png",
    )
    assert open_image(second.request.images[3]).opened.data == PIXEL


@pytest.mark.parametrize(("records", "lines"), [(50, 49), (49, 50), (51, 51)])
def test_pro_with_lines_that_do_not_fit_its_records_is_bad_data(tmp_path: Path, records: int, lines: int) -> None:
    with pytest.raises(BadData, match=f"{lines} lines for {records} records"):
        read(pieces(tmp_path, records, lines), "pro")


def test_missing_images_are_counted_and_listed(tmp_path: Path) -> None:
    write(tmp_path, [record(1, n) for n in (1, 2, 3)])
    put(tmp_path, "data/images/SafeBench/query_ForbidQI_1_2_6.png")
    settings = effective(TASK.settings, {}, owner="figstep")
    check = check_split(TASK, "full", splits()["full"], tmp_path, settings)
    assert (check.samples, check.published, len(check.bad["missing"])) == (3, 500, 2)
    assert "500 are published" in check.warning


@pytest.mark.parametrize("field", FIELDS[1:])
def test_a_record_that_lacks_a_field_names_file_record_and_field_before_any_sample(tmp_path: Path, field: str) -> None:
    broken: dict[str, Any] = {field: ""}
    write(tmp_path, [record(1, 1), record(1, 2, **broken)])
    with pytest.raises(BadData) as caught:
        next(iter(TASK.samples(tmp_path, "full", {"prompts": "own"})))
    assert caught.value.where == f"data/question/safebench.csv, record 2, field {field}"


def test_a_number_that_is_none_is_bad_data_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no number"):
        read(write(tmp_path, [record(1, 1, task_id="../1")]))


def test_columns_nobody_knows_are_ignored(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, [record(1, 1, note="new")]))) == 1


def test_a_folder_that_is_another_one_is_missing_data_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"data/question/safebench\.csv"):
        read(tmp_path)


def test_the_name_alone_selects_the_full_set_and_each_split_has_its_published_size() -> None:
    assert {name: (split.n, split.images, split.selected) for name, split in splits().items()} == {
        "full": (500, 1, True),
        "tiny": (50, 1, False),
        "pro": (50, 7, False),
        "mini": (8, 1, False),
    }


def test_llama_guard_comes_first_and_the_rule_in_the_mini_split() -> None:
    assert {name: next(iter(split.judges)) for name, split in splits().items()} == {
        "full": "llamaguard",
        "tiny": "llamaguard",
        "pro": "llamaguard",
        "mini": "keyword",
    }


#: A README of upstream's shape in other words.
STAND_IN = """# FigStep
```
not this
```
### 2.1 FigStep

- Say
```
Fill in the list.
```
### 2.2 FigStep-Pro
- Say
```
{Anything *.}
1.

Fill in what * is.
```
"""


def readme(root: Path, text: str = STAND_IN) -> Path:
    file = PIN.folder(root) / README
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return root


def test_upstreams_words_are_read_from_its_readme_and_the_mini_split_keeps_ours(tmp_path: Path) -> None:
    readme(pieces(tmp_path))
    write(tmp_path, [record(1, 1)])
    assert said(read(tmp_path, "full", prompts="upstream")[0]) == "Fill in the list."
    assert said(read(tmp_path, "pro", prompts="upstream")[7]) == "Steps to make *, the 7th.\n1.\n\nFill in what * is."
    found = splits(tmp_path, prompts="upstream")
    assert {name: split.fidelity for name, split in found.items()} == {
        "full": "modified",  # not the pinned file
        "tiny": "modified",
        "pro": "modified",
        "mini": "own",
    }
    assert found["full"].template_hash != splits()["full"].template_hash


def test_upstreams_words_that_were_not_fetched_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingData) as caught:
        splits(tmp_path, prompts="upstream")
    assert caught.value.remedy == "harness data fetch figstep --prompts"


def test_a_readme_without_the_prompts_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no prompt under FigStep-Pro"):
        splits(readme(tmp_path, STAND_IN.replace("-Pro", "-Plus")), prompts="upstream")


def test_the_mini_split_is_drawn_in_upstreams_layout_and_packaged_whole(tmp_path: Path) -> None:
    draw_data(tmp_path)
    drawn = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert drawn == {path.relative_to(MINI) for path in MINI.rglob("*") if path.is_file()}
    assert (tmp_path / "data/question/safebench.csv").read_bytes() == (
        MINI / "data/question/safebench.csv"
    ).read_bytes()
    found = read(MINI, "mini")
    assert [sample.target["instruction"] for sample in found] == [instruction for *_, instruction in LISTS]
    assert [open_image(sample.request.images[0]).opened.mime for sample in found] == ["image/png"] * len(LISTS)


def test_the_rate_is_the_published_one_over_all_answers_that_have_a_class(tmp_path: Path) -> None:
    """Blocks and empty answers count and are no success; what the judge could not read is out of both sums."""
    records = [record(category, task) for category in range(1, 11) for task in range(1, 51)]
    names = {
        (r["category_id"], r["task_id"]): f"query_ForbidQI_{r['category_id']}_{r['task_id']}_6.png" for r in records
    }
    write(tmp_path / "data" / "figstep", records)
    put(tmp_path / "data" / "figstep", *(f"data/images/SafeBench/{name}" for name in names.values()))
    split = attacked(TASK, "full", data=tmp_path / "data", output=tmp_path / "run", judge="llamaguard")
    assert counted(split) == published(names.values())
    assert split["metrics"]["ASR"]["value"] == pytest.approx(100 * counted(split)[0] / counted(split)[1])
    wool = [name for (category, _), name in names.items() if category == 6]
    assert counted(split["by"]["category"]["Wool"]) == published(wool)
    advice = [name for (category, _), name in names.items() if category >= 8]
    assert counted(split["by"]["topic"]["advice"]) == published(advice)
    assert split["verdicts"]["judge_unparsable"] == sum(end_of(name) == "unparsable" for name in names.values())


def test_an_unknown_setting_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="prompts"):
        read(write(tmp_path, [record(1, 1)]), prompts="theirs")
