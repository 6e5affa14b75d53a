"""SPA-VL: harm by its own rubric, help against the answers of another run, in the hub's layout and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from harness_pairwise.judge import JUDGE as PAIRWISE
from harness_spa_vl.task import JUDGE, MINI, TASK

import harness
from harness import BadData, Request, Response, Sample, plugins
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL, Said, fake_provider, host_of
from tests.tasks.data import (
    by_id,
    check,
    find_fault,
    find_reason,
    open_first,
    open_judge,
    put,
    read,
    say,
    show,
    without,
    write_json,
    write_parquet,
)
from tests.tasks.played import HOW, attack, counted, end_of, published, reply, texts

CLASSES = ("Paint", "Paper", "Wood")


def record(name: str, key: int, **changes: Any) -> dict[str, Any]:
    of = CLASSES[key % 3]
    values = {
        "question": f"<image>\nWhat about {name} {key}?",
        "class1": of,
        "class2": f"{of} tools",
        "class3": f"{of} brush",
    }
    return {**values, "image": PIXEL, **changes}


def hub(root: Path, records: list[dict[str, Any]], path: str = "test/harm-00000-of-00001.parquet") -> Path:
    write_parquet(root / path, records)
    return root


def records(name: str = "harm", size: int = 3) -> list[dict[str, Any]]:
    return [record(name, key) for key in range(size)]


def listed(root: Path, split: str = "harm") -> list[Sample]:
    return read(TASK, root, split)


@pytest.mark.parametrize(
    "path",
    [
        "test/harm-00000-of-00001.parquet",
        "data/harm-00000-of-00001.parquet",
        "harm.parquet",
        "data/test_harm.parquet",
        "test/harm/0000.parquet",
    ],
)
def test_a_split_is_found_where_the_copies_have_it(tmp_path: Path, path: str) -> None:
    hub(tmp_path, records("help"), "test/help-00000-of-00001.parquet")
    found = listed(hub(tmp_path, records(), path))
    assert [say(sample) for sample in found] == [f"What about harm {key}?" for key in range(3)]
    assert open_first(found[2]) == PIXEL


def test_a_sample_is_its_image_then_the_question_without_its_image_token(tmp_path: Path) -> None:
    sample = listed(hub(tmp_path, records()))[1]
    assert show(sample) == ["<test/harm-00000-of-00001.parquet#image/2>", "What about harm 1?"]
    assert (sample.category, sample.tags) == ("Paper", {"class2": "Paper tools", "class3": "Paper brush"})
    assert sample.target is None


def test_shards_are_read_as_one_split(tmp_path: Path) -> None:
    for number in (1, 0):
        hub(tmp_path, [record(f"shard {number}", 0)], f"test/harm-0000{number}-of-00002.parquet")
    assert [say(sample) for sample in listed(tmp_path)] == ["What about shard 0 0?", "What about shard 1 0?"]


def test_an_id_does_not_depend_on_the_place_in_the_file(tmp_path: Path) -> None:
    rows = records(size=5)
    found = by_id(listed(hub(tmp_path / "a", rows)))
    assert found == by_id(listed(hub(tmp_path / "b", rows[::-1])))
    assert len(found) == 5


def test_one_question_about_two_images_is_two_samples(tmp_path: Path) -> None:
    first, second = listed(hub(tmp_path, [record("harm", 0), record("harm", 0)]))
    assert second.id == f"{first.id}-2"


def test_samples_of_one_image_come_together_and_share_a_cluster_across_shards(tmp_path: Path) -> None:
    rows = [record("harm", key, image=image) for key, image in enumerate((b"a", b"b", None, None, b"a"))]
    for number, shard in enumerate((rows[:3], rows[3:])):
        hub(tmp_path, shard, f"test/harm-0000{number}-of-00002.parquet")
    found = listed(tmp_path)
    assert [say(sample) for sample in found] == [f"What about harm {key}?" for key in (0, 4, 1, 2, 3)]
    assert found[0].cluster == found[1].cluster
    assert len({sample.cluster for sample in found}) == 4


def test_an_image_that_json_records_name_twice_is_one_cluster(tmp_path: Path) -> None:
    named = [record("harm", key, image=f"{key % 2}.png") for key in range(3)]
    write_json(tmp_path / "harm.json", named)
    found = listed(tmp_path)
    assert [say(sample) for sample in found] == [f"What about harm {key}?" for key in (0, 2, 1)]
    assert found[0].cluster == found[1].cluster != found[2].cluster


@pytest.mark.parametrize("folder", ["", "test/"])
@pytest.mark.parametrize("images", ["", "images/"])
def test_json_records_beside_a_folder_of_images_are_read_too(tmp_path: Path, folder: str, images: str) -> None:
    write_json(tmp_path / folder / "harm.json", [record("harm", 0, image="a/0.png", id="x")])
    put(tmp_path, f"{folder}{images}a/0.png")
    (sample,) = listed(tmp_path)
    assert (sample.id, open_first(sample)) == ("x", PIXEL)


def test_an_answer_that_the_data_holds_is_the_reference(tmp_path: Path) -> None:
    (sample,) = listed(
        hub(tmp_path, [record("help", 0, chosen="This one.", rejected="That.")], "test/help.parquet"), "help"
    )
    assert sample.target == {"reference": "This one."}


@pytest.mark.parametrize("question", [None, " <image> "])
def test_a_record_without_a_question_is_named_before_any_sample(tmp_path: Path, question: str | None) -> None:
    hub(tmp_path, [record("harm", 0), record("harm", 1, question=question)])
    assert find_fault(TASK, tmp_path, "harm") == "test/harm-00000-of-00001.parquet, record 2, field question"


def test_a_missing_column_of_images_is_named_and_unknown_columns_are_ignored(tmp_path: Path) -> None:
    assert len(listed(hub(tmp_path / "a", [record("harm", 0, note="new")]))) == 1
    with pytest.raises(BadData, match="field 'image' is missing"):
        listed(hub(tmp_path / "b", [without(each, "image") for each in records()]))


def test_classes_that_a_copy_lacks_are_no_fault(tmp_path: Path) -> None:
    (sample,) = listed(hub(tmp_path, [{"question": "What?", "image": PIXEL}]))
    assert (sample.category, sample.tags) == ("", {"class2": "", "class3": ""})


def test_an_image_that_is_missing_spoils_its_own_sample(tmp_path: Path) -> None:
    hub(tmp_path, [record("harm", 0), record("harm", 1, image=None)])
    first, second = listed(tmp_path)
    assert (open_first(first), find_reason(second.request.images[0])) == (PIXEL, "missing")
    found = check(TASK, tmp_path, "harm")
    assert (found.samples, found.published, len(found.bad["missing"])) == (2, 265, 1)


def test_the_packaged_answers_to_compare_with_are_in_the_split_of_help_alone() -> None:
    assert {sample.target is None for sample in listed(MINI, "mini")} == {True}
    assert all(sample.target["reference"] for sample in listed(MINI, "mini-help"))


def test_the_rubric_keeps_its_contract() -> None:
    check_judge(JUDGE, listed(MINI, "mini"), replies=[reply(label=label) for label in ("unsafe", "safe")])


def test_the_unsafe_rate_is_the_share_of_unsafe_answers_among_all_that_have_a_class(tmp_path: Path) -> None:
    hub(tmp_path / "data" / "spa-vl", records(size=265))
    split = attack(TASK, "harm", tmp_path, judge="spa-vl")
    names = [f"What about harm {key}?" for key in range(265)]
    assert counted(split) == published(names)
    assert counted(split["by"]["category"]["Wood"]) == published(names[2::3])
    assert split["verdicts"]["judge_unparsable"] == sum(end_of(name) == "unparsable" for name in names)


# How an answer of `help` ends: which order the judge finds it better in, or no answer, or no verdict.
ENDS = ("win", "loss", "same", "first place", "block", "empty", "unparsable", "broken")
WORTH = {"win": 1.0, "loss": 0.0, "same": 0.5, "first place": 0.5, "block": 0.0, "empty": 0.0}


def end(question: str) -> str:
    return ENDS[crc32(question.encode()) % len(ENDS)]


def answer(request: Request) -> Said:
    found = end(texts(request))
    return HOW.get(found, f"The end is {found}.")


def prefer(request: Request) -> Said:
    """A judge that finds the word of the end, and whether it stands in the first answer."""
    text = texts(request)
    (found,) = [each for each in ENDS if f"The end is {each}." in text]
    stands = "first" if text.index("The end is") < text.index("An old answer") else "second"
    other = {"first": "second", "second": "first"}[stands]
    better = {"win": stands, "loss": other, "same": "same", "first place": "first"}.get(found)
    return reply(better=better) if better else "I cannot say."


def test_the_win_rate_against_another_runs_answers_counts_half_a_win_for_a_tie(tmp_path: Path) -> None:
    hub(tmp_path / "data" / "spa-vl", records("help", size=265), "test/help.parquet")
    options: Any = {"data": tmp_path / "data", "probe": False, "min_coverage": 0.0, "policy": harness.Policy(tries=1)}
    old = fake_provider("An old answer.")
    with plugins.use(host_of(TASK, PAIRWISE, JUDGE, old)):
        harness.run("fake/old", "spa-vl:help", output=tmp_path / "old", **options)
    made = fake_provider(lambda request: prefer(request) if "The end is" in texts(request) else answer(request))
    reference = {"pairwise.reference": str(tmp_path / "old" / "spa-vl" / "responses.jsonl")}
    with plugins.use(host_of(TASK, PAIRWISE, JUDGE, made)):
        run = harness.run(
            "fake/new", "spa-vl:help", judge="fake/judge", task_settings=reference, output=tmp_path / "new", **options
        )
    split = run.results["tasks"]["spa-vl"]["splits"]["help"]
    ends = [end(f"What about help {key}?") for key in range(265)]
    worth = [WORTH[each] for each in ends if each in WORTH]
    assert counted(split, "win_rate") == (sum(worth), len(worth), 265 - len(worth))
    assert split["metrics"]["win_rate"]["value"] == pytest.approx(100 * sum(worth) / len(worth))
    assert split["verdicts"]["judge_unparsable"] == ends.count("unparsable")


def test_without_references_help_is_answered_and_left_unscored_with_the_setting_named(tmp_path: Path) -> None:
    (sample,) = listed(hub(tmp_path, [record("help", 0)], "test/help.parquet"), "help")
    rubric = open_judge(PAIRWISE)
    with pytest.raises(harness.HarnessError) as caught:
        rubric.ask(sample, Response(text="It is a brush."))
    assert caught.value.remedy == "-T pairwise.reference=FILE.jsonl"
