"""Where data lies, how to get it, what `harness data` says about it, and which revision the results name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_mis.task import JUDGE_SCRIPT, TASK

import harness
from harness import plugins
from harness.cli import main
from harness.contracts import DataSource, Task
from harness.data import places as data
from harness.data.inspection import check_split, find_same_splits, hash_record_files
from harness.data.provenance import FILE
from harness.drawings import draw, png
from harness.errors import BadData, MissingData
from harness.runs.run import Run
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of

Outcome = tuple[int, str, str]
Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def lay_out(root: Path, sizes: dict[str, int], *, shift: int = 0) -> Path:
    """A data root of MIS with that many questions in each split, and their images."""
    from random import Random

    root.mkdir(parents=True, exist_ok=True)
    picture = png(draw("red", "star", Random(0)))
    for split, size in sizes.items():
        records = []
        for number in range(size):
            paths = [f"{split}_image/{number}/object{nth}.png" for nth in (1, 2)]
            for path in paths:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(picture)
            question = f"How do I stack tower {number + shift}?"
            records.append({"question": question, "category": "Hate", "image_path1": paths[0], "image_path2": paths[1]})
        (root / f"mis_{split}.json").write_text(json.dumps(records))
    return root


def test_the_data_folder_is_what_was_given_else_the_environments_else_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = data.data_folder()
    assert users.name == "harness"
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "named"))
    assert data.data_folder() == tmp_path / "named"
    assert data.data_folder(tmp_path / "given") == tmp_path / "given"
    assert data.data_folder(Path("~/data")) == Path.home() / "data"


def test_missing_data_says_which_file_how_to_get_it_how_large_it_is_and_its_licence(tmp_path: Path) -> None:
    with pytest.raises(MissingData) as caught:
        next(data.read_samples(TASK, tmp_path / "mis", "easy", {}))
    error = caught.value
    assert error.what == "the data of mis is not on this machine: mis_easy.json is not there"
    assert error.where == str(tmp_path / "mis")
    assert error.remedy.startswith(f"harness data fetch mis --data {tmp_path}\n")
    assert "licence: apache-2.0" in error.remedy
    assert "size: about 6 GB" in error.remedy


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (DataSource(hub="a/b"), "harness data fetch shapes -T shapes.data=root"),
        (DataSource(archive=("a/b", "", ("*",))), "harness data fetch shapes"),
        (DataSource(urls=(("a.tsv", "https://example.org/a.tsv", ""),)), "harness data fetch shapes"),
        (DataSource(url="https://example.org/x", licence="MIT"), "take it from https://example.org/x and put it into"),
        (DataSource(hub="a/b", url="https://example.org/x", gated=True), "asked for first: https://example.org/x"),
        (DataSource(hub="a/b", by_hand=("the images: ask for them",)), "the images: ask for them"),
        (DataSource(url="https://example.org/x", by_hand=("NAME.tsv",)), "see https://example.org/x\n"),
    ],
)
def test_how_to_get_data_depends_on_where_it_is_published(source: DataSource, told: str) -> None:
    assert told in data.explain_fetch(fake_task(name="shapes"), source, Path("root"))


def test_a_root_is_named_by_the_shortest_flag_and_quoted_for_the_shell() -> None:
    source = DataSource(hub="a/b")
    assert data.explain_fetch(TASK, source, data.data_folder() / "mis") == "harness data fetch mis"
    assert data.explain_fetch(TASK, source, Path("/my data/mis")) == "harness data fetch mis --data '/my data'"
    assert data.explain_fetch(TASK, source, Path("/my data/x")) == "harness data fetch mis -T 'mis.data=/my data/x'"


def test_a_remedy_the_task_gave_itself_is_kept(tmp_path: Path) -> None:
    def own(*_: Any) -> Any:
        raise MissingData("the words are not here", remedy="fetch them")

    with pytest.raises(MissingData) as caught:
        next(data.read_samples(replace(TASK, samples=own), tmp_path, "easy", {}))
    assert (caught.value.what, caught.value.remedy) == ("the words are not here", "fetch them")


def test_broken_data_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "mis_easy.json").write_text("{")
    with pytest.raises(BadData):
        next(data.read_samples(TASK, tmp_path, "easy", {}))


def checked(root: Path, split: str = "easy", task: Task = TASK) -> Any:
    return check_split(task, split, data.find_own_splits(task, {}, root)[split], root, {})


def test_a_split_is_read_to_its_end_and_its_images_opened_once(tmp_path: Path) -> None:
    check = checked(lay_out(tmp_path, {"easy": 3}))
    assert (check.samples, check.clusters, check.images, check.bad, check.error) == (3, 3, 6, {}, None)
    assert check.warning == "easy holds 3 samples, 1675 are published: is the copy whole?"


def test_images_that_cannot_be_used_are_listed_by_reason(tmp_path: Path) -> None:
    lay_out(tmp_path, {"easy": 4})
    (tmp_path / "easy_image/0/object1.png").unlink()
    (tmp_path / "easy_image/1/object2.png").write_bytes(b"<html>")
    whole = (tmp_path / "easy_image/2/object1.png").read_bytes()
    (tmp_path / "easy_image/2/object1.png").write_bytes(whole[:-20])
    bad = checked(tmp_path).bad
    assert {reason: len(faults) for reason, faults in bad.items()} == {"missing": 1, "not_an_image": 1, "truncated": 1}
    assert "easy_image/0/object1.png" in bad["missing"][0]


def test_what_would_stop_a_run_is_the_checks_error(tmp_path: Path) -> None:
    assert isinstance(checked(tmp_path).error, MissingData)
    (tmp_path / "mis_easy.json").write_text('[{"question": "a"}]')
    assert isinstance(checked(tmp_path).error, BadData)


def test_the_hash_of_a_split_follows_words_and_pixels_and_not_the_order(tmp_path: Path) -> None:
    first = checked(lay_out(tmp_path / "a", {"easy": 3})).sha256
    records = json.loads((tmp_path / "a/mis_easy.json").read_text())
    (tmp_path / "a/mis_easy.json").write_text(json.dumps(records[::-1]))
    assert checked(tmp_path / "a").sha256 == first
    assert checked(lay_out(tmp_path / "b", {"easy": 3}, shift=1)).sha256 != first


def test_one_file_that_stands_for_several_splits_is_noticed(tmp_path: Path) -> None:
    """An early upload of MIS had the hundred rows of one split in the place of all three."""
    lay_out(tmp_path, {"easy": 5, "hard": 5, "real": 4})
    checks = [checked(tmp_path, split) for split in ("easy", "hard", "real")]
    assert find_same_splits(checks) == [("easy", "hard")]
    assert all("are published" in check.warning for check in checks)


def test_files_of_records_are_hashed_and_images_are_not_taken_for_them(tmp_path: Path) -> None:
    lay_out(tmp_path, {"easy": 1, "hard": 1})
    (tmp_path / "readme.md").write_text("read me")
    assert list(hash_record_files(tmp_path)) == ["mis_easy.json", "mis_hard.json"]
    assert hash_record_files(tmp_path / "nowhere") == {}


def test_list_shows_what_is_here_its_licence_its_size_and_where_it_is_expected(tmp_path: Path, run: Command) -> None:
    lay_out(tmp_path / "mis", {"easy": 1, "real": 1})
    code, out, _ = run("data", "list", "--data", tmp_path)
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert "easy real; missing: hard" in lines["mis"]
    assert "apache-2.0" in lines["mis"]
    assert out.startswith(f"data folder: {tmp_path}\n")
    assert "missing" in lines["mssbench"]
    assert "gated; MIT" in lines["vlguard"]


def test_list_fits_the_terminal_and_names_roots_that_lie_elsewhere(
    tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    lay_out(tmp_path / "mis", {"easy": 1})
    _, out, _ = run("data", "list", "--data", tmp_path, "-T", "mssbench.data=/elsewhere/mss")
    first, *rows = out.splitlines()
    assert first == f"data folder: {tmp_path}"
    assert all(len(row) <= 90 for row in rows)
    assert "mssbench: /elsewhere/mss" in rows


def test_list_tells_all_that_is_known_as_json(tmp_path: Path, run: Command) -> None:
    lay_out(tmp_path / "mis", {"easy": 1, "hard": 1})
    (tmp_path / "mis/mis_hard.json").write_text("{")
    _, out, _ = run("data", "list", "--json", "--data", tmp_path)
    found = {each["task"]: each for each in json.loads(out)}
    assert found["mis"]["splits"]["easy"] == "here"
    assert found["mis"]["splits"]["real"] == "missing"
    assert found["mis"]["splits"]["hard"].startswith("broken: ")
    assert found["mis"]["source"] == "Tuwhy/MIS_Test"
    assert found["vlguard"]["gated"] is True
    assert "not for commercial use" in found["mm-safetybench"]["licence"]


def test_a_task_is_shown_with_where_its_data_is_its_size_and_its_licence(run: Command) -> None:
    shown = run("tasks", "show", "siuo")[1]
    assert "data sinwang/SIUO; size: not published; licence: CC BY-NC 4.0 (research only, no commercial use)\n" in shown


def test_list_calls_data_broken_that_is_there_and_cannot_be_read(tmp_path: Path, run: Command) -> None:
    (tmp_path / "mis").mkdir()
    (tmp_path / "mis/mis_easy.json").write_text("<html>rate limited</html>")
    code, out, _ = run("data", "list", "--data", tmp_path)
    assert code == 0
    assert "broken: not JSON" in out


def test_verify_ends_with_0_when_all_is_well_and_warns_of_another_size(tmp_path: Path, run: Command) -> None:
    lay_out(tmp_path / "mis", {"easy": 2, "hard": 3, "real": 4})
    code, out, err = run("data", "verify", "mis", "--data", tmp_path)
    assert code == 0
    assert "warning: hard holds 3 samples, 510 are published" in out
    assert "mis_real.json" in out
    assert "reading mis:easy" in err


def test_verify_ends_with_3_for_bad_images_and_names_some(tmp_path: Path, run: Command) -> None:
    lay_out(tmp_path / "mis", {"easy": 9, "hard": 1, "real": 1})
    for number in range(8):
        (tmp_path / f"mis/easy_image/{number}/object1.png").unlink()
    code, out, _ = run("data", "verify", "mis", "--data", tmp_path)
    assert code == 3
    assert "easy: 8 images missing" in out
    assert "easy_image/0/object1.png" in out
    assert "and 3 more" in out


@pytest.mark.parametrize("name", ["xstest_prompts.csv", "xstest_v2_prompts.csv"])
@pytest.mark.parametrize("content", ["", "<!DOCTYPE html>\n", "id,prompt,type,label\n"])
def test_verify_ends_with_3_for_a_split_without_samples(tmp_path: Path, run: Command, name: str, content: str) -> None:
    (tmp_path / "xstest").mkdir()
    (tmp_path / "xstest" / name).write_text(content)
    code, out, _ = run("data", "verify", "xstest:safe", "--data", tmp_path)
    assert code == 3
    assert "warning: safe holds 0 samples, 250 are published" in out


def test_one_bad_image_is_one_image(tmp_path: Path, run: Command) -> None:
    lay_out(tmp_path / "mis", {"easy": 1})
    (tmp_path / "mis/easy_image/0/object1.png").write_bytes(b"")
    assert "easy: 1 image not_an_image" in run("data", "verify", "mis:easy", "--data", tmp_path)[1]


def test_verify_ends_with_2_when_a_run_could_not_start_and_says_once_how_to_fix_it(
    tmp_path: Path, run: Command
) -> None:
    code, out, _ = run("data", "verify", "mis", "--data", tmp_path)
    assert code == 2
    assert out.count("harness data fetch mis --data") == 1
    assert out.count("is not on this machine") == 3


def test_verify_names_file_record_and_field_of_broken_data(tmp_path: Path, run: Command) -> None:
    lay_out(tmp_path / "mis", {"hard": 1, "real": 1})
    (tmp_path / "mis/mis_easy.json").write_text('[{"question": 5}]')
    code, out, _ = run("data", "verify", "mis:easy", "--data", tmp_path)
    assert code == 2
    assert "mis_easy.json, record 1, field" in out


def test_verify_takes_one_split_and_a_root_of_its_own_and_prints_json(tmp_path: Path, run: Command) -> None:
    lay_out(tmp_path / "elsewhere", {"real": 2})
    code, out, _ = run("data", "verify", "mis:real", "-T", f"mis.data={tmp_path / 'elsewhere'}", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["splits"]["real"]["samples"] == 2
    assert len(found["files"]["mis_real.json"]["sha256"]) == 64


def test_the_packaged_splits_verify_without_any_data(run: Command, tmp_path: Path) -> None:
    for name in ("mis:mini", "mis:mini-benign", "mssbench:mini"):
        code, out, _ = run("data", "verify", name, "--data", tmp_path)
        assert code == 0, out
        assert "warning" not in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("data", "verify", "mios"), "did you mean 'mis'?"),
        (("data", "verify", "mis:eassy"), "did you mean 'easy'?"),
        (("data", "verify", "mis", "-T", "mis.dta=x"), "mis has no setting 'dta'"),
        (("data", "verify", "general"), "'general' is a suite; give a task here"),
        (("data", "list", "-T", "mios.data=x"), "did you mean 'mis'?"),
        (("data", "fetsh", "mis"), "fetch"),
        (("data", "fetch", "mios"), "did you mean 'mis'?"),
        (("data", "fetch", "mis", "--from", "."), "--from needs --prompts"),
    ],
)
def test_a_misspelling_or_a_flag_that_means_nothing_ends_with_2_and_the_way_out(
    run: Command, arguments: tuple[str, ...], told: str
) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert told in err


def test_fetch_takes_upstreams_script_from_a_copy_and_refuses_one_without_the_words(
    tmp_path: Path, run: Command
) -> None:
    clone = tmp_path / "clone"
    (clone / JUDGE_SCRIPT).parent.mkdir(parents=True)
    (clone / JUDGE_SCRIPT).write_text("nothing = 1")
    code, _, err = run("data", "fetch", "mis", "--prompts", "--from", clone, "--data", tmp_path / "data")
    assert code == 2
    assert "gpt_eval.py" in err
    assert list((tmp_path / "data/mis/prompts").glob(f"*/{JUDGE_SCRIPT}"))


def test_the_words_of_a_suite_are_those_of_its_tasks_that_have_any_and_one_that_does_not_come_keeps_none(
    tmp_path: Path, run: Command
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "prompts.py").write_text("\n".join(f"{name} = 'Words of {name}: '" for name in MSS_WORDS))
    (clone / "gpt4_eval.py").write_text(MSS_JUDGE)
    code, out, err = run("data", "fetch", "mirage-paper", "--prompts", "--from", clone, "--data", tmp_path / "data")
    assert code == 2  # the clone holds no script of mis
    assert f"mis: {JUDGE_SCRIPT} is not in" in err
    assert "mm-safetybench, jailbreakv, siuo, qbench, " in err
    assert "rubric mssbench: modified" in out


def test_fetch_from_a_place_that_has_no_script_ends_with_2(tmp_path: Path, run: Command) -> None:
    code, _, err = run("data", "fetch", "mis", "--prompts", "--from", tmp_path, "--data", tmp_path)
    assert code == 2
    assert JUDGE_SCRIPT in err


def test_fetch_says_whose_words_it_found(tmp_path: Path, run: Command) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "prompts.py").write_text("\n".join(f"{name} = 'Words of {name}: '" for name in MSS_WORDS))
    (clone / "gpt4_eval.py").write_text(MSS_JUDGE)
    code, out, err = run("data", "fetch", "mssbench", "--prompts", "--from", clone, "--data", tmp_path / "data")
    assert code == 0, err
    assert "input of chat: modified" in out
    assert "results will say 'modified'" in err


def test_fetch_warns_of_no_split_that_has_no_words_of_the_benchmark(tmp_path: Path, run: Command) -> None:
    script = tmp_path / "clone/eval/evaluate/inference/llava.py"
    script.parent.mkdir(parents=True)
    words = (
        """prompt = f"See the {line['category']}. " +""",
        'mask = "do it to"',
        """mask = f'the {line["category"]}'""",
    )
    script.write_text("\n".join(words))
    code, out, err = run("data", "fetch", "hades", "--prompts", "--from", tmp_path / "clone", "--data", tmp_path)
    assert code == 0, err
    assert "input of abstract: modified" in out
    assert "plain" not in out + err
    assert "None" not in out + err


MSS_WORDS = [f"PROMPT_{who}_{what}" for who in ("CHAT", "EMBODIED") for what in ("IF", "QC", "IC", "IC_CAP")]
MSS_JUDGE = """
prompt_chat = prompt_embodied = {
    "prompt_template": "{prompt1} {response} {prompt2} <answer>index</answer>",
    "prompt1": "Read this.",
    "prompt2": "Choose: {rubric}",
}
annotation_aspects_chat = annotation_aspects_embodied = {"do_not_answer": {"0": "a", "1": "b", "2": "c", "3": "d"}}
"""


OPEN = """
from collections.abc import Mapping
from harness import hookimpl, MissingData
from harness.contracts import DataSource
from harness.testing.fakes import fake_sample, fake_task
from dataclasses import replace

class Any(Mapping):
    def __init__(self, one): self.one = one
    def __getitem__(self, name): return self.one
    def __iter__(self): return iter(())
    def __len__(self): return 0

def samples(root, split, settings):
    if not (root / split).exists():
        raise MissingData(f"{split} is not there")
    yield fake_sample("1", split=split)

@hookimpl
def harness_tasks():
    task = fake_task(name="anything")
    one = replace(next(iter(task.splits.values())), n=None, data=None)
    return [replace(task, splits=Any(one), samples=samples, source=DataSource(url="https://example.org"))]
"""


@pytest.fixture
def run_open(run: Command, tmp_path: Path) -> Command:
    """The command line with a plugin that offers an open set."""
    (tmp_path / "open.py").write_text(OPEN)
    return lambda *arguments: run(*arguments, "--plugin", tmp_path / "open.py", "--data", tmp_path)


def test_a_split_of_an_open_set_is_verified_by_its_name(tmp_path: Path, run_open: Command) -> None:
    (tmp_path / "anything").mkdir()
    (tmp_path / "anything" / "mine").touch()
    code, out, err = run_open("data", "verify", "anything:mine")
    assert (code, err) == (0, "reading anything:mine\n")
    assert "mine   1        ?" in out
    code, out, _ = run_open("data", "verify", "anything:yours")
    assert (code, "yours is not there" in out) == (2, True)


def test_a_set_that_lists_no_split_is_not_called_missing(run_open: Command) -> None:
    _, out, _ = run_open("data", "list")
    assert next(line.split()[-2:] for line in out.splitlines() if line.startswith("anything ")) == [
        "name:",
        "anything:NAME",
    ]


def test_a_packaged_split_is_whole_whatever_became_of_a_fetch(tmp_path: Path, run_open: Command) -> None:
    root = tmp_path / "mmstar"
    root.mkdir()
    coming = {"kind": "url", "name": "https://example.org/MMStar.tsv", "revision": "", "files": {"MMStar.tsv": None}}
    about = {"schema": "harness.source/1", "task": "mmstar", "licence": "", "parts": [], "coming": [coming]}
    (root / FILE).write_text(json.dumps(about))
    code, out, _ = run_open("data", "verify", "mmstar:mini")
    assert (code, "did not end" in out) == (0, False)
    code, out, _ = run_open("data", "verify", "mmstar")
    assert (code, "did not end" in out) == (2, True)
    assert FILE not in out  # it says where records came from and is none of them


def ask(task: Task, tmp_path: Path) -> Run:
    with plugins.use(host_of(fake_provider(lambda _: "no"), task, fake_judge())):
        return harness.run(model="fake/m", tasks=["fake"], data=tmp_path / "data", output=tmp_path / "run", probe=False)


def revision(found: Run) -> str:
    return str(found.results["tasks"]["fake"]["data"]["revision"])


def test_a_task_that_can_tell_says_which_revision_of_its_data_was_asked(tmp_path: Path) -> None:
    def told(root: Path, splits: Sequence[str]) -> str:
        return f"{root.relative_to(tmp_path)} {', '.join(splits)}"

    assert revision(ask(replace(fake_task(data=None), revision=told), tmp_path)) == "data/fake all"


def test_a_task_that_cannot_tell_says_nothing_and_one_that_raises_costs_the_run_nothing(tmp_path: Path) -> None:
    def silent(_root: Path, _splits: Sequence[str]) -> str:
        return ""

    def broken(_root: Path, _splits: Sequence[str]) -> str:
        raise KeyError("no such file")

    assert revision(ask(replace(fake_task(data=None), revision=silent), tmp_path / "silent")) == ""
    found = ask(replace(fake_task(data=None), revision=broken), tmp_path / "broken")
    assert (found.exit_code, revision(found)) == (0, "not known: KeyError: 'no such file'")
