"""Of what a hard stop ends no byte is left in the build's folder, whenever it comes; and the same command again gives
the same set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.testing.calls import Call
from harness.testing.faults import Reply, error
from tests.acceptance.commands import Ended, harness_here
from tests.training.cast import OBJECTS, SECRET, Cast, Stage, _case, staged
from tests.training.photographed import drawing

STEPS = ("elements", "write", "draw", "sort", "probe", "label")


@pytest.fixture(autouse=True)
def _no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)


@dataclass(slots=True)
class Turning(Cast):
    """Plays as the cast does, and turns.

    Attributes:
        lists: case of a seed -> the cases of the elements that its reply lists.
        strict: the checker sees a person everywhere.
        slips: the case whose label names a person.
        refuses: the case with whose label, or check, the server takes no key any more.
    """

    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    strict: bool = False
    slips: str = ""
    refuses: str = ""

    def check(self, call: Call) -> str | Reply:
        said = Cast.check(self, call)
        if _case(call) == self.refuses != "":
            return error(401, "no such key")
        return json.dumps({"minors": "no", "person": "yes", "weapon": "no"}) if self.strict else said

    def _elements(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        each = [Cast._elements(self, name, given, again) for name in self.lists.get(case, (case,))]
        return json.dumps([json.loads(said)[0] for said in each if isinstance(said, str)])

    def _label(self, case: str, given: Mapping[str, Any], again: int) -> str | Reply | None:
        if case == self.slips:
            return f"In the first picture, {SECRET} lays one on the other, which nobody should do."
        return error(401, "no such key") if case == self.refuses else Cast._label(self, case, given, again)


def build(stage: Stage) -> Ended:
    return harness_here("build", "mis", "--config", stage.config, "--out", stage.out)


def another_checker(stage: Stage) -> None:
    """The same server under another name: what it said before holds no more."""
    text = stage.config.read_text(encoding="utf-8")
    stage.config.write_text(text.replace("openai/checker", "openai/checker2"), encoding="utf-8")


def left(stage: Stage, *words: str) -> list[str]:
    """Files under the folder, by their name or in any byte, that still say one of these."""
    return sorted(
        path.relative_to(stage.out).as_posix()
        for path in stage.out.rglob("*")
        if path.is_file() and any(word in path.name or word.encode() in path.read_bytes() for word in words)
    )


def lines(stage: Stage) -> dict[str, list[tuple[str, str]]]:
    """Step -> key and end of each of its lines."""
    return {
        step: sorted(
            (line["key"], line["end"])
            for line in map(json.loads, (stage.out / "work" / f"{step}.jsonl").read_text(encoding="utf-8").splitlines())
        )
        for step in STEPS
    }


def told(stage: Stage) -> dict[str, Any]:
    """What the manifest says of how everything ended, and all lists of the set."""
    found = {path.name: path.read_text(encoding="utf-8") for path in stage.out.glob("mis_*.json")}
    said = json.loads((stage.out / "build.json").read_text(encoding="utf-8"))
    return found | {name: said.get(name) for name in ("records", "ends", "stops")}


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
        assert build(stage).code == 0
        assert "work/label.jsonl" in left(stage, *OBJECTS["text"], "off-limits")
        cast.strict = True
        another_checker(stage)
        build(stage)
        assert left(stage, *OBJECTS["text"], "case=text", "off-limits") == []
        assert [key for step in STEPS[3:] for key, _ in lines(stage)[step]] == []


def test_a_picture_that_is_stopped_takes_all_that_an_earlier_build_made_of_its_elements(tmp_path: Path) -> None:
    cast = Turning()
    with of_a_picture(tmp_path, cast) as stage:
        cast.lists = {"": ("text", "neither")}
        assert build(stage).code == 0
        assert left(stage, "case=text", "case=neither") != []
        cast.strict = True
        another_checker(stage)
        build(stage)
        assert left(stage, "case=text", "case=neither", *OBJECTS["text"], *OBJECTS["neither"]) == []
        assert list((stage.out / "work" / "images").rglob("*.png")) == []


def test_a_build_that_a_fault_ends_has_deleted_the_lines_of_what_was_stopped_before_it(tmp_path: Path) -> None:
    cast = Turning(lists={"text": ("text", "everything")})
    with staged(tmp_path, ("text",), cast, elements={"per_text": 2}) as stage:
        assert build(stage).code == 0
        cast.strict, cast.refuses = True, "everything"
        another_checker(stage)
        assert build(stage).code == 2
        steps = [
            file for file in left(stage, "case=text", *OBJECTS["text"]) if file.removesuffix(".jsonl")[5:] in STEPS
        ]
        assert steps == []


def test_one_text_of_four_owners_is_gone_once_one_of_them_is_stopped(tmp_path: Path) -> None:
    cases = ("hidden", "twin", "known", "renamed")
    cast = Turning(lists=dict.fromkeys(cases, ("hidden",)))
    with staged(tmp_path, cases, cast) as stage:
        build(stage)
        assert left(stage, "Quillfeather", *OBJECTS["hidden"]) == []
        before, asked = told(stage), Counter(cast.asked)
        assert before["stops"] == {"person": 4}
        build(stage)
        assert told(stage) == before
        assert cast.asked == asked, "nothing is asked anew"


def test_what_was_dropped_for_nearly_equalling_a_stopped_one_does_not_come_back(tmp_path: Path) -> None:
    cast = Turning(lists={"twin": ("portrait",)})
    with staged(tmp_path, ("portrait", "twin", "neither"), cast) as stage:
        assert build(stage).code == 0
        before, asked = told(stage), Counter(cast.asked)
        assert before["stops"] == {"person": 2}
        assert left(stage, *OBJECTS["portrait"]) == []
        cast.portraits.clear()
        assert build(stage).code == 0
        assert told(stage) == before
        assert cast.asked == asked, "nothing is asked anew"


@pytest.mark.parametrize("at_once", [1, 32])
def test_two_seeds_that_share_a_reply_end_alike_at_whatever_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("harness_builder.building._SEEDS", 1)
    with staged(tmp_path, ("hidden",), limits={"concurrency": at_once}) as stage:
        (tmp_path / "seeds.csv").write_text("id,text\na,case=hidden\nb,case=hidden\n", encoding="utf-8")
        build(stage)
        ended = lines(stage)
        assert ended["elements"] == [
            ("cases/a", "kept"),
            ("cases/a#0", "stopped"),
            ("cases/b", "kept"),
            ("cases/b#0", "stopped"),
        ]
        assert [ended[step] for step in STEPS[1:]] == [[]] * 5
        before = told(stage)
        build(stage)
        assert (lines(stage), told(stage)) == (ended, before)
