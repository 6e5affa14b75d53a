"""`harness merge`: shards become the run of one process, or are refused with what to do."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

import harness
from harness import plugins
from harness.contracts import Answered, Ask, Decision, Judge, Rubric, Split, Task
from harness.errors import HarnessError, IdentityMismatch
from harness.evaluation.options import JudgeOptions
from harness.files import lock_file
from harness.metrics import rate
from harness.plugins import Host
from harness.runs import merging
from harness.runs.merging import merge_async
from harness.runs.run import Run, judge_async
from harness.runs.shard_set import list_numbers
from harness.runs.verification import verify_run
from harness.settings import effective
from harness.store.folder import RunFolder
from harness.store.shards import shard_folder
from harness.testing.fakes import fake_judge, fake_task, host_of
from harness.types import Settings, Verdict
from tests.acceptance.commands import harness_here
from tests.core.carried import Server, go, lines, numbered, split

SCHEMA = Path(__file__).parents[2] / "docs" / "results.schema.json"
PACKAGED = Host.load(tell=lambda _: None)
OURS = "vlm-safety-harness"


def list_minis() -> list[str]:
    """All packaged splits of this distribution, `task:split`, each once."""
    found: list[str] = []
    for task, plugin in PACKAGED.offers("tasks"):
        if PACKAGED.source(plugin).distribution != OURS:
            continue
        given, offered = effective(task.settings, {}, owner=task.name), task.splits
        splits: Mapping[str, Split] = offered if isinstance(offered, Mapping) else offered(given, Path("nowhere"))
        found += [
            f"{task.name}:{name}"
            for name, one in splits.items()
            if name.startswith("mini") and one.data is not None and not one.parts
        ]
    return found


MINIS = list_minis()


def comparable(folder: Path) -> dict[str, Any]:
    """results.json without what differs between any two runs."""
    results = dict(json.loads((folder / "results.json").read_text(encoding="utf-8")))
    for name in ("started", "finished", "wall_s", "command"):
        del results[name]
    return results


def merge(folder: Path, *extra: Any, task: Task | None = None) -> Run:
    with plugins.use(host_of(Server().provider, task or fake_task(numbered(10)), fake_judge(), *extra)):
        return anyio.run(partial(merge_async, folder, command=("harness", "merge", str(folder))))


def run_all(folder: Path, count: int, *extra: Any, without: Sequence[int] = (), **fields: Any) -> None:
    for number in range(count):
        if number not in without:
            command = ("harness", "run", "--output", str(folder), "--shard", f"{number}/{count}")
            options: dict[str, Any] = {"shard": (number, count), "command": command, **fields}
            go(Server(), folder, *extra, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "options"),
    [(2, {}), (3, {"limit": 4, "epochs": 2, "seed": 1, "temperature": 0.7})],
    ids=["two", "three-of-some"],
)
def test_shards_of_all_packaged_splits_merge_into_the_results_of_one_run(
    count: int, options: dict[str, Any], tmp_path: Path
) -> None:
    assert {"mis:mini", "mssbench:mini", "vlguard:mini-safe_safes"} <= set(MINIS)
    with plugins.use(Host.load([Path(__file__).with_name("plain_model.py")], tell=lambda _: None)):
        whole = harness.run("plain/any", MINIS, output=tmp_path / "whole", **options)
        for number in range(count):
            harness.run("plain/any", MINIS, output=tmp_path / "run", shard=(number, count), **options)
        merged = harness.merge_shards(tmp_path / "run")
    assert comparable(tmp_path / "run") == comparable(tmp_path / "whole")
    assert merged.exit_code == whole.exit_code


def test_a_merged_run_is_verified_and_the_run_command_finds_nothing_left_to_ask(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 3)
    assert merge(tmp_path / "run").exit_code == 0
    with plugins.use(host_of(Server().provider, fake_task(numbered(10)), fake_judge())):
        assert verify_run(tmp_path / "run").state == "same"
    server = Server()
    go(server, tmp_path / "run")
    assert server.asked == []
    assert len(lines(tmp_path / "run")) == 10


def test_the_history_keeps_each_shards_invocations_with_its_shard(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 3)
    merge(tmp_path / "run")
    history = RunFolder(tmp_path / "run").load_run().history
    assert sorted(str(entry.extra.get("shard", "merge")) for entry in history) == ["0/3", "1/3", "2/3", "merge"]
    assert history[-1].command[1] == "merge"
    merge(tmp_path / "run")
    assert len(RunFolder(tmp_path / "run").load_run().history) == 4


def test_what_a_missing_shard_would_have_asked_is_unresolved_and_its_command_is_named(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 3, without=[1])
    run = merge(tmp_path / "run")
    assert run.exit_code == 3
    assert "shard 1 of 3 has not begun" in run.notes[0]
    assert re.search(r"its samples of .* are unresolved \([1-9]\d* unanswered\); run ", run.notes[0])
    assert f"harness run --output {tmp_path / 'run'} --shard 1/3" in run.notes[0]
    found = split(run)
    lacking = 10 - len(lines(tmp_path / "run"))
    assert (found["records"], found["outcomes"]["unanswered"], found["complete"]) == (10, lacking, False)
    assert found["outcomes"]["error"] == 0
    run_all(tmp_path / "run", 3, without=[0, 2])
    assert merge(tmp_path / "run").exit_code == 0
    go(Server(), tmp_path / "whole")
    assert comparable(tmp_path / "run") == comparable(tmp_path / "whole")
    assert "unanswered" not in split(harness.load_run(tmp_path / "run"))["outcomes"]


def test_the_table_and_each_report_of_an_early_merge_say_unanswered_and_not_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with plugins.use(PACKAGED):
        for number in range(2):
            harness.run("mini/base", ["mis:mini"], output=folder, shard=(number, 3))
    ended = harness_here("merge", folder)
    assert ended.code == 3
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, json.loads(SCHEMA.read_text(encoding="utf-8")))
    found = results["tasks"]["mis"]["splits"]["mini"]
    lacking = found["outcomes"]["unanswered"]
    assert sum(found["outcomes"].values()) == found["records"]
    assert f" · unanswered {lacking} · " in ended.out
    assert not re.search(r"\berrors? \d", ended.out + ended.err)
    csv_report = harness_here("report", folder, "--format", "csv").out.splitlines()
    rows = list(csv.DictReader(csv_report))
    assert {(row["unanswered"], row["error"]) for row in rows} == {(str(lacking), "0")}
    for form in ("markdown", "lm-eval", "html"):
        ended = harness_here("report", folder, "--format", form, "--output", tmp_path / form)
        assert (ended.code, ended.err) == (0, ended.err)
        [path] = [tmp_path / form] if (tmp_path / form).is_file() else (tmp_path / form).rglob("results*.json")
        assert not re.search(r"\berrors?\W+[1-9]", path.read_text(encoding="utf-8"))


def test_the_viewer_and_the_checks_know_an_unanswered_question(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 3, without=[1])
    merge(tmp_path / "run")
    with plugins.use(host_of(Server().provider, fake_task(numbered(10)), fake_judge())):
        assert verify_run(tmp_path / "run").state == "same"
        outcomes = [row.outcome for row in harness.load_run(tmp_path / "run").samples().itertuples()]
    assert sorted(set(outcomes)) == ["answered", "unanswered"]


def test_the_questions_of_a_missing_shard_have_the_keys_that_it_would_have_asked(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2, without=[1])
    merge(tmp_path / "run")
    listed = {line["id"]: line["key"] for line in lines(tmp_path / "run", "asked")}
    go(Server(), tmp_path / "whole")
    assert listed == {line["id"]: line["key"] for line in lines(tmp_path / "whole", "asked")}
    server = Server()
    go(server, tmp_path / "run")  # the run itself may answer them too
    assert len(server.asked) == 10 - len(lines(shard_folder(tmp_path / "run", (0, 2))))


def test_the_answers_of_a_shard_that_was_stopped_count(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    stopped = shard_folder(tmp_path / "run", (1, 2))
    file = json.loads((stopped / "run.json").read_text())
    answered = len(lines(stopped))
    file["shard"]["splits"], file["tasks"] = {}, {}
    (stopped / "run.json").write_text(json.dumps(file))
    (stopped / "results.json").unlink()
    (stopped / "fake" / "asked.jsonl").unlink()
    with (stopped / "fake" / "responses.jsonl").open("ab") as torn:
        torn.write(b'{"id":"q3","split":"all","epo')
    run = merge(tmp_path / "run")
    assert (run.exit_code, answered > 0, split(run)["outcomes"]["answered"]) == (3, True, 10)
    assert "shard 1 of 2 has not ended" in run.notes[0]


def test_without_the_data_a_missing_shard_cannot_be_listed_and_both_ways_out_are_named(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2, without=[1])
    with pytest.raises(HarnessError, match=r"(?s)not what the shards were asked.*--shard 1/2.*--data DIR"):
        merge(tmp_path / "run", task=fake_task(numbered(11)))
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 2}, r"two settings: --epochs was 1 and is 2.*--shard 1/2 --fresh"),
        ({"limit": 4}, r"two settings: --limit was null and is 4"),
        ({"min_coverage": 0.5}, "min coverage was 0.98 and is 0.5"),
        ({"judges": ("fake", "other")}, ""),
        ({"judges": ("other",)}, "judge was .* and is "),
        (
            {"task": fake_task(numbered(11))},
            "found was 10 and is 11",
        ),
        ({"generation": {"temperature": 1.0}}, "of two models or settings: overrides.generation.temperature"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_shards_of_different_settings_are_refused_with_the_difference(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    judge = fake_judge(name="other")
    task = fake_task(numbered(10), judges={"fake": {}, "other": {}})
    run_all(tmp_path / "run", 2, judge, without=[1], task=task)
    change = {**change, **({"task": change["task"]} if "task" in change else {"task": task})}
    run_all(tmp_path / "run", 2, judge, without=[0], **change)
    if not said:
        merge(tmp_path / "run", judge, task=task)
        return
    with pytest.raises(HarnessError, match=f"(?s){said}"):
        merge(tmp_path / "run", judge, task=task)
    assert not (tmp_path / "run" / "run.json").exists()


def change_file(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = json.loads((folder / "run.json").read_text())
    change(file)
    (folder / "run.json").write_text(json.dumps(file))


def test_shards_of_two_models_are_refused(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    change_file(shard_folder(tmp_path / "run", (1, 2)), lambda file: file["identity"].update(name="another"))
    with pytest.raises(IdentityMismatch, match=r'shards 0/2 and 1/2 are of two models.*name was "x" and is "another"'):
        merge(tmp_path / "run")


def test_shards_of_two_versions_are_refused(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    for number, version in enumerate(("1.0", "2.0")):
        folder = shard_folder(tmp_path / "run", (number, 2))
        change_file(folder, lambda file, version=version: file["plugins"].update(mis=version))
    with pytest.raises(HarnessError, match=r"(?s)other versions: mis was 1.0 and is 2.0.*install one version"):
        merge(tmp_path / "run")


def test_a_copied_shard_is_refused(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2, without=[1])
    shutil.copytree(shard_folder(tmp_path / "run", (0, 2)), shard_folder(tmp_path / "run", (1, 2)))
    with pytest.raises(HarnessError, match=r"(?s)holds shard 0/2, not 1/2: it was copied.*run shard 1/2 itself"):
        merge(tmp_path / "run")


def test_a_run_among_the_shards_is_refused(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2, without=[1])
    go(Server(), shard_folder(tmp_path / "run", (1, 2)))
    with pytest.raises(HarnessError, match="holds a run of its own, not shard 1/2"):
        merge(tmp_path / "run")


def test_shards_of_two_numbers_are_refused(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    run_all(tmp_path / "other", 3)
    shutil.copytree(shard_folder(tmp_path / "other", (0, 3)), shard_folder(tmp_path / "run", (0, 3)))
    with pytest.raises(HarnessError, match="shards of 2 and of 3"):
        merge(tmp_path / "run")


def put_link(folder: Path, away: Path) -> Path:
    """A task folder that lies elsewhere."""
    (folder / "fake").rename(away / "fake")
    (folder / "fake").symlink_to(away / "fake")
    return folder / "fake"


def put_file_link(folder: Path, away: Path) -> Path:
    (away / "more.jsonl").write_bytes((folder / "fake" / "responses.jsonl").read_bytes())
    path = folder / "fake" / "responses.jsonl"
    path.unlink()
    path.symlink_to(away / "more.jsonl")
    return path


def put_inner_link(folder: Path, _: Path) -> Path:
    path = folder / "fake" / "verdicts-copy.jsonl"
    path.symlink_to("responses.jsonl")
    return path


def put_pipe(folder: Path, _: Path) -> Path:
    path = folder / "fake" / "verdicts-pipe.jsonl"
    os.mkfifo(path)
    return path


def put_lock(folder: Path, away: Path) -> Path:
    path = folder / ".writers.lock"
    path.unlink(missing_ok=True)
    path.symlink_to(away / "lock")
    return path


@pytest.mark.parametrize("put", [put_link, put_file_link, put_inner_link, put_pipe, put_lock])
def test_a_link_or_a_pipe_in_a_shard_is_refused_by_its_name(put: Callable[[Path, Path], Path], tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    (tmp_path / "away").mkdir()
    odd = put(shard_folder(tmp_path / "run", (1, 2)), tmp_path / "away")
    with pytest.raises(HarnessError, match="and no run puts one into a shard") as caught:
        merge(tmp_path / "run")
    assert caught.value.where == str(odd)
    assert not (tmp_path / "run" / "run.json").exists()
    assert not (tmp_path / "away" / "lock").exists()


def test_the_folder_of_a_shard_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    place = shard_folder(tmp_path / "run", (1, 2))
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert merge(tmp_path / "run").exit_code == 0
    go(Server(), tmp_path / "whole")
    assert comparable(tmp_path / "run") == comparable(tmp_path / "whole")


def test_a_merge_writes_nothing_through_a_link(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    (tmp_path / "away").mkdir()
    (tmp_path / "run" / "fake").symlink_to(tmp_path / "away")
    with pytest.raises(HarnessError, match="leads out of the run folder") as caught:
        merge(tmp_path / "run")
    assert caught.value.where == str(tmp_path / "run" / "fake")
    assert list((tmp_path / "away").iterdir()) == []


@pytest.mark.parametrize("name", [".merge.lock", ".merging", ".merged"])
def test_what_a_merge_makes_among_the_shards_is_never_a_link(name: str, tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    go(Server(), tmp_path / "another")
    before = sorted(tmp_path.joinpath("another").rglob("*"))
    (tmp_path / "run" / ".shards" / name).symlink_to(tmp_path / "another")
    with pytest.raises(HarnessError, match="this is a link, and no merge makes one"):
        merge(tmp_path / "run")
    assert sorted(tmp_path.joinpath("another").rglob("*")) == before


@pytest.mark.parametrize("name", ["2-of-2", "0-of-10001", "3-of-99999999999999999999"])
def test_a_name_that_no_shard_has_is_refused(name: str, tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    odd = tmp_path / "run" / ".shards" / name
    shutil.copytree(shard_folder(tmp_path / "run", (1, 2)), odd)
    with pytest.raises(HarnessError, match="no shard has this name") as caught:
        merge(tmp_path / "run")
    assert caught.value.where == str(odd)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samples": "ten"}, "of 'ten' samples of fake:all"),
        ({"samples": True, "here": True}, "has True of True samples"),
        ({"here": -1}, "has -1 of 10 samples"),
        ({"here": 11}, "has 11 of 10 samples"),
        ({"here": 1e300}, r"has 1e\+300 of 10 samples"),
        ({"samples": None}, "of None samples"),
        ({"listing": "zz"}, "a hash of fake:all is 'zz'"),
        ({"listing": 7}, "a hash of fake:all is 7"),
        ({"deferred": [{"rubric": "x"}]}, "left to the merged run are"),
        ({"deferred": 3}, "left to the merged run are 3"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_counts_that_no_shard_has_are_refused_with_the_shard(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    odd = shard_folder(tmp_path / "run", (1, 2))
    change_file(odd, lambda file: file["shard"]["splits"]["fake:all"].update(change))
    with pytest.raises(HarnessError, match=f"run.json is damaged: .*{said}") as caught:
        merge(tmp_path / "run")
    assert caught.value.where == str(odd)
    assert not (tmp_path / "run" / "run.json").exists()


def test_splits_that_were_never_asked_and_odd_hashes_are_refused(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    odd = shard_folder(tmp_path / "run", (1, 2))
    change_file(odd, lambda file: file["shard"]["splits"].update({"mis:easy": {}}))
    with pytest.raises(HarnessError, match="its shard has mis:easy, which was not asked"):
        merge(tmp_path / "run")
    change_file(odd, lambda file: file["shard"]["splits"].pop("mis:easy"))
    change_file(odd, lambda file: file["tasks"]["fake"]["splits"]["all"].update(content="not hex"))
    with pytest.raises(HarnessError, match="a hash of fake:all is 'not hex'"):
        merge(tmp_path / "run")


@pytest.mark.parametrize("files", [None, 3, {"fake/asked.jsonl": "all"}, {"fake/asked.jsonl": -1}])
def test_a_merged_run_whose_sizes_are_odd_is_never_merged_into(files: Any, tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    merge(tmp_path / "run")
    change_file(tmp_path / "run", lambda file: file["merged"].update(files=files))
    before = (tmp_path / "run" / "results.json").read_bytes()
    with pytest.raises(HarnessError, match="how much of each file came from the shards"):
        merge(tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def test_the_command_refuses_a_damaged_shard_by_exit_code_2(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    change_file(
        shard_folder(tmp_path / "run", (1, 2)), lambda file: file["shard"]["splits"]["fake:all"].update(here=-1)
    )
    ended = harness_here("merge", tmp_path / "run")
    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert "run.json is damaged" in ended.err


def test_a_folder_without_shards_and_one_where_none_has_ended_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"(?s)no shards here.*--shard 0/4"):
        merge(tmp_path / "run")
    run_all(tmp_path / "run", 2, without=[1])
    change_file(shard_folder(tmp_path / "run", (0, 2)), lambda file: file["shard"].update(splits={}))
    with pytest.raises(HarnessError, match=r"(?s)no shard has ended.*--shard 0/2"):
        merge(tmp_path / "run")


def test_a_run_of_its_own_in_the_folder_is_never_replaced(tmp_path: Path) -> None:
    go(Server(), tmp_path / "run")
    before = (tmp_path / "run" / "results.json").read_bytes()
    run_all(tmp_path / "run", 2)
    with pytest.raises(HarnessError, match=r"(?s)a run of its own besides its shards.*another --output"):
        merge(tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def test_a_shard_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    journal = RunFolder(shard_folder(tmp_path / "run", (1, 2))).task("fake").responses(write=True)
    try:
        with pytest.raises(HarnessError, match="another process is adding answers"):
            merge(tmp_path / "run")
    finally:
        journal.close()


def test_a_shard_cannot_be_moved_away_while_it_is_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_all(tmp_path / "run", 2)
    shard = RunFolder(shard_folder(tmp_path / "run", (1, 2)))
    load, met = merging.load_jobs, list[str]()

    def interfere(*args: Any) -> Any:
        with pytest.raises(HarnessError, match="another process is writing to this run"):
            shard.put_aside()
        met.append("put aside")
        return load(*args)

    monkeypatch.setattr(merging, "load_jobs", interfere)
    assert merge(tmp_path / "run").exit_code == 0
    assert met == ["put aside"]
    assert len(lines(tmp_path / "run")) == 10
    assert shard.put_aside() is not None, "free again"


def test_a_run_that_is_between_two_journals_is_waited_for_and_a_label_page_is_not(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    shard = RunFolder(shard_folder(tmp_path / "run", (1, 2)))
    with shard.hold_for_writing():
        with pytest.raises(HarnessError, match="another process is adding answers"):
            merge(tmp_path / "run")
        with lock_file(shard.session_lock("anna")):
            assert merge(tmp_path / "run").exit_code == 0


@pytest.mark.parametrize("name", ["asked", "responses"])
def test_a_file_of_a_shard_that_is_gone_is_never_left_out_in_silence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all(tmp_path / "run", 2)
    path = shard_folder(tmp_path / "run", (1, 2)) / "fake" / f"{name}.jsonl"
    if name == "asked":
        path.write_text("")
        with pytest.raises(HarnessError, match=r"(?s)lists 0 questions, and shard 1/2 has \d+ samples.*--fresh"):
            merge(tmp_path / "run")
        return
    measure = merging.measure_whole_lines

    def measure_and_remove(each: Path) -> int:
        path.unlink(missing_ok=True)
        return measure(each)

    monkeypatch.setattr(merging, "measure_whole_lines", measure_and_remove)
    monkeypatch.setattr(merging, "_COPIES", 1)
    with pytest.raises(HarnessError, match="taken away while it was merged"):
        merge(tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_what_the_merged_run_itself_was_asked_stays_when_it_is_merged_again(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2, limit=6)
    merge(tmp_path / "run")
    go(Server(), tmp_path / "run", limit=9)
    assert merge(tmp_path / "run").exit_code == 0
    merge(tmp_path / "run")
    go(Server(), tmp_path / "whole", limit=9)

    def read(folder: Path, name: str = "asked") -> list[tuple[str, str]]:
        return sorted((line["id"], line["key"]) for line in lines(folder, name))

    assert read(tmp_path / "run") == read(tmp_path / "whole")
    assert read(tmp_path / "run", "responses") == read(tmp_path / "whole", "responses")
    assert comparable(tmp_path / "run")["tasks"] == comparable(tmp_path / "whole")["tasks"]
    with plugins.use(host_of(Server().provider, fake_task(numbered(10)), fake_judge())):
        assert verify_run(tmp_path / "run").state == "same"


def test_a_missing_shard_that_the_merged_run_answered_is_merged_without_doubles(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2, without=[1])
    merge(tmp_path / "run")
    go(Server(), tmp_path / "run")
    merge(tmp_path / "run")
    run_all(tmp_path / "run", 2, without=[0])
    merge(tmp_path / "run")
    go(Server(), tmp_path / "whole")
    listed = [sorted(line["id"] for line in lines(tmp_path / name, "asked")) for name in ("run", "whole")]
    assert listed[0] == listed[1]
    results = [comparable(tmp_path / name)["tasks"]["fake"]["splits"]["all"] for name in ("run", "whole")]
    assert (results[0]["n"], results[0]["outcomes"]) == (results[1]["n"], results[1]["outcomes"])


@pytest.mark.parametrize("name", ["asked", "responses", "verdicts-fake"])
def test_a_line_of_an_item_whose_own_shard_is_missing_is_refused_by_the_number_of_that_shard(
    name: str, tmp_path: Path
) -> None:
    run_all(tmp_path / "run", 3)
    folders = [tmp_path / "run" / ".shards" / f"{number}-of-3" for number in range(3)]
    strange = next((folders[1] / "fake").glob(f"{name}*.jsonl")).read_bytes().splitlines(keepends=True)[0]
    file = next((folders[0] / "fake").glob(f"{name}*.jsonl"))
    with file.open("ab") as lines_:
        lines_.write(strange)
    shutil.rmtree(folders[1])
    with pytest.raises(HarnessError, match=r"line \d+ (is of|lists) an item of shard 1/3") as caught:
        merge(tmp_path / "run")
    assert caught.value.where == str(file)
    assert "--shard 0/3" in caught.value.remedy
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["asked", "responses", "verdicts-fake"])
def test_a_line_of_another_shards_item_is_refused_with_its_file_and_number(name: str, tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    first, second = (tmp_path / "run" / ".shards" / f"{number}-of-2" / "fake" for number in (0, 1))
    strange = next(second.glob(f"{name}*.jsonl")).read_bytes().splitlines(keepends=True)[0]
    file = next(first.glob(f"{name}*.jsonl"))
    with file.open("ab") as lines_:
        lines_.write(strange)
    with pytest.raises(
        HarnessError, match=r"line \d+ (is of an item of shard 1/2|lists an item that shard 0/2 lists too)"
    ):
        merge(tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_an_item_that_a_shard_lists_twice_is_refused_also_where_its_line_was_edited(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    file = tmp_path / "run" / ".shards" / "0-of-2" / "fake" / "asked.jsonl"
    item = json.loads(file.read_text().splitlines()[0])
    with file.open("a") as lines_:
        lines_.write(json.dumps(item) + "\n")
    with pytest.raises(HarnessError, match="lists an item a second time"):
        merge(tmp_path / "run")


def test_two_limits_that_each_ask_what_the_other_does_not_are_refused(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2, limit=4)
    merge(tmp_path / "run")
    go(Server(), tmp_path / "run", limit=4, epochs=2)
    run_all(tmp_path / "run", 2, limit=8)
    before = (tmp_path / "run" / "results.json").read_bytes()
    with pytest.raises(HarnessError, match=r"(?s)4 questions that no shard has, and shards 4 that .*--limit"):
        merge(tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_bytes() == before


def judge_later(folder: Path, name: str) -> Run:
    task = fake_task(numbered(10), judges={"fake": {}, name: {}})
    with plugins.use(host_of(Server().provider, task, fake_judge(), fake_judge(name=name))):
        return anyio.run(partial(judge_async, folder, JudgeOptions(judges=(name,), primary=True)))


def test_the_draws_and_sessions_of_people_stay_in_the_shards_and_the_merge_says_so(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    task = shard_folder(tmp_path / "run", (1, 2)) / "fake"
    (task / "labels-anna.jsonl").write_text("{}\n")
    run = merge(tmp_path / "run")
    assert run.exit_code == 0
    assert len(run.notes) == 1
    assert "shard 1/2: the labels of anna are in the merged run as verdicts" in run.notes[0]
    assert f"harness label {tmp_path / 'run'} draws from all answers" in run.notes[0]
    assert (task / "labels-anna.jsonl").exists()


def test_merging_again_keeps_what_was_judged_in_the_merged_run(tmp_path: Path) -> None:
    task = fake_task(numbered(10), judges={"fake": {}, "later": {}})
    run_all(tmp_path / "run", 3, without=[2], task=task)
    merge(tmp_path / "run", task=task)
    judge_later(tmp_path / "run", "later")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run" / "fake").glob("verdicts-later*.jsonl")}
    run_all(tmp_path / "run", 3, without=[0, 1], task=task)
    again = merge(tmp_path / "run", fake_judge(name="later"), task=task)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run" / "fake").glob("verdicts-later*.jsonl")} == kept
    found = split(again)
    assert str(found["judge"]).startswith("later")
    assert found["verdicts"]["unjudged"] == len(lines(shard_folder(tmp_path / "run", (2, 3))))
    commands = [entry.command[:2] for entry in RunFolder(tmp_path / "run").load_run().history]
    assert commands.count(("harness", "merge")) == 1


def test_lines_that_were_added_to_a_merged_file_stay_behind_those_of_the_shards(tmp_path: Path) -> None:
    run_all(tmp_path / "run", 2)
    merge(tmp_path / "run")
    path = tmp_path / "run" / "fake" / "responses.jsonl"
    old = lines(tmp_path / "run")[0]
    with path.open("ab") as file:
        file.write(json.dumps({**old, "text": "said anew"}, separators=(",", ":")).encode() + b"\n")
    merge(tmp_path / "run")
    merge(tmp_path / "run")
    assert [line["text"] for line in lines(tmp_path / "run")][10:] == ["said anew"]


def whole_judge(name: str = "whole", **fields: Any) -> Judge:
    async def score(rows: Sequence[Answered], _: Path, ask: Ask) -> AsyncIterator[tuple[str, Decision]]:
        total = len(rows)
        for row in rows:
            if fields:
                await ask(row.item, row.sample.request)
            yield row.item, Verdict(label="unsafe" if total == 10 else "safe")

    rubric = Rubric(identity={}, labels=("unsafe", "safe"), score=score)

    def open_rubric(_: Settings, __: Path) -> Rubric:
        return rubric

    return Judge(name=name, version="1", description="a fake", open=open_rubric, **fields)


def test_a_rule_that_scores_a_whole_split_is_asked_once_by_the_merge(tmp_path: Path) -> None:
    task = fake_task(numbered(10), judges={"whole": {}, "fake": {}})
    for judges in (("whole",), ("whole", "fake"), ("fake", "whole")):
        folder = tmp_path / "-".join(judges)
        go(Server(), folder / "whole", whole_judge(), task=task, judges=judges)
        run_all(folder / "run", 3, whole_judge(), task=task, judges=judges)
        assert merge(folder / "run", whole_judge(), task=task).exit_code == 0
        assert comparable(folder / "run") == comparable(folder / "whole")


def test_a_model_that_scores_a_whole_split_is_left_to_a_command_that_is_printed(tmp_path: Path) -> None:
    judge = whole_judge(needs=frozenset())
    task = fake_task(numbered(10), judges={"whole": {}})
    given: dict[str, Any] = {"task": task, "judges": ("whole=seen/x",), "judge_settings": {"max_tokens": "9"}}
    run_all(tmp_path / "run", 2, judge, **given)
    run = merge(tmp_path / "run", judge, task=task)
    assert run.exit_code == 3
    command = f"harness judge {tmp_path / 'run'} --judge whole=seen/x -J max_tokens=9 --primary"
    assert command in run.notes[0]
    with plugins.use(host_of(Server().provider, task, fake_judge(), judge)):
        options = JudgeOptions(judges=("whole=seen/x",), judge_settings={"max_tokens": "9"}, primary=True, probe=False)
        assert anyio.run(partial(judge_async, tmp_path / "run", options)).exit_code == 0
    go(Server(), tmp_path / "whole", judge, **given)
    assert comparable(tmp_path / "run") == comparable(tmp_path / "whole")


def test_a_rubric_of_a_whole_split_waits_also_in_a_task_whose_scoring_raises(tmp_path: Path) -> None:
    def raising(_: object) -> Any:
        raise ZeroDivisionError("no such label")

    judge, metric = whole_judge(needs=frozenset()), rate("ASR", "unsafe", better="lower")
    task = fake_task(numbered(10), judges={"whole": {}}, metrics=(replace(metric, score=raising, possible=raising),))
    run_all(tmp_path / "run", 2, judge, task=task, judges=("whole=seen/x",))
    run = merge(tmp_path / "run", judge, task=task)
    assert (run.exit_code, run.results["tasks"]) == (3, {})
    assert "fake could not be scored: its task raised ZeroDivisionError: no such label" in run.notes
    assert any(f"finish with: harness judge {tmp_path / 'run'} --judge whole=seen/x" in note for note in run.notes)


KILL = """
import os, signal, sys
from pathlib import Path
from harness.plugins import Host, use
import harness
left = int(sys.argv[2])
def counted(do):
    def run(*args, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*args, **options)
    return run
for name in ("replace", "rename", "unlink"):
    setattr(Path, name, counted(getattr(Path, name)))
with use(Host.load(tell=lambda _: None)):
    harness.merge_shards(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_merge_that_is_killed_at_any_step_leaves_the_shards_and_goes_on(tmp_path: Path) -> None:
    tasks = ["mis:mini", "xstest:mini"]
    with plugins.use(PACKAGED):
        harness.run("mini/base", tasks, output=tmp_path / "whole", limit=6)
        for number in range(2):
            harness.run("mini/base", tasks, output=tmp_path / "run", limit=6, shard=(number, 2))

        def read_shards() -> dict[Path, bytes]:
            paths = [path for path in (tmp_path / "run" / ".shards").glob("*-of-2/**/*") if path.is_file()]
            return {path: path.read_bytes() for path in paths}

        before, step, wanted = read_shards(), 0, comparable(tmp_path / "whole")
        while True:
            step += 1
            command = [sys.executable, "-c", KILL, str(tmp_path / "run"), str(step)]
            ended = subprocess.run(command, capture_output=True, check=False, env={**os.environ})
            assert read_shards() == before
            if ended.returncode == 0:
                break
            assert ended.returncode == -signal.SIGKILL, ended.stderr
            if (tmp_path / "run" / "results.json").exists():
                assert comparable(tmp_path / "run") == wanted
            if step % 3 == 0:
                harness.merge_shards(tmp_path / "run")
                assert comparable(tmp_path / "run") == wanted
        assert step > 8
        assert comparable(tmp_path / "run") == wanted


def test_numbers_of_shards_are_written_as_slurm_takes_them() -> None:
    assert list_numbers([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert list_numbers([3]) == "3"
