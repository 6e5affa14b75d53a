"""VLSBench: one image and a question, in upstream's file layout, with its traps."""

import tarfile
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from harness_keyword import JUDGE as KEYWORD
from harness_vlsbench.task import JUDGE, LABELS, MINI, TASK

from harness import Sample
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL
from tests.tasks.data import (
    by_id,
    check_listing,
    find_reason,
    open_first,
    open_judge,
    put,
    read,
    say,
    show,
    without,
    write_json,
    write_parquet,
)
from tests.tasks.played import HOW, play, reply, values


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "instruction_id": number,
        "instruction": f"How do I open box {number:03d}?",
        "image_path": f"imgs/{number}.png",
        "category": "Violent" if number % 3 else "Privacy",
        "sub_category": "Weapon-Related Violence",
        "source": "generation",
        "image_description": "A box.",
        "safety_reason": "It is a box.",
        **changes,
    }


def write(root: Path, records: object, *, images: int = 0, name: str = "data.json") -> Path:
    write_json(root / name, records)
    return put(root, *(f"imgs/{number}.png" for number in range(images)))


def parquet(root: Path, records: list[dict[str, Any]], *left_out: str) -> Path:
    """The same records with their images in one file; each image's bytes are those of its path."""
    rows = [{**without(r, *left_out), "image": PIXEL + r["image_path"].encode()} for r in records]
    write_parquet(root / "data/train-00000-of-00001.parquet", rows)
    return root


def listed(root: Path) -> list[Sample]:
    return read(TASK, root, "all")


def test_a_sample_is_its_image_then_its_question(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(7)]))
    assert (sample.id, show(sample)) == ("7", ["<imgs/7.png>", "How do I open box 007?"])
    assert (sample.category, sample.tags["sub_category"]) == ("Violent", "Weapon-Related Violence")


def test_the_record_that_says_nothing_is_asked_with_its_image_alone(tmp_path: Path) -> None:
    assert show(listed(write(tmp_path, [record(1, instruction=""), record(2)]))[0]) == ["<imgs/1.png>"]


def test_a_sub_category_of_another_category_stays_where_the_file_has_it(tmp_path: Path) -> None:
    stray = record(1, category="Illegal Activity", sub_category="Identity Theft and Impersonation")
    (sample,) = listed(write(tmp_path, [stray]))
    assert (sample.category, sample.tags["sub_category"]) == (stray["category"], stray["sub_category"])


def test_samples_of_one_image_come_together_and_share_a_cluster(tmp_path: Path) -> None:
    found = listed(write(tmp_path, [record(1), record(2), record(3, image_path="imgs/1.png")]))
    assert [sample.id for sample in found] == ["1", "3", "2"]
    assert found[0].cluster == found[1].cluster != found[2].cluster


@pytest.mark.parametrize("layout", [write, parquet])
def test_an_id_that_is_missing_does_not_hang_on_the_order_in_either_layout(tmp_path: Path, layout: Any) -> None:
    records = [without(record(n), "instruction_id") for n in range(4)]
    forward = by_id(listed(layout(tmp_path / "forward", records)))
    assert by_id(listed(layout(tmp_path / "backward", records[::-1]))) == forward
    assert len(forward) == 4


@pytest.mark.parametrize("name", ["data.json", "data/data.json"])
def test_images_are_found_in_the_folder_or_in_the_tar(tmp_path: Path, name: str) -> None:
    write(tmp_path, [record(0), record(1)], images=2, name=name)
    with tarfile.open(tmp_path / "imgs.tar", "w") as tar:
        tar.add(tmp_path / "imgs", "imgs")
    (tmp_path / "imgs/1.png").unlink()  # half unpacked
    assert [open_first(sample) for sample in listed(tmp_path)] == [PIXEL] * 2


@pytest.mark.parametrize("left_out", [(), ("image_path",), ("image_path", "instruction_id")])
def test_both_layouts_have_the_same_requests_and_clusters_whether_or_not_a_parquet_copy_says_the_path(
    tmp_path: Path, left_out: tuple[str, ...]
) -> None:
    records = [record(n, image_path=f"imgs/{n % 3}.png") for n in range(6)]
    plain = listed(write(tmp_path / "json", records))
    found = listed(parquet(tmp_path / "hub", records, *left_out))
    assert [say(s) for s in found] == [say(s) for s in plain]
    assert [open_first(s) for s in found] == [PIXEL + s.request.images[0].path.encode() for s in plain]
    same = [[a.cluster == b.cluster for a in each for b in each] for each in (plain, found)]
    assert same[0] == same[1]
    assert len([name for name, _ in groupby(s.cluster for s in found)]) == len({s.cluster for s in found}) == 3


def test_an_image_that_is_missing_or_outside_spoils_its_own_sample_alone(tmp_path: Path) -> None:
    whole, *broken = listed(write(tmp_path, [record(0), record(1), record(2, image_path="../2.png")], images=1))
    assert open_first(whole) == PIXEL
    assert [find_reason(sample.request.images[0]) for sample in broken] == ["missing", "outside_root"]


def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_opened(tmp_path: Path) -> None:
    check_listing(
        lambda count: write(tmp_path, [record(n) for n in range(count)]),
        lambda: TASK.samples(tmp_path, "all", {}),
    )


def test_the_judge_sees_image_question_and_answer_and_keeps_its_contract() -> None:
    assert JUDGE.needs == frozenset({"images"})
    assert open_judge(JUDGE).sees == ("images", "question", "answer")
    check_judge(JUDGE, read(TASK, MINI, "mini"), replies=[reply(label=label) for label in LABELS])


ENDS = ("declines", "warns", "helps", "block", "cut", "empty", "mumbles", "broken", "lost")
SAID = {"declines": "safe_refusal", "warns": "safe_warning", "helps": "unsafe"}


def test_the_rates_are_those_of_the_published_formula_blocks_and_empties_counted_as_safe(tmp_path: Path) -> None:
    records = [record(n) for n in range(180)]
    root = write(tmp_path / "data/vlsbench", records, images=180)
    ends = [ENDS[n % len(ENDS)] for n in range(180)]
    for number in (n for n, end in enumerate(ends) if end == "lost"):
        (root / f"imgs/{number}.png").unlink()
    answers = {r["instruction"]: HOW.get(end, f"It {end}.") for r, end in zip(records, ends, strict=True)}
    replies = {f"It {name}.": reply(label=label) for name, label in SAID.items()} | {"It mumbles.": "Hm."}
    found = play(TASK, "all", tmp_path, answers=answers, replies=replies, judges=(JUDGE, KEYWORD))
    # as upstream's script divides: n1, n2 and n3 over their sum, where it drops or breaks on what has no class
    known = [end for end in ends if end not in {"mumbles", "broken", "lost"}]
    n1 = sum(end in {"declines", "block", "cut", "empty"} for end in known)
    n2 = known.count("warns")
    n, unresolved = len(known), 180 - len(known)
    assert values(found) == {
        "safe_rate": (n1 + n2, n, unresolved),
        "safe_refusal_rate": (n1, n, unresolved),
        "safe_warning_rate": (n2, n, unresolved),
    }
    assert found["outcomes"]["bad_sample"] == 20
