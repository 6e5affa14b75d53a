"""Of what a hard stop ends no byte is left in the build's folder, whenever it comes; and the same command again gives
the same set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness_builder.calls.runner import BuildCallRunner
from harness_builder.records import StepLog

from harness import HarnessError
from tests.training.cast import OBJECTS, Cast, Stage, staged
from tests.training.photo_sets import drawing
from tests.training.turning import STEPS, Turning, another_checker, left, lines, told


@contextmanager
def of_a_picture(folder: Path, cast: Cast) -> Iterator[Stage]:
    """One seed, a picture."""
    with staged(folder, ("text",), cast) as stage:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "a.png").write_bytes(drawing("red star"))
        text = stage.config.read_text(encoding="utf-8").replace("path: seeds.csv", "path: pictures\n  layout: images")
        stage.config.write_text(text, encoding="utf-8")
        yield stage


def test_a_stop_at_an_earlier_step_than_the_element_came_to_takes_the_lines_of_all_steps(tmp_path: Path) -> None:
    cast = Turning()
    with staged(tmp_path, ("text",), cast) as stage:
        assert stage.build().code == 0
        assert "work/label.jsonl" in left(stage, *OBJECTS["text"], "off-limits")
        cast.strict = True
        another_checker(stage)
        stage.build()
        assert left(stage, *OBJECTS["text"], "case=text", "off-limits") == []
        assert [key for step in STEPS[3:] for key, _ in lines(stage)[step]] == []


def test_a_picture_that_is_stopped_takes_all_that_an_earlier_build_made_of_its_elements(tmp_path: Path) -> None:
    cast = Turning()
    with of_a_picture(tmp_path, cast) as stage:
        cast.lists = {"": ("text", "neither")}
        assert stage.build().code == 0
        assert left(stage, "case=text", "case=neither") != []
        cast.strict = True
        another_checker(stage)
        stage.build()
        assert left(stage, "case=text", "case=neither", *OBJECTS["text"], *OBJECTS["neither"]) == []
        assert list((stage.out / "work" / "images").rglob("*.png")) == []


def test_a_build_that_a_fault_ends_has_deleted_the_lines_of_what_was_stopped_before_it(tmp_path: Path) -> None:
    cast = Turning(lists={"text": ("text", "everything")})
    with staged(tmp_path, ("text",), cast, elements={"per_text": 2}) as stage:
        assert stage.build().code == 0
        cast.strict, cast.refuses = True, "everything"
        another_checker(stage)
        assert stage.build().code == 2
        steps = [
            file for file in left(stage, "case=text", *OBJECTS["text"]) if file.removesuffix(".jsonl")[5:] in STEPS
        ]
        assert steps == []


def test_one_text_of_four_owners_is_gone_once_one_of_them_is_stopped(tmp_path: Path) -> None:
    cases = ("hidden", "twin", "known", "renamed")
    cast = Turning(lists=dict.fromkeys(cases, ("hidden",)))
    with staged(tmp_path, cases, cast) as stage:
        stage.build()
        assert left(stage, "Quillfeather", *OBJECTS["hidden"]) == []
        before, asked = told(stage), Counter(cast.asked)
        assert before["stops"] == {"person": 4}
        stage.build()
        assert told(stage) == before
        assert cast.asked == asked, "nothing is asked anew"


def test_what_was_dropped_for_nearly_equalling_a_stopped_one_does_not_come_back(tmp_path: Path) -> None:
    cast = Turning(lists={"twin": ("portrait",)})
    with staged(tmp_path, ("portrait", "twin", "neither"), cast) as stage:
        assert stage.build().code == 0
        before, asked = told(stage), Counter(cast.asked)
        assert before["stops"] == {"person": 2}
        assert left(stage, *OBJECTS["portrait"]) == []
        cast.portraits.clear()
        assert stage.build().code == 0
        assert told(stage) == before
        assert cast.asked == asked, "nothing is asked anew"


@pytest.mark.parametrize("at_once", [1, 32])
def test_two_seeds_that_share_a_reply_end_alike_at_whatever_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("harness_builder.building._SEEDS", 1)
    with staged(tmp_path, ("hidden",), limits={"concurrency": at_once}) as stage:
        (tmp_path / "seeds.csv").write_text("id,text\na,case=hidden\nb,case=hidden\n", encoding="utf-8")
        stage.build()
        ended = lines(stage)
        assert ended["elements"] == [
            ("cases/a", "kept"),
            ("cases/a#0", "stopped"),
            ("cases/b", "kept"),
            ("cases/b#0", "stopped"),
        ]
        assert [ended[step] for step in STEPS[1:]] == [[]] * 5
        before = told(stage)
        stage.build()
        assert (lines(stage), told(stage)) == (ended, before)


class _Cut:
    """Ends a build at one of the things that a stop does, counted over all of them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.at = 0
        self.came = 0
        for owner, name in (
            (StepLog, "put"),
            (StepLog, "erase"),
            (BuildCallRunner, "forget"),
            (BuildCallRunner, "redact"),
        ):
            patch.setattr(owner, name, self._cutting(getattr(owner, name)))

    def _cutting(self, does: Callable[..., object]) -> Callable[..., object]:
        def cut(*given: object, **named: object) -> object:
            self.came += 1
            if self.came == self.at:
                raise HarnessError("the disk is full")
            return does(*given, **named)

        return cut


@pytest.mark.slow
def test_a_stop_that_was_cut_short_anywhere_is_finished_by_the_next_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, ended = _Cut(monkeypatch), list[int]()
    cases = ("hidden", "twin", "text")
    while not ended or ended[-1] != 0:
        folder = tmp_path / str(len(ended))
        folder.mkdir()
        with staged(folder, cases, Turning(lists={"twin": ("hidden",)})) as stage:
            cut.at, cut.came = len(ended) + 1, 0
            ended.append(stage.build().code)
            cut.at = 0
            assert stage.build().code == 0
            assert left(stage, "Quillfeather", *OBJECTS["hidden"]) == [], f"cut at {len(ended)}"
            assert told(stage)["stops"] == {"person": 2}
    assert len(ended) > 10, "each of them was cut"
