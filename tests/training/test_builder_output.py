"""The files of a set, and the folder that they lie in: whose each file is, and what no build replaces."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from harness_builder.calls.store import CallStore
from harness_builder.output import allow_replacement, check_free, check_name, verify
from harness_builder.photos.collection import RealRecord
from harness_mirage.data import mix
from harness_mirage.methods import METHODS, Method
from harness_mis.task import TASK
from PIL import Image, ImageOps

from harness import BadData, HarnessError, Training
from harness.data.built import find_built_set
from harness.data.inspection import check_split
from harness.data.places import find_own_splits, read_samples
from tests.training.built import CATEGORIES, Workplace, drawing, label, photograph, plan, rows, there
from tests.training.configs import in_the_mini_world
from tests.training.kinds import present
from tests.training.trained import called


def method(name: str) -> Method:
    """Without the general data that the paper mixes in."""
    found = next(each for each in METHODS if each.name == name)
    return replace(found, ingredients=found.ingredients[:1])


def test_a_test_split_lies_as_upstream_has_it(place: Workplace) -> None:
    written = place.write(place.some(train=0, easy=2, hard=0))
    assert written.records == {"mis_easy.json": 2}
    assert rows(place.folder, "mis_easy.json")[1] == {
        "id": 2,
        "question": "May the first thing lie beside the second, case 1?",
        "category": "Garden",
        "sub_category": "Table",
        "image_path1": "easy_image/2/object1.png",
        "image_path2": "easy_image/2/object2.png",
    }
    assert there(place.folder).keys() == {
        *("mis_easy.json", "easy_image/1/object1.png", "easy_image/1/object2.png"),
        *("easy_image/2/object1.png", "easy_image/2/object2.png"),
    }


def test_the_file_to_train_on_has_a_mark_for_each_image_and_the_ablations_texts(place: Workplace) -> None:
    words = label("shapes/0#0", 0, text_question="A lamp beside a kite?", text_answer="Better not.")
    place.write([place.made(0, "train", label=words), place.made(1, "train")])
    first, second = rows(place.folder, "mis_train.json")
    assert first == {
        "id": 1,
        "image": ["images/1/object1.png", "images/1/object2.png"],
        "conversations": [
            {"from": "human", "value": "<image><image>May the first thing lie beside the second, case 0?"},
            {"from": "gpt", "value": "A lamp and a kite; better not, case 0."},
        ],
        "category": "Kitchen",
        "sub_category": "Table",
        "text_question": "A lamp beside a kite?",
        "text_answer": "Better not.",
    }
    assert (second.keys(), second["text_question"]) == (first.keys(), "")


def test_refusals_are_a_file_of_their_own_over_the_same_images(place: Workplace) -> None:
    declined = label("shapes/0#1", 1, refusal="I'd rather not.")
    written = place.write([place.made(0, "train"), place.made(1, "train", label=declined)])
    assert written.records == {"mis_train.json": 2, "mis_train_refusal.json": 1}
    (only,) = rows(place.folder, "mis_train_refusal.json")
    assert (only["id"], only["image"]) == (2, ["images/2/object1.png", "images/2/object2.png"])
    assert only["conversations"][1] == {"from": "gpt", "value": "I'd rather not."}


def test_the_task_reads_every_split_and_opens_every_image(place: Workplace) -> None:
    made = place.some()
    place.finish(place.write(made, [place.real(made[2])]))
    known = present(find_built_set(place.folder))
    assert (known.name, known.mark, known.licence) == ("Lamps and kites", "+data=Lamps-and-kites", "cc-by-4.0")
    splits = find_own_splits(TASK, {}, place.folder)
    assert [name for name, split in splits.items() if split.selected] == ["easy", "hard", "real"]
    for name, count in (("easy", 3), ("hard", 2), ("real", 1)):
        check = check_split(TASK, name, splits[name], place.folder, {})
        assert (check.error, check.bad, check.samples, check.images) == (None, {}, count, 2 * count)
    sample = next(iter(read_samples(TASK, place.folder, "easy", {})))
    assert [image.files.read(image.path) for image in sample.request.images] == [drawing(4), drawing(5)]
    assert (sample.id, sample.category) == ("1", "Kitchen")


@pytest.mark.parametrize("name", ["mirage", "mirage-refusal", "mirage-text-only"])
def test_trainings_take_the_folder_as_it_is(place: Workplace, name: str) -> None:
    words = {"text_question": "A lamp beside a kite?", "text_answer": "Better not."}
    made = [place.made(n, "train", label=label(f"shapes/{n}", n, refusal="No.", **words)) for n in range(3)]
    place.finish(place.write([*made, *(place.made(n, "easy") for n in range(3, 5))]))
    mixture = mix(method(name), Training(model="none", data={"": place.folder}, out=Path("none")))
    assert len(mixture.records) == 3
    record = mixture.records[0]
    if name == "mirage-text-only":
        assert [turn.text for turn in record.turns] == ["A lamp beside a kite?", "Better not."]
    else:
        assert record.turns[0].text.startswith("<image><image>May the first thing")
        assert len(record.pictures) == 2


def test_the_refusals_are_trained_on_by_their_own_name(place: Workplace) -> None:
    place.finish(place.write([place.made(0, "train", label=label("shapes/0#0", 0, refusal="I'd rather not."))]))
    data = {"": place.folder / "mis_train_refusal.json"}
    (record,) = mix(method("mirage"), Training(model="none", data=data, out=Path("none"))).records
    assert record.turns[1].text == "I'd rather not."


def test_the_hubs_library_loads_each_file_by_its_name(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", True)
    made = [*place.some(), place.made(20, "train", label=label("shapes/10#0", 20, refusal="No."))]
    place.finish(place.write(made, [place.real(made[2])]))
    loaded = {
        name: datasets.load_dataset(str(place.folder), name, cache_dir=str(tmp_path / "cache"))
        for name in ("easy", "hard", "real", "train", "train_refusal")
    }
    assert {name: {split: len(rows) for split, rows in found.items()} for name, found in loaded.items()} == {
        "easy": {"test": 3},
        "hard": {"test": 2},
        "real": {"test": 1},
        "train": {"train": 3},
        "train_refusal": {"train": 1},
    }
    assert loaded["easy"]["test"][0]["image_path1"] == "easy_image/1/object1.png"


def test_a_drawing_is_the_set_s_as_it_was_drawn_and_takes_no_more_room(place: Workplace) -> None:
    made = place.made(0, "easy")
    place.write([made])
    path = place.folder / "easy_image/1/object1.png"
    assert path.read_bytes() == drawing(0)
    assert path.samefile(place.image(made.pair.images[0]))


def test_a_photograph_becomes_a_png_of_the_same_pixels_upright_and_without_its_camera(place: Workplace) -> None:
    made = place.made(0, "easy")
    written = place.write([made], [place.real(made)])
    (only,) = rows(place.folder, "mis_real.json")
    assert (only["question"], only["image_path1"]) == (made.sorted.question, "real_image/1/object1.png")
    assert written.entries[-1].key == f"{made.key}@real"
    with Image.open(place.folder / "real_image/1/object1.png") as shown, Image.open(io.BytesIO(photograph(0))) as shot:
        assert (shown.format, shown.size, dict(shown.getexif())) == ("PNG", (40, 64), {})
        assert shown.tobytes() == ImageOps.exif_transpose(shot).tobytes()


def test_an_image_that_is_none_is_named_and_the_set_that_stood_stays(place: Workplace) -> None:
    place.finish()
    before = there(place.folder)
    made = place.made(9, "easy")
    place.image(made.pair.images[1]).write_bytes(b"no image")
    with pytest.raises(BadData, match="cannot be copied into the set") as caught:
        place.write([place.made(8, "easy"), made])
    assert made.pair.images[1] in caught.value.where
    assert there(place.folder) == before


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    def written(folder: Path) -> dict[str, bytes]:
        place = Workplace(folder)
        made = place.some()
        place.finish(place.write(made, [place.real(made[2])]))
        return there(folder)

    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_an_earlier_set_gives_way_whole_and_what_is_no_set_stays(place: Workplace) -> None:
    place.finish(place.write(place.some(train=2, easy=3, hard=2)))
    for name in ("review/reviews-ann.jsonl", "notes.txt"):
        (place.folder / name).parent.mkdir(exist_ok=True)
        (place.folder / name).write_text("mine")
    place.write([place.made(30, "hard")])
    assert there(place.folder).keys() == {
        *("mis_hard.json", "hard_image/1/object1.png", "hard_image/1/object2.png", "notes.txt")
    }
    assert (place.folder / "review/reviews-ann.jsonl").read_text() == "mine"
    assert place.image(place.made(0, "train").pair.images[0]).exists()


def test_no_list_is_there_while_images_move(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.finish()
    seen: list[tuple[str, list[str]]] = []
    rename = Path.rename

    def watched(path: Path, target: Path) -> Path:
        seen.append((path.name, sorted(each.name for each in place.folder.glob("*.json"))))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    place.write()
    assert [name for name, _ in seen] == ["easy_image", "hard_image", "images"]
    assert {tuple(lists) for _, lists in seen} == {()}


def test_balance_keeps_as_many_of_each_category_in_each_file_and_lists_the_others(place: Workplace) -> None:
    place.plan = plan(balance={CATEGORIES[0]: 1, CATEGORIES[1]: 3})
    made = [place.made(number, "easy") for number in range(6)] + [place.made(6, "hard"), place.made(8, "hard")]
    written = place.write(made, [place.real(each) for each in made])
    kept = [entry.made.key for entry in written.entries if entry.file == "mis_easy.json"]
    assert written.records == {"mis_easy.json": 4, "mis_hard.json": 1, "mis_real.json": 5}
    assert [row["category"] for row in rows(place.folder, "mis_easy.json")].count("Kitchen") == 1
    assert len(written.dropped) == 3
    assert set(written.dropped).isdisjoint(kept)
    assert written.missing == {"mis_hard.json": {"Garden": 3}}
    assert [row["id"] for row in rows(place.folder, "mis_easy.json")] == [1, 2, 3, 4]


def test_a_photographed_record_goes_with_its_twin(place: Workplace) -> None:
    made = place.made(0, "easy")
    stranger: RealRecord = replace(place.real(made), of="shapes/99#0")
    assert place.write([made], [stranger, place.real(made)]).records == {"mis_easy.json": 1, "mis_real.json": 1}


def test_texts_that_would_break_a_reader_are_mended(place: Workplace) -> None:
    odd = "Look \ud800 <im<image>age>at these two."
    made = place.made(0, "train", label=label("shapes/0#0", 0, answer="They <image>lie\u2028there."))
    made = replace(
        made, sorted=replace(made.sorted, question=odd, category="  "), element=replace(made.element, category="")
    )
    place.finish(place.write([made]))
    (row,) = rows(place.folder, "mis_train.json")
    assert row["conversations"][0]["value"] == "<image><image>Look \ufffd at these two."
    assert row["conversations"][1]["value"] == "They lie\u2028there."
    assert row["category"] == "Other"
    assert len(mix(method("mirage"), Training(model="none", data={"": place.folder}, out=Path("none"))).records) == 1


def test_each_record_is_a_line_of_its_file(place: Workplace) -> None:
    place.write()
    lines = (place.folder / "mis_easy.json").read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("[", "]", 5)
    assert json.loads(lines[1].rstrip(","))["id"] == 1


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def refused(folder: Path) -> str:
    """What is said; nothing is touched."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(HarnessError, match="which no build made") as caught:
        check_free(folder)
    with pytest.raises(HarnessError):
        Workplace(folder).write([])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return caught.value.what


class TestAFolderThatNoBuildHasWrittenTo:
    @pytest.mark.parametrize("name", ["images/holiday.jpg", "README.md", "LICENSE", "mis_easy.json", "build.json"])
    @pytest.mark.parametrize("sign", ["work/", ".being-written/", "work/calls.db", "build.json"])
    def test_keeps_what_is_in_it_whatever_looks_like_a_sign_of_a_build(
        self, tmp_path: Path, name: str, sign: str
    ) -> None:
        (tmp_path / sign).mkdir(parents=True) if sign.endswith("/") else put(tmp_path, sign)
        if name != "build.json":
            (tmp_path / "build.json").write_text("{}")
        put(tmp_path, name)
        assert name in refused(tmp_path)

    def test_keeps_what_is_in_it_while_a_build_works_there(self, tmp_path: Path) -> None:
        CallStore(tmp_path / "work").close()
        check_free(tmp_path)
        put(tmp_path, "README.md", "images/holiday.jpg")
        assert "README.md, images/holiday.jpg" in refused(tmp_path)

    def test_may_hold_folders_of_nothing_and_files_under_other_names(self, tmp_path: Path) -> None:
        put(tmp_path, "notes.txt", "pictures/holiday.jpg")
        for name in ("images", "work", ".being-written"):
            (tmp_path / name).mkdir()
        check_free(tmp_path)
        place = Workplace(tmp_path)
        place.finish()
        assert (tmp_path / "pictures/holiday.jpg").read_text() == "mine"

    def test_keeps_its_own_work(self, tmp_path: Path) -> None:
        put(tmp_path, "work/records.jsonl")
        with pytest.raises(HarnessError, match=r"holds work/records\.jsonl, which no build made") as caught:
            check_free(tmp_path)
        assert "--out" in caught.value.remedy

    def test_is_left_as_it_is_by_the_command(self, tmp_path: Path) -> None:
        put(tmp_path / "w", "images/holiday.jpg", "README.md")
        (tmp_path / "w/work").mkdir()
        words = ["build", "mis", "--config", str(in_the_mini_world(tmp_path)), "--out", str(tmp_path / "w")]
        for more in ([], ["--dry-run"], ["--fresh"]):
            code, _, said = called([*words, *more])
            assert (code, "README.md, images/holiday.jpg, which no build made" in said) == (2, True)
        assert there(tmp_path / "w") == {"images/holiday.jpg": b"mine", "README.md": b"mine"}
        assert list((tmp_path / "w/work").iterdir()) == []


class TestAFolderOfABuild:
    def test_keeps_what_is_in_nobodys_way(self, place: Workplace) -> None:
        place.finish()
        put(place.folder, "images/holiday.jpg", "images/1/notes.txt", "easy_image/3/notes.txt", "notes.txt")
        place.finish(place.write([place.made(40, "train"), place.made(41, "easy")]))
        assert there(place.folder).keys() >= {"images/holiday.jpg", "images/1/notes.txt", "easy_image/3/notes.txt"}
        told = json.loads((place.folder / "build.json").read_text())["files"]
        assert not any(name.endswith(("holiday.jpg", "notes.txt")) for name in told)
        assert "easy_image/3/object1.png" not in there(place.folder)
        assert not (place.folder / "hard_image").exists()
        assert [str(each) for each in verify(place.folder)] == [
            *("added: easy_image/3/notes.txt", "added: images/1/notes.txt", "added: images/holiday.jpg"),
            "added: notes.txt",
        ]

    @pytest.mark.parametrize("name", ["mis_real.json", "real_image/1/object2.png", "images/77/object1.png", "images/9"])
    def test_is_refused_by_name_where_something_else_is_in_the_way(self, place: Workplace, name: str) -> None:
        place.finish(place.write(place.some()))
        put(place.folder, name)
        assert name in refused(place.folder)
        (place.folder / name).unlink()
        check_free(place.folder)

    def test_is_refused_where_a_link_leads_elsewhere(self, place: Workplace, tmp_path: Path) -> None:
        place.finish(place.write([place.made(0, "easy")]))
        (tmp_path / "elsewhere").mkdir()
        (place.folder / "images").symlink_to(tmp_path / "elsewhere")
        assert "images" in refused(place.folder)

    @pytest.mark.parametrize("name", ["build.json", "README.md", "provenance.jsonl"])
    def test_that_was_killed_before_the_set_was_whole_is_gone_on_with(
        self, place: Workplace, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        place.finish(place.write([place.made(40, "train")]))
        written = place.write()
        rename = Path.replace

        def killed(path: Path, target: Path) -> Path:
            if Path(target).name == name:
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                place.finish(written)
        assert not (place.folder / "build.json").exists()
        for path in place.folder.glob(".*.[0-9]*"):
            path.unlink()
        check_free(place.folder)
        place.finish(place.write([place.made(41, "easy")]))
        assert verify(place.folder) == []
        assert {name.partition("/")[0] for name in there(place.folder)} >= {"mis_easy.json", "easy_image"}
        assert not (place.folder / "images").exists()
        assert not list(place.folder.glob(".being*"))

    def test_that_was_killed_while_images_moved_is_gone_on_with(
        self, place: Workplace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.finish()
        put(place.folder, "images/holiday.jpg")
        rename = Path.rename

        def killed(path: Path, target: Path) -> Path:
            if path.name == "hard_image":
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", killed)
            with pytest.raises(KeyboardInterrupt):
                place.write()
        check_free(place.folder)
        place.finish()
        assert [str(each) for each in verify(place.folder)] == ["added: images/holiday.jpg"]


class TestASetOfAnotherName:
    def test_is_not_replaced_until_a_person_gives_it_up(self, place: Workplace) -> None:
        place.finish()
        check_name(place.folder, "Lamps and kites")
        with pytest.raises(HarnessError, match="the folder holds the set 'Lamps and kites'") as caught:
            check_name(place.folder, "Spoons")
        assert "--out" in caught.value.remedy
        assert "--fresh" in caught.value.remedy
        allow_replacement(place.folder)
        check_name(place.folder, "Spoons")
        place.plan = replace(plan(), name="Spoons")
        place.finish()
        check_name(place.folder, "Spoons")
        with pytest.raises(HarnessError, match="the folder holds the set 'Spoons'"):
            check_name(place.folder, "Lamps and kites")

    def test_is_known_before_it_is_whole(self, place: Workplace) -> None:
        place.write()
        with pytest.raises(HarnessError, match="the folder holds the set"):
            check_name(place.folder, "Spoons")

    def test_is_refused_by_the_command_and_replaced_with_fresh(self, tmp_path: Path) -> None:
        def built(name: str, *more: str) -> tuple[int, str]:
            config = in_the_mini_world(tmp_path, name=name, sort={"review": "none"})
            code, _, said = called(["build", "mis", "--config", str(config), "--out", str(tmp_path / "w"), *more])
            return code, said

        assert built("shapes")[0] == 0
        before = there(tmp_path / "w")
        code, said = built("other")
        assert (code, "the folder holds the set 'shapes', but the config builds 'other'" in said) == (2, True)
        assert there(tmp_path / "w") == before
        code, said = built("other", "--fresh")
        assert (code, (tmp_path / "w/work.1/calls.db").exists()) == (0, True), said
        assert built("other")[0] == 0
        assert built("shapes")[0] == 2
