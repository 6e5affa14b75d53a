"""A task file that is wrong: the message says what is wrong, where it stands, and what to do."""

import ast
import os
from pathlib import Path

import pytest

import harness
from harness import task_files, yaml_files
from harness.errors import HarnessError

RIGHT = (
    "description: two pictures\nkind: attack\ndata: {files: data.csv}\nquestion: question\ncategory: category\nid: id\n"
)
#: anchors of lists, each of which holds the one before nine times
MULTIPLIED = "".join(
    f"{k}: &{k} [{','.join(['*' + before] * 9)}]\n" for before, k in zip("abcdefghi", "bcdefghij", strict=True)
)
#: the same in one list
MULTIPLIED_LIST = "[&a [x]," + ",".join(line.partition(": ")[2] for line in MULTIPLIED.splitlines()) + "]"
#: what is wrong -> the file, where it is wrong, and words of the message
BROKEN: dict[str, tuple[str, str, str]] = {
    "a bracket is open": ("data: {files: a\n", "line 2", "is not YAML"),
    "a tab indents": ("data:\n\tfiles: a\n", "line 2", "indent with spaces: YAML takes no tabs"),
    "a list at the top": ("- a\n- b\n", "", "the file is a list, not a mapping"),
    "a text alone": ("hello\n", "", "the file is a text, not a mapping"),
    "nothing": ("", "", "the file is empty, not a mapping"),
    "a key twice": (RIGHT + "kind: choice\n", "line 7", "remove one of them"),
    "an unknown key": (RIGHT + "catgory: x\n", "line 7: catgory", "did you mean 'category'?"),
    "a colon in a text": ("description: a: b\n", "line 1", "put a text that holds a colon in quotes"),
    "another indentation": ("description: a\n  data: b\n", "line 2", "indent keys of one mapping alike"),
    "an anchor that is not there": ("description: *x\n", "line 1", "set the anchor (&name) before it"),
    "an anchor that holds itself": (RIGHT + "tags: &a {a: *a}\n", "line 7: tags.a", "write a text"),
    "anchors that multiply": (f"a: &a [x]\n{MULTIPLIED}", "line 1: a", "known:"),
    "anchors that multiply for a word": (
        RIGHT.replace("kind: attack", "kind: " + MULTIPLIED_LIST),
        "line 2: kind",
        "write a text: one of attack",
    ),
    "a merge of what is not a mapping": ("<<: 5\n", "line 1", "give << a mapping"),
    "a tag of Python's": ("description: !!python/object/apply:os.system [ls]\n", "line 1", "leave the tag out"),
    "a control character": ("description: a\x01b\n", "", "take the character out"),
    "two documents": (RIGHT + "---\nkind: attack\n", "line 7", "leave out the line ---"),
    "an escape that is none": ('description: "a\\qb"\n', "line 1", "in single quotes"),
    "a key that is a list": ("? [a, b]\n: c\n", "line 1", "write each key as a text"),
    "a number without end": (RIGHT + f"n: {'9' * 5000}\n", "", "put the number in quotes"),
    "levels without end": ("a: " + "[" * 3000 + "]" * 3000 + "\n", "", "use fewer levels"),
    "a number for a text": (RIGHT.replace("two pictures", "5"), "line 1: description", 'write it in quotes: "5"'),
    "a date for a text": (RIGHT.replace("two pictures", "2024-01-01"), "line 1: description", "write it in quotes"),
    "a date for a key": (RIGHT + "tags: {2024-01-01: id}\n", "line 7: tags.2024-01-01", "is a date, not a text"),
    "a number for a key": (RIGHT + "5: x\n", "line 7: 5", 'write it in quotes: "5"'),
    "a set for a mapping": (RIGHT + "tags: !!set {a, b}\n", "line 7: tags", "a value of a tag (!!…)"),
    "nothing for a text": (RIGHT.replace("two pictures", ""), "line 1: description", "write a text: one line on what"),
    "a text for a number": (RIGHT + "n: many\n", "line 7: n", "write a whole number: published number of samples"),
    "yes for a mapping": (
        RIGHT.replace("{files: data.csv}", "yes"),
        "line 3: data",
        "write a mapping: where the",
    ),
    "no files": (RIGHT.replace("{files: data.csv}", "{files: []}"), "line 3: data.files", "write at least one"),
    "a number out of range": (
        RIGHT + "generation: {temperature: -1}\n",
        "line 7: generation.temperature",
        "at least 0",
    ),
    "a kind that is none": (RIGHT.replace("attack", "atack"), "line 2: kind", "did you mean 'attack'?"),
    "no question": (RIGHT.replace("question: question\n", ""), "", "name the column of the text"),
    "a metric without a direction": (RIGHT + "metrics: {ASR: {labels: [a]}}\n", "line 7: metrics.ASR", "write better:"),
    "a column that is not there": (
        RIGHT.replace("question: question", "question: quest"),
        "line 4: question",
        "did you",
    ),
    "data that leads out": (
        RIGHT.replace("data.csv", "../../data.csv"),
        "line 3: data.files",
        "leads out of the",
    ),
    "data that is not there": (RIGHT.replace("data.csv", "none.csv"), "", "none.csv is not there"),
    "a template that is not there": (
        RIGHT.replace("question: question", "question: {file: q.j2}"),
        "line 4: question.file",
        "see whether",
    ),
    "a question that is blank": (RIGHT, "data.csv, record 2, field question", "write the question there, or remove"),
}


def read_whole(path: Path) -> None:
    """Read a task file and all its samples."""
    task = harness.load_task(path)
    splits = task.splits({}, path.parent) if callable(task.splits) else task.splits
    for name in splits:
        list(task.samples(path.parent, name, {}))


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_is_refused_with_what_is_wrong_where_and_what_to_do(fault: str, tmp_path: Path) -> None:
    text, where, said = BROKEN[fault]
    (tmp_path / "data.csv").write_text("id,question,category\n1,How?,x\n2,,y\n", encoding="utf-8")
    (tmp_path / "task.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        read_whole(tmp_path / "task.yaml")
    assert caught.value.where
    assert caught.value.remedy
    assert where in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [b"description: \xff\xfe\n", "description: a\n".encode("utf-16")])
def test_a_file_that_is_not_utf_8_says_how_to_save_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_bytes(data)
    with pytest.raises(HarnessError, match="in line 1") as caught:
        harness.load_task(tmp_path / "task.yaml")
    assert caught.value.remedy == f"save {tmp_path / 'task.yaml'} as UTF-8"


def test_a_pipe_is_no_task_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "task.yaml")
    with pytest.raises(HarnessError, match="not a regular file"):
        harness.load_task(tmp_path / "task.yaml")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.csv", b"id,question,cat\xe9gorie\n1,a,b\n"),
        ("data.csv", b"id,question,category\n1,caf\xe9,b\n"),
        ("data.jsonl", b'{"id": 1, "question": "caf\xe9", "category": "x"}\n'),
        ("data.json", b'[{"id": 1, "question": "caf\xe9", "category": "x"}]'),
    ],
)
def test_data_in_another_encoding_says_how_to_save_it(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "task.yaml").write_text(RIGHT.replace("data.csv", name), encoding="utf-8")
    with pytest.raises(HarnessError, match="not UTF-8") as caught:
        read_whole(tmp_path / "task.yaml")
    assert caught.value.remedy == "save the file as UTF-8"


def test_each_error_of_task_files_says_what_to_do() -> None:
    (folder,) = task_files.__path__
    silent: list[str] = []
    for path in (*sorted(Path(folder).glob("*.py")), Path(str(yaml_files.__file__))):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                *("HarnessError", "BadData", "MissingData", "UnknownName"),
            ):
                remedy = [each.value for each in node.keywords if each.arg == "remedy"]
                if not remedy or (isinstance(remedy[0], ast.Constant) and not remedy[0].value):
                    silent.append(f"{path.name}: {ast.unparse(node.args[0])}")
    # who lists a hub set adds the command that fetches it
    assert silent == ["samples.py: f'{name} (data.files of {reading.yaml.where}) is not there'"]
