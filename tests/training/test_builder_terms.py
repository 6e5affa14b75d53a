"""A set is under the terms of what is in it: a source that gave nothing does not bind it, and the card says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from harness_builder.seeds import SeedSource
from harness_builder.terms import licence_in, licence_of

from tests.training.built import Workplace, plan
from tests.training.photo_sets import folder, photos
from tests.training.test_builder_command_mis import in_the_mini_world
from tests.training.trained import called

OPEN = SeedSource(name="shapes", path=Path("shapes.csv"), licence="cc0-1.0")
UNPAID = SeedSource(name="more", path=Path("more.csv"), licence="cc-by-nc-4.0")
NOBODYS = SeedSource(name="found", path=Path("found.csv"))


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A build of three sources and of photographs, of which only the first source asks for nothing."""
    album = photos(tmp_path / "album", licence="cc-by-nc-4.0")
    return Workplace(tmp_path / "set", plan(sources=(OPEN, UNPAID, NOBODYS), photos=album))


def test_before_it_is_built_a_set_is_under_the_terms_of_all_its_sources(place: Workplace) -> None:
    found = licence_of(place.plan, ["found"])
    assert (found.name, list(found.sources)) == ("unknown", ["shapes", "more", "found", "album"])


def test_a_source_of_which_nothing_is_in_the_set_does_not_bind_it(place: Workplace) -> None:
    found = licence_in(place.plan, ["found"], place.write(place.some()).entries)
    assert (found.name, found.sources, found.accepted) == ("cc0-1.0", {"shapes": "cc0-1.0"}, ())


def test_each_source_that_gave_a_record_does(place: Workplace) -> None:
    made = place.some()
    mixed = [replace(made[0], source="more"), *made[1:]]
    assert licence_in(place.plan, ["found"], place.write(mixed).entries).name == "cc-by-nc-4.0"
    mixed = [replace(made[0], source="found"), *made[1:]]
    found = licence_in(place.plan, ["found"], place.write(mixed).entries)
    assert (found.name, found.accepted) == ("unknown", ("found",))


def test_photographs_bind_it_by_their_own_licences_once_one_is_in_it(place: Workplace) -> None:
    made = place.some()
    found = licence_in(place.plan, ["found"], place.write(made, [place.real(made[2])]).entries)
    assert found.sources == {"shapes": "cc0-1.0", "album": "cc-by-4.0"}


def test_photographs_whose_records_the_balance_left_out_do_not(place: Workplace) -> None:
    place.plan = replace(place.plan, balance=1)
    made = [place.made(number, "hard") for number in (0, 2, 4)]
    written = place.write(made, [place.real(each) for each in made])
    (kept,) = (entry.made for entry in written.entries if not entry.real)
    written = place.write(made, [place.real(each) for each in made if each.key != kept.key])
    assert licence_in(place.plan, ["found"], written.entries).sources == {"shapes": "cc0-1.0"}


def test_a_set_without_a_record_keeps_the_terms_of_its_plan(place: Workplace) -> None:
    assert licence_in(place.plan, ["found"], ()) == licence_of(place.plan, ["found"])


def test_an_acceptance_that_was_not_needed_is_told_in_a_line_and_changes_nothing(tmp_path: Path) -> None:
    config, out = in_the_mini_world(tmp_path, sort={"review": "none"}), tmp_path / "out"
    for more in (["--dry-run"], []):
        words = ["build", "mis", "--config", str(config), "--out", str(out), "--accept-licence", "ideas", *more]
        code, _, said = called(words)
        assert code == 0, said
        assert said.count("--accept-licence ideas is not needed, and changes nothing") == 1
    assert (out / "LICENSE").read_text(encoding="utf-8") == "cc0-1.0\n\nThis set was built from:\n- ideas: cc0-1.0\n"
    assert "used because" not in (out / "README.md").read_text(encoding="utf-8")


def test_card_licence_and_manifest_of_a_build_agree(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("id,text\n1,Good morning!\n", encoding="utf-8")
    album = folder(tmp_path / "album", {"a.png": "red star that no idea is about"})
    config = in_the_mini_world(
        tmp_path,
        sources=[
            {"name": "ideas", "path": "ideas.csv", "licence": "cc0-1.0"},
            {"name": "more", "path": "more.csv", "licence": "cc-by-nc-4.0"},
        ],
        real={"name": "album", "path": str(album), "licence": "cc-by-nc-sa-4.0", "by": "caption"},
        sort={"review": "none"},
    )
    out = tmp_path / "out"
    code, _, said = called(["build", "mis", "--config", str(config), "--out", str(out)])
    assert code == 0, said
    assert "0 records of real" in said
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "\nlicense: cc0-1.0\n" in card
    assert "| more |  | nothing of it is in the set |\n| album |  | nothing of it is in the set |" in card
    assert (out / "LICENSE").read_text(encoding="utf-8") == "cc0-1.0\n\nThis set was built from:\n- ideas: cc0-1.0\n"
    assert json.loads((out / "build.json").read_text(encoding="utf-8"))["licence"]["sources"] == {"ideas": "cc0-1.0"}
    assert json.loads((out / ".source.json").read_text(encoding="utf-8"))["licence"] == "cc0-1.0"
