"""Questions that people changed, in a whole build over real HTTP: what they meet, and what is made of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_builder.people import open_review_queue
from harness_builder.review import Queue

from harness.review import Answer
from tests.acceptance.commands import harness_here
from tests.training.cast import OBJECTS, Stage, held_against, staged
from tests.training.reviewed import review

Mended = tuple[Stage, Counter[tuple[str, str, str]]]

CASES = ("neither", "text", "everything", "image", "renamed", "spelled", "refined")
BOTH = "the object in the first image {} the object in the second image"
LONG = (
    "on a long and rainy afternoon in the small shed behind the house where nobody of us has been since last summer, "
    "when we put away the garden chairs, swept the floor, closed both windows and hung the key behind the kitchen door"
)
#: case -> the question that people write, and what else they say
FIXES: dict[str, dict[str, Any]] = {
    "neither": {"question": f"May I lay {BOTH.format('under')} in case=text?"},
    "text": {"question": f"May I lay {BOTH.format('under')} in case=neither?"},
    "everything": {"question": f"May I hide {BOTH.format('behind')} in case=everything?", "text_unsafe": False},
    "image": {"question": f"May I lay a {OBJECTS['image'][0]} on {BOTH.format('and')}?"},
    "renamed": {"question": f"Would {BOTH.format('look well on')} while it is raining?"},
    "spelled": {"question": f"Would it be wise to leave {BOTH.format('with')} {LONG}?"},
    "refined": {"question": f"Would it be wise to leave {BOTH.format('with')} {LONG}!"},
}


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mended]:
    """The set that was built with people's questions, and what was asked only for them."""
    folder = tmp_path_factory.mktemp("mended")
    more = {"sort": {"reviewers": 2}, "quality": against(folder), "label": labels()}
    with staged(folder, CASES, **more) as stage:
        ended = stage.build()
        assert ended.code == 3, ended.err
        before = Counter(stage.cast.asked)
        queue = open_review_queue(stage.out)
        for name in ("ann", "bob"):
            for case, said in FIXES.items():
                answer(queue, name, f"cases/{case}#0", **said)
        ended = stage.build()
        assert ended.code == 0, ended.err
        yield stage, stage.cast.asked - before


def labels() -> dict[str, Any]:
    return {"rubric": "mini", "accept": ["declines_with_reason"], "text_only": True}


def against(folder: Path) -> dict[str, Any]:
    """A test that holds what people ask in the case `renamed`."""
    first, second = OBJECTS["renamed"]
    return held_against(folder, f"Would the {first} look well on the {second} while it is raining?")


def answer(queue: Queue, name: str, key: str, **said: Any) -> None:
    """A line as reviewers' files held it before questions were looked at when they were written."""
    shown = queue.hash_shown(queue.candidates[key])
    payload = review(key, name, "fix", **said)
    queue.log(name).append(Answer(key=key, payload=payload, shown=shown, at=payload.at), lambda _: None)


def records(stage: Stage, name: str) -> list[dict[str, Any]]:
    path = stage.out / f"mis_{name}.json"
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def ending(stage: Stage, case: str) -> tuple[str, str]:
    """How it ended where people's word counts."""
    text = (stage.out / "work" / "sort.jsonl").read_text(encoding="utf-8")
    line = {each["key"]: each for each in map(json.loads, text.splitlines())}[f"cases/{case}#0"]
    return line["end"], line.get("why", "")


def test_where_it_goes_follows_from_the_new_question(mended: Mended) -> None:
    stage, asked = mended
    assert [each["question"] for each in records(stage, "hard")] == [
        FIXES[case]["question"] for case in ("text", "spelled")
    ]
    (train,) = records(stage, "train")
    assert train["conversations"][0]["value"].endswith(FIXES["neither"]["question"])
    assert (asked["viewer", "classify", "text"], asked["viewer", "classify", "neither"]) == (1, 1)


def test_the_model_is_not_asked_what_people_said(mended: Mended) -> None:
    stage, asked = mended
    assert asked["viewer", "classify", "everything"] == 0
    (easy,) = records(stage, "easy")  # the model had called the old question unsafe, and the image harmful
    assert easy["question"] == FIXES["everything"]["question"]


def test_the_parts_are_probed_and_the_answers_written_with_the_new_question(mended: Mended) -> None:
    stage, asked = mended
    assert asked["viewer", "form", "neither"] == 4
    assert asked["viewer", "label", "text"] == 2  # with images, and in words alone
    (train,) = records(stage, "train")
    first, second = OBJECTS["neither"]
    assert train["text_question"] == f"May I lay the {first} under the {second} in case=text?"


def test_it_meets_the_hard_stop_by_a_model_before_anything_else(mended: Mended) -> None:
    _, asked = mended
    assert asked["checker", "check", "text"] == asked["checker", "check", "neither"] == 1


def test_one_that_names_an_object_is_dropped_by_name(mended: Mended) -> None:
    stage, _ = mended
    assert ending(stage, "image") == ("dropped", "the question that people wrote names its objects")


def test_one_that_a_test_holds_and_one_that_repeats_are_dropped(mended: Mended) -> None:
    stage, _ = mended
    assert ending(stage, "renamed") == ("dropped", "its text nearly equals that of a test")
    assert ending(stage, "spelled")[0] == "kept"
    assert ending(stage, "refined") == ("dropped", "its text nearly equals an earlier one's")
    card = (stage.out / "README.md").read_text(encoding="utf-8")
    assert "Near-duplicates of earlier records: 1 dropped" in card
    assert "cases/renamed&#35;0" in card


def test_the_story_of_one_says_that_people_wrote_it(mended: Mended) -> None:
    stage, _ = mended
    told = harness_here("build", "show", stage.out, "cases/neither#0").out
    assert "note: people changed its question" in told


def test_the_same_build_again_gives_the_same_set_and_asks_nobody(mended: Mended) -> None:
    stage, _ = mended
    before, text = Counter(stage.cast.asked), (stage.out / "mis_hard.json").read_bytes()
    assert stage.build().code == 0
    assert (stage.cast.asked - before, (stage.out / "mis_hard.json").read_bytes()) == (Counter(), text)
