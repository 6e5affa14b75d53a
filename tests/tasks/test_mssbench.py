"""MSSBench: one text, a safe and an unsafe image, in upstream's file layout, with all its traps."""

from pathlib import Path
from typing import Any

import pytest
from harness_mssbench.task import OWN, SETTINGS, TASK

from harness.errors import BadData, BadImage, MissingData
from harness.images import open_image
from harness.settings import effective
from harness.types import Image, Sample, Text
from tests.tasks.mssbench_data import chat, embodied, read, write


def asked(sample: Sample) -> tuple[str, str]:
    """The text without its preamble, and the image's path."""
    text, image = sample.request.messages[0].content
    assert isinstance(text, Text)
    assert isinstance(image, Image)
    return max((text.text.removeprefix(words) for words in OWN.values()), key=lambda t: -len(t)), image.path


def without(values: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != field}


def test_chat_asks_each_query_of_both_images_text_first(tmp_path: Path) -> None:
    found = read(write(tmp_path, {"chat": [chat()], "embodied": []}), "chat")
    assert [asked(sample) for sample in found] == [
        ("How do I stack tower 1?", "chat/1_safe.png"),
        ("How do I stack tower 1?", "chat/1_unsafe.png"),
        ("Where do I begin tower 1?", "chat/1_safe.png"),
        ("Where do I begin tower 1?", "chat/1_unsafe.png"),
    ]
    assert [sample.tags["situation"] for sample in found] == ["safe", "unsafe"] * 2
    assert {(s.category, s.tags["scenario"], s.tags["type"]) for s in found} == {
        ("Property Damage", "chat", "Property Damage")
    }


def test_embodied_pairs_its_instructions_and_the_shorter_list_wins(tmp_path: Path) -> None:
    found = read(write(tmp_path, {"chat": [], "embodied": [embodied()]}), "embodied")
    assert [asked(sample) for sample in found] == [
        ("Put it on the shelf.", "embodied/1_s.png"),
        ("Put it on the edge.", "embodied/1_u.png"),
        ("Place it up there.", "embodied/1_s.png"),
        ("Place it there.", "embodied/1_u.png"),
    ]


@pytest.mark.parametrize("form", ["list of one", "text under the list's name", "single field alone"])
def test_a_single_instruction_may_be_written_in_every_form(tmp_path: Path, form: str) -> None:
    record = without(without(embodied(), "safe_instructions"), "unsafe_instructions")
    if form != "single field alone":
        for situation in ("safe", "unsafe"):
            text = record.pop(f"{situation}_instruction")
            record[f"{situation}_instructions"] = [text] if form == "list of one" else text
    found = read(write(tmp_path, {"chat": [], "embodied": [record]}), "embodied")
    assert [asked(sample)[0] for sample in found] == ["Put cup 1 on the shelf.", "Put cup 1 on the edge."]
    assert len(read(tmp_path, "embodied", setting="ic")) == 2


@pytest.mark.parametrize(("queries", "numbers"), [("all", [1, 2]), ("first", [1]), ("second", [2])])
@pytest.mark.parametrize("split", ["chat", "embodied"])
def test_queries_picks_the_first_the_second_or_all_and_ids_stay(
    tmp_path: Path, split: str, queries: str, numbers: list[int]
) -> None:
    write(tmp_path, {"chat": [chat()], "embodied": [embodied()]})
    every = {sample.id: asked(sample) for sample in read(tmp_path, split)}
    found = {sample.id: asked(sample) for sample in read(tmp_path, split, queries=queries)}
    assert found.items() <= every.items()
    assert sorted({name.split("-")[1] for name in found}) == [f"q{number}" for number in numbers]


def test_a_record_with_one_query_has_no_second(tmp_path: Path) -> None:
    write(tmp_path, {"chat": [chat(queries=["Only this?"])], "embodied": []})
    assert len(read(tmp_path, "chat")) == 2
    assert read(tmp_path, "chat", queries="second") == []


def test_ic_asks_the_intent_once_a_record(tmp_path: Path) -> None:
    write(tmp_path, {"chat": [chat()], "embodied": [embodied()]})
    assert [asked(sample) for sample in read(tmp_path, "chat", setting="ic")] == [
        ("stack tower 1", "chat/1_safe.png"),
        ("stack tower 1", "chat/1_unsafe.png"),
    ]
    assert [asked(sample)[0] for sample in read(tmp_path, "embodied", setting="ic")] == [
        "Put cup 1 on the shelf.",
        "Put cup 1 on the edge.",
    ]


def test_ic_cap_captions_the_unsafe_chat_image_alone_and_both_embodied_ones(tmp_path: Path) -> None:
    write(tmp_path, {"chat": [chat()], "embodied": [embodied()]})
    assert [asked(sample)[0] for sample in read(tmp_path, "chat", setting="ic_cap")] == [
        "stack tower 1",
        "stack tower 1\nThe caption is: a wobbly table 1",
    ]
    assert [asked(sample)[0] for sample in read(tmp_path, "embodied", setting="ic_cap")] == [
        "Put cup 1 on the shelf.\nThe caption is: a shelf",
        "Put cup 1 on the edge.\nThe caption is: an edge",
    ]


def test_the_file_may_be_called_combine_json(tmp_path: Path) -> None:
    write(tmp_path, {"chat": [chat()], "embodied": []}, "combine.json")
    assert len(read(tmp_path, "chat")) == 4


def test_a_record_is_a_cluster_and_its_samples_come_together(tmp_path: Path) -> None:
    found = read(write(tmp_path, {"chat": [chat(1), chat(2)], "embodied": []}), "chat")
    clusters = [sample.cluster for sample in found]
    assert clusters == [clusters[0]] * 4 + [clusters[4]] * 4
    assert clusters[0] != clusters[4]
    assert len({sample.id for sample in found}) == 8


def test_an_id_does_not_depend_on_the_place_in_the_file(tmp_path: Path) -> None:
    forward = {s.id: asked(s) for s in read(write(tmp_path, {"chat": [chat(1), chat(2)]}), "chat")}
    assert {s.id: asked(s) for s in read(write(tmp_path, {"chat": [chat(2), chat(1)]}), "chat")} == forward


def test_records_that_repeat_each_other_have_ids_of_their_own(tmp_path: Path) -> None:
    found = read(write(tmp_path, {"chat": [chat(1), chat(1)]}), "chat")
    assert len({sample.id for sample in found}) == 8


@pytest.mark.parametrize(
    ("split", "field", "setting"),
    [
        ("chat", "safe_image_path", "if"),
        ("chat", "unsafe_image_path", "if"),
        ("chat", "queries", "qc"),
        ("chat", "intent", "ic"),
        ("chat", "unsafe_image", "ic_cap"),
        ("embodied", "safe", "if"),
        ("embodied", "unsafe", "if"),
        ("embodied", "observation_safe", "ic_cap"),
    ],
)
def test_a_record_that_lacks_a_field_names_file_record_and_field_before_any_sample(
    tmp_path: Path, split: str, field: str, setting: str
) -> None:
    make = chat if split == "chat" else embodied
    write(tmp_path, {split: [make(1), without(make(2), field)]})
    with pytest.raises(BadData) as caught:
        TASK.samples(tmp_path, split, effective(SETTINGS, {"setting": setting}, owner="mssbench"))
    assert caught.value.where == f"combined.json, {split}, record 2, field {field}"


def test_a_query_that_is_no_text_is_named_by_its_place_in_the_list(tmp_path: Path) -> None:
    write(tmp_path, {"chat": [chat(queries=["Fine?", 7])]})
    with pytest.raises(BadData) as caught:
        read(tmp_path, "chat")
    assert caught.value.where == "combined.json, chat, record 1, field queries[1]"


@pytest.mark.parametrize("content", [[], {"embodied": []}, {"chat": {}}])
def test_a_file_of_another_shape_is_bad_data(tmp_path: Path, content: object) -> None:
    with pytest.raises(BadData, match=r"combined\.json"):
        read(write(tmp_path, content), "chat")


def test_data_that_is_not_there_is_missing_data_with_both_names(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"combined\.json or combine\.json"):
        read(tmp_path, "chat")


def test_a_path_out_of_the_root_is_refused_and_never_opened(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    sample = read(write(tmp_path / "root", {"chat": [chat(safe_image_path="../../secret.png")]}), "chat")[0]
    with pytest.raises(BadImage) as caught:
        open_image(sample.request.images[0])
    assert caught.value.reason == "outside_root"
