"""MultiBench: a goal in one picture and in several, pairs by goal, and columns that are checked at load."""

from pathlib import Path
from typing import Any

import pytest
from harness_harmbench.judge import JUDGE as HARMBENCH
from harness_keyword import JUDGE as KEYWORD
from harness_multibench.task import FOLDERS, MINI, TASK

import harness
from harness import BadData, plugins
from harness.testing.fakes import PIXEL, fake_provider, host_of
from tests.tasks.data import check_listing, find_fault, open_first, put, read, show, write_csv
from tests.tasks.played import attack, counted, texts
from tests.tasks.played import published as expected


def record(number: int, split: str, **changes: Any) -> dict[str, Any]:
    form = FOLDERS[split]
    paths = [f"{form}/{number}_{at}.png" for at in range(3 if "decomposition" in split else 1)]
    return {
        "id": str(number),
        "form": form,
        "category": ("Paint", "Fold")[number % 2],
        "goal": f"Paint wall {number:05d}",
        "prompt": f"Do to wall {number:05d} what is shown in {len(paths)}.",
        "images": ";".join(paths),
        **changes,
    }


def published(root: Path, goals: int, splits: tuple[str, ...] = tuple(FOLDERS), **changes: Any) -> Path:
    rows = [record(number, split, **changes) for number in range(goals) for split in splits]
    write_csv(root / "dataset.csv", rows)
    for row in rows:
        for path in row["images"].split(";"):
            put(root, path, image=PIXEL + path.encode())
    return root


def test_each_form_is_a_split_with_its_images_in_order_before_the_text(tmp_path: Path) -> None:
    published(tmp_path, 3)
    for split, folder in FOLDERS.items():
        first, *others = read(TASK, tmp_path, split)
        assert len(others) == 2
        assert open_first(first) == PIXEL + f"{folder}/0_0.png".encode()
        *_, text = show(first)
        assert text.startswith("Do to wall 00000")
        assert len(first.request.images) == (3 if "decomposition" in split else 1)
        assert first.target == {"intent": "Paint wall 00000"}


def test_the_folder_of_the_images_says_the_form_where_no_column_does(tmp_path: Path) -> None:
    rows = [{k: v for k, v in record(0, split).items() if k != "form"} for split in FOLDERS]
    write_csv(tmp_path / "dataset.csv", rows)
    for split in FOLDERS:
        assert len(read(TASK, tmp_path, split)) == 1


@pytest.mark.parametrize("cell", ['["a.png", "b.png"]', "a.png; b.png", "a.png;b.png;"])
def test_images_are_a_list_in_json_or_with_semicolons_and_may_lie_in_the_folder_of_their_form(
    tmp_path: Path, cell: str
) -> None:
    write_csv(tmp_path / "dataset.csv", [record(0, "decomposition", images=cell)])
    put(tmp_path, "Unperturbed Decomposition/a.png", "Unperturbed Decomposition/b.png")
    (sample,) = read(TASK, tmp_path, "decomposition")
    assert len(sample.request.images) == 2
    assert open_first(sample) == PIXEL


def test_columns_of_other_names_are_named_by_the_setting_and_images_may_have_several(tmp_path: Path) -> None:
    row = record(0, "decomposition")
    first, second, _ = row["images"].split(";")
    other = {"Intent": row["goal"], "Text": row["prompt"], "One": first, "Two": second, "Three": ""}
    write_csv(tmp_path / "dataset.csv", [other])
    named = "goal=Intent, prompt=Text, images=One+Two+Three"
    (sample,) = read(TASK, tmp_path, "decomposition", columns=named)
    assert [*show(sample)[:2], sample.target] == [f"<{first}>", f"<{second}>", {"intent": row["goal"]}]


def test_a_table_of_other_columns_is_refused_before_any_sample_with_its_columns_and_the_setting(tmp_path: Path) -> None:
    write_csv(tmp_path / "dataset.csv", [{"Intent": "x", "Text": "y"}])
    with pytest.raises(BadData, match="no column 'goal' for goal; it has Intent, Text") as caught:
        read(TASK, tmp_path, "composition")
    assert caught.value.remedy.startswith("-T multibench.columns=goal=")
    with pytest.raises(BadData, match="no column 'Kind' for form"):
        read(TASK, published(tmp_path, 1), "composition", columns="form=Kind")


@pytest.mark.parametrize("given", ["goal", "target=A", "goal=A+B", "images=A+", "goal="])
def test_a_setting_that_names_no_field_or_no_column_is_refused(tmp_path: Path, given: str) -> None:
    assert find_fault(TASK, published(tmp_path, 1), "composition", columns=given) == "setting multibench.columns"


@pytest.mark.parametrize(
    ("split", "changes", "where"),
    [
        ("decomposition", {"images": "a.png"}, "dataset.csv, record 2"),
        ("composition", {"images": "a.png;b.png"}, "dataset.csv, record 2"),
        ("composition", {"images": ""}, "dataset.csv, record 2, field images"),
        ("composition", {"images": "[1, "}, "dataset.csv, record 2, field images"),
        ("composition", {"images": "[]"}, "dataset.csv, record 2, field images"),
        ("composition", {"images": "[" * 50_000}, "dataset.csv, record 2, field images"),
        ("composition", {"form": "Rotated"}, "dataset.csv, record 2, field form"),
        ("composition", {"form": "", "images": "a/b.png"}, "dataset.csv, record 2, field images"),
        ("composition", {"goal": ""}, "dataset.csv, record 2, field goal"),
        ("composition", {"prompt": ""}, "dataset.csv, record 2, field prompt"),
    ],
)
def test_a_record_that_is_not_what_the_layout_takes_for_granted_is_an_error_by_its_number(
    tmp_path: Path, split: str, changes: dict[str, str], where: str
) -> None:
    write_csv(tmp_path / "dataset.csv", [record(0, split), record(1, split, **changes)])
    assert find_fault(TASK, tmp_path, split) == where


def test_a_form_without_records_is_an_error_that_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no record is of the form 'Substitution Cipher'") as caught:
        read(TASK, published(tmp_path, 1, ("composition", "control")), "cipher")
    assert caught.value.remedy == "the table has: Control Dataset, Unperturbed Composition"


@pytest.mark.slow
def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_opened(tmp_path: Path) -> None:
    check_listing(
        lambda count: write_csv(tmp_path / "dataset.csv", [record(n, "decomposition") for n in range(count)]),
        lambda: read(TASK, tmp_path, "decomposition"),
    )


def test_asr_is_the_plain_share_whatever_becomes_of_an_answer(tmp_path: Path) -> None:
    published(tmp_path / "data/multibench", 70, ("composition",))
    found = attack(TASK, "composition", tmp_path, judge="harmbench", labels={"unsafe": "yes", "safe": "no"})
    assert counted(found) == expected(f"{n}_0.png" for n in range(70))


#: number of a goal -> whether composition and decomposition got what it asks for
def harm(number: int) -> tuple[bool, bool]:
    return number % 5 == 0, number % 2 == 0


def test_decomposition_is_compared_with_composition_over_the_goals_that_both_hold(tmp_path: Path) -> None:
    root = tmp_path / "data/multibench"
    rows = [record(n, "decomposition") for n in range(30)] + [record(n, "composition") for n in range(20)]
    write_csv(root / "dataset.csv", rows)
    for row in rows:
        put(root, *row["images"].split(";"))

    def answer(request: harness.Request) -> str:
        words = texts(request)
        number, form = int(words.split()[3]), words.rstrip(".").endswith("3")
        return "Sure, here it is." if harm(number)[form] else "I'm sorry, but I cannot help with that."

    with plugins.use(host_of(TASK, KEYWORD, HARMBENCH, fake_provider(answer))):
        run = harness.run(
            "fake/any", ["multibench:decomposition", "multibench:composition"], judge="keyword",
            data=tmp_path / "data",
            output=tmp_path / "run", probe=False, policy=harness.Policy(tries=1),
        )  # fmt: skip
    (found,) = run.results["tasks"].values()
    paired = found["paired"]
    difference = 100 * sum(harm(n)[1] - harm(n)[0] for n in range(20)) / 20
    assert (paired["pairs"], paired["unmatched"]) == (20, 10)
    assert paired["ASR"]["difference"] == pytest.approx(difference)


def test_the_mini_splits_ask_each_goal_by_one_picture_and_by_three() -> None:
    parts, whole = read(TASK, MINI, "mini"), read(TASK, MINI, "mini-composition")
    assert {s.cluster for s in parts} == {s.cluster for s in whole}
    assert {len(s.request.images) for s in parts} == {3}
