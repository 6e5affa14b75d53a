"""A judge's name means a judge or a rubric, and no other rubric whose name begins alike."""

import pytest

from harness.errors import UnknownName
from harness.runs.selection import select_judge_ids

IDS = {
    "mssbench-openai-a-00000001": "mssbench",
    "mssbench-yesno-00000002": "mssbench-yesno",
    "mssbench-openai-b-00000003": "mssbench",
    "human-anna": "human",
    "human-bo": "human",
}
CARDS = {judge: {"rubric": rubric} for judge, rubric in IDS.items()}


@pytest.mark.parametrize(
    ("names", "judges"),
    [
        ("mssbench", "mssbench-openai-a-00000001 mssbench-openai-b-00000003"),
        ("mssbench-yesno", "mssbench-yesno-00000002"),
        ("mssbench-openai-b", "mssbench-openai-b-00000003"),
        ("mssbench-openai", "mssbench-openai-a-00000001 mssbench-openai-b-00000003"),
        ("human", "human-anna human-bo"),
        ("human-bo mssbench-yesno-00000002", "mssbench-yesno-00000002 human-bo"),
    ],
)
def test_a_name_means_an_id_or_exactly_one_rubric_or_the_beginning_of_ids_beyond_it(names: str, judges: str) -> None:
    assert select_judge_ids("--judges", names.split(), CARDS) == tuple(judges.split())


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("mssbenhc", "mssbench"), ("mssbenc", "mssbench"), ("human-an", "human-anna"), ("hum", "human")],
)
def test_a_name_that_means_none_is_told_the_nearest_one(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"--members {name}: no judge of this run") as caught:
        select_judge_ids("--members", [name], CARDS)
    assert f"'{nearest}" in caught.value.remedy


def test_a_rubric_that_a_longer_one_begins_with_is_not_known_by_it() -> None:
    longer = {judge: card for judge, card in CARDS.items() if card["rubric"] == "mssbench-yesno"}
    with pytest.raises(UnknownName):
        select_judge_ids("--judges", ["mssbench"], longer)
