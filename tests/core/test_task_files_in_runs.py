"""Task files in every command that takes a task: runs, resume, judging later, data, sweeps, plans; and their schema."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import harness
from harness.cli import main
from harness.contracts import Task
from harness.errors import HarnessError
from harness.plugins import Host, use
from harness.task_files import load_task
from harness.task_files.schema import SCHEMA
from harness.testing.conformance import check_judge, check_task
from harness.testing.fakes import fake_sample
from tests.core import plain_model
from tests.core.published import COMMIT, DataSet, Published
from tests.core.sites import Install
from tests.core.task_files import KITCHEN, ROWS, png, write_file, write_images, write_kitchen, write_rows

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tasks-without-python.md").read_text(encoding="utf-8")
Run = Callable[..., tuple[int, str, str]]
PLAIN = ("--plugin", plain_model.__file__)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command in a folder of its own: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


def ask(run: Run, *more: object, tasks: object = "kitchen.yaml", output: str = "out") -> tuple[int, str, str]:
    return run("run", *PLAIN, "--model", "plain/model", "--no-probe", "--tasks", tasks, "--output", output, *more)


def test_a_run_by_a_task_file_has_results_and_keeps_the_file_s_text(run: Run, tmp_path: Path) -> None:
    path = write_kitchen(tmp_path)
    code, out, err = ask(run)
    assert (code, "kitchen:test" in out) == (0, True), err
    results = json.loads(Path("out/results.json").read_text())
    split = results["tasks"]["kitchen"]["splits"]["test"]
    assert (split["n"], split["metrics"]["ASR"]["denominator"]) == (3, 3)
    assert results["tasks"]["kitchen"]["version"] == load_task(path).version
    kept = json.loads(Path("out/run.json").read_text())["tasks"]["kitchen"]["file"]
    assert (kept["text"], kept["path"]) == (path.read_text(), str(path))
    jsonschema.validate(results, json.loads((DOCS / "results.schema.json").read_text()))


def test_a_changed_file_is_refused_with_what_differs_and_fresh_begins_anew(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path)
    assert ask(run)[0] == 0
    write_file(tmp_path, order="question first", images={"column": "image", "folder": "./pictures"})
    for more in ((), ("--dry-run",)):
        code, _, err = ask(run, *more)
        assert code == 2
        assert (
            "answers of another task kitchen: images.folder was 'pictures', now './pictures'; order was not given"
            in err
        )
    assert ask(run, "--fresh")[0] == 0
    write_file(tmp_path, images={"column": "image", "folder": "./pictures"}, order="question first", licence="MIT")
    assert "licence was not given, now 'MIT'" in ask(run)[2]


def test_a_stored_run_is_read_by_the_file_it_was_made_with(run: Run, tmp_path: Path) -> None:
    (tmp_path / "r.j2").write_text("{{ question }} {{ answer }} {{ form }}")
    write_kitchen(tmp_path, rubric={"template": "r.j2", "labels": ["safe", "unsafe"]})
    assert ask(run, "--judge", "keyword")[0] == 0
    shutil.rmtree(tmp_path / "config", ignore_errors=True)
    for name in ("kitchen.yaml", "r.j2"):
        (tmp_path / name).unlink()
    assert "same" in run("verify", "out")[1]
    code, out, err = run("judge", "out", "--judge", "keyword", "--tasks", "gone/kitchen.yaml:test")
    assert (code, "kitchen:test" in out) == (0, True), err
    code, _, err = run("judge", "out", "--judge", "kitchen=mini/base", "--no-probe")
    assert code in (0, 3), err
    assert "kitchen-mini-base" in json.dumps(json.loads(Path("out/results.json").read_text())["judges"])
    assert "kitchen:test" in run("report", "out")[1]
    assert "kitchen:test" in run("runs", ".", "--tasks", "kitchen.yaml")[1]


@pytest.mark.parametrize(
    "more", [{}, {"splits": {"one": {"where": {"id": ["a", "b"]}}, "two": {"where": {"id": "c"}}}}]
)
def test_a_redacted_export_holds_nothing_of_what_is_asked_and_is_verified(
    run: Run, tmp_path: Path, more: dict[str, Any]
) -> None:
    (tmp_path / "r.j2").write_text("Secret words. {{ question }} {{ answer }} {{ form }}")
    rubric = {"template": "r.j2", "labels": ["safe", "unsafe"]}
    write_kitchen(tmp_path, rubric=rubric, question="Look: {{ question }}", by=["category"], **more)
    assert ask(run, "--judge", "keyword")[0] == 0
    assert run("export", "out", "--output", "out.zip")[0] == 0
    shutil.unpack_archive("out.zip", "unpacked")
    (folder,) = {path.parent for path in Path("unpacked").rglob("run.json")}
    text = (folder / "run.json").read_text()
    assert [word for word in ("Secret", "Look:", "pictures", "questions.csv", str(tmp_path)) if word in text] == []
    code, out, err = run("verify", folder)
    assert (code, "same" in out) == (0, True), out + err


def test_a_file_beside_its_data_has_nothing_to_fetch(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path)
    code, out, _ = run("data", "fetch", "kitchen.yaml")
    assert (code, "lies beside its task file" in out) == (0, True)


def test_a_sweep_and_shards_ask_by_a_task_file(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path)
    Path("sweep.yaml").write_text("models: [plain/one, plain/two]\ntasks: [kitchen.yaml]\noutput: swept\n")
    code, _, err = run("sweep", "sweep.yaml", *PLAIN)
    assert (code, sorted(path.parent.name for path in Path("swept").glob("*/results.json"))) == (
        0, ["plain-one", "plain-two"]
    ), err  # fmt: skip
    for number in (0, 1):
        assert ask(run, "--shard", f"{number}/2")[0] == 0
    code, out, err = run("merge", "out")
    assert (code, "kitchen:test" in out) == (0, True), err
    assert "same" in run("verify", "out")[1]


def test_a_report_cites_the_paper_that_a_task_file_names(run: Run, tmp_path: Path) -> None:
    paper = {"title": "Kitchens", "authors": ["Ada Byron"], "year": 2026, "arxiv": "2601.00001"}
    write_kitchen(tmp_path, paper=paper).rename(tmp_path / "cited.yaml")
    assert ask(run, tasks="cited.yaml")[0] == 0
    (tmp_path / "cited.yaml").unlink()
    code, out, err = run("report", "out", "--bibtex")
    assert (code, "byron2026kitchens" in out) == (0, True), err
    assert "byron2026kitchens" in harness.report(tmp_path / "out", bibtex=True)


def test_runs_by_two_states_of_a_file_are_not_compared_as_one(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path)
    assert ask(run, output="one")[0] == 0
    write_file(tmp_path, order="question first")
    assert ask(run, output="two")[0] == 0
    _, out, err = run("compare", "one", "two")
    assert "the task version" in out + err


def test_rerun_says_what_the_file_says_otherwise_now(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path)
    assert ask(run)[0] == 0
    code, _, err = run("rerun", "out", *PLAIN, "--output", "again")
    assert (code, "another task file" in err) == (0, False), err
    write_file(tmp_path, order="question first")
    code, _, err = run("rerun", "out", *PLAIN, "--output", "third")
    assert code == 0
    assert "kitchen has another task file now, so its numbers do not compare: order was not given" in err


def test_a_folder_and_a_split_and_a_data_folder_are_named_on_the_command_line(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path / "sets")
    write_kitchen(
        tmp_path / "sets", name="b.yaml", splits={"one": {"where": {"id": "a"}}, "two": {"where": {"id": "b"}}}
    )
    code, out, _ = ask(run, "--dry-run", tasks="sets/")
    assert code == 0
    assert all(name in out for name in ("kitchen:test", "b:one", "b:two"))
    code, out, _ = ask(run, "--dry-run", tasks="sets/b.yaml:two")
    assert ("b:two" in out, "b:one" in out) == (True, False)
    shutil.copytree(tmp_path / "sets", tmp_path / "moved")
    (tmp_path / "sets" / "questions.csv").unlink()
    assert ask(run, "--dry-run", tasks="sets/kitchen.yaml")[0] == 2
    assert ask(run, "--dry-run", "-T", f"kitchen.data={tmp_path / 'moved'}", tasks="sets/kitchen.yaml")[0] == 0


def test_a_file_or_a_folder_that_is_named_like_a_task_is_told_how_to_name_it(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path)
    write_kitchen(tmp_path / "sets")
    for name, told in (("kitchen", "with its ending: kitchen.yaml"), ("sets", "with a slash: sets/")):
        for code, _, err in (ask(run, tasks=name), run("data", "verify", name)):
            assert (code, told in err) == (2, True), err


def test_a_config_a_sweep_and_a_plan_of_a_study_take_task_files(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path, n=3)
    Path("harness.yaml").write_text("tasks: [kitchen.yaml]\n")
    assert run("run", *PLAIN, "--model", "plain/model", "--no-probe", "--output", "out")[0] == 0
    Path("harness.yaml").unlink()
    Path("sweep.yaml").write_text("models: [mini/base]\ntasks: [kitchen.yaml]\noutput: swept\n")
    code, out, err = run("sweep", "sweep.yaml", "--dry-run")
    assert (code, "mini/base" in out + err) == (0, True), err
    code, out, err = run("power", "--task", "kitchen.yaml", "--rate", "20", "--detect", "5")
    assert (code, "kitchen:test" in out) == (0, True), err


def test_a_suite_of_the_config_holds_task_files_and_their_settings_can_be_given(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path / "sets")
    write_kitchen(tmp_path / "sets", name="b.yaml")
    shutil.copytree(tmp_path / "sets", tmp_path / "moved")
    Path("harness.yaml").write_text("suites: {mine: [sets/kitchen.yaml, sets/b.yaml]}\n")
    code, out, err = ask(run, "-T", f"kitchen.data={tmp_path / 'moved'}", tasks="mine")
    assert (code, "kitchen:test" in out, "b:test" in out) == (0, True, True), err
    assert json.loads(Path("out/run.json").read_text())["tasks"]["kitchen"]["data"]["root"] == str(tmp_path / "moved")
    assert run("judge", "out", "--judge", "keyword", "--tasks", "sets/b.yaml")[0] == 0


def test_lists_show_a_task_file_and_verify_reads_it_and_warns_of_another_size(run: Run, tmp_path: Path) -> None:
    paper = {"title": "Kitchens", "authors": ["Ada Byron"], "year": 2026, "arxiv": "2601.00001"}
    path = write_kitchen(tmp_path, n=5, licence="CC BY 4.0", paper=paper)
    code, out, _ = run("tasks", "show", path)
    assert code == 0
    assert all(text in out for text in ("Kitchens", "CC BY 4.0", "ASR", "unsafe, safe", load_task(path).version))
    facts = json.loads(run("tasks", "show", path, "--json")[1])[0]
    assert (facts["name"], facts["splits"]["test"]["n"]) == ("kitchen", 5)
    code, out, err = run("data", "verify", path)
    assert code == 0, err
    assert "test holds 3 samples, 5 are published" in out + err
    (tmp_path / "pictures" / "red.png").write_bytes(b"broken")
    assert run("data", "verify", path)[0] == 3
    assert run("data", "verify", "kitchen.yaml:none")[0] == 2


def test_the_command_that_a_note_names_takes_the_task_file(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path / "my sets")
    (tmp_path / "my sets" / "pictures" / "red.png").write_bytes(b"broken")
    code, _, err = ask(run, tasks="my sets/kitchen.yaml")
    assert code == 3
    (command,) = re.findall("`harness (data verify .*?)`", err)
    assert command == "data verify 'my sets/kitchen.yaml:test'"
    code, out, _ = run(*shlex.split(command))
    assert (code, "red.png" in out) == (3, True)


def test_verify_shows_the_files_that_the_task_reads_and_not_those_of_its_neighbours(run: Run, tmp_path: Path) -> None:
    rows = tmp_path / "parts" / "one.csv"
    write_kitchen(tmp_path, data={"files": "parts/*.csv"})
    rows.parent.mkdir()
    (tmp_path / "questions.csv").rename(rows)
    (tmp_path / "others.csv").write_text("id,question\n")
    assert list(json.loads(run("data", "verify", "kitchen.yaml", "--json")[1])["files"]) == ["parts/one.csv"]


def test_a_name_that_is_taken_is_refused(run: Run, tmp_path: Path) -> None:
    write_kitchen(tmp_path, name="mis.yaml")
    code, _, err = ask(run, tasks="mis.yaml")
    assert code == 2
    assert "a plugin offers the task 'mis' already" in err
    assert "give your task file another name" in err
    for folder in ("one", "two"):
        write_kitchen(tmp_path / folder)
    code, _, err = ask(run, tasks="one/kitchen.yaml,two/kitchen.yaml")
    assert (code, "two task files are called 'kitchen'" in err) == (2, True)


@pytest.mark.parametrize("arguments", [("run", "--tasks"), ("tasks", "show"), ("data", "verify"), ("data", "fetch")])
def test_a_wrong_file_ends_each_command_with_2_and_its_line_and_no_traceback(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    write_kitchen(tmp_path, qestion="x")
    code, out, err = run(*arguments, "kitchen.yaml", *(["--model", "mini/base"] if arguments[0] == "run" else []))
    assert code == 2
    assert "a task file has no key 'qestion' (kitchen.yaml, line" in err
    assert "Traceback" not in out + err


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: Published) -> Published:
    write_images(tmp_path / "hub")
    write_rows(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet", [
        {**row, "image": {"bytes": png("red"), "path": None}} for row in ROWS
    ])  # fmt: skip
    files = {
        path.relative_to(tmp_path / "hub").as_posix(): path.read_bytes()
        for path in (tmp_path / "hub").rglob("*") if path.is_file()
    }  # fmt: skip
    place.sets["someone/kitchens"] = DataSet(files)
    place.sets["someone/gated"] = DataSet(files, gate="secret")
    return place


def test_a_set_of_the_hub_is_fetched_at_its_revision_and_run(run: Run, tmp_path: Path, place: Published) -> None:
    data = {"hub": "someone/kitchens", "revision": COMMIT, "files": "data/test-*.parquet", "fetch": ["data/*"]}
    write_file(tmp_path, data=data, images="image", licence="MIT")
    code, _, err = ask(run, "--data", tmp_path / "sets")
    assert code == 2
    assert f"harness data fetch kitchen.yaml --data {tmp_path / 'sets'}" in err
    assert "licence: MIT" in err
    code, _, err = run("data", "fetch", "kitchen.yaml", "--data", tmp_path / "sets")
    assert code == 0, err
    assert ask(run, "--data", tmp_path / "sets")[0] == 0
    results = json.loads(Path("out/results.json").read_text())["tasks"]["kitchen"]["data"]
    assert (results["source"], results["revision"], results["checked"]) == ("someone/kitchens", COMMIT, "same")


def test_a_task_file_is_written_for_a_set_of_the_hub_and_pinned_to_its_commit(
    run: Run, tmp_path: Path, place: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "sets"))
    place.sets["someone/kitchens"].files["data/train-00000-of-00001.parquet"] = b"never read"
    code, out, err = run("tasks", "new", "made.yaml", "--from", "hub:someone/kitchens")
    assert code == 0, err
    made = yaml.safe_load(Path("made.yaml").read_text())
    assert made["data"] == {"hub": "someone/kitchens", "revision": COMMIT, "files": "data/test-*.parquet"}
    assert (made["images"], made["question"]) == ("image", "question")
    assert "made:test holds 3 samples" in out
    assert {each.path.rsplit("/", 1)[-1] for each in place.downloads()} == {"test-00000-of-00001.parquet"}
    assert ask(run, tasks="made.yaml")[0] == 0
    assert "there is no data set" in run("tasks", "new", "no.yaml", "--from", "hub:someone/none")[2]


def test_a_gated_set_says_where_to_ask(run: Run, tmp_path: Path, place: Published) -> None:
    data = {"hub": "someone/gated", "revision": COMMIT, "files": "data/test-*.parquet"}
    write_file(tmp_path, data=data, images="image", gated=True, url="https://example.org/ask")
    assert "access must be asked for first: https://example.org/ask" in ask(run, "--data", tmp_path / "sets")[2]
    code, _, err = run("data", "fetch", "kitchen.yaml", "--data", tmp_path / "sets")
    assert code == 2
    assert "accept the terms on https://huggingface.co/datasets/someone/gated" in err
    assert "HF_TOKEN" in err


PACKAGE = """
from pathlib import Path
import harness

@harness.hookimpl
def harness_tasks():
    return [harness.load_task(Path(FILE))]
"""


def test_a_package_offers_a_task_file_by_one_line_with_its_rubric(tmp_path: Path, site: Install) -> None:
    (tmp_path / "r.j2").write_text("{{ question }} {{ answer }} {{ form }}")
    path = write_kitchen(tmp_path, rubric={"template": "r.j2", "labels": ["safe", "unsafe"]})
    site("kitchens", PACKAGE.replace("FILE", repr(str(path))))
    host = Host.load(allow=["kitchens"], tell=lambda _: None)
    assert [str(fault) for fault in host.faults] == []
    assert {judge.name for judge, _ in host.offers("judges")} == {"kitchen"}
    with use(host):
        check_task(
            host.task("kitchen"), tmp_path, judges=[*host.task("kitchen").rubrics, *installed("keyword")], host=host
        )
        check_judge(host.judge("kitchen"), [fake_sample(images=1)])
        assert host.task(str(path)).version == host.task("kitchen").version
    path.write_text("description: x\n")
    broken = Host.load(allow=["kitchens"], tell=lambda _: None)
    assert [task.name for task, _ in broken.offers("tasks")] == []
    assert "a task file needs data" in str(broken.faults[0])


def installed(*names: str) -> list[Any]:
    host = Host.load(tell=lambda _: None)
    return [host.judge(name) for name in names]


def test_python_runs_a_task_file_by_its_path(run: Run, tmp_path: Path) -> None:
    path = write_kitchen(tmp_path)
    done = harness.run("mini/base", f"{path}:test", output=tmp_path / "out", probe=False)
    assert done.results["tasks"]["kitchen"]["splits"]["test"]["n"] == 3
    assert harness.load_run(tmp_path / "out").exit_code == 0


# the schema and the page


def blocks() -> dict[str, dict[str, Any]]:
    """The task files of the page, by name."""
    found = re.findall(r"<!-- task: (\S+) -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    return {name: yaml.safe_load(text) for name, text in found}


def test_the_schema_on_disk_is_that_of_the_code_and_is_one() -> None:
    assert json.loads((DOCS / "task.schema.json").read_text()) == json.loads(json.dumps(SCHEMA))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", blocks())
def test_each_task_file_of_the_page_is_one_and_loads(name: str, tmp_path: Path) -> None:
    values = blocks()[name]
    jsonschema.validate(values, SCHEMA)
    for file, text in re.findall(r"<!-- file: (\S+) -->\n```text\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / file).write_text(text)
    task = load_task(write_file(tmp_path, values, name=name))
    write_images(tmp_path)
    write_rows(tmp_path / "questions.csv")
    assert isinstance(task, Task)
    check_task(task, tmp_path, judges=[*task.rubrics, *installed("keyword", "llamaguard")])


def list_keys(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    own = list(schema.get("properties", {}))
    return own + [key for part in schema.values() if isinstance(part, dict | list) for key in list_inner(part)]


def list_inner(part: Any) -> list[str]:
    return [key for each in (part if isinstance(part, list) else [part]) for key in list_keys(each)]


def test_the_page_names_each_key_of_the_schema() -> None:
    words = set(re.findall(r"[\w]+", PAGE))
    assert sorted({key for key in list_keys(SCHEMA) if key not in words}) == []


def test_each_key_of_the_schema_says_what_it_is() -> None:
    def walk(schema: Any, place: str) -> list[str]:
        found = [] if "description" in schema or place.endswith("]") else [place]
        for key, each in schema.get("properties", {}).items():
            found += walk(each, f"{place}.{key}")
        return found

    assert walk(SCHEMA, "task") == []


WRONG: list[dict[str, Any]] = [
    {"questoin": "x"}, {"description": None}, {"data": {"file": "x"}}, {"category": 3}, {"kind": "x"}, {"by": []},
    {"images": {"as": "path"}}, {"images": 4}, {"generation": {"temperature": -1}}, {"judges": {"keyword": "safe"}},
    {"metrics": {"a": {"labels": "x"}}}, {"splits": {"a": {"file": "x"}}}, {"splits": {"column": "x"}}, {"data": None},
    {"rubric": {"template": "x"}}, {"choices": {"texts": "a"}}, {"paper": {"title": ""}},
    {"data": {"files": "x", "hub": "a/b/c"}},
]  # fmt: skip


@pytest.mark.parametrize("more", WRONG)
def test_what_the_schema_forbids_the_reader_refuses_too(more: dict[str, Any], tmp_path: Path) -> None:
    values = {key: value for key, value in {**KITCHEN, **more}.items() if value is not None}
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(values))
    write_kitchen(tmp_path)
    with pytest.raises(HarnessError):
        load_task(write_file(tmp_path, values))
