"""Task files: what they say becomes a task, and what is wrong in one is named by file, line and key."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadData, HarnessError, MissingData, UnknownName
from harness.readers import open_files
from harness.readers.tables import read_cell, read_table
from harness.task_files import TaskFile, drop_path, expand_folders, is_task_path, load_task, split_name
from harness.testing.conformance import check_task
from harness.types import Response, Text, Verdict
from tests.core.task_files import (
    ROWS,
    asked,
    encoded,
    list_samples,
    png,
    read,
    write_file,
    write_images,
    write_kitchen,
    write_rows,
)

ANSWER = Response(text="It is a pan.")


def test_a_csv_file_becomes_samples_with_images_texts_and_categories(tmp_path: Path) -> None:
    found = read(write_kitchen(tmp_path))
    assert [(each.id, asked(each), each.category, each.split) for each in found] == [
        ("a", ["<red>", "What is this?"], "kitchen", "test"),
        ("b", ["<blue>", "And, what is that?"], "bath", "test"),
        ("c", ["<red>", 'Is it a "pan"?\nSay so.'], "kitchen", "test"),
    ]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx"])
def test_each_kind_of_file_gives_the_same_samples(tmp_path: Path, ending: str) -> None:
    write_images(tmp_path)
    write_rows(tmp_path / f"questions.{ending}")
    found = read(write_file(tmp_path, data={"files": f"questions.{ending}"}))
    assert [(each.id, *asked(each)) for each in found] == [
        ("a", "<red>", "What is this?"), ("b", "<blue>", "And, what is that?"), ("c", "<red>", ROWS[2]["question"]),
    ]  # fmt: skip


def test_a_workbook_s_cells_are_texts_and_an_empty_one_is_null_but_never_an_image(tmp_path: Path) -> None:
    write_images(tmp_path)
    rows = [{**row, "id": number, "room": row["room"] if number else None} for number, row in enumerate(ROWS)]
    write_rows(tmp_path / "q.xlsx", rows)
    found = read(write_file(tmp_path, data={"files": "q.xlsx"}))
    assert [(each.id, each.category) for each in found] == [("0", ""), ("1", "bath"), ("2", "kitchen")]
    with pytest.raises(BadData, match="cells of a workbook") as caught:
        read(write_file(tmp_path, data={"files": "q.xlsx"}, images={"column": "image", "as": "base64"}))
    assert caught.value.where == "q.xlsx, field image"


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
def test_images_in_base64_are_read_when_they_are_used(tmp_path: Path, ending: str) -> None:
    rows = [{"id": "a", "image": encoded("red"), "q": "one"}, {"id": "b", "image": encoded("blue"), "q": 'two "2"\nx'}]
    write_rows(tmp_path / f"d.{ending}", rows)
    images = {"column": "image", "as": "base64"}
    found = read(write_file(tmp_path, data={"files": f"d.{ending}"}, question="q", images=images, category=None))
    assert [asked(each) for each in found] == [["<red>", "one"], ["<blue>", 'two "2"\nx']]
    assert all("#image/" in image.path for each in found for image in each.request.images)
    again = open_files(tmp_path).image(found[1].request.images[0].path)  # as the viewer opens it, by its path
    assert again.files.read(again.path) == png("blue")


def test_cells_read_in_many_threads_leave_the_limit_of_csv_as_it_was(tmp_path: Path) -> None:
    rows = [{"id": str(number), "q": 'Is it a "pan"?\nOr?', "image": "A" * 200_000} for number in range(8)]
    write_rows(tmp_path / "d.csv", rows)
    found = list(read_table(open_files(tmp_path), "d.csv", cells=["image"]))
    starts = [int(str(row.values["image"]).rpartition("/")[2]) for row in found]
    before, interval = csv.field_size_limit(), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(lambda start: len(read_cell(tmp_path / "d.csv", "image", start, None)), starts * 8))
    finally:
        sys.setswitchinterval(interval)
    assert (set(sizes), csv.field_size_limit()) == ({150_000}, before)


def test_a_cell_of_digits_names_the_record_whose_image_is_shown_and_a_list_holds_several(tmp_path: Path) -> None:
    rows = [
        {"id": "2", "image": "1", "q": "by reference"},
        {"id": "1", "image": encoded("red"), "q": "own"},
        {"id": "3", "image": str([encoded("red"), encoded("blue")]), "q": "two"},
    ]
    write_rows(tmp_path / "d.tsv", rows)
    images = {"column": "image", "as": "base64"}
    found = read(write_file(tmp_path, data={"files": "d.tsv"}, question="q", images=images, category=None))
    assert [asked(each)[:-1] for each in found] == [["<red>"], ["<red>"], ["<red>", "<blue>"]]


def test_parquet_images_of_the_hub_s_struct_and_lists_of_them_are_shown(tmp_path: Path) -> None:
    one, two = ({"bytes": png(colour), "path": f"{colour}.png"} for colour in ("red", "blue"))
    write_rows(tmp_path / "d.parquet", [{"id": "a", "q": "x", "image": one, "more": [one, two]}])
    found = read(
        write_file(tmp_path, data={"files": "*.parquet"}, question="q", images=["image", "more"], category=None)
    )
    assert asked(found[0]) == ["<red>", "<red>", "<blue>", "x"]


def test_several_columns_templates_of_paths_and_lists_of_paths_are_images_in_order(tmp_path: Path) -> None:
    write_images(tmp_path)
    rows = [{"id": "a", "q": "x", "first": "red", "rest": ["blue.png", "red.png"], "none": None}]
    write_rows(tmp_path / "d.jsonl", rows)
    images = [
        "pictures/{{ first }}.png", {"column": "rest", "folder": "pictures"}, {"column": "none", "optional": True}
    ]  # fmt: skip
    found = read(write_file(tmp_path, data={"files": "d.jsonl"}, question="q", images=images, category=None))
    assert asked(found[0]) == ["<red>", "<blue>", "<red>", "x"]


def test_images_stand_at_their_marks_or_behind_the_question(tmp_path: Path) -> None:
    write_images(tmp_path)
    rows = [{"id": "a", "q": "Compare <image 2> with <image 1>.", "one": "red.png", "two": "blue.png"}]
    write_rows(tmp_path / "d.jsonl", rows)
    images = [{"column": name, "folder": "pictures"} for name in ("one", "two")]
    given: dict[str, Any] = {"data": {"files": "d.jsonl"}, "question": "q", "images": images, "category": None}
    assert asked(read(write_file(tmp_path, **given, order="marks"))[0]) == [
        "Compare ",
        "<blue>",
        " with ",
        "<red>",
        ".",
    ]
    assert asked(read(write_file(tmp_path, **given, order="question first"))[0])[1:] == ["<red>", "<blue>"]
    rows[0]["q"] = "No marks."
    write_rows(tmp_path / "d.jsonl", rows)
    with pytest.raises(BadData, match="0 marks <image>, and the record 2 images"):
        read(write_file(tmp_path, **given, order="marks"))
    rows[0]["q"] = "Compare <image> with <image 1>."  # so that the second image would not be shown
    write_rows(tmp_path / "d.jsonl", rows)
    with pytest.raises(BadData, match="the question marks no place for image 2"):
        read(write_file(tmp_path, **given, order="marks"))


def test_a_template_fills_in_columns_and_shows_template_syntax_of_the_data_as_it_is(tmp_path: Path) -> None:
    rows = [{"id": "a", "q": "{{ 7 * 7 }}", "hint": None, "n": 3}]
    write_rows(tmp_path / "d.jsonl", rows)
    text = "{% if hint %}Hint: {{ hint }}\n{% endif %}{{ q }} ({{ n }})"
    found = read(write_file(tmp_path, data={"files": "d.jsonl"}, question=text, images=None, category=None))
    assert asked(found[0]) == ["{{ 7 * 7 }} (3)"]


def test_a_number_that_is_none_is_null_and_a_whole_one_has_no_point(tmp_path: Path) -> None:
    write_rows(tmp_path / "d.parquet", [{"id": 1.0, "q": "x", "n": float("nan")}, {"id": 2.0, "q": "y", "n": 3.0}])
    given: dict[str, Any] = {"data": {"files": "d.parquet"}, "question": "q", "images": None, "category": "n"}
    found = read(write_file(tmp_path, **given, target={"n": "n"}))
    assert [(each.id, each.category, each.target) for each in found] == [("1", "", {"n": None}), ("2", "3", {"n": 3.0})]


def test_a_question_and_a_system_text_may_lie_beside_the_file(tmp_path: Path) -> None:
    path = write_kitchen(tmp_path, question={"file": "question.j2"}, system="You are in the {{ room }}.")
    (tmp_path / "question.j2").write_text("Look: {{ question }}")
    sample = read(path)[0]
    assert asked(sample) == ["<red>", "Look: What is this?"]
    assert sample.request.messages[0].role == "system"
    assert sample.request.messages[0].content == (Text(text="You are in the kitchen."),)


def test_a_choice_is_shown_with_letters_and_its_answer_may_be_a_letter_a_number_or_an_option(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "q": "Which?", "A": "pan", "B": "pot", "C": "", "answer": "B"},
        {"id": "b", "q": "Which?", "A": "pan", "B": "pot", "C": "cup", "answer": "2"},
        {"id": "c", "q": "Which?", "A": "pan", "B": "pot", "C": "cup", "answer": "pan"},
    ]
    write_rows(tmp_path / "d.csv", rows)
    given: dict[str, Any] = {"data": {"files": "d.csv"}, "question": "q", "images": None, "category": None}
    path = write_file(tmp_path, **given, kind="choice", judges=None, choices=["A", "B", "C"], answer="answer")
    found = read(path)
    assert asked(found[0]) == [
        "Which?\n\n(A) pan\n(B) pot\n\nReply with the letter of the one right option and nothing else."
    ]
    assert [each.target["answer"] for each in found] == ["B", "C", "A"]
    assert load_task(path).splits["test"].fidelity == "own"  # type: ignore[index]
    rows[0] |= {"A": "1", "B": "0", "answer": "1"}
    write_rows(tmp_path / "d.csv", rows)
    with pytest.raises(BadData, match="may mean A or B: it is the text of A, the number of B"):
        read(path)
    rows[0] |= {"A": "B", "B": "A", "answer": "A"}
    write_rows(tmp_path / "d.csv", rows)
    with pytest.raises(BadData, match="may mean A or B: it is the letter of A, the text of B"):
        read(path)


def test_options_stand_where_the_question_shows_them(tmp_path: Path) -> None:
    rows = [{"id": "a", "q": "Which?", "options": ["pan", "pot"], "answer": 1}]
    write_rows(tmp_path / "d.jsonl", [{**rows[0], "listed": rows[0].pop("options")}])
    given: dict[str, Any] = {"data": {"files": "d.jsonl"}, "images": None, "category": None, "judges": None}
    path = write_file(
        tmp_path, **given, kind="choice", question="{{ options }}\n{{ q }}", choices="listed", answer="answer"
    )
    assert asked(read(path)[0]) == ["(A) pan\n(B) pot\nWhich?"]


def test_yes_and_no_are_read_in_their_usual_spellings(tmp_path: Path) -> None:
    rows = [{"id": str(number), "q": "Is it?", "a": a} for number, a in enumerate(["Yes", "no", True, 0])]
    write_rows(tmp_path / "d.jsonl", rows)
    given: dict[str, Any] = {"data": {"files": "d.jsonl"}, "question": "q", "images": None, "category": None}
    path = write_file(tmp_path, **given, kind="yes-no", judges=None, answer="a")
    assert [each.target["answer"] for each in read(path)] == ["yes", "no", "yes", "no"]


def test_tags_targets_and_clusters_come_from_columns_and_a_cluster_s_samples_are_together(tmp_path: Path) -> None:
    path = write_kitchen(tmp_path, tags={"where": "room"}, target={"goal": "question"}, cluster="scene", by=["where"])
    found = read(path)
    assert [(each.id, each.cluster) for each in found] == [("a", "s1"), ("c", "s1"), ("b", "s2")]
    assert (found[0].tags, found[0].target) == ({"where": "kitchen"}, {"goal": "What is this?"})


def test_splits_are_files_or_values_of_a_column(tmp_path: Path) -> None:
    write_images(tmp_path)
    write_rows(tmp_path / "one.csv", ROWS[:1])
    write_rows(tmp_path / "two.csv", ROWS[1:])
    splits: dict[str, Any] = {"dev": {"files": "one.csv", "selected": False, "n": 1}, "test": {"files": "two.csv"}}
    task = load_task(write_file(tmp_path, splits=splits))
    assert {name: [each.id for each in list_samples(task, name)] for name in task.splits} == {  # type: ignore[union-attr]
        "dev": ["a"], "test": ["b", "c"],
    }  # fmt: skip
    given: dict[str, Any] = {"data": {"files": ["one.csv", "two.csv"]}}
    by_column = load_task(write_file(tmp_path, **given, splits={"column": "room", "values": ["kitchen", "bath"]}))
    assert [each.id for each in list_samples(by_column, "kitchen")] == ["a", "c"]
    part = {"column": "room", "values": ["kitchen"]}
    with pytest.raises(BadData, match="the split 'bath' is not one of the file's splits"):
        read(write_file(tmp_path, **given, splits=part), "kitchen")
    assert len(read(write_file(tmp_path, **given, splits={**part, "others": "left out"}), "kitchen")) == 2


def test_splits_of_two_kinds_are_scored_each_in_its_own_way(tmp_path: Path) -> None:
    twins = {"where": {"room": "bath"}, "kind": "over-refusal"}
    task = load_task(write_kitchen(tmp_path, splits={"unsafe": {"where": {"room": "kitchen"}}, "safe": twins}))
    assert isinstance(task.splits, Mapping)
    assert [metric.name for split in task.splits.values() for metric in split.metrics] == ["ASR", "refusal_rate"]
    assert task.splits["safe"].judges == {"keyword": {"refusal": "refused", "compliance": "complied"}}
    assert [task.splits[name].group for name in ("unsafe", "safe")] == ["safety", "over-refusal"]


def test_a_template_beside_the_file_is_a_rubric_of_its_own(tmp_path: Path) -> None:
    rubric = {
        "template": "rubric.j2", "labels": {"calm": "It calms.", "loud": "It shouts."}, "images": True,
        "values": ["goal"],
    }  # fmt: skip
    more = {"kind": None, "judges": None, "rubric": rubric, "target": {"goal": "room"}, "blocked_as": "calm"}
    metrics = {"loudness": {"labels": "loud", "better": "lower"}}
    path = write_kitchen(tmp_path, **more, metrics=metrics)
    (tmp_path / "rubric.j2").write_text("Goal: {{ goal }}\n{{ question }}\n{{ answer }}\nReply: {{ form }}")
    task = load_task(path)
    (judge,) = task.rubrics
    opened = judge.open({"prompt": None, "sees": None}, tmp_path)
    (request,) = opened.ask(list_samples(task)[0], ANSWER)
    shown = "".join(part.text for message in request.messages for part in message.content if isinstance(part, Text))
    assert "kitchen" in shown
    assert '"label": "calm" | "loud"' in shown
    assert len(request.images) == 1
    reply = Response(text='{"reason": "quiet", "label": "calm"}')
    assert opened.read(list_samples(task)[0], ANSWER, [reply]) == Verdict(label="calm", reason="quiet")
    assert (judge.name, opened.meanings["loud"]) == ("kitchen", "It shouts.")
    assert list(task.splits["test"].judges) == ["kitchen"]  # type: ignore[index]


def test_a_reply_may_be_read_by_a_pattern_and_two_labels_in_it_are_none(tmp_path: Path) -> None:
    parse = {"pattern": "Score: *([0-9])", "words": {"1": "calm", "5": "loud"}}
    rubric = {"template": "rubric.j2", "labels": ["calm", "loud"], "parse": parse}
    metrics = {"loudness": {"labels": "loud", "better": "lower"}}
    path = write_kitchen(tmp_path, kind=None, judges=None, rubric=rubric, metrics=metrics, blocked_as="calm")
    (tmp_path / "rubric.j2").write_text("{{ answer }}")
    task = load_task(path)
    opened = task.rubrics[0].open({"prompt": None, "sees": None}, tmp_path)
    sample = list_samples(task)[0]
    assert opened.ask(sample, ANSWER)[0].schema is None
    said = [
        opened.read(sample, ANSWER, [Response(text=text)])
        for text in ("Score: 5", "Score: 1 Score: 5", "5", "Score: 3")
    ]
    assert [getattr(each, "label", getattr(each, "state", "")) for each in said] == [
        "loud", "judge_unparsable", "judge_unparsable", "judge_unparsable",
    ]  # fmt: skip


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"questoin": "x"}, "a task file has no key 'questoin'", "did you mean 'question'?"),
    ({"description": None}, "a task file needs description", "one line"),
    ({"data": {"file": "x.csv"}}, "data has no key 'file'", "did you mean 'files'?"),
    ({"data": {"files": "q.csv", "layout": "lm-eval"}}, "'lm-eval' is not one of its values", "did you mean"),
    ({"images": {"column": "image", "as": "bytes"}}, "'bytes' is not one of its values", "known: base64"),
    ({"category": 3}, "the value is a whole number, not a text", 'write it in quotes: "3"'),
    ({"judges": {"harmbench": {True: "unsafe"}}}, "the key True is true or false", 'such as "yes"'),
    ({"generation": {"temperature": -1}}, "-1 is out of range", "at least 0"),
    ({"kind": "atack"}, "'atack' is not one of its values", "did you mean 'attack'?"),
    ({"kind": None}, "nothing says how answers are scored", "write kind"),
    ({"judges": {"keyword": {"refusal": "saef"}}}, "saef", "did you mean 'safe'?"),
    ({"blocked_as": "harmless"}, "blocked_as is the label 'harmless'", "known"),
    ({"by": ["topic"]}, "by names 'topic'", "known: category"),
    ({"question": "{{ question "}, "the template cannot be read", ""),
    ({"rubric": {"template": "../x.j2", "labels": ["a"]}}, "is not in the file's folder", "beside the task file"),
    ({"rubric": {"template": "none.j2", "labels": ["a"]}}, "cannot read the template none.j2", ""),
    ({"images": {"column": "image", "folder": "../.."}}, "leads out of the data's folder", "-T NAME.data=DIR"),
    ({"data": {"files": "q.csv", "revision": "abc"}}, "revision needs hub", "OWNER/NAME"),
    ({"gated": True}, "gated needs a url", "ask for access"),
    ({"n": 3, "splits": {"a": None}}, "n is of the whole file", "in each split"),
    ({"splits": {"A B": None}}, "'A B' cannot name a split", "small letters"),
    ({"rubric": {"template": "r.j2", "labels": ["a"], "parse": {"pattern": "("}}}, "the pattern cannot be read", ""),
    ({"rubric": {"template": "r.j2", "labels": ["a"], "parse": {"pattern": "x"}}}, "has no group", "in brackets"),
    ({"rubric": {"template": "r.j2", "labels": ["a"], "values": ["goal"]}}, "shows 'goal'", ""),
]  # fmt: skip


@pytest.mark.parametrize(("more", "what", "remedy"), WRONG)
def test_what_is_wrong_in_a_file_is_said_with_its_line_and_a_remedy(
    tmp_path: Path, more: dict[str, Any], what: str, remedy: str
) -> None:
    (tmp_path / "r.j2").write_text("{{ answer }}")
    path = write_kitchen(tmp_path, **more)
    with pytest.raises(HarnessError) as caught:
        load_task(path)
    assert what in caught.value.what
    assert remedy in caught.value.remedy
    assert str(path.name) in caught.value.where or "x.j2" in caught.value.where


def test_the_line_of_a_key_is_the_line_it_stands_on(tmp_path: Path) -> None:
    path = tmp_path / "kitchen.yaml"
    path.write_text("description: x\ndata:\n  files: q.csv\n  layuot: table\nquestion: q\n")
    with pytest.raises(UnknownName) as caught:
        load_task(path)
    assert caught.value.where == f"{path}, line 4: data.layuot"


def test_records_of_files_with_one_name_in_two_folders_are_numbered_by_their_path(tmp_path: Path) -> None:
    for room in ("bath", "kitchen"):
        (tmp_path / room).mkdir()
        write_rows(tmp_path / room / "d.csv", [{"q": f"in the {room}"}])
    given: dict[str, Any] = {"question": "q", "images": None, "category": None, "id": None}
    found = read(write_file(tmp_path, **given, data={"files": ["bath/d.csv", "kitchen/d.csv"]}))
    assert [each.id for each in found] == ["bath/d-1", "kitchen/d-1"]


def test_options_that_are_nested_without_end_are_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "d.csv", [{"q": "Which?", "options": "[" * 100_000, "answer": "A"}])
    given: dict[str, Any] = {"question": "q", "images": None, "category": None, "id": None, "judges": None}
    path = write_file(tmp_path, **given, data={"files": "d.csv"}, kind="choice", choices="options", answer="answer")
    with pytest.raises(BadData, match="nested too deeply"):
        read(path)


BAD_ROWS: list[tuple[list[Mapping[str, Any]], dict[str, Any], str, str]] = [
    ([{**ROWS[0], "id": "b"}, ROWS[1]], {}, "the id 'b' is also that of questions.csv, record 1", "record 2, field id"),
    ([{**ROWS[0], "question": " "}], {}, "field 'question' is blank", "record 1, field question"),
    ([{**ROWS[0], "image": "gone.png"}], {}, "the image 'pictures/gone.png' is not there", "record 1, field image"),
    ([{**ROWS[0], "image": "../../etc/passwd"}], {}, "leads out of the data's folder", "record 1, field image"),
    ([{**ROWS[0], "image": "/etc/passwd"}], {"images": "image"}, "leads out of the data's folder", "record 1"),
    ([{**ROWS[0], "image": ""}], {}, "field 'image' has no image", "record 1, field image"),
    ([{**ROWS[0], "image": "https://x.org/a.png"}], {"images": "image"}, "is an address", "record 1"),
    ([*ROWS], {"question": "Question"}, "questions.csv has no column 'Question'", "kitchen.yaml, line"),
    ([*ROWS], {"question": "{{ qestion }}"}, "questions.csv has no column 'qestion'", "kitchen.yaml, line"),
    ([*ROWS], {"images": ["img"]}, "questions.csv has no column 'img'", "images[1]"),
    ([*ROWS], {"tags": ["rooms"]}, "questions.csv has no column 'rooms'", "tags"),
]


@pytest.mark.parametrize(("rows", "more", "what", "where"), BAD_ROWS)
def test_what_is_wrong_in_the_data_is_said_with_file_record_and_field(
    tmp_path: Path, rows: list[Mapping[str, Any]], more: dict[str, Any], what: str, where: str
) -> None:
    path = write_kitchen(tmp_path, **more)
    write_rows(tmp_path / "questions.csv", rows)
    with pytest.raises(BadData) as caught:
        read(path)
    assert what in caught.value.what
    assert where in caught.value.where


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("q.csv", "id,question,image,room\na,b\n", "the record has 2 cells, and the header names 4"),
        ("q.csv", 'id,question,image,room\na,"b\n', "not CSV"),
        ("q.csv", "id,id\n", "the column 'id' twice"),
        ("q.csv", "", "the file is empty"),
        ("q.csv", "id;question;image\n", "separated by semicolons"),
        ("q.jsonl", '{"id": 1}\n[2]\n', "the record is a list, not an object"),
        ("q.jsonl", '{"id": \n', "not JSON"),
        ("q.json", '{"a": 1}', "no one list of records"),
        ("q.xlsx", "", "not an Excel workbook"),
        ("q.ods", "", "not a kind of file that is read"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says_is_refused(tmp_path: Path, name: str, text: str, what: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadData, match=what):
        read(write_kitchen(tmp_path, data={"files": name}))


def test_a_missing_file_is_missing_data_that_says_how_to_name_the_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingData) as caught:
        read(write_kitchen(tmp_path, data={"files": "gone.csv"}))
    assert "-T kitchen.data=DIR" in caught.value.remedy


def test_images_that_may_be_missing_are_left_to_the_run(tmp_path: Path) -> None:
    path = write_kitchen(tmp_path, data={"files": "questions.csv", "images": "as they come"})
    (tmp_path / "pictures" / "red.png").unlink()
    assert len(read(path)) == 3


def test_a_link_out_of_the_folder_is_no_image(tmp_path: Path) -> None:
    path = write_kitchen(tmp_path / "set")
    (tmp_path / "secret.png").write_bytes(png("red"))
    (tmp_path / "set" / "pictures" / "red.png").unlink()
    (tmp_path / "set" / "pictures" / "red.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(BadData, match="leads out of the data's folder"):
        read(path)


@pytest.mark.parametrize(
    "text",
    [
        "{{ question.__class__.__mro__ }}",
        "{% include '/etc/passwd' %}",
        "{{ ''.join(row.__init__.__globals__) }}",
        "{{ lipsum }}",
        "{{ question.format.__func__ }}",
    ],
)
def test_a_template_reaches_nothing_but_the_columns(tmp_path: Path, text: str) -> None:
    with pytest.raises(HarnessError):
        read(write_kitchen(tmp_path, question=text))


def test_a_changed_file_or_template_is_another_version_and_a_comment_is_not(tmp_path: Path) -> None:
    path = write_kitchen(tmp_path, question={"file": "q.j2"})
    (tmp_path / "q.j2").write_text("{{ question }}")
    first = load_task(path).version
    path.write_text(f"# a comment\n{path.read_text()}")
    assert load_task(path).version == first
    (tmp_path / "q.j2").write_text("{{ question }}!")
    changed = load_task(path).version
    assert changed != first
    write_kitchen(tmp_path, question={"file": "q.j2"}, order="question first")
    assert load_task(path).version not in (first, changed)


def test_a_task_is_restored_from_what_a_run_kept_without_its_files(tmp_path: Path) -> None:
    path = write_kitchen(tmp_path, question={"file": "q.j2"})
    (tmp_path / "q.j2").write_text("{{ question }}")
    task = load_task(path)
    path.unlink()
    (tmp_path / "q.j2").unlink()
    again = TaskFile.restore(json.loads(json.dumps(dict(task.file)))).build()
    assert again.version == task.version
    assert [asked(each) for each in list_samples(again)] == [asked(each) for each in list_samples(task)]


def test_a_name_is_a_path_if_it_ends_with_yaml_or_has_a_slash() -> None:
    assert [is_task_path(name) for name in ("mis", "mis:mini", "a.yaml", "a.yml:dev", "sets/", "./a")] == [
        False, False, True, True, True, True
    ]  # fmt: skip
    assert split_name("x/a.yaml:dev") == ("x/a.yaml", "dev")
    assert split_name("mis:mini") == ("mis", "mini")
    assert split_name("lm-eval:leaderboard/gpqa") == ("lm-eval", "leaderboard/gpqa"), "a slash in a split is no path"
    assert not is_task_path("lm-eval:leaderboard/gpqa")
    assert [drop_path(name) for name in ("x/a.yaml:dev", "a.yml", "mis:mini")] == ["a:dev", "a", "mis:mini"]


def test_a_folder_means_its_task_files(tmp_path: Path) -> None:
    one, two = write_kitchen(tmp_path, name="a.yaml"), write_kitchen(tmp_path, name="b.yml")
    assert list(expand_folders(["mis", f"{tmp_path}/"])) == ["mis", str(one), str(two)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match="holds no task file"):
        list(expand_folders([f"{tmp_path}/empty"]))
    with pytest.raises(HarnessError, match="no such folder"):
        list(expand_folders([f"{tmp_path}/gone/"]))


@pytest.mark.parametrize("name", ["Kitchen.yaml", "my set.yaml", "-x.yaml"])
def test_a_file_whose_name_is_no_task_s_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match="cannot name a task"):
        load_task(write_kitchen(tmp_path, name=name))


def test_a_task_file_s_task_keeps_the_contract_of_tasks(tmp_path: Path) -> None:
    (tmp_path / "rubric.j2").write_text("{{ question }}\n{{ answer }}")
    rubric = {"template": "rubric.j2", "labels": ["safe", "unsafe"]}
    paper = {"title": "Kitchens", "authors": ["Ada Byron"], "year": 2026, "arxiv": "2601.00001"}
    task = load_task(write_kitchen(tmp_path, rubric=rubric, n=3, cluster="scene", paper=paper))
    check_task(task, tmp_path, judges=task.rubrics)
    assert task.paper is not None
    assert task.paper.key == "byron2026kitchens"


def test_a_file_of_20_000_records_with_base64_images_is_listed_in_3_s_and_200_mb(tmp_path: Path) -> None:
    cell = encoded("red") * 12  # 4 kB
    with (tmp_path / "big.tsv").open("w") as out:
        out.write("index\timage\tquestion\tcategory\n")
        for number in range(20_000):
            out.write(f"{number}\t{cell}\tWhat is it, {number}?\tc{number % 9}\n")
    path = write_file(
        tmp_path, data={"files": "big.tsv"}, id="index", images={"column": "image", "as": "base64"},
        category="category", name="big.yaml",
    )  # fmt: skip
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom harness.data.places import read_samples\n"
        "from harness.task_files import load_task\nbegan = time.process_time()\ntask = load_task(Path(sys.argv[1]))\n"
        "count = sum(1 for _ in read_samples(task, task.folder, 'test', {}))\n"
        "peak = next(each for each in open('/proc/self/status') if each.startswith('VmHWM')).split()[1]\n"
        "print(count, time.process_time() - began, int(peak) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    count, seconds, megabytes = done.stdout.split()
    assert int(count) == 20_000
    assert float(seconds) < 3
    assert int(megabytes) < 200
