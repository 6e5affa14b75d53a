"""Numbers that others published: read as printed, and slips marked; those we ship hold what is known of them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.board.published import PublishedRow, published
from harness.contracts import Split, Task
from harness.errors import BadData
from harness.plugins import Host
from harness.settings import effective
from harness.testing.fakes import fake_task

HOST = Host.load(tell=lambda _: None)
TASKS: dict[str, Task] = {task.name: task for task, _ in HOST.offers("tasks")}
ROWS: dict[str, tuple[PublishedRow, ...]] = {name: published(task) for name, task in TASKS.items()}
DOCS = Path(__file__).parents[2] / "docs"
FIVE = ("qbench", "mmstar", "mmmu", "muirbench", "mmt-bench")
SHIPPED = [name for name, rows in ROWS.items() if rows]


def splits(task: Task) -> dict[str, Split]:
    settings = effective(task.settings, {}, owner=task.name)
    return dict(task.splits(settings, Path(task.name)) if callable(task.splits) else task.splits)


def written(folder: Path, text: str) -> Task:
    (folder / "published.yaml").write_text(text, "utf-8")
    return replace(fake_task(), published=folder / "published.yaml")


SOURCE = "sources: {a: {title: A paper, url: 'https://example.org'}}\n"


def test_a_row_is_read_as_it_is_printed_with_its_source(tmp_path: Path) -> None:
    task = written(
        tmp_path, SOURCE + "tables: [{source: a, metrics: [ASR], rows: {M: {all: {values: [18.57], note: hm}}}}]"
    )
    (row,) = published(task)
    assert (row.task, row.split, row.model, row.values, row.note) == ("fake", "all", "M", {"ASR": 18.57}, "hm")
    assert (row.source.title, row.slips) == ("A paper", ())


def slips(folder: Path, values: str, *, n: int | None = None, metrics: str = "V, W, X, Y") -> tuple[str, ...]:
    named = ", ".join(metrics.split(", ")[: values.count(",") + 1])
    counted = "" if n is None else f"n: {{all: {n}}}, "
    text = f"tables: [{{source: a, whole: true, {counted}metrics: [{named}], rows: {{M: {{all: [{values}]}}}}}}]"
    return published(written(folder, SOURCE + text))[0].slips


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ("50, 50", ""),
        ("50.01, 50", ""),
        ("50.02, 50", "100.02"),
        ("91.94, 0.11, 7.75, 0.18", ""),  # 99.98: four halves of a hundredth
        ("91.94, 0.10, 7.75, 0.18", "99.97"),
        ("33.3, 33.3, 33.3", ""),
        ("33.3, 33.3, 33.2", "99.8"),
        ("81, 18", ""),
        ("81, 17", "98"),
    ],
)
def test_parts_may_miss_100_by_half_of_the_last_decimal_each_and_by_no_more(
    values: str, total: str, tmp_path: Path
) -> None:
    assert slips(tmp_path, values) == ((f"sums to {total}, not 100",) if total else ())


def test_percentages_that_need_no_rounding_may_miss_nothing(tmp_path: Path) -> None:
    assert slips(tmp_path, "81, 18", n=100) == ("sums to 99, not 100",)
    assert slips(tmp_path, "38.8, 61.4", n=500) == ("sums to 100.2, not 100",)
    assert slips(tmp_path, "81, 19", n=100) == ()


@pytest.mark.parametrize(("number", "wrong"), [("0.12", False), ("0.11", False), ("0.13", True), ("0.10", True)])
def test_a_number_that_no_count_of_the_split_gives_is_a_slip(number: str, wrong: bool, tmp_path: Path) -> None:
    """2 of 1675 is 0.1194: rounded 0.12, cut 0.11. The column has two decimals, whatever YAML makes of 0.10."""
    rows = f"rows: {{M: {{all: [{number}]}}, N: {{all: [5.25]}}}}"
    text = f"tables: [{{source: a, metrics: [HR], n: {{all: 1675}}, {rows}}}]"
    found, other = published(written(tmp_path, SOURCE + text))
    assert found.slips == ((f"HR {float(number):g} is no k of 1675",) if wrong else ())
    assert other.slips == ()


def test_a_number_that_was_divided_by_fewer_than_the_split_has_is_a_slip(tmp_path: Path) -> None:
    row = "rows: {M: {all: {values: [6.37], implied: {ASR: 17/267}}}}"
    text = f"tables: [{{source: a, metrics: [ASR], n: {{all: 280}}, {row}}}]"
    (found,) = published(written(tmp_path, SOURCE + text))
    assert (found.implied, found.slips) == ({"ASR": (17, 267)}, ("ASR is 17 of 267, not of 280",))


def test_one_file_serves_several_tasks(tmp_path: Path) -> None:
    rows = "rows: {M: {all: [1]}}"
    tables = (
        f"tables: [{{source: a, task: other, metrics: [X], {rows}}}, {{source: a, task: fake, metrics: [Y], {rows}}}]"
    )
    assert [row.values for row in published(written(tmp_path, SOURCE + tables))] == [{"Y": 1}]


def test_a_task_without_a_file_has_no_rows() -> None:
    assert published(fake_task()) == ()


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "sources: {}",
        "a: b: c",
        SOURCE + "tables: [{source: b, metrics: [ASR], rows: {M: {all: [1]}}}]",
        SOURCE + "tables: [{source: a, metrics: [ASR], rows: {M: {all: [1, 2]}}}]",
        SOURCE + "tables: [{source: a, metrics: [ASR], rows: {M: {all: [x]}}}]",
        SOURCE + "tables: [{source: a, metrics: [ASR], rows: {M: {all: {values: [1], implied: {ASR: 3}}}}}]",
        SOURCE.replace("title", "titel") + "tables: []",
    ],
)
def test_what_is_no_such_file_is_said_with_its_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not a file of published rows") as caught:
        published(written(tmp_path, text))
    assert caught.value.where.endswith("published.yaml")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_row_that_is_shipped_names_a_split_and_metrics_of_its_task(name: str) -> None:
    known = splits(TASKS[name])
    for row in ROWS[name]:
        assert set(row.values) <= {metric.name for metric in known[row.split].metrics}
        assert row.source.url.startswith("https://")


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_number_was_divided_by_gives_the_printed_decimals(name: str) -> None:
    for row in ROWS[name]:
        for metric, (numerator, denominator) in row.implied.items():
            assert round(100 * numerator / denominator, 2) == pytest.approx(row.values[metric])


def test_rows_of_the_mis_paper_that_do_not_hold_are_marked_and_no_others() -> None:
    marked = {(row.model, row.split): row.slips for row in ROWS["mis"] if row.slips}
    assert marked == {
        ("Idefics-3-8B", "easy"): ("sums to 100.54, not 100",),
        ("LLaVA-OV-7B", "hard"): ("ASR 79.4 is no k of 510",),
        ("LLaVA-OV-72B-Chat", "easy"): ("HR 0.1 is no k of 1675",),
        ("Qwen2-VL-7B", "easy"): ("sums to 100.12, not 100",),
        ("Qwen2-VL-7B", "real"): ("sums to 99, not 100",),
        ("Qwen2-VL-72B", "real"): ("sums to 98, not 100",),
        ("LLaVA-OV-72B-Chat", "real"): ("sums to 101, not 100",),
        ("InternVL2.5-8B", "real"): ("sums to 101, not 100",),
        ("InternVL2.5-78B", "real"): ("sums to 101, not 100",),
        ("GPT-4o", "real"): ("sums to 101, not 100",),
        ("ECSO", "hard"): ("ASR 83.49 is no k of 510",),
    }


@pytest.mark.parametrize("page", ["mis", "suites"])
def test_the_pages_count_the_slips_of_the_mis_paper_as_the_rows_do(page: str) -> None:
    said = " ".join((DOCS / f"tasks/{page}.md").read_text("utf-8").split())
    table = [row for row in ROWS["mis"] if row.source.place.startswith("Table 4")]
    sums = [row for row in table if any("sums to" in slip for slip in row.slips)]
    counts = [row for row in table if any("is no k of" in slip for slip in row.slips)]
    models = {row.model for row in sums}
    assert f"{len(sums)} cells of {len(models)} models do not sum to 100" in said
    assert f"{len(counts)} more hold a number that no count of their split gives" in said


def test_a_row_on_which_paper_and_project_page_differ_says_so() -> None:
    (row,) = (row for row in ROWS["mis"] if (row.model, row.split) == ("Qwen2-VL-7B", "real"))
    assert dict(row.values) == {"ASR": 81, "HR": 0, "RSR": 17, "RR": 1}
    assert "the project page has 81, 1, 17, 0" in row.note


def test_denominators_that_differ_within_one_column_are_marked() -> None:
    counted = {name: Counter(bool(row.slips) for row in ROWS[name]) for name in ("jailbreakv", "siuo", "mssbench")}
    assert {name: count[True] for name, count in counted.items()} == {"jailbreakv": 2, "siuo": 3, "mssbench": 1}


def test_general_numbers_that_no_count_of_their_set_gives_are_marked_and_no_others() -> None:
    rows = [row for name in FIVE for row in ROWS[name]]
    assert {(row.task, row.model.removeprefix("InternVL2.5-8B + ")): row.slips for row in rows if row.slips} == {
        ("qbench", "VLGuard-R"): ("accuracy 72.03 is no k of 1495",),
        ("mmstar", "VLGuard-R and 6000 general samples"): ("accuracy 62.03 is no k of 1500",),
        ("mmmu", "Textual SFT and 500 general samples"): ("accuracy 48.38 is no k of 900",),
        ("muirbench", "Textual SFT and 500 general samples"): ("accuracy 53.33 is no k of 2600",),
        ("mmt-bench", "Textual SFT and 500 general samples"): ("accuracy 60.17 is no k of 3127",),
    }
    said = " ".join((DOCS / "tasks/suites.md").read_text("utf-8").split())
    assert f"{sum(bool(row.slips) for row in rows)} of {len(rows)} numbers are given by no count of their set" in said


def test_two_general_numbers_that_changed_places_say_so() -> None:
    noted = {row.task: (row.values["accuracy"], row.note) for name in FIVE for row in ROWS[name] if row.note}
    assert noted.keys() == {"mmmu", "muirbench"}
    assert (round(100 * 1258 / 2600, 2), round(100 * 480 / 900, 2)) == (noted["mmmu"][0], noted["muirbench"][0])


@pytest.mark.parametrize("name", SHIPPED)
def test_every_row_has_the_size_that_it_is_checked_against(name: str) -> None:
    """A number by itself can only be told to be a slip by what it was divided by."""
    for table in yaml.safe_load(Path(str(TASKS[name].published)).read_text("utf-8"))["tables"]:
        if table.get("task", name) == name:
            assert table["n"].keys() == {split for row in table["rows"].values() for split in row}


def test_the_five_general_numbers_have_the_means_that_the_paper_prints() -> None:
    of = {name: {row.model: row.values["accuracy"] for row in ROWS[name]} for name in FIVE}
    means = {model: round(sum(of[name][model] for name in FIVE) / 5, 2) for model in of["qbench"]}
    assert (means["InternVL2.5-8B"], means["InternVL2.5-8B + MIRage"]) == (60.47, 61.30)
    assert (means["Qwen2-VL-7B"], means["Qwen2-VL-7B + MIRage"]) == (58.10, 58.53)
    assert len(means) == 10
