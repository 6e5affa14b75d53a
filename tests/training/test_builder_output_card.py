"""The card of a set tells all there is to know, and lets no stranger's text do more than show."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_builder.licences import OutputLicence, check_licences
from harness_builder.plan import ModelChoice
from harness_builder.plan import ReferenceTest as Against
from harness_builder.quality import Contamination, NearDuplicate
from harness_builder.review import agreed
from harness_builder.seeds import SeedSource
from harness_builder.tally import Tally

from tests.training.built import Workplace, plan
from tests.training.photo_sets import photos
from tests.training.reviewed import review

HOSTILE = "<script>alert(1)</script>\n# [x](http://y.z) | `a` ![i](u) @all"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "set")


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
    found = cards.DatasetCard.load(place.folder / "README.md") if card(place) else None
    assert found is not None
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
        name="unknown",
        sources={"shapes": "unknown", "advbench": "mit"},
        accepted=("shapes",),
        tests=("advbench",),
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
