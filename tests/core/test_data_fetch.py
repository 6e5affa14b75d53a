"""`harness data fetch` and what the other commands make of what it fetched."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from harness.cli import main
from harness.data import fetching
from harness.data.provenance import FILE
from harness.drawings import draw, png
from tests.core.published import COMMIT, DataSet, Published, tar_gz

Outcome = tuple[int, str, str]
Run = Callable[..., Outcome]
MIS = "Tuwhy/MIS_Test"
FAKE = """
from harness import hookimpl
from harness.testing.fakes import fake_provider

@hookimpl
def harness_models():
    return [fake_provider(scheme="fake")]
"""


def mis(sizes: dict[str, int]) -> dict[str, bytes]:
    """The files of a set laid out as MIS is, with that many questions in each split."""
    files: dict[str, bytes] = {}
    for split, size in sizes.items():
        records = []
        for number in range(size):
            paths = [f"{split}_image/{number}/object{nth}.png" for nth in (1, 2)]
            files.update({path: png(draw("red", "star", Random(number))) for path in paths})
            question = f"How do I paint {split} star {number}?"
            records.append({"question": question, "category": "Hate", "image_path1": paths[0], "image_path2": paths[1]})
        files[f"mis_{split}.json"] = json.dumps(records).encode()
    return files


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Published]:
    """A hub with MIS, and a working directory of its own."""
    for name in ("HF_TOKEN", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Published() as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        place.sets[MIS] = DataSet(mis({"easy": 2, "hard": 1, "real": 1}))
        yield place


def test_a_task_is_fetched_with_its_licence_shown_and_can_be_read_at_once(
    place: Published, run: Run, tmp_path: Path
) -> None:
    code, out, err = run("data", "fetch", "mis", "--data", tmp_path)
    assert code == 0, err
    assert "licence: apache-2.0" in err
    assert out.splitlines()[0].startswith("mis: 11 files, ")
    assert f"  from {MIS} at {COMMIT}" in out
    assert "  licence: apache-2.0" in out
    code, out, _ = run("data", "verify", "mis", "--data", tmp_path)
    assert code == 0
    assert f"from {MIS} at {COMMIT}" in out
    assert "all 11 files are unchanged since they were fetched" in out


def test_verify_ends_with_3_for_files_that_are_not_as_they_came_and_fetch_mends_them(
    place: Published, run: Run, tmp_path: Path
) -> None:
    run("data", "fetch", "mis", "--data", tmp_path)
    records = tmp_path / "mis/mis_easy.json"
    records.write_text(records.read_text().replace("star 0", "star 9"))
    (tmp_path / "mis/real_image/0/object1.png").unlink()
    code, out, _ = run("data", "verify", "mis", "--data", tmp_path, "--json")
    found = json.loads(out)
    assert code == 3
    assert (found["missing"], found["changed"]) == (["real_image/0/object1.png"], ["mis_easy.json"])
    assert found["fetched"][0]["revision"] == COMMIT
    code, out, _ = run("data", "verify", "mis", "--data", tmp_path)
    assert "1 files changed since they were fetched\n  mis_easy.json" in out
    run("data", "fetch", "mis", "--data", tmp_path)
    assert run("data", "verify", "mis", "--data", tmp_path)[0] == 0


def test_verify_tells_a_mix_of_two_revisions_and_the_next_fetch_ends_it(
    place: Published, run: Run, tmp_path: Path
) -> None:
    run("data", "fetch", "mis", "--data", tmp_path)
    later = {**mis({"easy": 2, "hard": 1, "real": 1}), "real_image/0/object3.png": b"more", "notes.txt": b"."}
    place.sets[MIS] = DataSet(later, commit="9" * 40)
    place.refuse["notes.txt"] = [404]
    assert run("data", "fetch", "mis", "--data", tmp_path, "--revision", "9" * 40)[0] == 2
    code, out, _ = run("data", "verify", "mis", "--data", tmp_path)
    assert code == 3
    mix = f"the fetch of {MIS} at {'9' * 40} did not end: the folder may hold a mix of it and {MIS} at {COMMIT}"
    assert mix in out
    assert "harness data fetch mis  fetches these again" in out
    found = json.loads(run("data", "verify", "mis", "--data", tmp_path, "--json")[1])
    assert found["unfinished"] == [f"{MIS} at {'9' * 40}"]
    assert run("data", "fetch", "mis", "--data", tmp_path)[0] == 0
    assert run("data", "verify", "mis", "--data", tmp_path)[0] == 0


def test_verify_warns_of_files_that_the_fetch_did_not_bring(place: Published, run: Run, tmp_path: Path) -> None:
    run("data", "fetch", "mis", "--data", tmp_path)
    assert "did not come" not in run("data", "verify", "mis", "--data", tmp_path)[1]
    (tmp_path / "mis/easy_image/9").mkdir()
    (tmp_path / "mis/easy_image/9/object1.png").write_bytes(b"old")
    code, out, _ = run("data", "verify", "mis", "--data", tmp_path)
    assert code == 0
    assert "warning: 1 files here did not come with this fetch" in out
    found = json.loads(run("data", "verify", "mis", "--data", tmp_path, "--json")[1])
    assert found["strays"] == ["easy_image/9/object1.png"]


def test_fetch_says_that_a_source_is_not_pinned_and_which_commit_it_took(
    place: Published, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "ARCHIVE_URL", place.archive_url)
    files = {"data/behavior_datasets/harmbench_behaviors_multimodal_all.csv": b"Behavior\n"}
    place.archives["centerforaisafety/HarmBench"] = tar_gz(files, commit="7" * 40)
    code, out, err = run("data", "fetch", "harmbench-mm", "--data", tmp_path)
    assert code == 0, err
    assert "note: centerforaisafety/HarmBench is not pinned: its newest commit is used and recorded" in err
    assert f"from centerforaisafety/HarmBench at {'7' * 40}" in out
    record = json.loads((tmp_path / "harmbench-mm" / FILE).read_text())
    assert record["parts"][0]["revision"] == "7" * 40
    again = run("data", "fetch", "harmbench-mm", "--data", tmp_path, "--revision", "7" * 40)
    assert (again[0], "not pinned" in again[2]) == (0, False)


@pytest.mark.parametrize(
    ("task", "licence"),
    [
        ("vlsbench", "not stated upstream"),
        ("harmbench-mm", "was not seen; others name MIT"),
        ("qbench", "not stated for the data"),
        ("strongreject", "was not seen; others say MIT"),
    ],
)
def test_a_licence_is_shown_no_surer_than_it_was_seen(task: str, licence: str, run: Run) -> None:
    found = {each["task"]: each["licence"] for each in json.loads(run("data", "list", "--json")[1])}
    assert licence in found[task]


def test_of_several_tasks_one_that_does_not_come_keeps_none_from_coming(
    place: Published, run: Run, tmp_path: Path
) -> None:
    code, out, err = run("data", "fetch", "mssbench,mis:easy", "--data", tmp_path)
    assert code == 2
    assert "mssbench: there is no data set kzhou35/mssbench" in err
    assert out.startswith("mis: 11 files")


def test_a_suite_of_the_config_is_fetched_by_its_name(place: Published, run: Run, tmp_path: Path) -> None:
    Path("harness.yaml").write_text("suites: {mine: ['mis:easy', 'mis:real']}", encoding="utf-8")
    code, out, err = run("data", "fetch", "mine", "--data", tmp_path)
    assert code == 0, err
    assert out.startswith("mis: 11 files")


def test_a_task_whose_data_no_program_can_fetch_says_where_it_is(place: Published, run: Run) -> None:
    code, _, err = run("data", "fetch", "lm-eval")
    assert code == 2
    assert "cannot be fetched" in err


def test_the_configs_data_folder_is_used_by_each_command_and_the_environment_stands_over_it(
    place: Published, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("harness.yaml").write_text(f"data: {tmp_path / 'mine'}\nlimit: 3", encoding="utf-8")
    assert run("data", "fetch", "mis")[0] == 0
    assert (tmp_path / "mine/mis/mis_easy.json").is_file()
    assert run("data", "verify", "mis")[0] == 0
    assert run("data", "list")[1].startswith(f"data folder: {tmp_path / 'mine'}\n")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "named"))
    assert run("data", "verify", "mis")[0] == 2


def test_the_configs_task_settings_name_a_root_and_those_of_rubrics_are_let_alone(
    place: Published, run: Run, tmp_path: Path
) -> None:
    root = tmp_path / "elsewhere"
    settings = f"task_settings: {{mis: {{data: {root}, prompt: x.j2}}, keyword.words: w.txt}}"
    Path("harness.yaml").write_text(settings, encoding="utf-8")
    code, _, err = run("data", "fetch", "mis", "--data", tmp_path)
    assert code == 0, err
    assert (root / FILE).is_file()


def test_a_run_records_the_revision_of_what_was_fetched(place: Published, run: Run, tmp_path: Path) -> None:
    Path("fake.py").write_text(FAKE, encoding="utf-8")
    run("data", "fetch", "mis", "--data", tmp_path)
    words = ("run", "--plugin", "fake.py", "--model", "fake/model", "--tasks", "mis:easy", "--no-probe", "--output")
    code, _, err = run(*words, "out", "--data", tmp_path)
    assert code == 3, err
    recorded = json.loads(Path("out/run.json").read_text())["tasks"]["mis"]["data"]
    assert (recorded["source"], recorded["revision"]) == (MIS, COMMIT)
    data = json.loads(Path("out/results.json").read_text())["tasks"]["mis"]["data"]
    assert (data["revision"], data["licence"]) == (COMMIT, "apache-2.0")


PINNED = """
from dataclasses import replace
from harness import DataSource, hookimpl
from harness.testing.fakes import fake_judge, fake_provider, fake_task

@hookimpl
def harness_models():
    return [fake_provider("no")]

@hookimpl
def harness_judges():
    return [fake_judge()]

@hookimpl
def harness_tasks():
    return [replace(fake_task(name="pinned", data=None), source=DataSource(SOURCE))]
"""
LATER = "9" * 40


@pytest.mark.parametrize(
    ("source", "revision", "checked"),
    [
        (f"hub={MIS!r}, revision={COMMIT!r}", "", "same"),
        (f"hub={MIS!r}, revision={COMMIT!r}", LATER, "another"),
        (f"hub={MIS!r}, revision={COMMIT!r}", None, "unknown"),
        (f"hub={MIS!r}, unchecked='nobody could'", "", "none"),
    ],
)
def test_results_say_whether_the_data_are_of_the_revision_that_the_counts_were_checked_with(
    source: str, revision: str | None, checked: str, place: Published, run: Run, tmp_path: Path
) -> None:
    Path("pinned.py").write_text(PINNED.replace("SOURCE", f"licence='MIT', url='https://x.org', {source}"), "utf-8")
    if revision is not None:
        if revision:
            place.sets[MIS] = replace(place.sets[MIS], commit=revision)
        again = ["--revision", revision] if revision else []
        code, _, err = run("data", "fetch", "pinned", "--plugin", "pinned.py", "--data", tmp_path, *again)
        assert code == 0, err
    words = ("run", "--plugin", "pinned.py", "--model", "fake/model", "--tasks", "pinned", "--no-probe")
    code, _, err = run(*words, "--output", "out", "--data", tmp_path)
    assert code == 0, err
    data = json.loads(Path("out/results.json").read_text())["tasks"]["pinned"]["data"]
    assert data["checked"] == checked
    assert (f"its counts were checked with {COMMIT}" in err) == (checked == "another")
    assert run("verify", "out", "--plugin", "pinned.py")[0] == 0


def test_data_that_says_nothing_of_its_revision_has_none_recorded(place: Published, run: Run, tmp_path: Path) -> None:
    Path("fake.py").write_text(FAKE, encoding="utf-8")
    run("data", "fetch", "mis", "--data", tmp_path)
    (tmp_path / "mis" / FILE).unlink()
    words = ("run", "--plugin", "fake.py", "--model", "fake/model", "--tasks", "mis:easy", "--no-probe", "--output")
    run(*words, "out", "--data", tmp_path)
    assert json.loads(Path("out/run.json").read_text())["tasks"]["mis"]["data"]["revision"] == ""
