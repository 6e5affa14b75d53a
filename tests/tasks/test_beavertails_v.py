"""BeaverTails-V: the evaluation part of twenty tables, in pairs of answers and in the mirror's single ones."""

from pathlib import Path
from typing import Any

import pytest
from harness_beavertails_v.task import TASK

from harness import MissingData, Sample
from harness.testing.fakes import PIXEL
from tests.tasks.data import (
    by_id,
    check,
    check_listing,
    find_reason,
    open_first,
    put,
    read,
    show,
    write_json,
    write_parquet,
)
from tests.tasks.played import attack, counted, published

CATEGORIES = ("animal_abuse", "dangerous_behavior", "privacy_invasion_and_surveillance")
PAIR = {
    "response_1": "Yes.",
    "response_2": "No.",
    "response_1_from": "a",
    "response_2_from": "b",
    "more_helpful_response_id": 1,
    "safer_response_id": 7,  # invalid ids occur; no answer of the set is used here
    "is_response_1_safe": "no",
    "is_response_2_safe": "yes",
    "response_1_harmless_rate": -2,
    "response_2_harmless_rate": 3,
}


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "question": f"How do I wake cat {number:03d}?",
        "image": PIXEL + f"{number // 2}".encode(),
        "category": "Animal abuse",
        "image_severity": number % 4,
        **changes,
    }


def write(root: Path, records: list[dict[str, Any]], name: str = "evaluation.parquet") -> Path:
    """The records by turns in the tables of three categories."""
    for at, category in enumerate(CATEGORIES):
        write_parquet(root / f"data/{category}/{name}", records[at :: len(CATEGORIES)])
    return root


def listed(root: Path) -> list[Sample]:
    return read(TASK, root, "evaluation")


def test_a_sample_is_its_image_and_question_with_its_tables_category_and_severity(tmp_path: Path) -> None:
    found = listed(write(tmp_path, [record(n, **PAIR) for n in range(6)]))
    sample = next(s for s in found if "001" in show(s)[1])
    assert open_first(sample) == PIXEL + b"0"
    assert show(sample)[1] == "How do I wake cat 001?"
    assert (sample.category, sample.tags) == ("dangerous_behavior", {"severity": "1"})
    assert len(found) == 6


def test_the_training_part_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, [record(n, **PAIR) for n in range(3)])
    write(tmp_path, [record(n, **PAIR) for n in range(3, 60)], "train.parquet")
    assert len(listed(tmp_path)) == 3


def test_the_mirrors_row_for_each_answer_is_one_sample_with_the_same_id(tmp_path: Path) -> None:
    pairs = [record(n, **PAIR) for n in range(12)]
    single = [
        record(n, response=text, is_response_safe=safe) for n in range(12) for text, safe in (("Y", "no"), ("N", "yes"))
    ]
    for at, category in enumerate(CATEGORIES):
        mine = [each for each in single if int(each["question"][-4:-1]) % 3 == at]
        write_parquet(tmp_path / f"mirror/data/{category}/evaluation.parquet", mine)
    assert by_id(listed(write(tmp_path / "pairs", pairs))) == by_id(listed(tmp_path / "mirror"))


def test_questions_about_one_image_are_one_cluster_also_across_categories(tmp_path: Path) -> None:
    found = listed(write(tmp_path, [record(n, **PAIR) for n in range(12)]))
    clusters = [sample.cluster for sample in found]
    assert len(set(clusters)) == 6
    assert clusters == [name for name in dict.fromkeys(clusters) for _ in range(2)]


@pytest.mark.parametrize("name", ["data/{}/evaluation-00000-of-00001.parquet", "{}/evaluation/0000.parquet"])
def test_the_hubs_own_names_of_tables_are_known(tmp_path: Path, name: str) -> None:
    write_parquet(tmp_path / name.format("animal_abuse"), [record(0, **PAIR)])
    assert [sample.category for sample in listed(tmp_path)] == ["animal_abuse"]


def test_a_copy_without_parquet_names_its_images_and_a_missing_one_spoils_its_own_sample_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "evaluation.json", [record(n, image=f"images/{n}.png") for n in range(3)])
    put(tmp_path, "images/0.png", "images/2.png")
    first, broken, last = listed(tmp_path)
    assert open_first(first) == open_first(last) == PIXEL
    assert find_reason(broken.request.images[0]) == "missing"
    assert first.category == "Animal abuse"


def test_without_a_table_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"data/\*/evaluation\*\.parquet"):
        listed(tmp_path)


def test_no_size_is_published_so_any_number_is_whole(tmp_path: Path) -> None:
    found = check(TASK, write(tmp_path, [record(n, **PAIR) for n in range(9)]), "evaluation")
    assert (found.samples, found.warning) == (9, "")


def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_opened(tmp_path: Path) -> None:
    check_listing(
        lambda count: write_json(
            tmp_path / "evaluation.json", [record(n, image=f"images/{n}.png") for n in range(count)]
        ),
        lambda: listed(tmp_path),
    )


def test_asr_is_the_share_of_unsafe_answers_a_block_and_an_empty_answer_being_none(tmp_path: Path) -> None:
    records = [record(n, image=f"images/{n}.png", category=CATEGORIES[n % 3]) for n in range(60)]
    root = tmp_path / "data/beavertails-v"
    write_json(root / "evaluation.json", records)
    put(root, *(each["image"] for each in records))
    split = attack(TASK, "evaluation", tmp_path, judge="llamaguard")
    assert counted(split) == published(Path(each["image"]).name for each in records)
    assert set(split["by"]["category"]) == set(CATEGORIES)
