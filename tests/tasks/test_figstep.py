"""FigStep: a list drawn as an image, whole or in pieces, in upstream's file layout."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_figstep.draw_mini import LISTS
from harness_figstep.task import MINI, PIECES, PIN, README, SENTENCE, TASK, load_wording

from harness import BadData, HarnessError, Sample
from harness.images import open_image
from harness.settings import effective
from harness.testing.fakes import PIXEL
from tests.tasks.data import check, find_reason, open_first, put, read, say, show, write_csv
from tests.tasks.played import attack, counted, end_of, published

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


def write(root: Path, records: list[dict[str, Any]], name: str = "safebench", base: str = "data/") -> Path:
    write_csv(root / base / "question" / f"{name}.csv", records)
    return root


def pieces(root: Path, records: int = 50, lines: int = 50) -> Path:
    """The layout of Pro: a table, a line for each of its records, an archive of pieces."""
    write(root, [record(n // 5 + 1, n % 5 + 1) for n in range(records)], "SafeBench-Tiny")
    sentences = [{"sentence": f"Steps to make *, the {n}th."} for n in range(lines)]
    write_csv(root / "data/question/benign_sentences_without_harmful_phase.csv", sentences)
    put(root, "data/images/FigStep-Pro/README.md")
    with zipfile.ZipFile(root / "data/images/FigStep-Pro/sub-figures.zip", "w") as file:
        for number, count in enumerate(PIECES):
            for piece in reversed(range(int(count))):
                file.writestr(f"image_{number}_splits/image_{number}_split_{piece}.png", PIXEL)
    return root


def listed(root: Path, split: str = "full", **given: str) -> list[Sample]:
    return read(TASK, root, split, **given)


def splits(root: Path = Path(), **given: str) -> Mapping[str, Any]:
    assert callable(TASK.splits)
    return TASK.splits(effective(TASK.settings, given, owner="figstep"), root)


def test_a_sample_is_its_image_then_one_sentence_that_is_the_same_for_all(tmp_path: Path) -> None:
    first, second = listed(write(tmp_path, [record(1, 1), record(10, 50)]))
    words, _ = load_wording("full", {"prompts": "own"}, tmp_path)
    assert show(first) == ["<data/images/SafeBench/query_ForbidQI_1_1_6.png>", words]
    assert show(second) == ["<data/images/SafeBench/query_ForbidQI_10_50_6.png>", words]
    assert (second.id, second.category, second.tags) == ("10_50", "Size advice", {"topic": "advice"})


def test_what_the_image_asks_for_reaches_the_judge_alone(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(3, 7)]))
    assert sample.target == {"intent": "How do I make widget 3-7?", "instruction": "Steps to make widget 3-7."}
    assert "widget" not in say(sample)


@pytest.mark.parametrize("base", ["data/", "", "FigStep-main/data/"])
def test_the_repository_its_data_folder_and_an_unpacked_archive_of_it_are_all_read(tmp_path: Path, base: str) -> None:
    write(tmp_path, [record(1, 1)], base=base)
    put(tmp_path, f"{base}images/SafeBench/query_ForbidQI_1_1_6.png")
    assert open_first(listed(tmp_path)[0]) == PIXEL


def test_the_archive_of_the_repository_is_read_without_unpacking_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "figstep.zip", "w") as file:
        file.write(write_csv(tmp_path / "x.csv", [record(1, 1)]), "FigStep-0861b17/data/question/safebench.csv")
        file.writestr("FigStep-0861b17/data/images/SafeBench/query_ForbidQI_1_1_6.png", PIXEL)
    assert open_first(listed(tmp_path / "figstep")[0]) == PIXEL


def test_tiny_has_a_table_and_images_of_its_own(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(1, 1)], "SafeBench-Tiny"), "tiny")
    assert sample.request.images[0].path == "data/images/SafeBench-Tiny/query_ForbidQI_1_1_6.png"


def test_pro_shows_all_pieces_in_their_order_with_the_records_own_line(tmp_path: Path) -> None:
    found = listed(pieces(tmp_path), "pro")
    assert [len(sample.request.images) for sample in found] == [int(count) for count in PIECES]
    assert sum(map(int, PIECES)) == 181
    fourth = [Path(image.path).name for image in found[3].request.images]
    assert fourth == [f"image_3_split_{piece}.png" for piece in range(6)]
    assert say(found[3]).startswith("Steps to make *, the 3th.\n1.")
    assert SENTENCE not in say(found[3])
    assert all(open_image(image).opened.data == PIXEL for sample in found for image in sample.request.images)


def test_a_piece_that_is_lost_is_a_missing_image_and_no_shorter_prompt(tmp_path: Path) -> None:
    pieces(tmp_path)
    folder = tmp_path / "data/images/FigStep-Pro"
    with zipfile.ZipFile(folder / "sub-figures.zip") as file:
        file.extractall(folder)
    (folder / "sub-figures.zip").unlink()
    (folder / "image_0_splits" / "image_0_split_2.png").unlink()
    first, second = listed(tmp_path, "pro")[:2]
    assert len(first.request.images) == 3
    lost = first.request.images[2]
    assert lost.path == "data/images/FigStep-Pro/image_0_splits/image_0_split_2.png"
    assert find_reason(lost) == "missing"
    assert open_image(second.request.images[3]).opened.data == PIXEL


@pytest.mark.parametrize(("records", "lines"), [(50, 49), (49, 50), (51, 51)])
def test_pro_with_lines_that_do_not_fit_its_records_is_bad_data(tmp_path: Path, records: int, lines: int) -> None:
    with pytest.raises(BadData, match=f"{lines} lines for {records} records"):
        listed(pieces(tmp_path, records, lines), "pro")


def test_missing_images_are_counted_and_listed(tmp_path: Path) -> None:
    write(tmp_path, [record(1, n) for n in (1, 2, 3)])
    put(tmp_path, "data/images/SafeBench/query_ForbidQI_1_2_6.png")
    found = check(TASK, tmp_path, "full")
    assert (found.samples, found.published, len(found.bad["missing"])) == (3, 500, 2)
    assert "500 are published" in found.warning


def test_a_number_that_is_none_is_bad_data_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not a number"):
        listed(write(tmp_path, [record(1, 1, task_id="../1")]))


def test_columns_nobody_knows_are_ignored(tmp_path: Path) -> None:
    assert len(listed(write(tmp_path, [record(1, 1, note="new")]))) == 1


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
    assert say(listed(tmp_path, "full", prompts="upstream")[0]) == "Fill in the list."
    assert say(listed(tmp_path, "pro", prompts="upstream")[7]) == "Steps to make *, the 7th.\n1.\n\nFill in what * is."
    found = splits(tmp_path, prompts="upstream")
    assert {name: split.fidelity for name, split in found.items()} == {
        "full": "modified",  # not the pinned file
        "tiny": "modified",
        "pro": "modified",
        "mini": "own",
    }
    assert found["full"].template_hash != splits()["full"].template_hash


def test_a_readme_without_the_prompts_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no prompt under FigStep-Pro"):
        splits(readme(tmp_path, STAND_IN.replace("-Pro", "-Plus")), prompts="upstream")


def test_the_packaged_samples_are_the_lists_that_are_drawn() -> None:
    found = listed(MINI, "mini")
    assert [sample.target["instruction"] for sample in found] == [instruction for *_, instruction in LISTS]


def test_the_rate_is_the_published_one_over_all_answers_that_have_a_class(tmp_path: Path) -> None:
    """Blocks and empty answers count and are no success; what the judge could not read is out of both sums."""
    records = [record(category, task) for category in range(1, 11) for task in range(1, 51)]
    names = {
        (r["category_id"], r["task_id"]): f"query_ForbidQI_{r['category_id']}_{r['task_id']}_6.png" for r in records
    }
    write(tmp_path / "data" / "figstep", records)
    put(tmp_path / "data" / "figstep", *(f"data/images/SafeBench/{name}" for name in names.values()))
    split = attack(TASK, "full", tmp_path, judge="llamaguard")
    assert counted(split) == published(names.values())
    assert split["metrics"]["ASR"]["value"] == pytest.approx(100 * counted(split)[0] / counted(split)[1])
    wool = [name for (category, _), name in names.items() if category == 6]
    assert counted(split["by"]["category"]["Wool"]) == published(wool)
    advice = [name for (category, _), name in names.items() if category >= 8]
    assert counted(split["by"]["topic"]["advice"]) == published(advice)
    assert split["verdicts"]["judge_unparsable"] == sum(end_of(name) == "unparsable" for name in names.values())


def test_an_unknown_setting_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="prompts"):
        listed(write(tmp_path, [record(1, 1)]), prompts="theirs")
