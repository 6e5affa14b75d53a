"""MIR-SafetyBench: two to four images and a question, in the hub's and the extracted layout, with its traps."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from harness_harmbench.judge import JUDGE as HARMBENCH
from harness_mir_safetybench.task import JUDGE, LABELS, MINI, TASK
from pyarrow.parquet import write_table

from harness import Response, Sample
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL
from tests.tasks.data import (
    HUB,
    check_listing,
    find_fault,
    find_reason,
    open_first,
    open_judge,
    put,
    read,
    say,
    show,
    write_json,
)
from tests.tasks.played import HOW, play, reply, values

CATEGORIES = ("Hate_Speech", "Self-Harm", "Privacy")
RELATIONS = ("Analogy", "Temporal_Jump")


def record(number: int, **changes: Any) -> dict[str, Any]:
    """A record of the hub's; three in a row are of one original question."""
    images = 2 + number % 3
    return {
        "id": str(number // 6),
        "category": CATEGORIES[number % 3],
        "relationship_type": RELATIONS[number // 3 % 2],
        "original_question": f"How do I open box {number // 3:03d}?",
        "revised_prompt": f"What comes next, number {number:03d}?",
        "image_descriptions": [f"Box {number} from side {side}." for side in range(images)],
        "image_keywords": ["box"] * images,
        "images": [PIXEL + f"{number}/{side}".encode() for side in range(images)],
        "num_images": images,
        "iteration": 1,
        **changes,
    }


def hub(root: Path, records: list[dict[str, Any]], name: str = "data/train-00000-of-00001.parquet") -> Path:
    columns: dict[str, Any] = {name: [each[name] for each in records] for name in records[0]}
    stored = [[image and {"bytes": image, "path": "x.png"} for image in images] for images in columns["images"]]
    columns["images"] = pa.array(stored, pa.list_(HUB))
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.table(columns), root / name)
    return root


def extracted(root: Path, records: list[dict[str, Any]], under: str = "", *, images: bool = True) -> Path:
    """As upstream's extract_data.py writes them: ids as numbers, no category and no `num_images`."""
    files: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in records:
        category, relation = each["category"], each["relationship_type"]
        paths = [f"images/{relation}/{relation}_{each['id']}_{side}.png" for side in range(len(each["images"]))]
        for path, image in zip(paths, each["images"] if images else (), strict=False):
            put(root, f"{under}{category}/{path}", image=image)
        kept = {name: value for name, value in each.items() if name not in {"category", "num_images"}}
        files.setdefault((category, relation), []).append({**kept, "id": int(each["id"]), "images": paths})
    for (category, relation), listed in files.items():
        write_json(root / f"{under}{category}/{relation}_final.json", listed)
    return root


def listed(root: Path) -> list[Sample]:
    return read(TASK, root, "all")


def test_a_sample_is_all_its_images_in_order_and_then_the_question(tmp_path: Path) -> None:
    (sample,) = listed(extracted(tmp_path, [record(1)]))
    folder = "Self-Harm/images/Analogy/Analogy_0_"
    assert show(sample) == [f"<{folder}{side}.png>" for side in range(3)] + ["What comes next, number 001?"]
    assert (sample.category, sample.tags) == ("Self-Harm", {"relation": "Analogy", "images": "3"})
    assert sample.target == {
        "intent": "How do I open box 000?",
        "caption": "\n".join(f"Box 1 from side {side}." for side in range(3)),
    }


def test_an_id_is_made_of_category_relation_and_number_since_the_number_comes_again(tmp_path: Path) -> None:
    found = [sample.id for sample in listed(extracted(tmp_path, [record(n) for n in range(7)]))]
    assert found[0] == "Hate_Speech-Analogy-0"
    assert len(set(found)) == 7
    assert "Hate_Speech-Temporal_Jump-0" in found
    assert "Hate_Speech-Analogy-1" in found


def test_samples_of_one_original_question_come_together_and_share_a_cluster(tmp_path: Path) -> None:
    records = [record(n) for n in range(12)]
    records[11]["original_question"] = "how do I open  BOX 000"
    found = listed(extracted(tmp_path, records))
    assert [len(list(group)) for _, group in groupby(found, lambda sample: sample.cluster)] == [4, 3, 3, 2]


@pytest.mark.parametrize("under", ["", "data/", "output/"])
def test_the_hubs_and_the_extracted_layout_have_the_same_samples(tmp_path: Path, under: str) -> None:
    records = [record(n) for n in range(12)]
    plain = {sample.id: sample for sample in listed(extracted(tmp_path / "files", records, under))}
    for sample in listed(hub(tmp_path / "hub", records)):
        twin = plain.pop(sample.id)
        assert say(sample) == say(twin)
        assert (sample.cluster, sample.category, sample.tags) == (twin.cluster, twin.category, twin.tags)
        assert (sample.target, open_first(sample)) == (twin.target, open_first(twin))
        assert len(sample.request.images) == len(twin.request.images)
    assert not plain


def test_the_images_that_count_are_the_first_of_the_list_as_many_as_the_record_says(tmp_path: Path) -> None:
    (sample,) = listed(hub(tmp_path, [record(1, num_images=2)]))
    assert (len(sample.request.images), sample.tags["images"]) == (2, "2")
    fault = find_fault(TASK, hub(tmp_path, [record(0), record(1, num_images=4)]), "all")
    assert fault == "data/train-00000-of-00001.parquet, record 2, field num_images"


def test_an_image_that_the_hubs_file_lacks_spoils_its_own_sample_alone(tmp_path: Path) -> None:
    whole, broken = listed(hub(tmp_path, [record(0), record(3, images=[PIXEL, None], num_images=2)]))
    assert open_first(whole).startswith(PIXEL)
    assert open_first(broken) == PIXEL
    assert find_reason(broken.request.images[1]) == "missing"


@pytest.mark.parametrize("given", [None, [], ["A box.", ""], "A box."])
def test_images_in_words_are_for_a_judge_alone_so_that_a_gap_in_them_costs_no_sample(
    tmp_path: Path, given: Any
) -> None:
    (sample,) = listed(extracted(tmp_path, [record(1, image_descriptions=given)]))
    expected = {"caption": "A box."} if given else {}
    assert sample.target == {"intent": "How do I open box 000?", **expected}


@pytest.mark.parametrize("field", ["original_question", "revised_prompt", "images", "id"])
def test_a_record_that_lacks_a_field_names_file_record_and_field_before_any_sample(tmp_path: Path, field: str) -> None:
    extracted(tmp_path, [record(0)])
    write_json(
        tmp_path / "Privacy/Analogy_final.json", [{**record(2), "images": ["a.png"], "num_images": 1, field: None}]
    )
    fault = find_fault(TASK, tmp_path, "all")
    assert fault == f"Privacy/Analogy_final.json, record 1, field {field}"


def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_opened(tmp_path: Path) -> None:
    check_listing(
        lambda count: extracted(tmp_path, [record(n, images=[b""] * (2 + n % 3)) for n in range(count)], images=False),
        lambda: TASK.samples(tmp_path, "all", {}),
    )


def test_its_own_judge_sees_images_goal_question_and_answer_and_keeps_its_contract() -> None:
    assert JUDGE.needs == frozenset({"images"})
    assert set(open_judge(JUDGE).sees) == {"images", "intent", "question", "answer"}
    check_judge(JUDGE, read(TASK, MINI, "mini"), replies=[reply(label=label) for label in LABELS])


ENDS = (*LABELS, "block", "cut", "empty", "mumbles", "broken")


def test_asr_is_pooled_by_relation_by_category_and_over_all_as_upstreams_statics_does(tmp_path: Path) -> None:
    records = [record(n) for n in range(180)]
    extracted(tmp_path / "data/mir-safetybench", records)
    ends = [ENDS[n % 7 if n % 11 else 7 + n % 3] for n in range(180)]
    answers = {r["revised_prompt"]: HOW.get(end, f"It is {end}.") for r, end in zip(records, ends, strict=True)}
    replies = {f"It is {label}.": reply(label=label) for label in LABELS} | {"It is mumbles.": "Hm."}
    found = play(TASK, "all", tmp_path, answers=answers, replies=replies, judges=(JUDGE, HARMBENCH))
    # statics.py: unsafe / all of each file name, summed over the folders; what failed is safe there and left out here
    known = [(r, end) for r, end in zip(records, ends, strict=True) if end not in {"mumbles", "broken"}]
    unresolved = 180 - len(known)

    def count(label: str) -> tuple[float, float, int]:
        return sum(end == label for _, end in known), len(known), unresolved

    assert values(found) == {
        "ASR": count("unsafe"),
        "refusal_rate": count("refused"),
        "misunderstood_rate": count("misunderstood"),
        "evasive_rate": count("evasive"),
    }
    assert unresolved == sum(end in {"mumbles", "broken"} for end in ends) > 5
    for by, field in (("relation", "relationship_type"), ("category", "category")):
        parts = {r[field] for r in records}
        for part in parts:
            own = [end for r, end in known if r[field] == part]
            metric = found["by"][by][part]["metrics"]["ASR"]
            assert (metric["numerator"], metric["denominator"]) == (own.count("unsafe"), len(own))


def test_harmbench_reads_the_original_question_and_sees_no_image(tmp_path: Path) -> None:
    (sample,) = listed(extracted(tmp_path, [record(1)]))
    (request,) = open_judge(HARMBENCH).ask(sample, Response(text="Turn the key."))
    text = say(Sample(id="x", split="x", request=request))
    assert request.images == ()
    assert "How do I open box 000?" in text
    assert "What comes next" not in text
