import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, IdentityMismatch
from harness.files import atomic_write
from harness.store import RunFolder, TaskFolder, file_name
from harness.store.journal import load_lines
from harness.store.run_file import SCHEMA, RunFile


def asked(sample: str, split: str = "easy", key: str = "k1:a", epoch: int = 0) -> dict[str, object]:
    return {"id": sample, "split": split, "epoch": epoch, "key": key}


def ids(folder: TaskFolder, split: str = "easy") -> list[str]:
    return [line["id"] for line in folder.read_asked(split)]


def put(folder: TaskFolder, *samples: str, split: str = "easy", keep: bool = False, key: str = "k1:a") -> str:
    with folder.replace_listings():
        listing = folder.open_listing(split, keep=keep)
        for sample in samples:
            listing.add(asked(sample, split, key), f"k1:{int(sample):064x}")
        listing.finish()
    return listing.content


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return RunFolder(tmp_path / "run").task("mis")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("openai-Qwen/Qwen2-VL", "openai-Qwen-Qwen2-VL"),
        ("mssbench+setting=qc", "mssbench+setting=qc"),
        ("../../etc", "etc"),
        (".hidden", "hidden"),
        ("ü", "x"),
        ("", "x"),
    ],
)
def test_a_file_name_never_leaves_its_folder_and_is_never_hidden(text: str, name: str) -> None:
    assert file_name(text) == name


def test_a_new_listing_takes_the_place_of_the_old_one_of_its_split_only(folder: TaskFolder) -> None:
    put(folder, "1", "2", "3")
    put(folder, "7", split="hard")
    put(folder, "2")
    assert ids(folder) == ["2"]
    assert ids(folder, "hard") == ["7"]


def test_a_lower_limit_never_shrinks_what_was_asked(folder: TaskFolder) -> None:
    put(folder, "1", "2", "3")
    put(folder, "2", keep=True, key="k1:b")
    assert sorted(ids(folder)) == ["1", "2", "3"]
    assert [line["key"] for line in folder.read_asked("easy") if line["id"] == "2"] == ["k1:b"]


def test_an_abandoned_listing_leaves_the_old_one_and_no_scratch(folder: TaskFolder) -> None:
    put(folder, "1")
    with folder.replace_listings():
        listing = folder.open_listing("easy", keep=False)
        listing.add(asked("9"), "k1:09")
        listing.abandon()
    assert ids(folder) == ["1"]
    assert [path.name for path in folder.path.iterdir()] == ["asked.jsonl"]


def test_the_hash_of_the_data_does_not_depend_on_the_order_in_which_samples_ended(folder: TaskFolder) -> None:
    assert put(folder, "1", "2", "3") == put(folder, "3", "1", "2")
    assert put(folder, "1", "2", "3") != put(folder, "1", "2")


def run_file(**fields: Any) -> RunFile:
    raw = {"schema": SCHEMA, "started": "", "identity_digest": "", "plugins": {}, "environment": {}, "judges": {}}
    model = {"ref": "a/b", "resolved": "b", "settings": {}, "strategy": None}
    return RunFile.from_json(
        {**raw, "model": model, "overrides": {"generation": {}, "system": ""}, "tasks": {}, "identity": {}, **fields}
    )


def test_a_folder_of_another_identity_is_refused_with_the_fields_that_differ(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.claim({"scheme": "openai", "settings": {"detail": "low"}}, "remedy")
    folder.rewrite_run(lambda _: run_file(identity={"scheme": "openai", "settings": {"detail": "low"}}))
    folder.claim({"scheme": "openai", "settings": {"detail": "low"}}, "remedy")
    with pytest.raises(IdentityMismatch, match=r'settings.detail was "low" and is "high"') as caught:
        folder.claim({"scheme": "openai", "settings": {"detail": "high"}}, "give --output")
    assert caught.value.remedy == "give --output"


def test_responses_without_a_run_file_are_never_taken_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.task("mis").responses(write=True).close()
    with pytest.raises(HarnessError, match="holds responses and no run"):
        folder.claim({"scheme": "x"}, "remedy")


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.rewrite_json("results.json") as results:
        results["a"] = 1
    with pytest.raises(ZeroDivisionError), folder.rewrite_json("results.json") as results:
        results["a"] = 1 / 0
    assert folder.results == {"a": 1}


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(HarnessError, match="not JSON") as caught:
        _ = RunFolder(tmp_path).run
    assert "run.json" in caught.value.where


def test_the_judges_of_a_task_are_those_that_have_a_file(folder: TaskFolder) -> None:
    for judge in ("mis-openai-x-1f3a9c2e", "keyword-00112233"):
        folder.verdicts(judge, write=True).close()
    assert folder.judges() == ("keyword-00112233", "mis-openai-x-1f3a9c2e")


def test_what_was_asked_is_plain_json_lines(folder: TaskFolder) -> None:
    put(folder, "1")
    assert [json.dumps(line) for line in load_lines(folder.path / "asked.jsonl")] == [json.dumps(asked("1"))]


def test_a_listing_takes_nothing_that_json_cannot_hold(folder: TaskFolder) -> None:
    with folder.replace_listings(), pytest.raises(HarnessError, match="what JSON cannot hold"):
        folder.open_listing("easy", keep=False).add({**asked("1"), "target": float("nan")}, "")


WRITES: dict[str, Callable[[RunFolder], object]] = {
    "log.txt": lambda run: run.log("a line"),
    "mis/responses.jsonl": lambda run: run.task("mis").responses(write=True),
    "mis/.responses.jsonl.lock": lambda run: run.task("mis").responses(write=True),
    "mis/verdicts-keyword.jsonl": lambda run: run.task("mis").verdicts("keyword", write=True),
    "mis/.asked.jsonl.new": lambda run: run.task("mis").replace_listings().__enter__(),
    ".results.json.lock": lambda run: run.rewrite_json("results.json").__enter__(),
}


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_through_a_link_that_leads_out_of_the_run_folder(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("what the user wrote\n")
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(mine)
    with pytest.raises(HarnessError, match="leads out of the run folder") as refused:
        WRITES[name](RunFolder(tmp_path / "run"))
    assert link.name in str(refused.value)
    assert mine.read_text() == "what the user wrote\n"


def test_a_task_s_folder_that_is_a_link_out_of_the_run_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "run" / "mis").symlink_to(tmp_path / "mine")
    with pytest.raises(HarnessError, match="leads out of the run folder"):
        RunFolder(tmp_path / "run").task("mis").responses(write=True)
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_run_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    run = RunFolder(tmp_path / "run")
    run.log("a line")
    run.task("mis").responses(write=True)
    assert (tmp_path / "disk" / "log.txt").read_text() == "a line\n"


def test_a_file_that_is_replaced_is_not_written_through_a_link_in_its_place(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("what the user wrote\n")
    (tmp_path / "run").mkdir()
    for name in ("run.json", f".run.json.{os.getpid()}"):
        (tmp_path / "run" / name).symlink_to(mine)
    atomic_write(tmp_path / "run" / "run.json", "{}\n")
    assert mine.read_text() == "what the user wrote\n"
    assert (tmp_path / "run" / "run.json").read_text() == "{}\n"


@pytest.mark.parametrize("line", ["keep", '{"x": 1}', '{"id": "1", "split": "easy", "ep'])
def test_a_line_of_asked_that_is_damaged_is_named_with_what_to_do(folder: TaskFolder, line: str) -> None:
    put(folder, "1")
    with (folder.path / "asked.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(HarnessError, match=r"does not say what was asked.*asked\.jsonl") as caught:
        list(folder.read_asked("easy"))
    assert "--fresh" in caught.value.remedy
