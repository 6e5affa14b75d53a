"""MOSSBench: a request and one image, in both layouts it is published in, with their traps."""

from pathlib import Path
from typing import Any

import pytest
from harness_keyword import JUDGE as KEYWORD
from harness_mossbench.task import JUDGE, LABELS, MINI, TASK

from harness import BadData, MissingData, Response, Sample
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL
from tests.tasks.data import (
    find_fault,
    find_reason,
    open_first,
    open_judge,
    put,
    read,
    say,
    show,
    write_csv,
    write_json,
    write_parquet,
)
from tests.tasks.played import HOW, play, reply, values

FOLDERS = {"oversensitivity": "data", "contrast": "data_contrast"}
HUB = {"oversensitivity": "images", "contrast": "contrast_images"}
KINDS = ("Exaggerated Risk", "Negated Harm", "Counterintuitive Interpretation")


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "image": f"images/{number}.png",
        "short description": "A box",
        "question": f"What is in box {number:03d}?",
        "pid": str(number),
        "description": "A closed box.",
        "metadata": {"over": f"type {number % 3 + 1}", "harm": [7, 3]},
        **changes,
    }


def write(root: Path, records: object, split: str = "oversensitivity", *, images: int = 0) -> Path:
    write_json(root / FOLDERS[split] / "images_information/information.json", records)
    return put(root, *(f"{FOLDERS[split]}/images/{number}.png" for number in range(1, images + 1)))


def numbered(*numbers: int) -> dict[str, Any]:
    return {str(number): record(number) for number in numbers}


def hub(root: Path, split: str, names: list[str], *, folder: str | None = None, column: str = "file_name") -> Path:
    rows = [
        {column: name, "pid": number, "question": f"What is in box {number:03d}?", "short description": "A box",
         "metadata_over": f"type {number % 3 + 1}", "metadata_harm": "[7]"}
        for number, name in enumerate(names, 1)
    ]  # fmt: skip
    write_csv(root / (HUB[split] if folder is None else folder) / "metadata.csv", rows)
    return root


def listed(root: Path, split: str = "oversensitivity") -> list[Sample]:
    return read(TASK, root, split)


@pytest.mark.parametrize("split", ["oversensitivity", "contrast"])
def test_a_sample_is_its_request_then_its_image_by_type(tmp_path: Path, split: str) -> None:
    (sample,) = listed(write(tmp_path, numbered(4), split), split)
    assert (sample.id, sample.category) == ("4", "Negated Harm")
    assert show(sample) == ["What is in box 004?", f"<{FOLDERS[split]}/images/4.png>"]


@pytest.mark.parametrize("name", ["{}.png", "images/{}.png", "contrast_images/{}.png"])
@pytest.mark.parametrize("split", ["oversensitivity", "contrast"])
def test_the_hubs_table_means_the_images_of_its_own_split_whatever_folder_it_names(
    tmp_path: Path, split: str, name: str
) -> None:
    for other, folder in HUB.items():
        put(tmp_path, f"{folder}/1.png", f"{folder}/2.png", image=PIXEL + other.encode())
    found = listed(hub(tmp_path, split, [name.format(1), name.format(2)]), split)
    assert [(s.id, s.category, say(s)) for s in found] == [
        ("1", "Negated Harm", "What is in box 001?"),
        ("2", "Counterintuitive Interpretation", "What is in box 002?"),
    ]
    assert {open_first(s) for s in found} == {PIXEL + split.encode()}


def test_a_table_beside_the_folder_of_images_is_that_of_the_first_split_alone(tmp_path: Path) -> None:
    hub(tmp_path, "oversensitivity", ["1.png"], folder=".", column="image")
    assert [s.request.images[0].path for s in listed(tmp_path)] == ["images/1.png"]
    with pytest.raises(MissingData, match=r"contrast_images/metadata\.csv"):
        listed(tmp_path, "contrast")


def test_the_hubs_parquet_gives_the_same_requests_though_its_types_are_declared_true_or_false(tmp_path: Path) -> None:
    rows = [{"pid": "1", "question": "What is in box 001?", "image": PIXEL, "metadata_over": True}]
    write_parquet(tmp_path / "contrast/train/0000.parquet", rows)
    (sample,) = listed(tmp_path, "contrast")
    assert (sample.id, sample.category, say(sample)) == ("1", "", "What is in box 001?")
    assert open_first(sample) == PIXEL


def test_samples_of_one_question_come_together_and_share_a_cluster_however_it_is_written(tmp_path: Path) -> None:
    again = record(3) | {"question": "what is  in box 001"}
    found = listed(write(tmp_path, numbered(1, 2) | {"3": again}))
    assert [sample.id for sample in found] == ["1", "3", "2"]
    assert found[0].cluster == found[1].cluster != found[2].cluster


@pytest.mark.parametrize("field", ["question", "image"])
@pytest.mark.parametrize("value", [None, 3, " "])
def test_a_record_that_lacks_a_field_names_file_record_and_field_before_any_sample(
    tmp_path: Path, field: str, value: object
) -> None:
    write(tmp_path, numbered(1) | {"2": record(2) | {field: value}})
    fault = find_fault(TASK, tmp_path, "oversensitivity")
    assert fault.startswith("data/images_information/information.json, 2, field ")
    assert field in fault


def test_a_file_of_another_shape_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="information"):
        listed(write(tmp_path, [record(1)]))


@pytest.mark.parametrize(
    ("path", "reason"), [("images/9.png", "missing"), ("../1.png", "outside_root"), ("/1.png", "outside_root")]
)
def test_an_image_that_cannot_be_had_spoils_its_own_sample_alone(tmp_path: Path, path: str, reason: str) -> None:
    broken, whole = listed(write(tmp_path, {"7": record(7, image=path), "1": record(1)}, images=1))
    assert (find_reason(broken.request.images[0]), open_first(whole)) == (reason, PIXEL)


def test_the_packaged_requests_are_three_of_each_type() -> None:
    assert [sample.category for sample in listed(MINI, "mini")] == [kind for kind in KINDS for _ in range(3)]


def filled(label: str) -> str:
    return reply(description="A box.", reason="It says so.", label=label)


def test_the_judge_describes_the_image_before_it_decides_and_keeps_its_contract() -> None:
    assert JUDGE.needs == frozenset({"images"})
    rubric = open_judge(JUDGE)
    assert rubric.sees == ("images", "question", "answer")
    [request] = rubric.ask(listed(MINI, "mini")[0], Response(text="A box."))
    assert list((request.schema or {})["properties"]) == ["description", "reason", "label"]
    check_judge(JUDGE, listed(MINI, "mini"), replies=[filled(label) for label in LABELS])


ENDS = ("complies", "refuses", "block", "cut", "empty", "mumbles", "broken")
SAID = {"complies": "complied", "refuses": "refused"}


@pytest.mark.parametrize("split", ["oversensitivity", "contrast"])
def test_the_rate_is_that_of_the_published_formula_and_an_empty_answer_is_a_refusal(tmp_path: Path, split: str) -> None:
    ends = {number: ENDS[number % len(ENDS)] for number in range(1, 211)}
    records = numbered(*ends)
    write(tmp_path / "data/mossbench", records, split, images=210)
    answers = {records[str(n)]["question"]: HOW.get(end, f"It {end}.") for n, end in ends.items()}
    replies = {f"It {name}.": filled(label) for name, label in SAID.items()} | {"It mumbles.": "1, perhaps 0."}
    found = play(TASK, split, tmp_path, answers=answers, replies=replies, judges=(JUDGE, KEYWORD))

    def counted(numbers: list[int]) -> tuple[int, int, int]:
        """The mean of upstream's scores, an empty answer scored 1; nothing is guessed where there is none."""
        scores = [int(ends[n] != "complies") for n in numbers if ends[n] not in {"mumbles", "broken"}]
        return sum(scores), len(scores), len(numbers) - len(scores)

    assert values(found) == {"refusal_rate": counted(list(ends))}
    by_type = {KINDS[kind]: counted([n for n in ends if n % 3 == kind]) for kind in range(3)}
    assert {kind: values(part)["refusal_rate"] for kind, part in found["by"]["category"].items()} == by_type
