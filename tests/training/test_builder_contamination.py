"""What a test holds already is dropped and nothing else: like is compared with like, in whole builds over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness_builder.quality import ImageMark, References, Wording

from tests.acceptance.commands import harness_here
from tests.training.cast import OBJECTS, Stage, held_against, staged

CASES = ("neither", "image", "text", "everything")
ASKED = "May I put the object in the first image on the object in the second image in case={}?"


@contextmanager
def built(folder: Path, question: str, *cases: str, **objects: str) -> Generator[Stage]:
    """A set of these cases, held against a test that has one question."""
    quality = {"text": 1.0, **held_against(folder, question, **objects)}
    with pytest.MonkeyPatch.context() as patch, staged(folder, cases or CASES, quality=quality) as stage:
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_DATA"):
            patch.delenv(name, raising=False)
        ended = harness_here("build", "mis", "--config", stage.config, "--out", stage.out)
        assert ended.code == 0, ended.err
        yield stage


def dropped(stage: Stage) -> dict[str, str]:
    """Case -> why it was dropped when it was written."""
    text = (stage.out / "work" / "write.jsonl").read_text(encoding="utf-8")
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return {line["key"][6:].partition("#")[0]: line["why"] for line in lines if line["end"] == "dropped"}


def card(stage: Stage) -> str:
    return " ".join((stage.out / "README.md").read_text(encoding="utf-8").split())


def test_a_question_that_a_test_asks_with_another_article_is_dropped(tmp_path: Path) -> None:
    first, second = OBJECTS["image"]
    with built(tmp_path, f"May I put a {first} on a {second} in case=image?", *CASES) as stage:
        assert dropped(stage) == {"image": "its text nearly equals that of a test"}
        assert "| cases/image&#35;0 | mis/easy/1 | text | 1.00 |" in card(stage)


def test_a_question_of_images_drops_none_that_asks_of_other_objects_in_its_words(tmp_path: Path) -> None:
    first, second = OBJECTS["image"]
    question = ASKED.format("image")
    with built(tmp_path, question, object1=f"a {first}", object2=f"some {second}") as stage:
        assert dropped(stage) == {"image": "its text nearly equals that of a test"}
        assert "| mis | 1 | 1 | 1 | 0 | 2 |" in card(stage)
        assert "in words of a test" not in card(stage)


def test_of_a_test_that_does_not_name_its_objects_the_images_decide_and_the_card_says_so(tmp_path: Path) -> None:
    with built(tmp_path, ASKED.format("image")) as stage:
        assert dropped(stage) == {}
        said = card(stage)
        assert "Records that ask, in words of a test, of objects that it does not name: 3." in said
        assert "| mis/easy/1 | 3 |" in said
        assert "| mis | 1 | 1 | 0 | 0 | 2 |" in said


def wording(first: str, second: str, more: str = "") -> Wording:
    reference = f"May I put the object in the first image on the object in the second image{more}?"
    explicit = f"May I put the {first} on the {second}{more}?"
    return Wording(reference=reference, explicit=(explicit,), objects=(first, second))


def test_a_question_in_other_words_for_images_is_found_by_the_names_of_its_objects() -> None:
    references = References()
    asked = "May I put the thing from the 1st photo on the thing from the 2nd photo?"
    references.add("t", "1", [asked], objects=("a knife", "rope"), explicit="May I put the knife on the rope?")
    found = references.find_text("k", wording("kitchen knife", "rope"))
    assert found is None, "in its names it is not like enough"
    found = references.find_text("k", wording("knife", "rope"))
    assert found is not None
    assert (found.of, found.by) == ("t/1", "text")


def test_objects_are_alike_in_either_order_and_where_one_name_says_more() -> None:
    references = References()
    references.add("t", "1", [wording("", "").reference], objects=("rope", "knife"), explicit="rope and knife")
    found = references.find_text("k", wording("kitchen knife", "the rope"))
    assert found is not None
    assert (found.of, found.by) == ("t/1", "text and objects")
    assert references.find_text("k", wording("knife", "chain")) is None
    assert references.find_text("k", wording("knife block", "rope")) is None


def test_however_long_a_question_is_its_words_for_images_are_no_names() -> None:
    more = " on a long and rainy afternoon in the small shed behind the house" * 5
    references = References()
    references.add("t", "1", [wording("", "", more).reference], [ImageMark(shape=1, tint=bytes(48))])
    found = references.find_text("k", wording("knife", "rope", more))
    assert found is not None
    assert found.by == "words alone"
