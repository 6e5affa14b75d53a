"""Q-OpenJudge: both layouts, what cannot be used, and the published formula."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness_choice
import harness_qbench
import pytest

import harness
from harness import BadData, MissingData, Request, Response, Sample, Text, plugins
from harness.evaluation.plan import survey_samples
from harness.runs.run import Run
from harness.testing.conformance import check_task
from harness.testing.fakes import PIXEL, fake_provider, host_of
from harness.types import Failure

[TASK] = harness_qbench.harness_tasks()


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
    (root / "images").mkdir(parents=True, exist_ok=True)
    for each in records:
        (root / "images" / each["img_path"]).write_bytes(PIXEL)
    (root / f"llvisionqa_{split}.json").write_text(json.dumps(records), encoding="utf-8")
    return root


def hub_layout(root: Path, records: list[dict[str, Any]], split: str = "test") -> Path:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    table = [
        {
            "id": each["img_path"],
            "image": {"bytes": PIXEL, "path": each["img_path"]},
            "question": each["question"],
            **{f"option{n}": ([*each["candidates"], "N/A", "N/A", "N/A"])[n] for n in range(4)},
            "question_type": str(each["type"]),
            "question_concern": str(each["concern"]),
            "correct_choice": "ABCD"[each["candidates"].index(each["correct_ans"])],
        }
        for each in records
    ]
    (root / "data").mkdir(parents=True)
    write_table(pa.Table.from_pylist(table), root / "data" / f"{split}-00000-of-00001.parquet")
    return root


def listed(root: Path, split: str = "test") -> list[Sample]:
    return list(TASK.samples(root, split, {}))


def text(sample: Sample) -> str:
    [part] = [part for part in sample.request.messages[0].content if isinstance(part, Text)]
    return part.text


def test_both_layouts_give_the_same_samples(tmp_path: Path) -> None:
    records = [record(n) for n in range(6)]
    first, hub = listed(first_layout(tmp_path / "first", records)), listed(hub_layout(tmp_path / "hub", records))
    assert [(each.id, text(each), each.target, each.category, each.tags) for each in first] == [
        (each.id, text(each), each.target, each.category, each.tags) for each in hub
    ]
    assert first[1].target == {"answer": "B", "options": {"A": "Sharp", "B": "Blurred", "C": "Dark"}}
    assert "N/A" not in text(hub[0])
    assert [each.request.images[0].files.read(each.request.images[0].path) for each in (first[0], hub[0])] == [
        PIXEL
    ] * 2


def test_a_copy_of_the_test_split_without_answers_is_told_apart(tmp_path: Path) -> None:
    hidden = [{name: value for name, value in record(n).items() if name != "correct_ans"} for n in range(2)]
    with pytest.raises(BadData, match="the hub's has it"):
        listed(first_layout(tmp_path, hidden))


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


def test_a_wrong_folder_and_a_missing_split_are_missing_data(tmp_path: Path) -> None:
    with pytest.raises(MissingData):
        listed(tmp_path)
    with pytest.raises(MissingData):
        listed(first_layout(tmp_path, [record(0)]), "dev")


SAID: dict[int, str | Failure] = {
    0: "A",
    1: "The answer is B.",
    2: "Blurred",
    3: "It could be A or B",
    4: Failure(outcome="input_blocked", reason="content_filter"),
    5: "",
    6: Failure(outcome="error", reason="http_500"),
    7: "B",
}


def run(root: Path, split: str, say: Callable[[Request], str | Response | Failure]) -> Run:
    with plugins.use(host_of(fake_provider(say), TASK, *harness_choice.harness_judges())):
        return harness.run(model="fake/m", tasks=[f"qbench:{split}"], data=root, output=root / "run", probe=False)


def said(request: Request) -> str | Failure:
    return SAID[int(next(p.text for p in request.messages[0].content if isinstance(p, Text)).split()[1].strip(":"))]


def test_accuracy_is_the_published_share_blocks_empties_and_what_cannot_be_read_included(tmp_path: Path) -> None:
    records = [record(n) for n in range(8)]
    first_layout(tmp_path / "qbench", records)
    found = run(tmp_path, "test", said)
    letters = {0: "A", 1: "B", 2: "B", 7: "B"}
    right = sum(
        letters.get(n) == "ABC"[each["candidates"].index(each["correct_ans"])] for n, each in enumerate(records)
    )
    there = found.results["tasks"]["qbench"]["splits"]["test"]
    metric = there["metrics"]["accuracy"]
    assert (metric["numerator"], metric["denominator"]) == (right, 7), "one failed after all tries"
    assert there["labels"]["none"] == 1
    assert there["by"]["category"]["how"]["n"] == 2


def test_a_missing_image_spoils_its_sample_and_never_becomes_a_question_without_one(tmp_path: Path) -> None:
    root = first_layout(tmp_path / "qbench", [record(n) for n in range(2)])
    (root / "images" / "00001.png").unlink()
    found = run(tmp_path, "test", lambda _: "A")
    assert found.results["tasks"]["qbench"]["splits"]["test"]["outcomes"]["bad_sample"] == 1


def test_the_contract_holds_for_data_in_the_first_layout(tmp_path: Path) -> None:
    check_task(TASK, host=host_of(TASK, *harness_choice.harness_judges()))
    assert survey_samples(iter(listed(first_layout(tmp_path, [record(n) for n in range(30)]))), 5).samples == 5


def test_the_mini_split_has_a_right_and_a_wrong_answer_for_a_constant_letter(tmp_path: Path) -> None:
    metric = run(tmp_path, "mini", lambda _: "A").results["tasks"]["qbench"]["splits"]["mini"]["metrics"]["accuracy"]
    assert metric["value"] == 50.0


def test_twenty_thousand_records_are_listed_without_opening_an_image(tmp_path: Path) -> None:
    records = [record(n) for n in range(20_000)]
    (tmp_path / "llvisionqa_test.json").write_text(json.dumps(records), encoding="utf-8")
    assert survey_samples(iter(listed(tmp_path)), None).images == 20_000
