"""SaLAD: dangers of daily life that only the picture shows, and harmless questions, in both layouts."""

import io
import zipfile
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from harness_keyword import JUDGE as KEYWORD
from harness_salad.task import JUDGE, LABELS, MINI, TASK

from harness import Response, Sample
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL
from tests.tasks.data import (
    by_id,
    check,
    check_listing,
    find_fault,
    find_reason,
    open_first,
    open_judge,
    put,
    read,
    show,
    without,
    write_json,
)
from tests.tasks.played import HOW, play, reply, texts, values
from tests.tasks.test_every_task import splits_of

SPLITS = ("unsafe", "safe")
CATEGORIES = ("Activity", "Exercise", "Food", "Game", "Health", "Home", "Office", "Research", "Study", "Travel")


def record(number: int, **changes: Any) -> dict[str, Any]:
    """A record as the hub's file has it; odd ones are dangerous."""
    unsafe = number % 2
    reference = {"safety warning": f"Box {number} may fall."} if unsafe else {"safe suggestion": "It stands well."}
    return {
        "id": number,
        "category": CATEGORIES[number % 10],
        "safety type": "unsafe" if unsafe else "safe",
        "image": f"H_{number}.jpeg",
        "text": f"May I stack box {number:05d}?",
        **reference,
        **changes,
    }


def of_the_sample(row: dict[str, Any]) -> dict[str, Any]:
    """The same record as the sample in upstream's repository has it: no id, and `query`."""
    renamed = {"query" if name == "text" else name: value for name, value in row.items() if name != "id"}
    return {**renamed, "category": "Sports" if row["category"] == "Exercise" else row["category"]}


def write(root: Path, records: list[dict[str, Any]], *, images: bool = False, folder: str = "") -> Path:
    write_json(root / "data.json", records)
    for each in records if images else ():
        put(root, f"{folder}{each['image']}", image=PIXEL + each["image"].encode())
    return root


def listed(root: Path) -> list[Sample]:
    return [sample for split in SPLITS for sample in read(TASK, root, split)]


def test_a_sample_is_its_image_then_its_text_and_holds_its_warning(tmp_path: Path) -> None:
    (sample,) = read(TASK, write(tmp_path, [record(1)]), "unsafe")
    assert show(sample) == ["<H_1.jpeg>", "May I stack box 00001?"]
    assert (sample.id, sample.category, sample.tags) == ("1", "Exercise", {"type": "unsafe"})
    assert sample.target == {"safety_warning": "Box 1 may fall."}


def test_the_two_types_are_two_splits_with_a_reference_of_their_own(tmp_path: Path) -> None:
    root = write(tmp_path, [record(n) for n in range(10)])
    assert [s.id for s in read(TASK, root, "unsafe")] == ["1", "3", "5", "7", "9"]
    assert [s.target for s in read(TASK, root, "safe")] == [{"safe_suggestion": "It stands well."}] * 5


def test_the_sample_of_the_repository_is_read_alike_under_the_names_of_its_images(tmp_path: Path) -> None:
    records = [record(n) for n in range(20)]
    hub = listed(write(tmp_path / "hub", records))
    sample = listed(write(tmp_path / "sample/data", [of_the_sample(each) for each in records]).parent)
    assert {f"H_{name}": text for name, text in by_id(hub).items()} == by_id(sample)
    assert [(s.category, s.target, s.tags) for s in hub] == [(s.category, s.target, s.tags) for s in sample]


@pytest.mark.parametrize("folder", ["", "image/", "images/", "data/images/"])
def test_images_are_found_flat_and_where_upstream_says_to_unpack_them(tmp_path: Path, folder: str) -> None:
    (sample,) = read(TASK, write(tmp_path, [record(1)], images=True, folder=folder), "unsafe")
    assert open_first(sample) == PIXEL + b"H_1.jpeg"


@pytest.mark.parametrize("folder", ["", "image/"])
def test_images_are_read_out_of_the_hubs_zip(tmp_path: Path, folder: str) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(f"{folder}H_1.jpeg", PIXEL)
    write(tmp_path, [record(1), record(3)])
    (tmp_path / "image.zip").write_bytes(made.getvalue())
    whole, broken = read(TASK, tmp_path, "unsafe")
    assert open_first(whole) == PIXEL
    assert find_reason(broken.request.images[0]) == "missing"


def test_questions_of_one_image_come_together_and_share_a_cluster(tmp_path: Path) -> None:
    records = [record(2 * n, image=f"H_{n % 3}.png") for n in range(12)]
    found = read(TASK, write(tmp_path, records), "safe")
    assert [name for name, _ in groupby(found, lambda sample: sample.cluster)] == ["H_0.png", "H_1.png", "H_2.png"]


@pytest.mark.parametrize("kind", ["", "harmless", None])
def test_a_record_that_is_neither_safe_nor_unsafe_is_refused_in_either_split(tmp_path: Path, kind: Any) -> None:
    root = write(tmp_path, [record(1), record(2, **{"safety type": kind})])
    for split in SPLITS:
        assert find_fault(TASK, root, split) == "data.json, record 2, field safety type"


def test_a_record_without_text_and_query_names_both(tmp_path: Path) -> None:
    assert find_fault(TASK, write(tmp_path, [without(record(1), "text")]), "unsafe").endswith("field text or query")


def test_a_reference_of_the_other_type_is_no_reference(tmp_path: Path) -> None:
    mixed = {**without(record(1), "safety warning"), "safe suggestion": "It stands well."}
    assert find_fault(TASK, write(tmp_path, [mixed]), "unsafe") == "data.json, record 1, field safety warning"


def test_the_sizes_of_the_halves_are_not_published_so_any_number_is_whole(tmp_path: Path) -> None:
    root = write(tmp_path, [record(n) for n in range(6)], images=True)
    assert [(check(TASK, root, split).samples, check(TASK, root, split).warning) for split in SPLITS] == [(3, "")] * 2


def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_opened(tmp_path: Path) -> None:
    check_listing(
        lambda count: write(tmp_path, [record(n) for n in range(count)]),
        lambda: listed(tmp_path),
    )


def test_the_judge_reads_question_warning_and_answer_of_a_danger_and_the_answer_alone_of_a_harmless_question() -> None:
    rubric = open_judge(JUDGE)
    for split, there, gone in (
        ("mini", ["under my pillow", "prick you", "I will not say."], []),
        ("mini-safe", ["I will not say."], ["under my pillow", "soft enough"]),
    ):
        sample = read(TASK, MINI, split)[0]
        (request,) = rubric.ask(sample, Response(text="I will not say."))
        assert request.images == ()
        assert [word for word in there if word not in texts(request)] == []
        assert [word for word in gone if word in texts(request)] == []
    check_judge(JUDGE, [*read(TASK, MINI, "mini"), *read(TASK, MINI, "mini-safe")],
                replies=[reply(label=label) for label in LABELS])  # fmt: skip


ENDS = ("fits", "refused", "misses", "fits", "block", "empty", "mumbles", "broken", "misses")


def end_of(number: int) -> str:
    return ENDS[(number // 2 + number // 14) % len(ENDS)]


@pytest.mark.parametrize("split", SPLITS)
def test_the_safe_response_rate_counts_what_is_true_by_upstreams_rule_and_a_refusal_is_false_in_either_half(
    tmp_path: Path, split: str
) -> None:
    numbers = [n for n in range(180) if n % 2 == (split == "unsafe")]
    records = [record(n) for n in range(180)]
    write(tmp_path / "data/salad", records, images=True)
    answers = {each["text"]: HOW.get(end_of(each["id"]), f"It {end_of(each['id'])}.") for each in records}
    replies = {f"It {label}.": reply(label=label) for label in LABELS} | {"It mumbles.": "Hm."}
    found = play(TASK, split, tmp_path, answers=answers, replies=replies, judges=(JUDGE, KEYWORD))
    # upstream: True / all; a bare refusal is False, and so is an answer that says nothing
    known = [end_of(n) for n in numbers if end_of(n) not in {"mumbles", "broken"}]
    true = sum(end == "fits" for end in known)
    declined = sum(end in {"refused", "block", "empty"} for end in known)
    lost = len(numbers) - len(known)
    assert lost > 0
    assert values(found) == {"safe_rate": (true, len(known), lost), "refusal_rate": (declined, len(known), lost)}
    assert set(found["by"]["category"]) == set(CATEGORIES[split == "unsafe" :: 2])


def test_a_list_of_refusals_is_not_taken_where_a_refusal_looks_safe_and_is_wrong() -> None:
    judges = {name: set(split.judges) for name, split in splits_of(TASK).items()}
    assert (judges["unsafe"], judges["safe"]) == ({"salad"}, {"salad", "keyword"})
