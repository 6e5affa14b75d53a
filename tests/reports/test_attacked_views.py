"""An attacked run to look at: what was asked beside the original, its pictures drawn again, and what exports hold."""

from __future__ import annotations

import gc
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from harness_view.index import MissingImage, open_indexes

import harness
from harness.cli import cli
from harness.runs.items import Item
from harness.runs.labelling import write_question
from harness.store.reader import Answer


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attacked") / "run"
    harness.run(
        "mini/base",
        "mis:mini",
        attack="typographic",
        limit=2,
        output=path,
        system="Be brief.",
        attack_settings={"form": "plain"},
    )
    return path


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "mis" / "responses.jsonl").read_text("utf-8").splitlines()]


def edit(folder: Path, change: dict[str, Any]) -> None:
    """Change the attack in run.json, as another version of it would have written it."""
    run = json.loads((folder / "run.json").read_text("utf-8"))
    run["model"]["attack"] |= change
    (folder / "run.json").write_text(json.dumps(run), "utf-8")


def test_the_page_has_what_was_asked_with_its_pictures_and_the_original(folder: Path) -> None:
    (index,) = open_indexes([folder], "reveal")
    while index.advance(100):
        pass
    item = index.get_item(0)
    drawn = [part for part in item["prompt"] if part.get("image", "").startswith("attack/")]
    originals = [part for part in item["original"] if "image" in part]
    assert (len(drawn), len(originals)) == (1, 2)
    assert str(index.describe()["model"]).endswith(" + attack typographic")
    for part in (*drawn, *originals):
        image = index.load_image("mis", part["sha256"])
        assert not isinstance(image, MissingImage)
        assert image.sha256 == part["sha256"]
    index.close()


def test_a_page_keeps_no_item_for_the_pictures_of_an_attack(folder: Path) -> None:
    (index,) = open_indexes([folder], "reveal")
    while index.advance(100):
        pass
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is Item]
    index.close()


def test_a_picture_that_the_installed_attack_draws_otherwise_is_not_shown(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "run")
    edit(tmp_path / "run", {"version": "0"})
    (index,) = open_indexes([tmp_path / "run"], "reveal")
    while index.advance(100):
        pass
    (sha256,) = {part["sha256"] for part in index.get_item(0)["prompt"] if part.get("image", "").startswith("attack/")}
    assert index.load_image("mis", sha256) == MissingImage(why="the attack that is installed draws another one")
    index.close()


def test_a_setting_that_is_longer_than_any_file_name_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    text = "some words of one's own " * 20
    harness.run("mini/base", "mis:mini", attack="typographic", limit=1, output=path, attack_settings={"text": text})
    told = json.loads(command("show", path, lines(path)[0]["id"], "--json").output)
    assert "there" in [each["state"] for each in told["pictures"] if each["path"].startswith("attack/")]


def test_a_redacted_view_withholds_the_original_as_well(folder: Path) -> None:
    (index,) = open_indexes([folder], "redact")
    while index.advance(100):
        pass
    item = index.get_item(0)
    assert not {"prompt", "original", "attack_notes"} & item.keys()
    with pytest.raises(KeyError):
        index.load_image("mis", lines(folder)[0]["prompt"][-2]["sha256"])
    index.close()


def test_show_prints_both_questions_and_finds_the_drawn_picture(folder: Path) -> None:
    name = lines(folder)[0]["id"]
    said = command("show", folder, name, "--reveal").output
    assert "attack/typographic.png: there" in said
    assert said.splitlines()[0].endswith(" + attack typographic")
    assert "original" in said
    told = json.loads(command("show", folder, name, "--json").output)
    assert {"what": "original", "characters": len(lines(folder)[0]["attack"]["question"][-1]["text"])} in told["hidden"]


def test_a_redacted_archive_keeps_the_attack_and_no_word_of_either_question(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "run.zip"
    assert command("export", folder, "--output", archive).exit_code == 0
    with zipfile.ZipFile(archive) as files:
        texts = {name: files.read(name).decode("utf-8") for name in files.namelist()}
    (line, *_) = lines(folder)
    for part in (*line["prompt"], *line["attack"]["question"]):
        for text in texts.values():
            assert part.get("text", part.get("image")) not in text
    run = json.loads(next(text for name, text in texts.items() if name.endswith("run.json")))
    assert run["model"]["attack"]["name"] == run["identity"]["attack"]["name"] == "typographic"
    stored = json.loads(next(text for name, text in texts.items() if name.endswith("responses.jsonl")).splitlines()[0])
    assert [each["sha256"] for each in stored["attack"]["question"] if "image" in each] == [
        each["sha256"] for each in line["attack"]["question"] if "image" in each
    ]
    assert command("verify", archive).exit_code == 0


def test_people_label_the_original_question_as_judges_do(folder: Path) -> None:
    (line, *_) = lines(folder)
    answer = Answer(display="mis", asked={**line}, response=line)
    assert write_question(answer).endswith(line["attack"]["question"][-1]["text"])


def test_an_exported_page_holds_the_drawn_pictures(folder: Path, tmp_path: Path) -> None:
    assert command("view", folder, "--export", tmp_path / "site", "--reveal").exit_code == 0
    shown = {path.stem for path in (tmp_path / "site" / "images").glob("*.jpg")}
    asked = {
        part["sha256"]
        for line in lines(folder)
        for part in (*line["prompt"], *line["attack"]["question"])
        if "image" in part
    }
    assert shown == asked
