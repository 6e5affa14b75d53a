"""A set says what it holds, where each record comes from, and when somebody has changed it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_builder.output import verify
from harness_builder.output.folder import MANIFEST_SCHEMA as SCHEMA
from harness_builder.output.manifest import portable_plan
from harness_builder.plan import ModelChoice, Photos
from harness_mirage.data import mix
from harness_mirage.methods import METHODS

from harness import BadData, MissingData, Training
from harness.cli import main
from harness.data.provenance import find_differences, find_origin, read
from tests.training.built import AT, Workplace, label, plan, probed, there


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "set")


def manifest(place: Workplace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place.folder / "build.json").read_text(encoding="utf-8"))
    return found


def test_the_manifest_holds_every_file_and_nothing_of_the_machine(place: Workplace) -> None:
    place.finish()
    told = manifest(place)
    assert told["schema"] == SCHEMA
    assert told["files"].keys() == there(place.folder).keys() - {"build.json"}
    assert told["records"] == {"mis_easy.json": 3, "mis_hard.json": 2, "mis_train.json": 2}
    assert told["categories"]["mis_easy.json"] == {"Kitchen": 2, "Garden": 1}
    assert (told["stops"], told["ends"]["write"]) == ({"person": 2, "unchecked": 1}, {"kept": 7, "refused": 2})
    assert told["plan"]["models"]["writer"] == {"ref": "mini/writer", "settings": {"top": 1}, "price": {}}
    assert told["plan"]["sources"][0]["name"] == "shapes"
    assert told["prompts"]["write"]["own"] is True
    text = json.dumps(told)
    assert "/somewhere" not in text
    assert "inside:8000" not in text


def test_a_set_is_as_its_manifest_says_until_somebody_changes_it(place: Workplace) -> None:
    place.finish()
    assert verify(place.folder) == []
    (place.folder / "mis_hard.json").unlink()
    (place.folder / "README.md").write_text("changed")
    (place.folder / "images/9").mkdir()
    (place.folder / "images/9/object1.png").write_bytes(b"new")
    (place.folder / "easy_image/1/object1.png").unlink()
    (place.folder / "easy_image/1/object1.png").symlink_to(place.folder / "images/1/object1.png")
    for name in ("extra.txt", "mis_extra.json", ".hidden", "work/notes.txt", "review/notes.txt"):
        (place.folder / name).parent.mkdir(exist_ok=True)
        (place.folder / name).write_text("new")
    assert [str(each) for each in verify(place.folder)] == [
        "changed: README.md",
        "missing: easy_image/1/object1.png",
        "added: extra.txt",
        "added: images/9/object1.png",
        "added: mis_extra.json",
        "missing: mis_hard.json",
    ]


def test_a_folder_without_a_manifest_is_no_set(place: Workplace) -> None:
    place.write()
    with pytest.raises(MissingData, match=r"build\.json is not there"):
        verify(place.folder)


@pytest.mark.parametrize("path", ["../secret.txt", "work/calls.db", "review/reviews-ann.jsonl", "/etc/passwd"])
def test_a_manifest_that_names_a_file_outside_the_set_is_refused(place: Workplace, path: str) -> None:
    place.finish()
    told = manifest(place)
    told["files"][path] = {"bytes": 1, "sha256": "0" * 64}
    (place.folder / "build.json").write_text(json.dumps(told))
    with pytest.raises(BadData, match="cannot be read"):
        verify(place.folder)


def test_runs_and_trainings_are_told_where_the_data_come_from_and_under_which_terms(place: Workplace) -> None:
    place.finish()
    assert find_origin(place.folder) == ("Lamps and kites", "k1:build")
    said = read(place.folder)
    assert (said.licence, said.parts[0].kind, said.parts[0].fetched) == ("cc-by-4.0", "build", AT)
    mirage = next(method for method in METHODS if method.name == "mirage")
    alone = replace(mirage, ingredients=mirage.ingredients[:1])
    assert mix(alone, Training(model="none", data={"": place.folder}, out=Path("none"))).parts[0].licence == "cc-by-4.0"
    found = find_differences(place.folder, said.files)
    assert (found.missing, found.changed) == ([], [])


def test_what_trains_is_told_apart_from_what_tests(place: Workplace) -> None:
    made = [*place.some(), place.made(20, "train", label=label("shapes/10#0", 20, refusal="No."))]
    place.finish(place.write(made, [place.real(made[2])]))
    whole, train = read(place.folder).parts
    assert (whole.name, train.name) == ("Lamps and kites", "Lamps and kites-train")
    assert whole.files.keys() | train.files.keys() == there(place.folder).keys() - {"build.json", ".source.json"}
    assert {path for path in train.files if "/" not in path} == {"mis_train.json", "mis_train_refusal.json"}
    assert {path.partition("/")[0] for path in train.files if "/" in path} == {"images"}
    assert {"mis_easy.json", "mis_hard.json", "mis_real.json"} <= whole.files.keys()
    mirage = next(method for method in METHODS if method.name == "mirage")
    alone = replace(mirage, ingredients=mirage.ingredients[:1])
    for data in (place.folder, place.folder / "mis_train.json", place.folder / "mis_train_refusal.json"):
        (part,) = mix(alone, Training(model="none", data={"": data}, out=Path("none"))).parts
        assert part.sources == ("Lamps and kites-train",)


def test_a_set_that_tests_alone_has_one_part(place: Workplace) -> None:
    place.finish(place.write([place.made(0, "easy")]))
    assert [part.name for part in read(place.folder).parts] == ["Lamps and kites"]


def test_harness_data_verify_finds_the_set_whole_and_names_what_is_not(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["data", "verify", "mis", "-T", f"mis.data={place.folder}"])
        return int(ended.value.code or 0), capsys.readouterr().out

    made = place.some()
    place.finish(place.write(made, [place.real(made[2])]))
    code, out = said()
    assert code == 0
    assert "as Lamps and kites at k1:build" in out
    assert f"all {len(there(place.folder)) - 2} files are as they were built" in out
    (place.folder / "easy_image/1/object2.png").unlink()
    code, out = said()
    assert code == 3
    assert "1 files missing" in out
    assert "harness data fetch mis" not in out


def test_each_record_says_where_it_comes_from_and_names_every_call_and_drawing(place: Workplace) -> None:
    made = [place.made(0, "train"), place.made(1, "easy")]
    place.finish(place.write(made, [place.real(made[1])]))
    lines = [json.loads(line) for line in (place.folder / "provenance.jsonl").read_text().splitlines()]
    assert [(each["file"], each["id"], each["key"]) for each in lines] == [
        ("mis_easy.json", 1, "shapes/0#1"),
        ("mis_train.json", 1, "shapes/0#0"),
        ("mis_real.json", 1, "shapes/0#1@real"),
    ]
    easy, train, real = lines
    assert (easy["source"], easy["seed"], easy["category"]) == ("shapes", "shapes/0", "Garden")
    assert easy["ends"] == {"elements": "kept", "write": "kept", "draw": "kept", "sort": "kept", "probe": "kept"}
    assert train["ends"]["label"] == "kept"
    assert easy["calls"][0] == {"call": "k1:elements", "step": "elements", "role": "writer"} | {
        "model": "mini/writer",
        "reported": "writer-1",
    }
    assert [(each["round"], each["object"], each["taken"]) for each in easy["drawings"]] == [
        (1, 1, False),
        (2, 1, True),
        (2, 2, True),
    ]
    assert easy["drawings"][0]["prompt"] == "a lamp 1"
    assert easy["probes"] == {each.part: each.risk for each in probed("")}
    assert train["verdict"] == "safe_reasoning"
    assert (real["of"], real["photographs"][1]["licence"]) == ("shapes/0#1", "cc-by-4.0")


def test_a_call_of_which_nothing_is_kept_is_named_by_its_digest(place: Workplace) -> None:
    place.finish(told=lambda _: None)
    line = json.loads((place.folder / "provenance.jsonl").read_text().splitlines()[0])
    assert line["calls"][0] == {"call": "k1:elements"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my-model"
    made.mkdir()
    return made


def test_a_model_that_is_a_folder_is_called_by_its_name_wherever_it_lies(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (str(folder), f"{folder.parent}/./my-model/", "my-model"):
        monkeypatch.chdir(folder.parent)
        wanted = ModelChoice(ref=f"hf/{place}", settings={"dtype": "float32"})
        told = portable_plan(plan(models={"writer": wanted}, painter=ModelChoice(ref=f"diffusers/{place}")))
        assert told.models["writer"] == ModelChoice(ref="hf/my-model", settings={"dtype": "float32"})
        assert told.painter.ref == "diffusers/my-model"


def test_any_other_model_is_called_as_its_provider_calls_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent.parent)
    remote = ModelChoice(ref=f"openai/{folder.parent.name}/my-model")
    asked = plan(models={"writer": remote, "viewer": ModelChoice(ref="hf/someone/my-model")})
    assert portable_plan(asked) == asked


def test_weights_that_are_a_file_are_called_by_its_name(folder: Path) -> None:
    weights = folder / "clip.pt"
    weights.touch()
    photos = Photos(name="photos", path=folder, model=f"ViT-B-32:{weights}")
    told = portable_plan(plan(photos=photos)).photos
    assert told is not None
    assert told.model == "ViT-B-32:clip.pt"
    tagged = plan(photos=Photos(name="photos", path=folder, model="ViT-B-32:some_tag"))
    assert portable_plan(tagged) == tagged
