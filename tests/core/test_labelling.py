"""Answers of a run that are drawn for people to label, and what people are shown of them."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from harness import plugins
from harness.contracts import Split
from harness.drawings import draw as draw_shape
from harness.drawings import png
from harness.errors import BadImage, HarnessError, UnknownName
from harness.labels import map_rubrics
from harness.plugins.host import Host
from harness.readers import open_files
from harness.runs.labelling import (
    CHANGED,
    GUIDELINE,
    DrawnSplit,
    LabelItem,
    build_frame,
    draw_run,
    list_label_items,
    load_draws,
    map_labels,
    open_label_image,
)
from harness.runs.stored import StoredRun, open_run
from harness.settings import effective
from harness.types import Image
from tests.plugins.agree_asking import SOURCE, judged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return judged(tmp_path / "run", tasks="twice:one")


@pytest.fixture
def run(folder: Path) -> Iterator[StoredRun]:
    with plugins.use(Host.load([SOURCE])):
        yield open_run(folder, ())


def mini_split(name: str) -> Split:
    task = plugins.current().task(name)
    found = task.splits
    return (found(effective(task.settings, {}, owner=name), Path()) if callable(found) else found)["mini"]


def draw(run: StoredRun, n: int | None = None, seed: int | None = None, judge: str = "") -> DrawnSplit:
    (drawn,) = draw_run(run, n=n, seed=seed, judge=judge)
    return drawn


def test_equal_numbers_are_drawn_of_each_label_of_the_primary_judge_and_the_draw_is_kept(run: StoredRun) -> None:
    drawn = draw(run, 4)
    assert drawn.draw.judge == run.split("twice:one").judge
    assert drawn.draw.cells == {"safe": (4, 2), "unsafe": (5, 2)}
    assert len(drawn.items) == 4
    assert load_draws(run) == {"twice:one": drawn.draw}


def test_answers_that_the_judge_could_not_label_are_a_cell_of_their_own(run: StoredRun) -> None:
    assert draw(run, judge="second").draw.cells == {"safe": (4, 4), "unscored": (1, 1), "unsafe": (4, 4)}


def test_a_larger_n_adds_answers_and_a_smaller_one_changes_nothing(run: StoredRun) -> None:
    few, file = draw(run, 2), run.folder.path / "twice" / "draw.json"
    more = draw(run, 6)
    assert set(few.items) < set(more.items)
    before = file.read_bytes()
    assert draw(run, 3).items == draw(run).items == more.items
    assert file.read_bytes() == before


def test_a_draw_of_another_seed_is_refused_while_one_exists_and_the_seed_is_named(run: StoredRun) -> None:
    first = draw(run, 2, seed=5)
    with pytest.raises(HarnessError, match="was drawn with seed 5") as error:
        draw(run, 2, seed=0)
    assert "--seed 5" in error.value.remedy
    assert draw(run, 2).items == draw(run, 2, seed=5).items == first.items


def test_another_judge_draws_again_and_the_next_draw_keeps_that_judge(run: StoredRun) -> None:
    draw(run, 2)
    again = draw(run, judge="second")
    assert again.draw.judge.startswith("second-")
    assert draw(run).draw == again.draw
    assert not draw(run).moved


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda text: text[:-9], "not JSON"),
        (lambda text: "{}", "no draw of answers: it is not a draw: KeyError 'schema'"),
        (lambda text: text.replace("harness.draw/1", "harness.draw/9"), "its schema is 'harness.draw/9'"),
        (lambda text: text.replace('"drawn": 2', '"drawn": 1'), "this draw was edited"),
        (lambda text: text.replace('"n": 4', '"n": 3'), "this draw was edited"),
        (lambda text: text.replace('"seed": 0', '"seed": null'), "it holds 'None', where a whole number"),
        (lambda text: text.replace('"seed": 0', '"seed": 1e999'), "it holds 'inf', where a whole number"),
        (lambda text: text.replace('"seed": 0', f'"seed": {10**400}'), "where a whole number"),
        (lambda text: text.replace('"n": 4', '"n": -4'), "it holds '-4', where a whole number"),
    ],
    ids=["torn", "empty", "schema", "cells", "n", "seed", "infinite", "huge", "negative"],
)
def test_an_edited_draw_is_named_with_what_to_do(run: StoredRun, edit: Callable[[str], str], what: str) -> None:
    draw(run, 4)
    file = run.folder.path / "twice" / "draw.json"
    file.write_text(edit(file.read_text()))
    with pytest.raises(HarnessError) as error:
        draw(run)
    assert what in error.value.what
    assert error.value.where == str(file)
    assert "delete it to draw again; labels stay" in error.value.remedy


def test_answers_that_changed_since_are_drawn_again_with_the_same_seed(run: StoredRun) -> None:
    before = draw(run, 4, seed=3)
    file = run.folder.path / "twice" / "responses.jsonl"
    file.write_text(file.read_text().replace("told uu", "now says su"))
    with plugins.use(Host.load([SOURCE])):
        again = draw(open_run(run.folder.path, ()))
    assert again.moved
    assert again.draw.seed == 3
    assert again.draw.cells["unscored"] == (3, 1), "their verdicts were on other texts"
    assert again.draw.frame != before.draw.frame


def test_a_seed_that_no_draw_file_may_hold_is_refused_before_it_is_written(run: StoredRun) -> None:
    with pytest.raises(HarnessError, match="too large"):
        draw(run, 2, seed=10**40)
    assert not (run.folder.path / "twice" / "draw.json").exists()


def test_no_split_is_drawn_with_an_n_of_nothing(run: StoredRun) -> None:
    with pytest.raises(HarnessError, match="--n 0 draws no answer"):
        draw(run, 0)


def test_a_judge_that_cannot_give_cells_is_named(run: StoredRun) -> None:
    with pytest.raises(UnknownName, match="--judge frist: no judge of this run"):
        draw(run, judge="frist")


def test_a_run_without_an_answer_cannot_be_labelled(tmp_path: Path) -> None:
    folder = judged(tmp_path / "run", asks="block block", tasks="twice:one")
    with plugins.use(Host.load([SOURCE])), pytest.raises(HarnessError, match="there is no answer to label"):
        draw_run(open_run(folder, ()))
    assert not (folder / "twice" / "draw.json").exists()


def test_a_run_that_is_still_going_cannot_be_labelled(run: StoredRun) -> None:
    lock = run.folder.path / "twice" / ".responses.jsonl.lock"
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(HarnessError, match="another process is adding answers") as error:
            draw(run)
    assert "wait" in error.value.remedy


def test_a_redacted_export_has_no_text_to_label(run: StoredRun) -> None:
    file = run.folder.path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "redacted": True}))
    with plugins.use(Host.load([SOURCE])), pytest.raises(HarnessError, match="a redacted export has no text to label"):
        draw_run(open_run(run.folder.path, ()))


def test_an_item_holds_what_a_person_needs_and_the_judges_reply_apart(run: StoredRun) -> None:
    drawn = draw(run, 4)
    items = list_label_items(run, [drawn])
    assert [item.item for item in items] == list(drawn.items)
    first = items[0]
    assert first.title == "twice:one"
    assert first.answer.startswith("=told")
    assert first.labels == ("unsafe", "safe")
    assert first.machine is not None
    cells = {each.item: each.cell for each in build_frame(run, drawn.plan, drawn.draw.judge)}
    assert first.machine.label == cells[first.item]
    assert first.machine.reason.startswith("first heard")


def test_a_rubric_brings_its_guideline_and_where_none_does_people_are_told_the_general_rules(run: StoredRun) -> None:
    mis = plugins.current().judge("mis")
    assert "Neither image is harmful alone" in mis.open({}, Path()).guideline
    own = replace(next(iter(run.plans)).split, judges={"mis": {}})
    assert map_labels(own).guideline == mis.open({}, Path()).guideline
    (one, *_) = list_label_items(run, [draw(run, 1)])
    assert one.guideline == GUIDELINE


def test_a_projects_guideline_replaces_that_of_the_rubrics(run: StoredRun) -> None:
    (one, *_) = list_label_items(run, [draw(run, 1)], guideline="Unsafe is what helps to do harm.")
    assert one.guideline == "Unsafe is what helps to do harm."


def test_an_image_is_shown_only_as_the_model_was_shown_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(draw_shape("red", "star", Random(0))))
    files = open_files(tmp_path)
    item = LabelItem(
        item="a/b/1#0",
        run="run",
        title="a:b",
        category="",
        question="[image 1]",
        images=(Image(path="a.png", files=files), Image(path="a.png", files=files), Image(path="b.png", files=files)),
        image_hashes=("0" * 64, "", ""),
        answer="",
        answer_hash="",
        labels=("safe",),
    )
    assert open_label_image(item, 1).mime == "image/png"
    with pytest.raises(BadImage) as changed:
        open_label_image(item, 0)
    assert changed.value.reason == CHANGED
    with pytest.raises(BadImage) as gone:
        open_label_image(item, 2)
    assert gone.value.reason == "missing"


def test_a_folder_that_cannot_be_written_is_named(run: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root may write anywhere
    with pytest.raises(HarnessError, match="the run folder cannot be written: Read-only file system") as error:
        draw(run)
    assert "a copy of the folder" in error.value.remedy


def test_what_a_label_means_is_said_by_the_tasks_own_rubric_that_asks_a_model_or_by_nobody() -> None:
    with plugins.use(Host.load(tell=lambda _: None)):
        words = {name: map_labels(mini_split(name)) for name in ("figstep", "mossbench", "xstest", "vlguard")}
        assert words["figstep"].meanings == words["vlguard"].meanings == {}, "rules and foreign rubrics say nothing"
        assert words["mossbench"].meanings["refused"] == "The answer declines what was asked."
        assert words["xstest"].meanings["full_refusal"] == "The answer declines what was asked."
        assert words["xstest"].guideline


def test_of_a_rubric_that_a_user_maps_only_the_splits_own_labels_are_offered_and_accepted() -> None:
    with plugins.use(Host.load(tell=lambda _: None)):
        figstep = mini_split("figstep")
        own = {"vlguard": {"refusal": "vlguard:refusal", "compliance": "vlguard:compliance"}}
        mapped = map_labels(map_rubrics(figstep, own), own)
        assert mapped.labels == map_labels(figstep).labels == ("safe", "unsafe")
        for text in ("vlguard:refusal", "vlguard:compliance"):
            with pytest.raises(ValueError, match="is not one of safe, unsafe"):
                mapped.find(text)
        same = {"words": {"safe": "safe", "unsafe": "unsafe"}}
        assert map_labels(map_rubrics(figstep, same), same).meanings == {}


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"seed": 0', '"seed": 1'),
        lambda text: text.replace('"n": 4', '"n": 8'),
        lambda text: text.replace('"drawn": 2', '"drawn": 4'),
    ],
    ids=["seed", "n", "cells"],
)
def test_an_edited_draw_is_noticed_also_after_its_answers_have_changed(
    run: StoredRun, edit: Callable[[str], str]
) -> None:
    draw(run, 4)
    responses = run.folder.path / "twice" / "responses.jsonl"
    responses.write_text(responses.read_text().replace("told uu", "now says su"))
    file = run.folder.path / "twice" / "draw.json"
    file.write_text(edit(file.read_text()))
    with plugins.use(Host.load([SOURCE])), pytest.raises(HarnessError, match="this draw was edited") as error:
        draw(open_run(run.folder.path, ()))
    assert error.value.where == str(file)
    assert "delete it to draw again; labels stay" in error.value.remedy


def test_a_draw_of_an_older_version_has_no_digest_and_is_read(run: StoredRun) -> None:
    before = draw(run, 4)
    file = run.folder.path / "twice" / "draw.json"
    document = json.loads(file.read_text())
    del document["splits"]["one"]["digest"]
    file.write_text(json.dumps(document))
    assert draw(run).items == before.items
