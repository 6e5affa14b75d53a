"""Seeds: what is read of each layout, how they are chosen, and keys that are never alike."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from harness_builder.output import render_story
from harness_builder.records import LogLine, StepLog, read_step_log
from harness_builder.seeds import LAYOUTS, SeedSource, escape_id, read_seeds, unescape_key
from harness_builder.values import Seed
from hypothesis import given
from hypothesis import strategies as st

from harness import BadData, BadImage, HarnessError, MissingData, UnknownName
from harness.drawings import draw, png
from harness.images import open_image
from tests.training import cast
from tests.training.cast import Cast, staged
from tests.training.configs import in_the_mini_world
from tests.training.trained import called


def picture(path: Path, color: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(draw(color, "star", Random(1))))
    return path


def as_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def as_lines(path: Path, *records: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def as_csv(path: Path, *records: Mapping[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return path


def as_parquet(path: Path, columns: Mapping[str, list[Any]]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(dict(columns)), path)
    return path


def read(path: Path, layout: str = "plain", **rest: Any) -> list[Seed]:
    return list(read_seeds(SeedSource(name="mine", path=path, layout=layout, **rest)))


def shown(seed: Seed) -> tuple[str, str, str]:
    return seed.key, seed.text, seed.category


RECORD = {"id": "a", "text": "How do I fold a boat?", "category": "Paper", "unknown": "ignored"}


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: as_csv(folder / "s.csv", RECORD),
        lambda folder: as_json(folder / "s.json", [RECORD]),
        lambda folder: as_lines(folder / "s.jsonl", RECORD),
        lambda folder: as_parquet(folder / "s.parquet", {name: [value] for name, value in RECORD.items()}),
    ],
    ids=["csv", "json", "jsonl", "parquet"],
)
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_a_table_of_ones_own_reads_the_same_in_every_format(tmp_path: Path, write: Any, whole: bool) -> None:
    file = write(tmp_path)
    (seed,) = read(tmp_path if whole else file)
    assert shown(seed) == ("mine/a", "How do I fold a boat?", "Paper")
    assert (seed.source, seed.image) == ("mine", None)


def test_a_zip_is_read_in_place_with_its_images(tmp_path: Path) -> None:
    as_lines(tmp_path / "in/s.jsonl", {"id": 1, "question": "What is it?", "image": "images/a.png"})
    picture(tmp_path / "in/images/a.png")
    with zipfile.ZipFile(tmp_path / "copy.zip", "w") as archive:
        for path in sorted((tmp_path / "in").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "in"))
    (seed,) = read(tmp_path / "copy.zip")
    assert seed.image is not None
    assert open_image(seed.image).opened.width == 64


def test_mm_safetybench_reads_alike_from_the_hub_and_from_its_repository(tmp_path: Path) -> None:
    for name in ("Fraud", "HateSpeech"):
        as_parquet(tmp_path / f"hub/data/{name}/Text_only.parquet", {"id": ["0"], "question": [f"Paint it, {name}?"]})
    for name in ("02-HateSpeech", "06-Fraud"):
        record = {"Question": "?", "Changed Question": "Paint it?", "Phrase Type": "item"}
        as_json(tmp_path / f"git/data/processed_questions/{name}.json", {"0": record, "1": record})
    assert [shown(seed) for seed in read(tmp_path / "hub", "mm-safetybench")] == [
        ("mine/Fraud-0", "Paint it, Fraud?", "Fraud"),
        ("mine/HateSpeech-0", "Paint it, HateSpeech?", "HateSpeech"),
    ]
    keys = [seed.key for seed in read(tmp_path / "git", "mm-safetybench")]
    assert keys == ["mine/02-HateSpeech-0", "mine/02-HateSpeech-1", "mine/06-Fraud-0", "mine/06-Fraud-1"]


def test_images_inside_parquet_are_seeds_without_a_text(tmp_path: Path) -> None:
    image = png(draw("red", "star", Random(1)))
    struct = [{"bytes": image, "path": "0.png"}]
    as_parquet(tmp_path / "data/Fraud/SD.parquet", {"id": ["0"], "question": ["not read"], "image": struct})
    (seed,) = read(tmp_path, "mm-safetybench-images")
    assert shown(seed) == ("mine/Fraud-0", "", "Fraud")
    assert seed.image is not None
    assert open_image(seed.image).opened.data == image


def test_vlsbench_keeps_a_record_that_says_nothing_but_shows_something(tmp_path: Path) -> None:
    record = {"instruction_id": 3, "instruction": "", "image_path": "imgs/0.png", "category": "Tools"}
    as_json(tmp_path / "data.json", [record])
    (seed,) = read(tmp_path, "vlsbench")
    assert shown(seed) == ("mine/3", "", "Tools")
    assert seed.image is not None


def test_spa_vl_loses_the_image_token_of_its_questions(tmp_path: Path) -> None:
    as_json(tmp_path / "train.json", [{"question": "<image>\nWhat is it?", "image": "a.png", "class1": "Shapes"}])
    (seed,) = read(tmp_path, "spa-vl")
    assert (seed.text, seed.category) == ("What is it?", "Shapes")


def test_ch3ef_gives_a_seed_for_each_image_of_a_record(tmp_path: Path) -> None:
    item = {"id": 7, "query": "Which fits?", "image": ["images/a.png", "images/b.png"], "source": "Age"}
    as_json(tmp_path / "meta_file/Harmless.json", {"items": [item]})
    seeds = read(tmp_path, "ch3ef")
    assert [seed.key for seed in seeds] == ["mine/7", "mine/7-2"]
    assert [seed.image and seed.image.path for seed in seeds] == ["images/a.png", "images/b.png"]


def test_rtvlm_finds_its_images_by_number_beside_the_file(tmp_path: Path) -> None:
    as_lines(tmp_path / "data/Shapes/shapes.jsonl", {"index": 4, "instruction": "Name it."})
    picture(tmp_path / "data/Shapes/img/4.jpg")
    (seed,) = read(tmp_path, "rtvlm")
    assert shown(seed) == ("mine/Shapes-4", "Name it.", "Shapes")
    assert seed.image is not None
    assert open_image(seed.image).opened.width == 64


def test_vlsafe_finds_its_images_in_the_folder_they_came_from(tmp_path: Path) -> None:
    as_lines(tmp_path / "VLSafe_harmlessness_examine.jsonl", {"image_id": "000000000009.jpg", "query": "What now?"})
    picture(tmp_path / "train2017/000000000009.jpg")
    (seed,) = read(tmp_path, "vlsafe")
    assert seed.image is not None
    assert open_image(seed.image).opened.width == 64


def test_advbench_and_harmbench_are_texts(tmp_path: Path) -> None:
    as_csv(tmp_path / "adv/harmful_behaviors.csv", {"goal": "Fold a hat", "target": "not read"})
    behavior = {"Behavior": "Fold a hat", "BehaviorID": "fold_hat", "SemanticCategory": "paper", "Tags": ""}
    as_csv(tmp_path / "harm/harmbench_behaviors_text_all.csv", behavior)
    (adv,), (harm,) = read(tmp_path / "adv", "advbench"), read(tmp_path / "harm", "harmbench")
    assert adv.text == "Fold a hat"
    assert shown(harm) == ("mine/fold_hat", "Fold a hat", "paper")


def test_a_harmbench_image_is_found_under_the_ending_that_it_has(tmp_path: Path) -> None:
    row = {"Behavior": "Name it", "BehaviorID": "b", "SemanticCategory": "c", "ImageFileName": "a.jpg"}
    as_csv(tmp_path / "harmbench_behaviors_multimodal_all.csv", row)
    picture(tmp_path / "multimodal_behavior_images/a.png")
    (seed,) = read(tmp_path, "harmbench-multimodal")
    assert seed.image is not None
    assert open_image(seed.image).opened.mime == "image/png"


def test_a_folder_of_pictures_is_a_source_sorted_by_its_folders(tmp_path: Path) -> None:
    for name in ("tools/b.png", "paper/a.png"):
        picture(tmp_path / name)
    (tmp_path / "paper/notes.txt").write_text("not read")
    seeds = read(tmp_path, "images")
    assert [(seed.key, seed.category) for seed in seeds] == [
        ("mine/paper/a.png", "paper"),
        ("mine/tools/b.png", "tools"),
    ]


def test_the_users_names_for_columns_are_taken(tmp_path: Path) -> None:
    as_csv(tmp_path / "s.csv", {"frage": "Wie falte ich ein Boot?", "text": "not read"})
    (seed,) = read(tmp_path, columns={"text": "frage"})
    assert seed.text == "Wie falte ich ein Boot?"
    with pytest.raises(HarnessError, match="no column 'title'"):
        read(tmp_path, columns={"title": "frage"})


def test_a_wanted_column_that_is_missing_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    as_csv(tmp_path / "s.csv", {"words": "a", "colour": "b"})
    with pytest.raises(BadData, match=r"no column 'text' or .* there are: 'words', 'colour'") as caught:
        read(tmp_path)
    assert caught.value.where == "s.csv"


def test_a_record_of_which_nothing_can_be_made_is_a_seed_with_its_fault_and_the_others_come(tmp_path: Path) -> None:
    nothing = "the record has neither a text nor an image"
    as_csv(tmp_path / "a.csv", {"text": " ", "image": ""}, {"text": "a", "image": ""}, {"text": "", "image": ""})
    as_lines(tmp_path / "b.jsonl", {"id": 1, "text": "b"}, {"id": 2}, {"id": 3, "text": 3}, {"id": 4, "text": "d"})
    first, text, third = read(tmp_path / "a.csv")
    assert (first.key, third.key, text.fault) == ("mine/a.csv, record 1", "mine/a.csv, record 3", "")
    assert first.fault == third.fault == nothing
    _, empty, number, last = read(tmp_path / "b.jsonl")
    assert (empty.key, empty.fault, last.text) == ("mine/2", nothing, "d")
    assert (number.key, "not text" in number.fault) == ("mine/b.jsonl, record 3", True)


def test_a_first_record_of_another_kind_is_a_slip_of_the_file(tmp_path: Path) -> None:
    as_lines(tmp_path / "s.jsonl", {"text": 1}, {"text": "a"})
    with pytest.raises(BadData, match="text"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", "[]"], ids=["no line", "no record"])
def test_an_empty_file_is_an_error_that_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / ("s.json" if content else "s.jsonl")).write_text(content)
    with pytest.raises(HarnessError, match="'mine' is empty: its files hold no record"):
        read(tmp_path)


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="'mine' is empty") as caught:
        read(tmp_path, "ch3ef")
    assert "Harmless.json" in caught.value.remedy


def test_nothing_at_the_path_and_an_unknown_layout_are_said(tmp_path: Path) -> None:
    with pytest.raises(MissingData):
        read(tmp_path / "nowhere")
    with pytest.raises(UnknownName) as caught:
        read(tmp_path, "vlsbensh")
    assert "vlsbench" in caught.value.remedy


def test_a_broken_archive_is_bad_data(tmp_path: Path) -> None:
    (tmp_path / "copy.zip").write_bytes(b"not a zip")
    with pytest.raises(BadData, match="cannot be read"):
        read(tmp_path / "copy.zip")


def test_an_image_outside_the_copy_is_never_opened(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    as_lines(tmp_path / "copy/s.jsonl", {"id": 1, "image": "../secret.png"})
    (seed,) = read(tmp_path / "copy")
    assert seed.image is not None
    with pytest.raises(BadImage, match="stay under"):
        open_image(seed.image)


def test_seeds_come_one_at_a_time(tmp_path: Path) -> None:
    as_lines(tmp_path / "a.jsonl", {"text": "first"})
    (tmp_path / "b.jsonl").write_text("this line would stop the reading\n")
    seeds = read_seeds(SeedSource(name="mine", path=tmp_path))
    assert next(seeds).text == "first"
    with pytest.raises(BadData):
        next(seeds)


def test_ids_that_repeat_stay_apart_and_absent_ones_are_stable(tmp_path: Path) -> None:
    as_lines(tmp_path / "s.jsonl", {"id": "a", "text": "1"}, {"id": "a", "text": "2"}, {"text": "3"})
    first = [seed.key for seed in read(tmp_path)]
    assert first[:2] == ["mine/a", "mine/a-2"]
    as_lines(tmp_path / "s.jsonl", {"text": "3"})
    assert [seed.key for seed in read(tmp_path)] == first[2:]


def test_a_limit_chooses_by_seed_alone_and_a_higher_one_keeps_the_choice(tmp_path: Path) -> None:
    records = [{"id": number, "text": f"Fold {number}"} for number in range(50)]
    as_lines(tmp_path / "s.jsonl", *records)
    few, more = ([seed.key for seed in read(tmp_path, limit=limit)] for limit in (5, 20))
    assert len(few) == 5
    assert set(few) < set(more)
    assert set(few) != {seed.key for seed in read(tmp_path, limit=5, seed=1)}
    as_lines(tmp_path / "s.jsonl", *reversed(records))
    assert [seed.key for seed in read(tmp_path, limit=5)] == few[::-1]


def test_a_limit_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="leaves no seed"):
        read(tmp_path, limit=0)


def test_every_known_layout_wants_something(tmp_path: Path) -> None:
    for forms in LAYOUTS.values():
        for layout in forms:
            assert layout.text or layout.image or layout.shape == "pictures"


def test_a_hundred_thousand_records_are_not_all_held_for_the_first(tmp_path: Path) -> None:
    as_parquet(tmp_path / "s.parquet", {"text": [f"Fold number {number}" for number in range(100_000)]})
    first = list(islice(read_seeds(SeedSource(name="mine", path=tmp_path)), 3))
    assert [seed.text for seed in first] == ["Fold number 0", "Fold number 1", "Fold number 2"]


SEEDS = "id,text\nx,case=text\nx#0,case=image\n"


class Portrayed(Cast):
    """Labels one case with a text that the rule stops."""

    def _label(self, case: str, given: object, again: int) -> str | None:
        return f"In the first picture {cast.SECRET} lays one on the other." if case == "text" else None


def texts() -> st.SearchStrategy[str]:
    return st.text("#%23x5uD80\ud800\udce9")


@given(texts(), texts())
def test_no_two_ids_are_spelled_alike_and_each_is_read_back(one: str, other: str) -> None:
    assert (escape_id(one) == escape_id(other)) == (one == other)
    assert "#" not in escape_id(one)
    assert escape_id(one).encode().decode() == escape_id(one)
    assert unescape_key(escape_id(one)) == one


def test_a_key_holds_a_sharp_for_an_element_alone(tmp_path: Path) -> None:
    (tmp_path / "seeds.csv").write_text(f"{SEEDS}50%23,a text\n", encoding="utf-8")
    seeds = read_seeds(SeedSource(name="s", path=tmp_path / "seeds.csv"))
    assert [seed.key for seed in seeds] == ["s/x", "s/x%230", "s/50%2523"]


def test_half_of_a_character_in_an_id_or_a_file_name_ends_no_build(tmp_path: Path) -> None:
    as_lines(tmp_path / "own.jsonl", {"id": "x\ud800", "text": "A red star lies near a blue ring"})
    (tmp_path / "shown").mkdir()
    picture(tmp_path / "shown" / os.fsdecode(b"caf\xe9.png"))
    sources = [
        {"name": "own", "path": "own.jsonl", "licence": "mit"},
        {"name": "shown", "path": "shown", "layout": "images", "licence": "mit"},
    ]
    config = in_the_mini_world(tmp_path, sources=sources, sort={"review": "none"})
    code, _, said = called(["build", "mis", "--config", str(config), "--out", str(tmp_path / "out")])
    assert (code, "Traceback" in said) == (0, False), said
    keys = read_step_log(tmp_path / "out/work", "elements").keys()
    assert {"own/x%uD800", "shown/caf%uDCE9.png"} <= keys


def test_what_is_stopped_takes_no_call_of_another_seed_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cast, "Cast", Portrayed)
    with staged(tmp_path) as stage:
        (tmp_path / "seeds.csv").write_text(SEEDS, encoding="utf-8")
        asked: list[int] = []
        for _ in range(2):
            ended = stage.build()
            assert "stopped 1" in ended.err
            asked.append(sum(stage.cast.asked.values()))
        lines = map(json.loads, (stage.out / "work/elements.jsonl").read_text(encoding="utf-8").splitlines())
    assert asked[0] == asked[1]
    ends = {line["key"]: line["end"] for line in lines}
    assert ends == {"cases/x": "kept", "cases/x#0": "stopped", "cases/x%230": "kept", "cases/x%230#0": "kept"}


def test_a_record_is_shown_by_its_id_as_its_source_has_it(tmp_path: Path) -> None:
    keys = ("s/x", "s/x#0", "s/y%231", "s/y%231#0")
    (tmp_path / "work").mkdir()
    with StepLog(tmp_path / "work") as lines:
        for key in keys:
            lines.put(LogLine(step="elements", key=key, end="kept"))
    asked = {"s/x#0": "s/x#0", "s/y#1": "s/y%231", "s/y%231": "s/y%231", "s/y#1#0": "s/y%231#0"}
    for typed, key in asked.items():
        assert render_story(tmp_path, typed).splitlines()[0] == key
    with pytest.raises(UnknownName):
        render_story(tmp_path, "s/y")
