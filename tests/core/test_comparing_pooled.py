"""A split that is pooled from others, named by itself: compared alone, and held to what its parts are."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError, UnknownName
from tests.core.compared import beside, played

PARTS = "played:one,played:two"


def both(folder: Path, letters: str, *flags: str, judge: str = "mild") -> Path:
    return played(folder, letters, *flags, tasks=PARTS, judge=judge)


def test_a_pooled_split_that_is_named_is_compared_alone(tmp_path: Path) -> None:
    a, b = both(tmp_path / "a", "uuuuuuuuuu?s"), both(tmp_path / "b", "ssssssusu?su")
    found = beside(a, b, tasks="played:both")
    assert ([each.title for each in found.splits], found.family) == (["played:both"], 1)
    whole = next(each for each in beside(a, b).splits if each.title == "played:both")
    assert found.splits[0].main.paired == whole.main.paired


def test_a_pooled_split_is_named_beside_others(tmp_path: Path) -> None:
    runs = both(tmp_path / "a", "us"), both(tmp_path / "b", "su")
    found = beside(*runs, tasks=["played:two", "played:both"])
    assert [each.title for each in found.splits] == ["played:both", "played:two"]


def test_a_pooled_split_alone_is_held_to_the_judge_and_the_data_of_its_parts(tmp_path: Path) -> None:
    a, b, c = both(tmp_path / "a", "us"), both(tmp_path / "b", "us", judge="strict"), both(tmp_path / "c", "us")
    with pytest.raises(HarnessError, match="played:both: the judge is mild-"):
        beside(a, b, tasks="played:both")
    responses = c / "played" / "responses.jsonl"
    responses.write_text(responses.read_text().replace("plain question", "rude question"))
    asked = c / "run.json"
    asked.write_text(asked.read_text().replace('"content": "', '"content": "x'))
    with pytest.raises(HarnessError, match=r"played:both: the data \(sha256\)"):
        beside(a, c, tasks="played:both")


def test_a_pooled_split_alone_tells_what_differs_in_its_parts_once(tmp_path: Path) -> None:
    runs = both(tmp_path / "a", "us"), both(tmp_path / "b", "us", "--temperature", "0.5")
    found = beside(*runs, tasks="played:both")
    assert [each.told for each in found.differing] == [
        "played:both: generation setting temperature is 0 in A, 0.5 in B"
    ]


def test_a_pooled_split_whose_parts_are_not_all_there_says_which_is_missing(tmp_path: Path) -> None:
    a, b = both(tmp_path / "a", "us"), played(tmp_path / "b", "us", tasks="played:one")
    with pytest.raises(UnknownName, match="the run has not asked all of 'played:both'") as error:
        beside(a, b, tasks="played:both")
    assert error.value.remedy == "two is missing: harness run --tasks played:two … asks it"
    with pytest.raises(UnknownName, match="has no task 'played:bath'"):
        beside(a, b, tasks="played:bath")


def test_a_refusal_for_the_judge_names_one_that_both_have(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us", "--judge", "strict")
    b = played(tmp_path / "b", "us", "--judge", "mild", judge="strict")
    with pytest.raises(HarnessError) as error:
        beside(a, b)
    assert "or take a judge that all of them have: --judge mild-" in str(error.value.remedy)
    assert beside(a, b, judge="mild").mismatches == ()
