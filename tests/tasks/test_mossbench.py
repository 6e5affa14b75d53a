"""MOSSBench: a request and one image, in both layouts it is published in, with their traps."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_keyword import JUDGE as KEYWORD
from harness_mossbench.draw_mini import draw_data
from harness_mossbench.task import JUDGE, LABELS, MINI, TASK

from harness import BadData, BadImage, Image, MissingData, Response, Sample, Text
from harness.images import open_image
from harness.testing.conformance import check_judge, check_task
from harness.testing.fakes import PIXEL
from tests.tasks.played import BLOCK, BROKEN, CUT, play, reply, texts, values

assert isinstance(TASK.splits, Mapping)
SPLITS = TASK.splits
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
    folder = root / FOLDERS[split]
    (folder / "images_information").mkdir(parents=True)
    (folder / "images_information/information.json").write_text(json.dumps(records))
    pictures(folder / "images", images, b"")
    return root


def pictures(folder: Path, count: int, mark: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        (folder / f"{number}.png").write_bytes(PIXEL + mark)


def numbered(*numbers: int) -> dict[str, Any]:
    return {str(number): record(number) for number in numbers}


def hub(root: Path, split: str, names: list[str], *, folder: str | None = None, column: str = "file_name") -> Path:
    place = root / (HUB[split] if folder is None else folder) / "metadata.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((column, "pid", "question", "short description", "metadata_over", "metadata_harm"))
        for number, name in enumerate(names, 1):
            writer.writerow((name, number, f"What is in box {number:03d}?", "A box", f"type {number % 3 + 1}", "[7]"))
    return root


def read(root: Path, split: str = "oversensitivity") -> list[Sample]:
    return list(TASK.samples(root, split, {}))


@pytest.mark.parametrize("split", ["oversensitivity", "contrast"])
def test_a_sample_is_its_request_then_its_image_by_type(tmp_path: Path, split: str) -> None:
    (sample,) = read(write(tmp_path, numbered(4), split), split)
    question, image = sample.request.messages[0].content
    assert isinstance(question, Text)
    assert isinstance(image, Image)
    assert (sample.id, sample.category, question.text) == ("4", "Negated Harm", "What is in box 004?")
    assert image.path == f"{FOLDERS[split]}/images/4.png"


@pytest.mark.parametrize("name", ["{}.png", "images/{}.png", "contrast_images/{}.png"])
@pytest.mark.parametrize("split", ["oversensitivity", "contrast"])
def test_the_hubs_table_means_the_images_of_its_own_split_whatever_folder_it_names(
    tmp_path: Path, split: str, name: str
) -> None:
    for other, folder in HUB.items():
        pictures(tmp_path / folder, 2, other.encode())
    found = read(hub(tmp_path, split, [name.format(1), name.format(2)]), split)
    assert [(s.id, s.category, texts(s.request)) for s in found] == [
        ("1", "Negated Harm", "What is in box 001?"),
        ("2", "Counterintuitive Interpretation", "What is in box 002?"),
    ]
    assert {open_image(s.request.images[0]).opened.data for s in found} == {PIXEL + split.encode()}


def test_a_table_beside_the_folder_of_images_is_that_of_the_first_split_alone(tmp_path: Path) -> None:
    hub(tmp_path, "oversensitivity", ["1.png"], folder=".", column="image")
    assert [s.request.images[0].path for s in read(tmp_path)] == ["images/1.png"]
    with pytest.raises(MissingData, match=r"contrast_images/metadata\.csv"):
        read(tmp_path, "contrast")


def test_the_hubs_parquet_gives_the_same_requests_though_its_types_are_declared_true_or_false(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    (tmp_path / "contrast/train").mkdir(parents=True)
    image = {"bytes": PIXEL, "path": "1.png"}
    rows = [{"pid": "1", "question": "What is in box 001?", "image": image, "metadata_over": True}]
    write_table(pa.Table.from_pylist(rows), tmp_path / "contrast/train/0000.parquet")
    (sample,) = read(tmp_path, "contrast")
    assert (sample.id, sample.category, texts(sample.request)) == ("1", "", "What is in box 001?")
    assert open_image(sample.request.images[0]).opened.data == PIXEL


def test_samples_of_one_question_come_together_and_share_a_cluster_however_it_is_written(tmp_path: Path) -> None:
    again = record(3) | {"question": "what is  in box 001"}
    found = read(write(tmp_path, numbered(1, 2) | {"3": again}))
    assert [sample.id for sample in found] == ["1", "3", "2"]
    assert found[0].cluster == found[1].cluster != found[2].cluster


@pytest.mark.parametrize("field", ["question", "image"])
@pytest.mark.parametrize("value", [None, 3, " "])
def test_a_record_that_lacks_a_field_names_file_record_and_field_before_any_sample(
    tmp_path: Path, field: str, value: object
) -> None:
    write(tmp_path, numbered(1) | {"2": record(2) | {field: value}})
    with pytest.raises(BadData) as caught:
        next(iter(TASK.samples(tmp_path, "oversensitivity", {})))
    assert (caught.value.where or "").startswith("data/images_information/information.json, 2, field ")
    assert field in (caught.value.where or "")


def test_a_file_of_another_shape_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="information"):
        read(write(tmp_path, [record(1)]))


def test_data_that_is_not_there_is_missing_data_with_each_place_it_may_be_in(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"data/images_information/information\.json or .* or images/metadata\.csv"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("path", "reason"), [("images/9.png", "missing"), ("../1.png", "outside_root"), ("/1.png", "outside_root")]
)
def test_an_image_that_cannot_be_had_spoils_its_own_sample_alone(tmp_path: Path, path: str, reason: str) -> None:
    broken, whole = read(write(tmp_path, {"7": record(7, image=path), "1": record(1)}, images=1))
    with pytest.raises(BadImage) as caught:
        open_image(broken.request.images[0])
    assert caught.value.reason == reason
    assert open_image(whole.request.images[0]).opened.data == PIXEL


def test_a_refusal_is_bad_on_harmless_requests_and_good_on_contrasting_ones() -> None:
    found = {name: (split.n, split.metrics[0].name, split.metrics[0].better) for name, split in SPLITS.items()}
    assert found == {
        "oversensitivity": (300, "refusal_rate", "lower"),
        "contrast": (244, "refusal_rate", "higher"),
        "mini": (9, "refusal_rate", "lower"),
    }
    assert [name for name, split in SPLITS.items() if split.selected] == ["oversensitivity", "contrast"]


def test_the_mini_split_is_packaged_whole_as_its_script_draws_it(tmp_path: Path) -> None:
    draw_data(tmp_path)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert path.read_bytes() == (MINI / path.relative_to(tmp_path)).read_bytes()
    assert [sample.category for sample in read(MINI, "mini")] == [kind for kind in KINDS for _ in range(3)]
    check_task(TASK)


# The judge and the whole way, beside the published formula


def filled(label: str) -> str:
    return reply(description="A box.", reason="It says so.", label=label)


def test_the_judge_describes_the_image_before_it_decides_and_keeps_its_contract() -> None:
    assert JUDGE.needs == frozenset({"images"})
    rubric = JUDGE.open({"prompt": None}, Path())
    assert rubric.sees == ("images", "question", "answer")
    [request] = rubric.ask(read(MINI, "mini")[0], Response(text="A box."))
    assert list((request.schema or {})["properties"]) == ["description", "reason", "label"]
    check_judge(JUDGE, read(MINI, "mini"), replies=[filled(label) for label in LABELS])


ENDS = ("complies", "refuses", "block", "cut", "empty", "mumbles", "broken")
SAID = {"complies": "complied", "refuses": "refused"}
HOW = {"block": BLOCK, "cut": CUT, "empty": "", "broken": BROKEN}


@pytest.mark.parametrize("split", ["oversensitivity", "contrast"])
def test_the_rate_is_that_of_the_published_formula_and_an_empty_answer_is_a_refusal(tmp_path: Path, split: str) -> None:
    ends = {number: ENDS[number % len(ENDS)] for number in range(1, 211)}
    records = numbered(*ends)
    write(tmp_path / "data/mossbench", records, split, images=210)
    found = play(
        TASK,
        split,
        data=tmp_path / "data",
        output=tmp_path / "run",
        answers={records[str(n)]["question"]: HOW.get(end, f"It {end}.") for n, end in ends.items()},
        replies={f"It {name}.": filled(label) for name, label in SAID.items()} | {"It mumbles.": "1, perhaps 0."},
        judges=(JUDGE, KEYWORD),
    )

    def counted(numbers: list[int]) -> tuple[int, int, int]:
        """The mean of upstream's scores, an empty answer scored 1; nothing is guessed where there is none."""
        scores = [int(ends[n] != "complies") for n in numbers if ends[n] not in {"mumbles", "broken"}]
        return sum(scores), len(scores), len(numbers) - len(scores)

    assert values(found) == {"refusal_rate": counted(list(ends))}
    by_type = {KINDS[kind]: counted([n for n in ends if n % 3 == kind]) for kind in range(3)}
    assert {kind: values(part)["refusal_rate"] for kind, part in found["by"]["category"].items()} == by_type
