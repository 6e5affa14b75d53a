"""Q-Bench: both layouts, what cannot be used, and the published formula."""

from pathlib import Path
from typing import Any

import pytest
from harness_choice.choice import CHOICE
from harness_qbench.task import TASK

from harness import BadData, MissingData, Sample
from harness.evaluation.plan import survey_samples
from harness.testing.fakes import PIXEL, Said, fake_provider
from tests.tasks.data import open_first, put, read, say, without, write_json, write_parquet
from tests.tasks.played import BLOCK, BROKEN, play, run_split, values


def record(n: int, **more: Any) -> dict[str, Any]:
    """One record of the first layout; the answer is each option in turn."""
    options = ["Sharp", "Blurred", "Dark"][: 2 + n % 2]
    return {
        "img_path": f"{n:05}.png",
        "type": n % 3,
        "concern": n % 4,
        "question": f"Number {n}: how is it?",
        "candidates": options,
        "correct_ans": options[n % len(options)],
        **more,
    }


def first_layout(root: Path, records: list[dict[str, Any]], split: str = "test") -> Path:
    write_json(root / f"llvisionqa_{split}.json", records)
    return put(root / "images", *(each["img_path"] for each in records)).parent


def hub_layout(root: Path, records: list[dict[str, Any]], split: str = "test") -> Path:
    table = [
        {
            "id": each["img_path"],
            "image": PIXEL,
            "question": each["question"],
            **{f"option{n}": ([*each["candidates"], "N/A", "N/A", "N/A"])[n] for n in range(4)},
            "question_type": str(each["type"]),
            "question_concern": str(each["concern"]),
            "correct_choice": "ABCD"[each["candidates"].index(each["correct_ans"])],
        }
        for each in records
    ]
    write_parquet(root / "data" / f"{split}-00000-of-00001.parquet", table)
    return root


def listed(root: Path, split: str = "test") -> list[Sample]:
    return read(TASK, root, split)


def test_both_layouts_give_the_same_samples(tmp_path: Path) -> None:
    records = [record(n) for n in range(6)]
    first, hub = listed(first_layout(tmp_path / "first", records)), listed(hub_layout(tmp_path / "hub", records))
    plain, packed = ([(s.id, say(s), s.target, s.category, s.tags) for s in each] for each in (first, hub))
    assert plain == packed
    assert first[1].target == {"answer": "B", "options": {"A": "Sharp", "B": "Blurred", "C": "Dark"}}
    assert "N/A" not in say(hub[0])
    assert (open_first(first[0]), open_first(hub[0])) == (PIXEL, PIXEL)


def test_a_copy_of_the_test_split_without_answers_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="use the hub's"):
        listed(first_layout(tmp_path, [without(record(n), "correct_ans") for n in range(2)]))


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"correct_ans": "Loud"}, "record 2, field correct_choice"),
        ({"question": None}, "record 2, field question"),
        ({"candidates": None, "correct_ans": "A"}, "record 2"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(more: dict[str, Any], place: str, tmp_path: Path) -> None:
    first_layout(tmp_path, [record(0), record(1, **more)])
    with pytest.raises(BadData) as fault:
        listed(tmp_path)
    assert place in fault.value.where


def test_a_split_whose_file_is_missing_is_missing_data_next_to_another_one(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="dev"):
        listed(first_layout(tmp_path, [record(0)]), "dev")


SAID: tuple[Said, ...] = ("A", "The answer is B.", "Blurred", "It could be A or B", BLOCK, "", BROKEN, "B")


def test_accuracy_is_the_published_share_blocks_empties_and_what_cannot_be_read_included(tmp_path: Path) -> None:
    records = [record(n) for n in range(8)]
    first_layout(tmp_path / "data" / "qbench", records)
    answers = {each["question"]: said for each, said in zip(records, SAID, strict=True)}
    found = play(TASK, "test", tmp_path, answers=answers, judges=(CHOICE,))
    letters = {0: "A", 1: "B", 2: "B", 7: "B"}
    right = sum(
        letters.get(n) == "ABC"[each["candidates"].index(each["correct_ans"])] for n, each in enumerate(records)
    )
    assert values(found)["accuracy"] == (right, 7, 1), "one failed after all tries"
    assert found["labels"]["none"] == 1
    assert found["by"]["category"]["how"]["n"] == 2


def test_a_missing_image_spoils_its_sample_and_never_becomes_a_question_without_one(tmp_path: Path) -> None:
    root = first_layout(tmp_path / "data" / "qbench", [record(n) for n in range(2)])
    (root / "images" / "00001.png").unlink()
    assert run_split(TASK, "test", tmp_path, fake_provider("A"), CHOICE)["outcomes"]["bad_sample"] == 1


def test_the_mini_split_has_a_right_and_a_wrong_answer_for_a_constant_letter(tmp_path: Path) -> None:
    found = run_split(TASK, "mini", tmp_path, fake_provider("A"), CHOICE)
    assert found["metrics"]["accuracy"]["value"] == 50.0


@pytest.mark.slow
def test_twenty_thousand_records_are_listed_without_opening_an_image(tmp_path: Path) -> None:
    write_json(tmp_path / "llvisionqa_test.json", [record(n) for n in range(20_000)])
    samples = listed(tmp_path)
    assert survey_samples(iter(samples), None).images == 20_000
    assert survey_samples(iter(samples), 5).samples == 5
