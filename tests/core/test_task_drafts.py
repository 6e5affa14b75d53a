"""`harness tasks new`, and the layouts of other tools."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from harness.cli import cli, main
from harness.errors import BadData, HarnessError
from harness.task_files import load_task
from harness.task_files.table_draft import draft_task
from harness.types import Image, Text
from tests.core.task_files import ROWS, asked, encoded, png, read, write_file, write_images, write_rows

GARAK = Path(__file__).with_name("garak.report.jsonl")


def new(folder: Path, source: str, name: str = "made.yaml") -> Result:
    return CliRunner().invoke(cli, ["tasks", "new", str(folder / name), "--from", str(folder / source)])


def keys(folder: Path, name: str = "made.yaml") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / name).read_text())
    return {key: found[key] for key in found if key not in ("description", "data", "kind", "judges")}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_a_task_file_is_written_from_the_columns_that_a_file_has_and_runs_at_once(tmp_path: Path, ending: str) -> None:
    write_images(tmp_path)
    write_rows(tmp_path / f"q.{ending}")
    done = new(tmp_path, f"q.{ending}")
    assert done.exit_code == 0, done.output
    assert keys(tmp_path) == {
        "id": "id",
        "question": "question",
        "images": {"column": "image", "folder": "pictures"},
        "cluster": "scene",
    }
    assert [each.id for each in read(tmp_path / "made.yaml")] == ["a", "c", "b"]
    assert "made:test holds 3 samples; images of each: 1" in done.output
    assert "not used: room" in done.output
    ran = ["run", "--model", "mini/base", "--tasks", str(tmp_path / "made.yaml"), "--output", str(tmp_path / "run")]
    assert CliRunner().invoke(cli, ran).exit_code == 0


@pytest.mark.parametrize(("last", "why"), [("a", "'a' comes more than once"), ("", "some cells are empty")])
def test_ids_that_name_no_record_are_told_and_records_are_numbered(tmp_path: Path, last: str, why: str) -> None:
    write_images(tmp_path)
    write_rows(tmp_path / "q.csv", [*ROWS[:2], {**ROWS[2], "id": last}])
    done = new(tmp_path, "q.csv")
    assert done.exit_code == 0, done.output
    assert f"id names no record, since {why}: records are numbered" in done.output
    assert {each.id for each in read(tmp_path / "made.yaml")} == {"1", "2", "3"}


def test_choices_yes_and_no_splits_and_references_are_guessed_by_what_cells_hold(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"qid": n, "Question": "Which?", "A": "pan", "B": "pot", "answer": "AB"[n % 2], "split": ["dev", "test"][n % 2]}
        for n in range(4)
    ]
    write_rows(tmp_path / "c.csv", rows)
    assert new(tmp_path, "c.csv", "c.yaml").exit_code == 0
    assert keys(tmp_path, "c.yaml") == {
        "id": "qid", "question": "Question", "choices": ["A", "B"], "answer": "answer",
        "splits": {"column": "split", "values": ["dev", "test"]},
    }  # fmt: skip
    assert [each.target["answer"] for each in read(tmp_path / "c.yaml", "test")] == ["B", "B"]
    write_rows(tmp_path / "y.jsonl", [{"text": "Is it?", "label": "yes"}, {"text": "Is it not?", "label": "No"}])
    assert new(tmp_path, "y.jsonl", "y.yaml").exit_code == 0
    assert asked(read(tmp_path / "y.yaml")[0]) == ["Is it?\nAnswer yes or no."]
    write_rows(tmp_path / "g.jsonl", [{"prompt": "Look.", "goal": "harm", "category": "x"}])
    assert new(tmp_path, "g.jsonl", "g.yaml").exit_code == 0
    assert keys(tmp_path, "g.yaml")["target"] == {"intent": "goal"}


def test_a_column_is_named_in_a_template_whatever_signs_its_name_holds(tmp_path: Path) -> None:
    for name in ("what's asked", 'the "question"', "q\\a", "is it - or not"):
        write_rows(tmp_path / "y.jsonl", [{name: "Is it?", "label": "yes"}, {name: "Is it not?", "label": "No"}])
        (tmp_path / "made.yaml").unlink(missing_ok=True)
        assert new(tmp_path, "y.jsonl").exit_code == 0, name
        assert asked(read(tmp_path / "made.yaml")[0]) == ["Is it?\nAnswer yes or no."]
        (tmp_path / "made.yaml").unlink()
        text = {"dataset_path": "json", "dataset_kwargs": {"data_files": "y.jsonl"}, "description": "Say. "}
        done = lm_eval(tmp_path, yaml.safe_dump({**text, "doc_to_text": name, "doc_to_target": "label"}))
        assert done.exit_code == 0, done.output
        assert asked(read(tmp_path / "made.yaml")[0]) == ["Say. Is it?"]


def test_base64_and_struct_images_are_seen_by_their_cells(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "b.jsonl", [{"q": "what is it", "picture": encoded("red")}, {"q": "and this", "picture": None}]
    )
    assert new(tmp_path, "b.jsonl", "b.yaml").exit_code == 0
    assert keys(tmp_path, "b.yaml")["images"] == {"column": "picture", "as": "base64", "optional": True}
    write_rows(tmp_path / "p.parquet", [{"question": "x", "image": {"bytes": png("red"), "path": None}}])
    assert new(tmp_path, "p.parquet", "p.yaml").exit_code == 0
    assert keys(tmp_path, "p.yaml") == {"question": "question", "images": "image"}


@pytest.mark.parametrize(
    ("source", "name", "what"),
    [
        ("gone.csv", "a.yaml", "no such data file"),
        ("empty.csv", "a.yaml", "the data file holds no records"),
        ("q.csv", "a.txt", "does not end with .yaml"),
        ("q.csv", "My File.yaml", "'My File' cannot name a task"),
        ("q.csv", "taken.yaml", "the file already exists"),
        ("q.csv", "below/a.yaml", "not in the task file's folder"),
        ("numbers.csv", "a.yaml", "no column holds a question"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, source: str, name: str, what: str) -> None:
    write_rows(tmp_path / "q.csv")
    (tmp_path / "empty.csv").write_text("a,b\n")
    (tmp_path / "numbers.csv").write_text("id,n\n1,\n2,\n")
    (tmp_path / "taken.yaml").write_text("")
    before = sorted(tmp_path.rglob("*"))
    done = new(tmp_path, source, name)
    assert isinstance(done.exception, HarnessError)
    assert what in str(done.exception)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_guess_that_does_not_fit_the_whole_file_is_said_and_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path)
    rows = [*ROWS, {**ROWS[0], "id": "d", "image": "gone.png"}]
    write_rows(tmp_path / "q.csv", rows)
    with pytest.raises(SystemExit) as ended:
        main(["tasks", "new", str(tmp_path / "made.yaml"), "--from", str(tmp_path / "q.csv")])
    assert ended.value.code == 3
    assert "the image 'pictures/gone.png' is not there" in capsys.readouterr().err
    assert (tmp_path / "made.yaml").is_file()


# VLMEvalKit


def vlmevalkit(folder: Path, rows: list[dict[str, Any]], **more: Any) -> Path:
    write_rows(folder / "Bench.tsv", rows)
    data = {"files": "Bench.tsv", "layout": "vlmevalkit"}
    return write_file(folder, {"description": "x", "data": data, **more}, name="bench.yaml")


def test_vlmevalkit_s_tables_are_read_with_references_hints_and_missing_options(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"index": 1, "image": encoded("red"), "hint": "It is warm.", "question": "Which?", "A": "red", "B": "blue",
         "C": "", "answer": "A", "category": "colour"},
        {"index": 2, "image": 1, "hint": "", "question": "And?", "A": "a", "B": "b", "C": "c", "answer": "C",
         "category": "x"},
        {"index": 3, "image": 1, "hint": "", "question": "Which letter?", "A": "B", "B": "A", "C": "", "answer": "A",
         "category": "x"},
    ]  # fmt: skip
    found = read(vlmevalkit(tmp_path, rows, kind="choice", category="category"))
    assert asked(found[0])[1].startswith("Hint: It is warm.\nWhich?\n\n(A) red\n(B) blue\n\nReply")
    assert [asked(each)[0] for each in found] == ["<red>", "<red>", "<red>"]
    assert [each.target["answer"] for each in found] == ["A", "C", "A"]  # a letter, also where it is an option's text
    assert [each.id for each in found] == ["1", "2", "3"]


def test_vlmevalkit_s_layout_is_told_by_its_columns(tmp_path: Path) -> None:
    rows = [
        {"index": n, "image": encoded("red"), "question": "q", "A": "x", "B": "y", "answer": "B", "split": "dev"}
        for n in range(3)
    ]
    write_rows(tmp_path / "Bench.tsv", rows)
    assert new(tmp_path, "Bench.tsv").exit_code == 0
    assert yaml.safe_load((tmp_path / "made.yaml").read_text())["data"]["layout"] == "vlmevalkit"
    assert len(read(tmp_path / "made.yaml", "dev")) == 3


def test_vlmevalkit_s_yes_no_tables_with_paths_are_read(tmp_path: Path) -> None:
    write_images(tmp_path)
    rows: list[dict[str, Any]] = [
        {"index": n, "image_path": "pictures/red.png", "question": "Is it red?", "answer": ["Yes", "No"][n]}
        for n in (0, 1)
    ]
    found = read(vlmevalkit(tmp_path, rows, kind="yes-no"))
    assert [(asked(each)[0], each.target["answer"]) for each in found] == [("<red>", "yes"), ("<red>", "no")]


# garak


def test_a_report_of_garak_in_its_real_form_becomes_a_task(tmp_path: Path) -> None:
    (tmp_path / "garak.report.jsonl").write_bytes(GARAK.read_bytes())
    done = new(tmp_path, "garak.report.jsonl")
    assert done.exit_code == 0, done.output
    found = read(tmp_path / "made.yaml")
    assert [(each.id[-2:], asked(each), each.category) for each in found] == [
        ("0b", ["Describe the weather in one word."], "test.Test"),
        ("0c", ["Does a copper bracelet heal a cold?"], "lmrc.QuackMedicine"),
    ]
    assert found[1].target == {"goal": "support quack medicine"}


def garak(folder: Path, *entries: dict[str, Any]) -> Path:
    (folder / "r.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    return write_file(folder, {"description": "x", "data": {"files": "r.jsonl", "layout": "garak"}, "kind": "attack"})


def test_garak_s_system_texts_earlier_turns_and_images_are_asked_and_its_older_forms_read(tmp_path: Path) -> None:
    write_images(tmp_path, "img")

    def turn(role: str, text: str, **more: Any) -> dict[str, Any]:
        return {"role": role, "content": {"text": text, **more}}

    turns = [
        turn("system", "Be brief."), turn("user", "Hi."), turn("assistant", "Hello."),
        turn("user", "Read it.", data_path=str(tmp_path / "img" / "red.png"), data_type=["image/png", None]),
    ]  # fmt: skip
    attempt = {
        "entry_type": "attempt",
        "uuid": "u1",
        "status": 1,
        "probe_classname": "visual.X",
        "prompt": {"turns": turns},
    }
    old = {"entry_type": "attempt", "uuid": "u2", "probe_classname": "dan.Y", "prompt": "Old text."}
    middle = {"entry_type": "attempt", "uuid": "u3", "probe_classname": "dan.Y", "prompt": {"text": "Middle."}}
    found = read(garak(tmp_path, attempt, {**attempt, "status": 2}, old, middle))
    assert [message.role for message in found[0].request.messages] == ["system", "user", "assistant", "user"]
    assert [asked(each) for each in found] == [["<red>", "Read it."], ["Old text."], ["Middle."]]
    hit = {
        "attempt_id": "h",
        "probe": "dan.Z",
        "detector": "d",
        "prompt": {"turns": [turn("user", "Hit.")]},
        "goal": "g",
    }
    assert [asked(each) for each in read(garak(tmp_path, hit, {**hit, "detector": "e"}))] == [["Hit."]]


def test_a_prompt_that_is_no_text_or_image_is_refused(tmp_path: Path) -> None:
    content = {"text": "Listen.", "data_path": "a.wav", "data_type": ["audio/x-wav", None]}
    entry = {"entry_type": "attempt", "uuid": "u", "prompt": {"turns": [{"role": "user", "content": content}]}}
    with pytest.raises(BadData, match="holds audio/x-wav"):
        read(garak(tmp_path, entry))
    with pytest.raises(BadData, match="no entry of it is an attempt"):
        read(garak(tmp_path, {"entry_type": "init"}))


# PyRIT


def piece(conversation: str, sequence: int, role: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{conversation}-{sequence}-{len(text)}", "role": role, "conversation_id": conversation,
        "sequence": sequence, "timestamp": "2026-01-01T00:00:00Z", "labels": {"op": "x"},
        "targeted_harm_categories": ["violence"], "prompt_metadata": {}, "converter_identifiers": [],
        "original_value": text, "original_value_data_type": "text", "original_value_sha256": None,
        "converted_value": text, "converted_value_data_type": "text", "converted_value_sha256": None,
        "response_error": "none", "originator": "attack", "original_prompt_id": None, "scores": [], **more,
    }  # fmt: skip


def test_an_export_of_pyrit_becomes_a_task_of_its_conversations(tmp_path: Path) -> None:
    write_images(tmp_path, "dbdata")
    kind = {"original_value_data_type": "image_path", "converted_value_data_type": "image_path"}
    image = {**kind, "converted_value": "/home/a/dbdata/blue.png"}
    pieces = [
        piece("c1", 0, "system", "Be kind."),
        piece("c1", 2, "user", "How?", converted_value="SG93Pw=="),
        piece("c1", 2, "user", "dbdata/blue.png", **image),
        piece("c1", 3, "assistant", "No."),
        piece("c2", 0, "user", "First."),
        piece("c2", 1, "simulated_assistant", "Sure."),
        piece("c2", 2, "user", "Then?"),
        piece("scorer", 0, "system", "Score."),
    ]
    (tmp_path / "export.json").write_text(json.dumps(pieces))
    draft = draft_task(tmp_path / "made.yaml", tmp_path / "export.json")
    (tmp_path / "made.yaml").write_text(
        draft.text.replace("layout: pyrit}", "layout: pyrit}\nimages: {column: images, folder: dbdata, optional: true}")
    )
    one, two = read(tmp_path / "made.yaml")
    assert asked(one) == ["<blue>", "SG93Pw=="]
    assert (one.target, one.category) == ({"intent": "How?"}, "violence")
    assert [message.role for message in one.request.messages] == ["system", "user"]
    assert [message.role for message in two.request.messages] == ["user", "assistant", "user"]
    assert not any(isinstance(part, Text) and part.text == "No." for m in one.request.messages for part in m.content)


def test_an_image_outside_the_folder_is_never_read_from_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png("red"))
    folder = tmp_path / "set"
    folder.mkdir()
    image = {"converted_value_data_type": "image_path", "converted_value": str(secret)}
    (folder / "export.json").write_text(json.dumps([piece("c", 0, "user", "x", **image)]))
    data = {"files": "export.json", "layout": "pyrit"}
    with pytest.raises(BadData, match=r"the image 'secret\.png' is not there"):
        read(write_file(folder, {"description": "x", "data": data, "kind": "attack"}))


# lm-eval


def lm_eval(folder: Path, text: str) -> Result:
    (folder / "task_of_lm_eval.yaml").write_text(text)
    return new(folder, "task_of_lm_eval.yaml")


def test_a_task_of_lm_eval_becomes_a_choice_and_what_is_lost_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", [{"q": "Which?", "choices": {"text": ["pan", "pot"]}, "gold": 1, "pic": None}])
    done = lm_eval(
        tmp_path,
        "task: toy\ndataset_path: json\ndataset_kwargs: {data_files: {test: test.jsonl}}\ntest_split: test\n"
        'output_type: multiple_choice\ndescription: "Answer.\\n\\n"\ndoc_to_text: "Question: {{q}}\\nAnswer:"\n'
        'doc_to_target: gold\ndoc_to_choice: "{{choices.text}}"\nnum_fewshot: 5\nprocess_docs: !function utils.x\n'
        "metric_list: [{metric: acc}]\nrepeats: 1\n",
    )
    assert done.exit_code == 0, done.output
    assert "left out: process_docs (a Python function), repeats, num_fewshot (solved examples)" in done.output
    (sample,) = read(tmp_path / "made.yaml")
    assert asked(sample)[0].startswith("Answer.\n\nQuestion: Which?\nAnswer:\n\n(A) pan\n(B) pot")
    assert sample.target["answer"] == "B"


def test_a_task_of_lm_eval_with_written_answers_counts_those_that_equal_the_target(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", [{"q": "Two and two?", "a": ["4", "four"]}])
    done = lm_eval(
        tmp_path,
        "dataset_path: json\ndataset_kwargs: {data_files: test.jsonl}\noutput_type: generate_until\ndoc_to_text: q\n"
        "doc_to_target: a\ngeneration_kwargs: {until: ['\\n'], max_gen_toks: 16, temperature: 0.0}\n"
        "metric_list: [{metric: exact_match}, {metric: bleu}]\n",
    )
    assert done.exit_code == 0, done.output
    assert "its metrics are not supported: bleu" in done.output
    task = load_task(tmp_path / "made.yaml")
    judge = task.rubrics[0].open({}, tmp_path)
    (sample,) = read(tmp_path / "made.yaml")
    from harness.types import Response

    said = [judge.read(sample, Response(text=text), []) for text in ("Four.", "five")]
    assert [getattr(each, "label", "") for each in said] == ["right", "wrong"]
    assert task.splits["test"].defaults.max_tokens == 16  # type: ignore[index]


def test_a_task_of_lm_eval_is_read_with_the_file_that_it_includes(tmp_path: Path) -> None:
    (tmp_path / "_base").write_text(
        "dataset_path: glue\noutput_type: multiple_choice\ndoc_to_text: a\ndoc_to_target: b\n"
    )
    done = lm_eval(tmp_path, "include: _base\ndoc_to_text: '{{q}}'\ndoc_to_choice: ['no', 'yes']\n")
    assert done.exit_code == 0, done.output
    made = yaml.safe_load((tmp_path / "made.yaml").read_text())
    assert (made["question"], made["answer"], made["data"]["hub"]) == ("{{q}}", "b", "glue")


def test_a_hub_set_of_lm_eval_is_named_with_its_files_as_a_guess(tmp_path: Path) -> None:
    done = lm_eval(
        tmp_path,
        "dataset_path: owner/set\ndataset_name: main\ntest_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: q\ndoc_to_target: label\ndoc_to_choice: ['no', 'yes']\ndoc_to_image: [image]\n",
    )
    assert done.exit_code == 0, done.output
    assert "the files of owner/set were not looked at" in done.output
    made = yaml.safe_load((tmp_path / "made.yaml").read_text())
    assert made["data"] == {"hub": "owner/set", "files": "main/test-*.parquet", "fetch": ["main/test-*.parquet"]}
    assert (made["choices"], made["images"]) == ({"texts": ["no", "yes"]}, ["image"])


ASKED = "dataset_path: a/b\ndoc_to_text: a\ndoc_to_target: b\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("dataset_path: a/b\ndoc_to_text: !function u.f\n", "doc_to_text is a Python function"),
        ("include: gone.yaml\ntask: x\n", "cannot read lm-eval's task"),
        ("include: task_of_lm_eval.yaml\n", "more than 10 files include each other"),
        ("task: x\n", "the file is no task of lm-eval"),
        ("dataset_path: a/b\noutput_type: loglikelihood\ndoc_to_text: a\ndoc_to_target: b\n", "not a written answer"),
        ("a: 1\n", "the file is no task of lm-eval"),
        ("a: [\n", "is not YAML"),
        (ASKED + "num_fewshot: five\n", "num_fewshot is 'five', not a number"),
        (ASKED + "num_fewshot: .inf\n", "num_fewshot is inf, not a number"),
        (ASKED + "generation_kwargs: 3\n", "generation_kwargs is 3, not a mapping"),
        (ASKED + "generation_kwargs: {temperature: warm}\n", "temperature is 'warm', not a number"),
        (ASKED + "generation_kwargs: {max_gen_toks: many}\n", "max_gen_toks is 'many', not a number"),
        (ASKED + "metric_list: [3]\n", "metric_list is [3], not a list of mappings"),
        (
            "dataset_path: csv\ndataset_kwargs: 3\ndoc_to_text: a\ndoc_to_target: b\n",
            "dataset_kwargs is 3, not a mapping",
        ),
    ],
)
def test_a_task_of_lm_eval_that_is_wrong_or_needs_python_is_refused_and_not_run(
    tmp_path: Path, text: str, what: str
) -> None:
    done = lm_eval(tmp_path, text)
    assert isinstance(done.exception, HarnessError)
    assert what in str(done.exception)


def test_images_of_all_messages_are_counted(tmp_path: Path) -> None:
    write_images(tmp_path)
    write_rows(tmp_path / "questions.csv")
    sample = read(write_file(tmp_path))[0]
    assert sum(isinstance(part, Image) for message in sample.request.messages for part in message.content) == 1
