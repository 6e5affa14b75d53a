"""The card and the manifest of a set: what they say, and what `verify` finds."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_builder.licences import OutputLicence, check_licences
from harness_builder.output import verify
from harness_builder.output.folder import MANIFEST_SCHEMA as SCHEMA
from harness_builder.output.manifest import portable_plan
from harness_builder.plan import ModelChoice, Photos
from harness_builder.plan import ReferenceTest as Against
from harness_builder.quality import Contamination, NearDuplicate
from harness_builder.review import agreed
from harness_builder.seeds import SeedSource
from harness_builder.tally import Tally
from harness_mirage.data import mix
from harness_mirage.methods import METHODS

from harness import BadData, MissingData, Training
from harness.cli import main
from harness.data.provenance import find_differences, find_origin, read
from tests.training.built import AT, Workplace, label, plan, probed, there
from tests.training.kinds import present
from tests.training.photo_sets import photos
from tests.training.reviewed import review

HOSTILE = "<script>alert(1)</script>\n# [x](http://y.z) | `a` ![i](u) @all"


def card(place: Workplace, **changes: Any) -> str:
    place.finish(**changes)
    return (place.folder / "README.md").read_text(encoding="utf-8")


def front(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def cells(text: str, first: str) -> list[str]:
    """The row of a table that begins so."""
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_top_of_the_card_tells_the_hub_the_licence_the_files_and_the_gate(place: Workplace) -> None:
    told = front(card(place))
    assert (told["license"], told["language"], told["size_categories"]) == ("cc-by-4.0", ["en"], ["n<1K"])
    assert told["configs"][0] == {"config_name": "easy", "data_files": [{"split": "test", "path": "mis_easy.json"}]}
    assert [each["config_name"] for each in told["configs"]] == ["easy", "hard", "train"]
    assert "Do not use it to make a model less safe" in told["extra_gated_prompt"]
    assert "checkbox" in told["extra_gated_fields"].values()


def test_a_language_that_the_hub_has_no_code_for_is_left_out_and_said_below(place: Workplace) -> None:
    place.plan = plan(language="Low Saxon of the north")
    text = card(place)
    assert "language" not in front(text)
    assert "Language: Low Saxon of the north." in text


def test_the_hub_reads_the_card_s_top_as_its_own_library_does(place: Workplace) -> None:
    cards = pytest.importorskip("huggingface_hub")
    found = present(cards.DatasetCard.load(place.folder / "README.md") if card(place) else None)
    assert (found.data.license, found.data.pretty_name) == ("cc-by-4.0", "Lamps and kites")


def test_the_card_says_of_each_file_what_is_harmful_by_itself_and_claims_nothing_of_all(place: Workplace) -> None:
    text = " ".join(card(place).split())
    assert "only when both are taken together" not in text
    assert "Whether a question or an image is harmful by itself too differs from file to file" in text
    assert "to train on: the question is harmful by itself" in text


def test_the_card_says_how_each_part_is_loaded_and_how_the_set_is_run_as_it_is(place: Workplace) -> None:
    run, train = "harness run --tasks mis -T mis.data=THIS_FOLDER", "harness train mirage --data THIS_FOLDER"
    text = card(place)
    assert 'datasets.load_dataset("THIS_SET", "hard")' in text
    assert (run in text, train in text) == (True, True)
    text = card(place, written=place.write([place.made(0, "easy")]))
    assert (run in text, train in text) == (True, False)
    text = card(place, written=place.write([place.made(0, "train")]))
    assert (run in text, train in text) == (False, True)


def test_the_card_counts_by_file_and_category_and_how_everything_ended(place: Workplace) -> None:
    text = card(place)
    assert cells(text, "mis_easy.json")[1] == "3"
    assert cells(text, "Kitchen") == ["Kitchen", "2", "1", "1"]
    assert cells(text, "write | 9") == ["write", "9", "7", "0", "2", "0", "0", "0"]
    assert cells(text, "draw") == ["draw", "3", "0", "0", "0", "0", "3", "0"]
    assert (cells(text, "person")[1], cells(text, "unchecked")[1]) == ("2", "1")


def test_the_card_says_what_models_took_and_a_price_only_where_one_was_told(place: Workplace) -> None:
    facts = place.finish()
    text = (place.folder / "README.md").read_text(encoding="utf-8")
    who = ["write", "writer", "mini/writer", "writer-1"]
    assert cells(text, "write | writer") == [*who, "12", "3,400", "0", "8", "0", "1.50"]
    place.finish(spent=(replace(facts.spent[0], usd=None),))
    text = (place.folder / "README.md").read_text(encoding="utf-8")
    assert cells(text, "write | writer")[-1] == "no price told"


def test_the_card_sums_what_was_spent_and_says_where_a_price_is_missing(place: Workplace) -> None:
    spent = place.finish().spent[0]
    other = replace(spent, step="draw", role="painter", made=8, images=8, usd=0.25)
    text = card(place, spent=(spent, other))
    assert cells(text, "all")[4:] == ["20", "6,800", "0", "15", "8", "1.75"]
    text = card(place, spent=(spent, replace(other, usd=None)))
    assert cells(text, "all")[-1] == "at least 1.50"
    text = card(place, spent=(replace(spent, usd=None),))
    assert cells(text, "all")[-1] == "no price told"


def test_the_card_says_of_how_many_drawings_one_was_taken(place: Workplace) -> None:
    assert "each object was drawn" not in card(place)
    place.plan = plan(best_of=3)
    assert "each object was drawn 3 times a round, of which mini/viewer took one" in " ".join(card(place).split())


def test_the_card_says_whose_each_prompt_is(place: Workplace, tmp_path: Path) -> None:
    (tmp_path / "mine.j2").write_text("Ask about {{ object1 }} and {{ object2 }}: {{ question }}", encoding="utf-8")
    place.plan = plan(prompts={"write": tmp_path / "mine.j2"})
    facts = place.finish()
    text = (place.folder / "README.md").read_text(encoding="utf-8")
    assert cells(text, "write | the user's") == ["write", "the user's", f"`{facts.prompts.hashes['write']}`"]
    assert cells(text, "label | the builder's") == ["label", "the builder's", f"`{facts.prompts.hashes['label']}`"]
    assert str(tmp_path) not in text + (place.folder / "build.json").read_text(encoding="utf-8")


def test_the_card_counts_in_each_part_the_drawings_that_the_viewer_has_not_accepted(place: Workplace) -> None:
    made = place.some()
    made[3] = replace(made[3], pair=replace(made[3].pair, accepted=False))
    text = card(place, written=place.write(made, [place.real(made[3])]))
    assert [cells(text, part)[1:] for part in ("easy", "hard", "train")] == [["3", "1"], ["2", "0"], ["2", "0"]]
    assert "mini/viewer accepted both, or wanted them drawn anew." in text


def test_with_one_round_the_card_says_that_nobody_was_asked_to_accept_drawings(place: Workplace) -> None:
    place.plan = plan(rounds=1)
    assert "with one round mini/viewer is not asked whether it accepts them" in card(place)


def test_the_card_gives_the_rates_of_the_probes_with_their_intervals(place: Workplace) -> None:
    text = card(place)
    assert cells(text, "the whole")[1:] == ["100.0", "56.6 to 100.0", "5", "0"]
    assert cells(text, "the question alone")[1:] == ["0.0", "0.0 to 43.4", "5", "0"]
    assert cells(text, "the whole, and no part")[1] == "100.0"
    assert "gives the risk away in 0 of 5 records." in text


def test_without_probes_the_card_says_so(place: Workplace) -> None:
    assert "there were no probes" in card(place, written=place.write([place.made(0, "easy", probed=())]))


def test_a_set_that_nobody_looked_at_says_so(place: Workplace) -> None:
    assert "**No person looked at this set.**" in card(place)


def test_the_card_says_how_far_people_agree(place: Workplace) -> None:
    made = [place.made(number, "easy") for number in range(4)]
    looked = [replace(each, sorted=replace(each.sorted, by="people", reviewers=("ann", "bob"))) for each in made]
    reviews = [review(each.key, name) for each in made[:3] for name in ("ann", "bob")]
    reviews += [review(made[3].key, name, "drop") for name in ("ann", "bob")]
    text = card(place, written=place.write(looked), agreed=agreed(reviews))
    assert "2 people reviewed it; 4 of its 4 records were decided so." in text
    assert cells(text, "keep or drop")[1:3] == ["4", "1.00"]
    assert cells(text, "ann and bob | keep or drop")[2:4] == ["4", "1.00"]
    assert "No person" not in text


def test_one_reviewer_agrees_with_nobody(place: Workplace) -> None:
    made = place.made(0, "easy")
    looked = replace(made, sorted=replace(made.sorted, by="people", reviewers=("ann",)))
    text = card(place, written=place.write([looked]), agreed=agreed([review(made.key, "ann")]))
    assert "1 person reviewed it" in text
    assert "nobody knows how far they would agree" in text


def test_the_card_lists_what_tests_hold_and_says_when_none_was_asked(place: Workplace) -> None:
    assert "held against no test" in card(place)
    place.plan = plan(against=(Against(task="mis:easy"),))
    found = Contamination(key="shapes/9#1", of="mis:easy/17", by="text", likeness=0.91)
    text = card(place, contaminated=(found,), near=(NearDuplicate(key="b", of="a", likeness=1.0),))
    assert "Held against mis:easy: 1 nearly equalled" in text
    assert cells(text, "shapes/9&#35;1") == ["shapes/9&#35;1", "mis:easy/17", "text", "0.91"]
    assert "earlier records: 1 dropped" in text


def test_the_card_names_each_source_s_licence_and_the_tests_among_them(place: Workplace) -> None:
    licence = OutputLicence(
        name="unknown", sources={"shapes": "unknown", "advbench": "mit"}, accepted=("shapes",), tests=("advbench",)
    )
    text = card(place, licence=licence)
    assert cells(text, "shapes") == ["shapes", "unknown", "used because whoever built the set says that they may"]
    assert "the most restrictive" not in text
    assert "**Do not score on** advbench" in text
    assert front(text)["license"] == "unknown"
    first = (place.folder / "LICENSE").read_text(encoding="utf-8").splitlines()[0]
    assert first == "unknown; used in spite of their terms: shapes"


def test_the_card_names_the_licences_of_photographs(place: Workplace) -> None:
    made = place.made(0, "hard")
    text = card(place, written=place.write([made], [place.real(made)]))
    assert (cells(text, "cc-by-4.0")[1], cells(text, "cc0-1.0")[1]) == ("1", "1")
    assert [each["config_name"] for each in front(text)["configs"]] == ["hard", "real"]


def test_the_card_says_what_found_photographs_who_looked_at_them_and_what_was_left_out(place: Workplace) -> None:
    album = photos(Path("album"), by="clip", model="ViT-B-32:tag", faces=Path("yunet.onnx"))
    place.plan = plan(photos=album)
    made = place.made(0, "hard")
    real = place.real(made)
    left = {("dropped", "no licence"): 1200, ("stopped", "person"): 1}
    text = card(place, written=place.write([made], [real]), left=left)
    assert "ViT-B-32:tag of open_clip finds a likeness of 0.25 or more" in text
    assert "In the 2 photographs 2 faces were covered, as YuNet's model found them." in text
    assert "no person was asked about the photographs" in text
    assert (cells(text, "dropped | no licence")[-1], cells(text, "stopped | person")[-1]) == ("1,200", "1")
    text = card(place, written=place.write([made], [replace(real, reviewers=("ann",))]))
    assert "People looked at each record" in text
    assert "1 person reviewed it; 1 of its 2 records were decided so." in text
    assert "None is in the set." in card(place, written=place.write([made]))
    assert "## Photographs" not in card(Workplace(place.folder.parent / "other"))


def test_what_the_balance_left_out_and_what_is_missing_is_said(place: Workplace) -> None:
    place.plan = plan(balance=2)
    text = card(place, written=place.write([place.made(number, "easy") for number in (0, 2, 4, 1)]))
    assert "2 of each category; 1 records were left out for it." in text
    assert "Fewer than wanted in `mis_easy.json`: Garden 1 of 2." in text


def test_each_distribution_stands_once_with_its_version_whatever_it_offers(place: Workplace) -> None:
    versions = {"mine": "file 0123456789ab", "builder": "house 1.0", "mini": "house 1.0", "paint": "studio 2.1"}
    text = card(place, versions=versions)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[-4:] == [["---", "---"], ["house", "1.0"], ["mine (a file)", "0123456789ab"], ["studio", "2.1"]]
    assert json.loads((place.folder / "build.json").read_text(encoding="utf-8"))["versions"] == versions


def test_what_the_build_ran_on_stands_in_the_card_and_in_the_manifest(place: Workplace) -> None:
    ran = {"python": "3.12.0", "gpu": None, "torch": "2.9.0", "diffusers": "0.42.1"}
    text = card(place, environment=ran)
    assert "It ran on python 3.12.0, torch 2.9.0, diffusers 0.42.1." in text
    assert json.loads((place.folder / "build.json").read_text(encoding="utf-8"))["environment"] == ran


def test_names_of_strangers_are_text_in_the_card_and_nothing_else(place: Workplace) -> None:
    place.plan = plan(
        name=HOSTILE, painter=ModelChoice(ref=HOSTILE), against=(Against(task=HOSTILE),), language=HOSTILE
    )
    made = place.made(0, "easy")
    made = replace(made, sorted=replace(made.sorted, category=HOSTILE, reviewers=(HOSTILE,)))
    licence = OutputLicence(name="mit", sources={HOSTILE: HOSTILE}, accepted=(HOSTILE,), tests=(HOSTILE,))
    found = Contamination(key=HOSTILE, of=HOSTILE, by="text", likeness=1.0)
    text = card(
        place,
        written=place.write([made]),
        licence=licence,
        contaminated=(found,),
        versions={HOSTILE: HOSTILE},
        models={},
        identity=HOSTILE,
        open=(HOSTILE,),
        tally=Tally(seeds=1, whys=Counter({("draw", "stopped", HOSTILE): 1})),
    )
    top, body = text.split("---\n")[1:3]
    assert yaml.safe_load(top)["pretty_name"] == " ".join(HOSTILE.split())
    assert "<script>" not in body
    assert "](http" not in body
    assert "![i]" not in body
    assert not [line for line in body.splitlines() if line.startswith("# ") and line != body.splitlines()[1]]
    heads = [line for line in body.splitlines() if line.startswith("|")]
    assert all(line.count("|") == line.count(" |") + 1 for line in heads)


@pytest.mark.parametrize(
    ("accepted", "sources", "says"),
    [
        ((), {"a": "cc0-1.0", "b": "cc-by-4.0"}, "cc-by-4.0: the most restrictive of its sources'. This"),
        (
            ("a",),
            {"a": "cc-by-nd-4.0", "b": "mit"},
            "unknown: the licences of its sources leave none for it; see below",
        ),
        (("a",), {"a": "cc-by-sa-4.0", "b": "cc-by-nc-4.0"}, "unknown: the licences of its sources leave none for it"),
        (("mm-safetybench",), {"mm-safetybench": "mit"}, "mit: the most restrictive of its sources', one of which was"),
    ],
)
def test_the_card_says_where_the_licence_of_the_set_is_from(
    place: Workplace, accepted: tuple[str, ...], sources: dict[str, str], says: str
) -> None:
    found = [SeedSource(name=name, path=Path("copy"), licence=licence) for name, licence in sources.items()]
    text = card(place, licence=check_licences(found, accepted))
    assert says in text
    assert text.count("used because") == len(accepted)


@pytest.mark.parametrize(
    ("language", "code"),
    [("German", "de"), ("Deutsch", "de"), ("français", "fr"), ("日本語", "ja"), ("Русский", "ru"), ("pt", "pt")],
)
def test_a_language_is_known_by_its_english_and_by_its_own_name(place: Workplace, language: str, code: str) -> None:
    place.plan = plan(language=language)
    assert front(card(place))["language"] == [code]


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
    with pytest.raises(MissingData, match=r"build\.json is missing"):
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
    assert f"all {len(there(place.folder)) - 2} files are unchanged since they were built" in out
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
    told = present(portable_plan(plan(photos=photos)).photos)
    assert told.model == "ViT-B-32:clip.pt"
    tagged = plan(photos=Photos(name="photos", path=folder, model="ViT-B-32:some_tag"))
    assert portable_plan(tagged) == tagged
