"""The task `mis` on a set that `harness build mis` made: it is taken as it is, and never shown as MIS."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from harness_keyword import JUDGE as KEYWORD
from harness_markdown import render as as_markdown
from harness_mis.rubric import JUDGE
from harness_mis.task import TASK

import harness
from harness import plugins
from harness.board.leaderboard import boards
from harness.board.published import find_references
from harness.cli import cli
from harness.contracts import Split
from harness.data.places import find_own_splits
from harness.data.provenance import Part, Provenance
from harness.errors import MissingData
from harness.runs.run import Run
from harness.testing.fakes import fake_provider, host_of
from tests.tasks.data import put, write_json

HOST = host_of(TASK, JUDGE, KEYWORD, fake_provider("I can not help with that."))
AS_PUBLISHED = {"easy": 1675, "hard": 510, "real": 100, "test": 2185, "mini": 120, "mini-benign": 60}


def root_of(folder: Path, *splits: str) -> Path:
    """A data root with two records in each of these splits."""
    for split in splits:
        paths = [f"{split}_image/{number}/object{which}.png" for number in (1, 2) for which in (1, 2)]
        put(folder, *paths)
        records = [
            {"question": f"May they lie together, {split} {number}?", "category": "Kitchen",
             "image_path1": paths[2 * number - 2], "image_path2": paths[2 * number - 1]}
            for number in (1, 2)
        ]  # fmt: skip
        write_json(folder / f"mis_{split}.json", records)
    return folder


def built(folder: Path, *splits: str) -> Path:
    """The same as a build leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    root_of(folder, *splits)
    part = Part(kind="build", name="shapes", revision="k1:abc", fetched="2026-03-01T12:00:00+00:00", files={})
    Provenance(task="mis", licence="cc0-1.0", parts=(part,)).write(folder)
    return folder


def offered(root: Path) -> Mapping[str, Split]:
    assert callable(TASK.splits)
    return TASK.splits({}, root)


def run(root: Path, output: Path, *tasks: str) -> Run:
    with plugins.use(HOST):
        given = {"mis.data": str(root)}
        return harness.run("fake/m", list(tasks) or ["mis"], judge="keyword", task_settings=given, output=output,
                           probe=False)  # fmt: skip


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    return done.return_value or done.exit_code, done.output


@pytest.mark.parametrize("here", [(), ("easy",), ("easy", "hard", "real")])
def test_mis_itself_has_the_splits_that_are_published_whatever_of_them_is_here(
    tmp_path: Path, here: tuple[str, ...]
) -> None:
    for root in (root_of(tmp_path / "mis", *here), tmp_path / "nowhere"):
        assert {name: split.n for name, split in offered(root).items()} == AS_PUBLISHED
        assert [name for name, split in offered(root).items() if split.selected] == ["easy", "hard", "real"]


@pytest.mark.parametrize(
    ("here", "pooled"),
    [(("easy", "hard"), True), (("easy", "hard", "real"), True), (("hard",), False), (("easy", "real"), False)],
)
def test_the_name_alone_means_what_a_built_set_has_and_both_are_pooled_only_where_both_are(
    tmp_path: Path, here: tuple[str, ...], pooled: bool
) -> None:
    root = built(tmp_path / "set", *here)
    assert tuple(name for name, split in offered(root).items() if split.selected) == here
    assert ("test" in offered(root)) is pooled
    assert {split.n for name, split in find_own_splits(TASK, {}, root).items() if "mini" not in name} == {None}


def test_the_name_alone_runs_a_built_set_without_a_word_on_published_sizes(tmp_path: Path) -> None:
    done = run(built(tmp_path / "set", "easy", "hard"), tmp_path / "run")
    assert (done.exit_code, [note for note in done.notes if "by rubric 'keyword'" not in note]) == (0, [])
    ((name, task),) = done.results["tasks"].items()
    assert name == "mis+data=shapes"
    assert {split: body["n"] for split, body in task["splits"].items()} == {"easy": 2, "hard": 2, "test": 4}
    assert {body["n_expected"] for body in task["splits"].values()} == {None}
    assert (task["data"]["source"], task["data"]["licence"]) == ("shapes", "cc0-1.0")


def test_real_is_compared_with_its_twins_in_a_built_set_too(tmp_path: Path) -> None:
    done = run(built(tmp_path / "set", "easy", "hard", "real"), tmp_path / "run")
    task = done.results["tasks"]["mis+data=shapes"]
    assert set(task["splits"]) == {"easy", "hard", "real", "test"}
    assert set(task["paired"]) >= {"pairs", "ASR"}


def test_a_set_of_one_split_is_run_and_pools_nothing(tmp_path: Path) -> None:
    done = run(built(tmp_path / "set", "hard"), tmp_path / "run")
    assert (done.exit_code, set(done.results["tasks"]["mis+data=shapes"]["splits"])) == (0, {"hard"})


@pytest.mark.parametrize("wanted", ["real", "test"])
def test_a_split_that_the_set_lacks_is_answered_with_those_it_has(tmp_path: Path, wanted: str) -> None:
    root = built(tmp_path / "set", "easy")
    with pytest.raises(MissingData, match=f"the set shapes has no split {wanted!r}") as caught:
        run(root, tmp_path / "run", f"mis:{wanted}")
    assert (caught.value.where, caught.value.remedy) == (str(root), "it has easy")


def test_a_set_to_train_on_alone_says_that_it_has_nothing_to_test_on(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="the set shapes has no split 'easy'") as caught:
        run(built(tmp_path / "set"), tmp_path / "run")
    assert caught.value.remedy == "it has no test data"


def boards_of(tmp_path: Path) -> list[Any]:
    real = run(root_of(tmp_path / "real", "easy", "hard", "real"), tmp_path / "one")
    made = run(built(tmp_path / "set", "easy", "hard"), tmp_path / "two")
    return [real.results, made.results]


def test_a_leaderboard_sets_a_built_set_beside_mis_under_its_own_name(tmp_path: Path) -> None:
    results = boards_of(tmp_path)
    found = {board.name: len(board.rows) for board in boards(results)}
    splits = {"mis": ("test", "easy", "hard", "real"), "mis+data=shapes": ("test", "easy", "hard")}
    assert found == {f"{task}:{name}": 1 for task, names in splits.items() for name in names}
    text = as_markdown(results)
    assert isinstance(text, str)
    assert "- mis+data=shapes: shapes: cc0-1.0" in text
    of_the_set = text.partition("### mis+data=shapes:test")[2].partition("###")[0]
    assert "published" not in of_the_set
    assert "published" in text.partition("### mis:test")[2].partition("###")[0]


def test_published_numbers_of_mis_stand_beside_mis_and_never_beside_a_built_set(tmp_path: Path) -> None:
    known = {board.name: bool(find_references(board, [TASK])) for board in boards(boards_of(tmp_path))}
    assert {name for name, there in known.items() if there} == {"mis:easy", "mis:hard", "mis:real"}


def test_a_leaderboard_page_names_the_set_and_keeps_published_rows_away_from_it(tmp_path: Path) -> None:
    boards_of(tmp_path)
    page = tmp_path / "page.html"
    assert command("report", str(tmp_path / "one"), str(tmp_path / "two"), "--output", str(page))[0] == 0
    told = {"mis": False, "mis+data=shapes": False}
    for section in page.read_text("utf-8").split("<section")[1:]:
        for task in told:
            told[task] |= f'data-task="{task}"' in section.partition(">")[0] and "GPT-4o" in section
    assert told == {"mis": True, "mis+data=shapes": False}


def test_data_verify_looks_a_built_set_over_and_says_what_it_is(tmp_path: Path) -> None:
    root = built(tmp_path / "set", "easy", "hard")
    code, text = command("data", "verify", "mis", "-T", f"mis.data={root}")
    assert code == 0, text
    assert "built 2026-03-01 as shapes at k1:abc: a new set, not a copy of mis" in text
    assert [line.split()[:3] for line in text.splitlines() if line.startswith(("  easy ", "  hard "))] == [
        ["easy", "2", "none"],
        ["hard", "2", "none"],
    ]
    assert "are published" not in text
    (root / "easy_image/1/object1.png").unlink()
    assert command("data", "verify", "mis", "-T", f"mis.data={root}")[0] == 3


def test_data_list_names_a_built_set_its_licence_and_its_splits(tmp_path: Path) -> None:
    root = built(tmp_path / "set", "easy", "hard")
    code, text = command("data", "list", "-T", f"mis.data={root}")
    (line,) = [line for line in text.splitlines() if line.startswith("mis ")]
    assert (code, line.split()) == (0, ["mis", "cc0-1.0", "shapes:", "easy", "hard"])
