"""Which sources a set may be built from: how licences are spelled, which go together, and what is a test."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_builder.licences import KNOWN, RANKS, UNKNOWN, check_licences, normalize_licence, suggest_licence
from harness_builder.plan import Plan
from harness_builder.seeds import LAYOUTS, SeedSource, read_seeds
from harness_builder.terms import check_sources, licence_in, licence_of

from harness import HarnessError
from harness.data.provenance import FILE, Part, Provenance, SourceKind
from tests.training.built import Workplace, plan
from tests.training.configs import error_of, in_the_mini_world
from tests.training.photo_sets import folder, photos
from tests.training.trained import called

NAMES = [name for names in RANKS for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_table_stays_in_any_case(name: str) -> None:
    assert normalize_licence(name) == normalize_licence(name.upper()) == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("CC0", "cc0-1.0"),
        ("CC0 1.0 Universal", "cc0-1.0"),
        ("Creative Commons Zero v1.0 Universal", "cc0-1.0"),
        ("CC BY 4.0", "cc-by-4.0"),
        ("CC-BY 4.0", "cc-by-4.0"),
        ("CC\u2011BY\u20114.0", "cc-by-4.0"),
        ("cc_by_sa_3.0", "cc-by-sa-3.0"),
        ("CC BY-SA-NC 4", "cc-by-nc-sa-4.0"),
        ("Creative Commons Attribution 4.0 International Public License", "cc-by-4.0"),
        ("Attribution-NonCommercial-NoDerivatives 4.0 International", "cc-by-nc-nd-4.0"),
        ("Attribution-ShareAlike 2.0 Generic", "cc-by-sa-2.0"),
        ("https://creativecommons.org/licenses/by-nc/2.0/", "cc-by-nc-2.0"),
        ("Apache 2.0", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("apache2", "apache-2.0"),
        ("MIT License", "mit"),
        ("The MIT License (MIT)", "mit"),
        ("BSD 3-Clause License", "bsd-3-clause"),
        ("Simplified BSD", "bsd-2-clause"),
        ("The Unlicense", "unlicense"),
        ("PDDL", "pddl-1.0"),
        ("ODC-By-1.0", "odc-by"),
        ("Open Data Commons Attribution License v1.0", "odc-by"),
        ("ODbL v1.0", "odbl-1.0"),
        ("Open Database License", "odbl-1.0"),
        ("CDLA Permissive 2.0", "cdla-permissive-2.0"),
        ("Creative Commons BY-NC-ND 2.0", "cc-by-nc-nd-2.0"),
        ("http://creativecommons.org/licenses/by-nd/2.5/", "cc-by-nd-2.5"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("cc by", "cc-by"),
    ],
)
def test_a_common_spelling_is_that_of_the_table(written: str, name: str) -> None:
    assert normalize_licence(written) == name


@pytest.mark.parametrize("written", ["not MIT", "非MIT", "MIT?", "MIT or GPL-3.0", "cc-by", "BSD", "as it pleases"])
def test_what_may_be_another_licence_is_left_as_it_was_written(written: str) -> None:
    assert normalize_licence(written) == written.casefold()


@pytest.mark.parametrize("written", ["", " ? ", "None", "n/a", "UNLICENSED"])
def test_what_says_that_there_is_none_is_none(written: str) -> None:
    assert normalize_licence(written) == ""


def test_a_licence_that_nobody_knows_may_be_called_so() -> None:
    assert normalize_licence("Unknown") == UNKNOWN


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("apache", "apache-2.0"),
        ("apche 2.0", "apache-2.0"),
        ("cc-by", "cc-by-4.0"),
        ("bsd 4 clause", "bsd-3-clause"),
        ("cc-by-1.0", ""),  # the licence is known, and no other version of it was meant
        ("our own terms", ""),
        ("gpl-3.0", ""),
    ],
)
def test_the_nearest_of_the_table_is_proposed_where_one_is_near(written: str, near: str) -> None:
    assert suggest_licence(normalize_licence(written)) == near


def test_the_page_has_the_table_name_by_name() -> None:
    page = (Path(__file__).parents[2] / "docs" / "build-safety.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert [int(rank) for rank, _ in rows] == list(range(len(RANKS)))
    assert [tuple(re.findall(r"`([^`]+)`", names)) for _, names in rows] == list(RANKS)


def source(name: str, licence: str = "", layout: str = "plain") -> SeedSource:
    return SeedSource(name=name, path=Path("copy"), layout=layout, licence=licence)


def known(name: str) -> SeedSource:
    return source(name, layout=name)


@pytest.mark.parametrize("stricter", range(1, 6))
def test_the_output_takes_the_more_restrictive_licence(stricter: int) -> None:
    for milder in range(stricter):
        if (milder, stricter) in {(3, 4), (3, 5)}:
            continue  # these cannot be joined; see below
        left, right = RANKS[milder][0], RANKS[stricter][0]
        assert check_licences([source("a", left), source("b", right)]).name == right
        assert check_licences([source("b", right), source("a", left)]).name == right


def test_each_source_keeps_its_own_licence_beside_the_outputs() -> None:
    found = check_licences([known("advbench"), known("spa-vl"), source("mine", "CC0-1.0")])
    assert found.name == "cc-by-4.0"
    assert found.sources == {"advbench": "mit", "spa-vl": "cc-by-4.0", "mine": "cc0-1.0"}


@pytest.mark.parametrize("licence", ["", "cc-by-nd-4.0", "CC-BY-NC-ND-4.0", "our own terms"])
def test_a_licence_that_forbids_it_or_is_unknown_stops_the_build(licence: str) -> None:
    with pytest.raises(HarnessError) as caught:
        check_licences([source("mine", licence)])
    assert "--accept-licence mine" in caught.value.remedy
    accepted = check_licences([source("mine", licence)], ["mine"])
    assert (accepted.name, accepted.accepted) == (UNKNOWN, ("mine",))


def test_accepting_one_source_does_not_accept_another() -> None:
    with pytest.raises(HarnessError, match="'rtvlm'"):
        check_licences([known("vlsbench"), known("rtvlm")], ["vlsbench"])


def test_accepting_what_is_no_source_is_a_slip_that_is_told() -> None:
    with pytest.raises(HarnessError, match="vlsbensh"):
        check_licences([known("vlsbench")], ["vlsbensh"])


def test_an_unknown_licence_can_be_stated_but_a_known_one_not_replaced() -> None:
    assert check_licences([source("vlsbench", "apache-2.0", "vlsbench")]).name == "apache-2.0"
    assert check_licences([source("mm", "CC BY-NC 4.0", "mm-safetybench")]).name == "cc-by-nc-4.0"
    with pytest.raises(HarnessError, match=r"known licence cc-by-nc-4\.0, not mit"):
        check_licences([source("mm", "mit", "mm-safetybench")])
    assert check_licences([source("mm", "mit", "mm-safetybench")], ["mm"]).sources == {"mm": "mit"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("cc-by-sa-4.0", "cc-by-nc-4.0"), ("cc-by-sa-4.0", "cc-by-nc-sa-4.0"), ("cc-by-sa-4.0", "odbl-1.0")],
)
def test_two_licences_that_no_licence_keeps_both_stop_the_build(one: str, other: str) -> None:
    with pytest.raises(HarnessError, match="no licence satisfies both"):
        check_licences([source("a", one), source("b", other)])
    accepted = check_licences([source("a", one), source("b", other)], ["a"])
    assert (accepted.name, accepted.accepted) == (UNKNOWN, ("a",)), "no licence keeps both, so the set has none"


def test_accepting_without_need_changes_nothing() -> None:
    plain = check_licences([source("a", "cc0-1.0"), source("b", "cc-by-4.0")])
    assert check_licences([source("a", "cc0-1.0"), source("b", "cc-by-4.0")], ["a", "b"]) == plain
    assert check_licences([source("a", "cc0-1.0"), source("b", "mine alone")], ["a", "b"]).accepted == ("b",)
    clash = [source("a", "cc-by-sa-4.0"), source("b", "cc-by-nc-4.0"), source("c", "mit")]
    assert check_licences(clash, ["a", "b", "c"]).accepted == ("b",), "one of the two is enough"


@pytest.mark.parametrize("name", [name for name, terms in KNOWN.items() if terms.use == "test"])
def test_a_test_is_never_trained_on_whatever_is_accepted(name: str) -> None:
    with pytest.raises(HarnessError, match="no training set"):
        check_licences([source(name, layout="plain")], [name])
    assert check_licences([source(name, layout="plain")], [name], training=False).tests == (name,)


def test_sets_that_test_models_elsewhere_are_named() -> None:
    assert check_licences([known("advbench"), known("spa-vl"), source("mine", "mit")]).tests == ("advbench",)


def test_no_source_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(HarnessError, match="without a source"):
        check_licences([])
    with pytest.raises(HarnessError, match="one name"):
        check_licences([source("a", "mit"), source("a", "mit")])


def test_what_is_known_of_every_set_with_a_layout_is_written_down() -> None:
    assert set(LAYOUTS) - {"plain", "images"} <= set(KNOWN)
    ranked = {licence for names in RANKS for licence in names}
    assert {terms.licence for terms in KNOWN.values()} <= ranked


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


OF_MIS: Mapping[str, Any] = {
    "question": "What is the object in the first image?",
    "category": "Shapes",
    "sub_category": "Stars",
    "image_path1": "easy_image/1/object1.png",
    "image_path2": "easy_image/1/object2.png",
}


TESTS = [
    *("MIS", "MIS_Test", "mis-test", "mis_easy", "Mis Hard", "MSS-Bench", "FigStep", "safebench", "SafeBench-Tiny"),
    *("JailBreakV-28K", "mini_JailBreakV_28K", "RedTeam_2K", "siuo_gen", "MOSS-Bench", "XSTest", "xstest-prompts"),
    *("strong-reject", "StrongREJECT_dataset"),
]


def table(name: str, path: Path = Path("ideas.csv"), **more: Any) -> SeedSource:
    given: dict[str, Any] = {"licence": "cc0-1.0", **more}
    return SeedSource(name=name, path=path, **given)


def of(path: Path) -> Plan:
    return plan(sources=(table("ideas", path),))


def listed(path: Path, *records: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def fetched(root: Path, task: str, name: str, *files: str, kind: SourceKind = "hub") -> Path:
    root.mkdir(exist_ok=True)
    part = Part(kind=kind, name=name, revision="1", fetched="", files=dict.fromkeys(files, (1, "0")))
    Provenance(task=task, licence="", parts=(part,)).write(root)
    return root


@pytest.mark.parametrize("name", TESTS)
def test_a_test_is_refused_by_any_of_its_names_whatever_their_case_and_signs(name: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no training set"):
        check_licences([table(name)])
    for path in (tmp_path / name, tmp_path / f"{name}.json", tmp_path / f"{name}.tar.gz"):
        with pytest.raises(HarnessError, match="it lies under the name"):
            check_licences([table("ideas", path)])


@pytest.mark.parametrize("name", ["MIS_Train", "mis-like", "mistakes", "my safebench", "not-xstest", "SPA-VL", "misc"])
def test_what_is_called_otherwise_is_none(name: str, tmp_path: Path) -> None:
    check_licences([table(name, licence="")], [name])
    check_licences([table("ideas", tmp_path / f"{name}.json")])


def test_a_folder_above_it_names_nothing(tmp_path: Path) -> None:
    check_licences([table("ideas", tmp_path / "mis" / "ideas.csv")])


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "MIS_Test").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "MIS_Test")
    with pytest.raises(HarnessError, match="MIS_Test"):
        check_licences([table("ideas", tmp_path / "mine")])


def test_a_snapshot_of_the_hub_s_client_goes_by_the_name_that_is_in_its_path(tmp_path: Path) -> None:
    root = tmp_path / "datasets--Tuwhy--MIS_Test" / "snapshots" / "3f2a"
    with pytest.raises(HarnessError, match="MIS_Test"):
        check_licences([table("ideas", root / "some.json")])
    check_licences([table("ideas", tmp_path / "datasets--Tuwhy--MIS_Train" / "snapshots" / "3f2a")])


def test_a_file_of_mis_is_known_by_its_columns_whatever_it_is_called(tmp_path: Path) -> None:
    for record in (OF_MIS, {**OF_MIS, "id": 1}):
        with pytest.raises(HarnessError, match="the columns are those of MIS's test files"):
            next(read_seeds(table("ideas", listed(tmp_path / "some.json", record))))


def test_a_table_of_two_images_that_is_not_of_mis_is_read(tmp_path: Path) -> None:
    own = {"question": "Which is the larger?", "image_path1": "a.png", "image_path2": "b.png"}
    assert next(read_seeds(table("ideas", listed(tmp_path / "some.json", own)))).text == "Which is the larger?"


def test_a_folder_that_was_fetched_for_a_test_is_known_by_its_record(tmp_path: Path) -> None:
    root = fetched(tmp_path / "data", "siuo", "someone/mirror", "gen.json", "images/1.png")
    for path in (root, root / "gen.json", root / "images", tmp_path):
        with pytest.raises(HarnessError, match=r"\.source\.json says that it is someone/mirror"):
            check_sources(of(path))
    check_sources(of(root / "mine.csv"))
    check_sources(of(fetched(tmp_path / "other", "spa_vl", "sqrti/SPA-VL", "train.json")))


def test_of_a_set_that_was_built_the_tests_are_refused_and_what_trains_is_welcome(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "set", plan())
    place.finish()
    for path in (place.folder, place.folder / "mis_easy.json", place.folder / "easy_image"):
        with pytest.raises(HarnessError, match=r"holds the tests of Lamps and kites|under the name") as caught:
            check_sources(of(path))
        assert "leave it out" in caught.value.remedy
    for path in (place.folder / "mis_train.json", place.folder / "images"):
        check_sources(of(path))


def test_an_archive_is_known_by_the_record_in_it(tmp_path: Path) -> None:
    root = fetched(tmp_path / "data", "mis", "Tuwhy/MIS_Test", "some.json")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.write(root / FILE, FILE)
        archive.writestr("some.json", "[]")
    with pytest.raises(HarnessError, match="Tuwhy/MIS_Test"):
        check_sources(of(tmp_path / "mine.zip"))


@pytest.mark.parametrize("record", ["", "[1]", '{"parts": 3}', '{"parts": [3, {"files": {"ideas.csv": 1}}]}', "\x00"])
def test_a_record_that_says_nothing_keeps_nobody_out(record: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(record, encoding="utf-8")
    check_sources(of(tmp_path / "ideas.csv"))
    check_sources(of(tmp_path))


def test_the_command_refuses_each_with_its_key_and_the_config(tmp_path: Path) -> None:
    listed(tmp_path / "mis_hard.json", OF_MIS)
    listed(tmp_path / "some.json", OF_MIS)
    for sources in (
        [{"name": "JailBreakV-28K", "path": "ideas.csv", "licence": "cc0-1.0"}],
        [{"name": "ideas", "path": "mis_hard.json", "licence": "cc0-1.0"}],
        [{"name": "ideas", "path": "some.json", "licence": "cc0-1.0"}],
    ):
        config = in_the_mini_world(tmp_path, sources=sources)
        for more in ((), ("--dry-run",)):
            said = error_of("mis", "--config", str(config), "--out", str(tmp_path / "out"), *more)
            assert "no training set" in said
            assert said.startswith("error: sources.#1: ")
            assert "build.yaml" in said
    assert not (tmp_path / "out").exists()
